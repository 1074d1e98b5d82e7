"""What is known of a customer: traits as sources told them, and traits computed from events."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from domain.audiences.declared import Declared, source_of
from domain.audiences.summary import Bucket, Summary, counts_until, grain, summed
from domain.errors import AudienceError
from domain.events import Event

T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)
E = TypeVar("E", bound=Event)

_LONGEST_WINDOW = timedelta(days=3660)
_MOST_DIGITS = 30
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one event adds to one computed trait.

    Attributes:
        key: the computed trait's.
        until: when it leaves the window.
        value: what the event carries, as JSON.
        amount: what it amounts to.
    """

    key: str
    until: datetime
    value: Any = None
    amount: Decimal = Decimal(0)


class Trait(Declared, Generic[T]):
    """A trait that sources tell with `identify`, declared so that segments can use it.

        plan = Trait(str)

    Args:
        kind: its type. A value of another type counts as none.
        name: its name, where that is not the variable's.
    """

    def __init__(self, kind: type[T], *, name: str | None = None) -> None:
        super().__init__(name, 1)
        self.kind = kind
        self._adapter = TypeAdapter(kind)

    def read(self, told: Any) -> T | None:
        """The value as declared, or None where it is not one."""
        try:
            return None if told is None else self._adapter.validate_python(told)
        except ValidationError:
            return None

    def _meaning(self) -> Mapping[str, str]:
        return {"kind": self.kind.__name__}


class ComputedTrait(Declared, Generic[V_co]):
    """A trait that is computed from events of one type, kept up to date as they are accepted.

    Attributes:
        event: the event type.
        kind: the type of its value.
    """

    kind: type

    def __init__(
        self,
        event: type[E],
        *,
        within: timedelta | None = None,
        where: Callable[[E], bool] | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> None:
        super().__init__(name, version)
        self.event = event
        self._within = within
        self._where: Callable[[Any], bool] | None = where
        if event.ours:
            raise AudienceError(
                f"{event.__name__} is what segments cause: a trait computed from it could move "
                "customers round and round; compute it from the events behind the segment"
            )
        if within is not None:
            _check_window(within)

    def contribution(self, event: Event) -> Contribution | None:
        """What an event adds to it, or None where it adds nothing."""
        if not isinstance(event, self.event) or (self._where and not self._where(event)):
            return None
        return self._contribution(event, counts_until(event.occurred_at, self._within))

    def value(self, buckets: Iterable[Bucket], now: datetime) -> V_co:
        """Its value at a moment."""
        return self._value(summed(buckets, now))

    def changes(self, buckets: Iterable[Bucket], after: datetime) -> datetime | None:
        """When its value changes next if nothing happens, or None for never."""
        if self._within is None:
            return None
        return min((b.until for b in buckets if b.until > after), default=None)

    def read(self, plain: Any) -> V_co | None:
        """Its value from its JSON."""
        return None if plain is None else TypeAdapter(self.kind).validate_python(plain)

    def _contribution(self, event: Event, until: datetime) -> Contribution | None:
        del event
        return Contribution(self.key, until)

    def _value(self, summary: Summary) -> V_co:
        raise NotImplementedError

    def _meaning(self) -> Mapping[str, str]:
        return {
            "event": self.event.name,
            "within": str(self._within),
            "where": source_of(self._where) if self._where else "",
        }


class Count(ComputedTrait[int]):
    """How many such events there were.

    orders_90d = Count(PurchaseMade, within=timedelta(days=90))
    """

    kind = int

    def _value(self, summary: Summary) -> int:
        return summary.count


class _OfProperty(ComputedTrait[V_co]):
    """Computed from a property of its events; those without it do not count."""

    def __init__(
        self,
        event: type[E],
        field: str,
        *,
        within: timedelta | None = None,
        where: Callable[[E], bool] | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> None:
        super().__init__(event, within=within, where=where, name=name, version=version)
        if field not in event.model_fields:
            raise AudienceError(
                f"{event.__name__} has no property {field!r}: it has "
                f"{', '.join(event.model_fields) or 'none'}"
            )
        self._field = field
        self._annotation = event.model_fields[field].annotation
        self._kinds = _kinds(self._annotation)

    def _contribution(self, event: Event, until: datetime) -> Contribution | None:
        value = getattr(event, self._field)
        return None if value is None else self._carrying(value, until)

    def _carrying(self, value: Any, until: datetime) -> Contribution | None:
        raise NotImplementedError

    def _meaning(self) -> Mapping[str, str]:
        return {**super()._meaning(), "field": self._field}


class Sum(_OfProperty[Decimal]):
    """What such events amount to.

    spent = Sum(PurchaseMade, "total")

    An event without the property, or with one of more than 30 digits before or behind the
    point, adds nothing.
    """

    kind = Decimal

    def __init__(
        self,
        event: type[E],
        field: str,
        *,
        within: timedelta | None = None,
        where: Callable[[E], bool] | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> None:
        super().__init__(event, field, within=within, where=where, name=name, version=version)
        if not self._kinds & {Decimal, int, float}:
            raise AudienceError(f"{event.__name__}.{field} is not a number: it has no sum")

    def _carrying(self, value: Any, until: datetime) -> Contribution | None:
        amount = Decimal(str(value))
        digits = amount.as_tuple().exponent
        if not isinstance(digits, int) or digits < -_MOST_DIGITS:
            return None
        if amount.adjusted() >= _MOST_DIGITS:
            return None
        return Contribution(self.key, until, amount=amount)

    def _value(self, summary: Summary) -> Decimal:
        return summary.total


class First(ComputedTrait[datetime | None]):
    """When the first such event happened, whatever the order they came in; None without one.

    customer_since = First(PurchaseMade)
    """

    kind = datetime

    def _value(self, summary: Summary) -> datetime | None:
        return summary.first_at


class Last(ComputedTrait[datetime | None]):
    """When the last such event happened, whatever the order they came in; None without one.

    last_order_at = Last(PurchaseMade)
    """

    kind = datetime

    def _value(self, summary: Summary) -> datetime | None:
        return summary.last_at


class _Carried(_OfProperty[Any]):
    """A property that one of the events carried."""

    def __init__(
        self,
        event: type[E],
        field: str,
        *,
        within: timedelta | None = None,
        where: Callable[[E], bool] | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> None:
        super().__init__(event, field, within=within, where=where, name=name, version=version)
        self._adapter: TypeAdapter[Any] = TypeAdapter(self._annotation or Any)
        self.kind = next(iter(self._kinds)) if len(self._kinds) == 1 else object

    def read(self, plain: Any) -> Any:
        """Its value from its JSON."""
        return None if plain is None else self._adapter.validate_python(plain)

    def _carrying(self, value: Any, until: datetime) -> Contribution | None:
        return Contribution(self.key, until, plain(value))


class FirstValue(_Carried):
    """A property of the first such event that has it; None without one.

    first_currency = FirstValue(PurchaseMade, "currency")
    """

    def _value(self, summary: Summary) -> Any:
        return self.read(summary.first)


class LastValue(_Carried):
    """A property of the last such event that has it; None without one.

    last_currency = LastValue(PurchaseMade, "currency")
    """

    def _value(self, summary: Summary) -> Any:
        return self.read(summary.last)


class Recency(ComputedTrait[int | None]):
    """How many whole days have passed since the last such event; None without one.

    days_since_order = Recency(PurchaseMade)

    Args:
        unit: what is counted instead of days of 24 hours; a minute at least.
    """

    kind = int

    def __init__(
        self,
        event: type[E],
        *,
        unit: timedelta = _DAY,
        where: Callable[[E], bool] | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> None:
        super().__init__(event, where=where, name=name, version=version)
        self._unit = unit
        if unit < timedelta(minutes=1):
            raise AudienceError(f"a recency counts minutes at the finest, not {unit}")

    def value(self, buckets: Iterable[Bucket], now: datetime) -> int | None:
        """Its value at a moment."""
        last = summed(buckets, now).last_at
        # Clocks differ by a little: what has just happened is not in the future.
        return None if last is None else max((now - last) // self._unit, 0)

    def changes(self, buckets: Iterable[Bucket], after: datetime) -> datetime | None:
        """When its value changes next if nothing happens, or None for never."""
        last = summed(buckets, after).last_at
        if last is None:
            return None
        return last + self._unit * ((after - last) // self._unit + 1)


def _kinds(annotation: Any) -> set[type]:
    """The types that a property may have, None aside."""
    return {k for k in get_args(annotation) or (annotation,) if isinstance(k, type)} - {type(None)}


def plain(value: Any) -> Any:
    """A value as plain JSON; an amount becomes a number."""
    return float(value) if isinstance(value, Decimal) else to_jsonable_python(value)


def _check_window(within: timedelta) -> None:
    if not timedelta(minutes=1) <= within <= _LONGEST_WINDOW:
        raise AudienceError(f"a window is between a minute and ten years long, not {within}")
    if within % grain(within):
        raise AudienceError(
            f"a window of {within} is not made of whole spans of {grain(within)}: round it"
        )
