"""What an event is: a named fact about a customer, with typed properties."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from domain.errors import Refused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PART = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True)
"""How an event, and what it is made of, reads its properties: what nobody declared is kept."""

CUSTOMER_MERGED = "customer_merged"
"""Under this name an enrollment hears that its customer and another turned out to be one."""

TIME_ZONE_CHANGED = "time_zone_changed"
"""Under this name an enrollment hears that its customer is in another time zone now."""

MESSAGE_SETTLED = "message_settled"
"""Under this name an enrollment hears what became of a message of its own after it was answered."""

RESERVED = frozenset({CUSTOMER_MERGED, TIME_ZONE_CHANGED, MESSAGE_SETTLED})
"""What the runtime alone says to enrollments, and no event type may be called."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Which event this was, and when.

    Attributes:
        event_id: the source's own id of the event (Segment's `messageId`).
        occurred_at: when it happened, as the source says, corrected for its clock.
        number: its place in the enrollment's order of acknowledgement; 0 where it came
            from elsewhere, such as a person's hand in the Temporal UI.
    """

    event_id: str = ""
    occurred_at: datetime = EPOCH
    number: int = 0


_UNKNOWN = Occurrence()


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event on its way to an enrollment: plain JSON, numbered for that enrollment."""

    number: int
    name: str
    event_id: str
    occurred_at: str
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HoldMark:
    """Says that an event opens or closes something that holds promotional messages.

    Attributes:
        kind: what is open, such as `ticket`.
        reference: the property that tells one from another, such as `ticket_id`.
        action: whether the event opens or closes it.
    """

    kind: str
    reference: str
    action: Literal["open", "close"]


@dataclass(frozen=True, slots=True)
class ReportMark:
    """Says that an event tells what became of a message after it was handed over.

    Attributes:
        channel: the message's channel.
        reference: the property that has the message's id, such as `email_id`.
        says: that it `reached` the customer or `bounced`; or that the customer, whom it has
            reached, has `unsubscribed` from the channel or `resubscribed` to it.
    """

    channel: str
    reference: str
    says: Literal["reached", "bounced", "unsubscribed", "resubscribed"]


class Event(BaseModel):
    """A fact about a customer. Its fields are its properties; others are kept as they came.

    A subclass is an event type: its name is the class's name in snake case, and stock
    clients may also call it by that name in words (`Cart Abandoned`) or by an alias.
    """

    model_config = PART

    name: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    aliases: ClassVar[tuple[str, ...]] = ()
    hold: ClassVar[HoldMark | None] = None
    report_mark: ClassVar[ReportMark | None] = None
    ours: ClassVar[bool] = False
    example: ClassVar[Mapping[str, Any]] = {}

    # The same one for all: to make one each costs as much as reading the event.
    _occurrence: Occurrence = PrivateAttr(default_factory=lambda: _UNKNOWN)

    def __init_subclass__(
        cls,
        *,
        aliases: tuple[str, ...] = (),
        hold: HoldMark | None = None,
        report: ReportMark | None = None,
        ours: bool = False,
        example: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Declare the event type under its name and aliases.

        Args:
            aliases: other names that clients give it.
            hold: what it opens or closes.
            report: what it tells of a message of ours.
            ours: the runtime itself writes it; from anybody else it is refused.
            example: properties, for the Temporal UI.
            kwargs: pydantic's.
        """
        super().__init_subclass__(**kwargs)
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        cls.aliases = aliases
        cls.hold = hold
        cls.report_mark = report
        cls.ours = ours
        cls.example = example or {}
        cls.names = (cls.name, *map(canonical_name, aliases))
        for name in cls.names:
            if name in RESERVED:
                raise TypeError(f"the event name {name!r} is the runtime's own: choose another")
            other = _TYPES.setdefault(name, cls)
            if other.__qualname__ != cls.__qualname__ or other.__module__ != cls.__module__:
                raise TypeError(
                    f"{cls.__module__}.{cls.__qualname__} and "
                    f"{other.__module__}.{other.__qualname__} both claim the event name {name!r}"
                )

    @property
    def event_id(self) -> str:
        """The source's own id of this event."""
        return self._occurrence.event_id

    @property
    def occurred_at(self) -> datetime:
        """When it happened, as the source says, corrected for its clock."""
        return self._occurrence.occurred_at

    @property
    def number(self) -> int:
        """Its place in the enrollment's order of acknowledgement; 0 if it has none."""
        return self._occurrence.number

    @classmethod
    def of(cls, properties: Mapping[str, Any], occurrence: Occurrence | None = None) -> Self:
        """Read an event from its properties.

        Raises:
            Refused: a property is missing or has the wrong type; the field is named.
        """
        try:
            event = cls.model_validate(properties)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(("properties", *map(str, first["loc"])))
            raise Refused(f"{cls.name}: {path}: {first['msg']}", field=path) from None
        if occurrence is not None:
            event._occurrence = occurrence  # noqa: SLF001 - our own private attribute
        return event

    @classmethod
    def from_envelope(cls, envelope: Envelope) -> Self:
        """Read an event as an enrollment receives it.

        Raises:
            Refused: as `of`, or the time is not one.
        """
        try:
            at = datetime.fromisoformat(envelope.occurred_at)
        except ValueError:
            raise Refused("occurred_at is not an ISO 8601 time", field="occurred_at") from None
        return cls.of(envelope.properties, Occurrence(envelope.event_id, at, envelope.number))

    def envelope(self) -> Envelope:
        """The event as an enrollment receives it; `from_envelope` reads it back."""
        return Envelope(
            self.number,
            type(self).name,
            self.event_id,
            self.occurred_at.isoformat(),
            self.model_dump(mode="json", exclude_unset=True),
        )


_TYPES: dict[str, type[Event]] = {}


@lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """The name under which an event is stored: `Cart Abandoned` becomes `cart_abandoned`.

    Words may be separated by spaces, hyphens, dots or underscores. A name in other
    scripts, or with nothing to normalise, stays as it is, but for its surrounding space.
    """
    stripped = name.strip()
    words = re.split(r"[\s._-]+", stripped)
    normal = "_".join(word for word in words if word).lower()
    return normal or stripped


def event_type(name: str) -> type[Event] | None:
    """The declared event type of a name or alias, or None where nobody declared it."""
    return _TYPES.get(canonical_name(name))


def event_types() -> tuple[type[Event], ...]:
    """Every declared event type, in the order of declaration."""
    return tuple(dict.fromkeys(_TYPES.values()))
