"""Which events are meant: an event type, and perhaps a condition on the event."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from domain.errors import Refused
from domain.events import Envelope, Event, event_type

A = TypeVar("A", bound=Event)


@dataclass(frozen=True, slots=True)
class Match(Generic[A]):
    """Events of a type that a condition holds for.

    Attributes:
        kind: the event type.
        where: the condition; None for every event of the type.
    """

    kind: type[A]
    where: Callable[[A], bool] | None = None

    def takes(self, event: Event) -> bool:
        """Whether this event is meant."""
        return isinstance(event, self.kind) and (self.where is None or self.where(event))

    def first(self, events: Iterable[Event]) -> A | None:
        """The first event that is meant."""
        for event in events:
            if isinstance(event, self.kind) and (self.where is None or self.where(event)):
                return event
        return None


def on(kind: type[A], /, where: Callable[[A], bool] | None = None) -> Match[A]:
    """An event type with a condition, for waits that take several.

        await self.first_of(on(PurchaseMade, this_cart), TicketOpened, timeout=day)

    Args:
        kind: the event type.
        where: whether this one is meant.
    """
    return Match(kind, where)


def matches(kinds: Sequence[type[Event] | Match[Any]]) -> tuple[Match[Any], ...]:
    """Event types and matches, as matches."""
    return tuple(kind if isinstance(kind, Match) else Match(kind) for kind in kinds)


def dump_event(event: Event | None) -> dict[str, Any] | None:
    """An event as JSON, for the next run."""
    return None if event is None else asdict(event.envelope())


def load_event(kinds: type[A] | tuple[type[A], ...], data: dict[str, Any] | None) -> A | None:
    """An event that the run before had read.

    Args:
        kinds: the event type, or those that it may be of.
        data: what `dump_event` has made of it.

    Raises:
        Refused: it is of none of these types, or does not validate any more.
    """
    if data is None:
        return None
    envelope = Envelope(**data)
    kind = event_type(envelope.name)
    if kind is None:
        raise Refused(f"there is no event type {envelope.name} any more")
    if not issubclass(kind, kinds):
        raise Refused(f"{envelope.name} is not what is waited for there now")
    return kind.from_envelope(envelope)
