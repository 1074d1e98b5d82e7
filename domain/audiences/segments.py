"""Segments: conditions over what is known of a customer at one moment."""

from collections.abc import Callable, Mapping
from typing import Any

from domain.audiences.declared import Declared, source_of
from domain.audiences.expression import Expression
from domain.audiences.profile import Profile
from domain.audiences.traits import ComputedTrait, Trait
from domain.errors import AudienceError
from domain.events import SegmentEntered, SegmentLeft


class Segment(Declared):
    """Customers for whom a condition holds at the moment of the question.

        high_value = Segment(lambda customer: customer[spent] >= 1_000)
        lapsing = Segment(cel="orders >= 1 && days_since_order > 60")

    A condition in CEL uses traits by their names. Where one of them is null it does not hold,
    unless it asks for null itself. Entering and leaving are events: `SegmentEntered`,
    `SegmentLeft`.

    Args:
        condition: a function of the customer's profile.
        cel: or an expression in the Common Expression Language.
        name: its name, where that is not the variable's.
        version: as for a computed trait.
    """

    def __init__(
        self,
        condition: Callable[[Profile], bool] | None = None,
        *,
        cel: str | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> None:
        super().__init__(name, version)
        if (condition is None) == (cel is None):
            raise AudienceError("a segment has a condition: either a function, or cel=…")
        self._condition = condition
        self._expression = None if cel is None else Expression(cel)

    def bind(self, traits: Mapping[str, Trait[Any] | ComputedTrait[Any]]) -> None:
        """Find what its expression names.

        Raises:
            AudienceError: it names what nobody declared, or is no condition.
        """
        if self._expression is not None:
            self._expression.bind(self.name, traits)

    def holds(self, profile: Profile) -> bool:
        """Whether a customer is in it.

        Raises:
            Unfilled: what it asks for is not computed for this customer yet.
        """
        condition = self._condition or self._expression
        assert condition is not None
        return bool(condition(profile))

    def _meaning(self) -> Mapping[str, str]:
        if self._expression is not None:
            return {"cel": self._expression.source}
        assert self._condition is not None
        return {"condition": source_of(self._condition)}


def about(segment: Segment) -> Callable[[SegmentEntered | SegmentLeft], bool]:
    """Whether an entry or an exit is about this segment: `where=about(lapsing)`."""
    return lambda event: event.segment == segment.name
