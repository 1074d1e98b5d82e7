"""What is known of one customer, as the store has it and as a segment's condition sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, overload

from domain.audiences.summary import Bucket
from domain.audiences.traits import ComputedTrait, Trait, plain

T = TypeVar("T")


class Unfilled(Exception):
    """A computed trait has not been computed from this customer's history yet."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of one customer that segments may ask.

    Attributes:
        traits: as the sources told them.
        buckets: what is kept for each computed trait, by its key.
        filled: the keys of the computed traits and segments that the history is in already.
        retired: those of them that a newer version of the code has replaced.
        moves: by segment, whether the customer was in it when it was looked at last, and how
            often that has changed.
    """

    traits: Mapping[str, Any] = field(default_factory=dict)
    buckets: Mapping[str, Sequence[Bucket]] = field(default_factory=dict)
    filled: frozenset[str] = frozenset()
    retired: frozenset[str] = frozenset()
    moves: Mapping[str, tuple[bool, int]] = field(default_factory=dict)


class Profile:
    """A customer at one moment, as a segment's condition sees it: `profile[orders_90d]`.

    Attributes:
        asked: what was asked for, by name.
    """

    def __init__(self, known: Known, now: datetime) -> None:
        self._known = known
        self._now = now
        self.asked: dict[str, tuple[Trait[Any] | ComputedTrait[Any], Any]] = {}

    @overload
    def __getitem__(self, trait: ComputedTrait[T]) -> T: ...
    @overload
    def __getitem__(self, trait: Trait[T]) -> T | None: ...
    def __getitem__(self, trait: Trait[Any] | ComputedTrait[Any]) -> Any:
        """The value of a trait.

        Raises:
            Unfilled: the customer's history is not in it yet.
        """
        if isinstance(trait, Trait):
            value = trait.read(self._known.traits.get(trait.name))
        else:
            # Asked for, even if it cannot be told: whoever asks depends on it.
            self.asked[trait.name] = (trait, None)
            if trait.key not in self._known.filled:
                raise Unfilled(trait.name)
            value = trait.value(self._known.buckets.get(trait.key, ()), self._now)
        self.asked[trait.name] = (trait, value)
        return value

    def next_change(self) -> datetime | None:
        """When something that was asked for changes next if nothing happens."""
        moments = (
            trait.changes(self._known.buckets.get(trait.key, ()), self._now)
            for trait, _ in self.asked.values()
            if isinstance(trait, ComputedTrait)
        )
        return min((at for at in moments if at is not None), default=None)

    def evidence(self) -> dict[str, Any]:
        """What was asked for, as JSON."""
        return {name: plain(value) for name, (_, value) in self.asked.items()}
