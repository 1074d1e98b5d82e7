"""Conditions in the Common Expression Language (CEL), checked when they are declared."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import cel

from domain.audiences.profile import Profile
from domain.audiences.traits import ComputedTrait, Trait
from domain.errors import AudienceError

_FUNCTIONS = """
bytes contains double duration endsWith getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear
getHours getMilliseconds getMinutes getMonth getSeconds int max min size startsWith string timestamp
uint
""".split()  # noqa: SIM905 - a list of words reads better than one of strings


class Expression:
    """A condition in CEL, checked when it is declared.

    Raises:
        AudienceError: it is no expression, or calls what there is not.
    """

    def __init__(self, source: str) -> None:
        self.source = " ".join(source.split())
        try:
            self._program = cel.compile(source)
        except ValueError as error:
            raise AudienceError(f"not an expression: {error}") from None
        self._traits: dict[str, Trait[Any] | ComputedTrait[Any]] | None = None
        called = {name for name in self._program.functions() if name.isidentifier()}
        if unknown := sorted(called - set(_FUNCTIONS)):
            there_are = ", ".join(_FUNCTIONS)
            raise AudienceError(
                f"{self.source!r} calls {', '.join(unknown)}; there are {there_are}"
            )

    def bind(self, segment: str, traits: Mapping[str, Trait[Any] | ComputedTrait[Any]]) -> None:
        """Find the traits that it names, and try it with values of their types.

        Raises:
            AudienceError: it names what nobody declared, or is no condition.
        """
        names = self._program.variables()
        if unknown := [name for name in names if name not in traits]:
            raise AudienceError(
                f"segment {segment}: {self.source!r} names {', '.join(unknown)}, which nobody "
                f"declared; there are {', '.join(sorted(traits)) or 'no traits'}"
            )
        self._traits = {name: traits[name] for name in names}
        for samples in _SAMPLES:
            values = {n: samples.get(t.kind) for n, t in self._traits.items()}
            if None in values.values():
                return
            try:
                answer = self._program.execute(values)
            except ZeroDivisionError:
                continue
            except (RuntimeError, TypeError, ValueError) as error:
                raise AudienceError(f"segment {segment}: {self.source!r}: {error}") from None
            if not isinstance(answer, bool):
                raise AudienceError(
                    f"segment {segment}: {self.source!r} is not a condition: it gives {answer!r}"
                )

    def __call__(self, profile: Profile) -> bool:
        """Whether it holds."""
        assert self._traits is not None, "a segment is bound by Audiences before it is asked"
        values = {name: _for_cel(profile[trait]) for name, trait in self._traits.items()}
        try:
            return self._program.execute(values) is True
        except (TypeError, ZeroDivisionError):
            if None in values.values() or 0 in values.values():
                return False  # nothing is known to compare with
            raise


_SAMPLES: Sequence[Mapping[type, Any]] = (
    {
        int: 1,
        float: 1.0,
        Decimal: 1.0,
        str: "a",
        bool: True,
        datetime: datetime(2026, 1, 1, tzinfo=UTC),
    },
    {
        int: 9,
        float: 9.5,
        Decimal: 9.5,
        str: "",
        bool: False,
        datetime: datetime(2020, 1, 1, tzinfo=UTC),
    },
)


def _for_cel(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
