"""Messages, and what became of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from domain.customers import Customer
from domain.events import Envelope

D = TypeVar("D", bound=BaseModel)


class Topic(StrEnum):
    """What a message is about; decides which rules it is under.

    `promotional` messages are held while a ticket is open and count against the cap.
    `feedback` messages (surveys) are held too, but not counted. Who has unsubscribed gets
    neither. `service` messages (receipts, tasks for our own people) pass.
    """

    PROMOTIONAL = "promotional"
    FEEDBACK = "feedback"
    SERVICE = "service"

    @property
    def held(self) -> bool:
        """Whether an open ticket parks messages about this topic."""
        return self is not Topic.SERVICE

    @property
    def capped(self) -> bool:
        """Whether messages about this topic count against the cap."""
        return self is Topic.PROMOTIONAL

    @property
    def optional(self) -> bool:
        """Whether who has unsubscribed gets no messages about this topic."""
        return self is not Topic.SERVICE


class Cap(BaseModel):
    """At most `count` capped messages a customer in any `per`, over all channels and journeys."""

    model_config = ConfigDict(frozen=True)

    count: int = Field(default=3, ge=0)
    per: timedelta = Field(default=timedelta(days=1), gt=timedelta(0))


@dataclass(frozen=True)
class Template(Generic[D]):
    """A template, bound to the type of event whose data it renders.

    Attributes:
        name: `<journey>/<template>`; the files are
            `journeys/<journey>/templates/<template>.<channel>.jinja`.
        data: the event type whose properties the template may use, what several event types
            have in common, or a model of the journey's own. The template reads it as `event`.
        topic: what messages made from it are about.
    """

    name: str
    data: type[D]
    topic: Topic = Topic.PROMOTIONAL


class Message(BaseModel):
    """One thing to say on one channel, not yet decided.

    Attributes:
        channel: the channel's name.
        template: the template's name.
        topic: the template's topic.
        data: what the template reads as `event`.
        to: an endpoint's name, for channels that reach our own people and not the customer.
    """

    model_config = ConfigDict(frozen=True)

    channel: str
    template: str
    topic: Topic
    data: dict[str, Any]
    to: str | None = None


def _message(channel: str, template: Template[D], data: D, to: str | None = None) -> Message:
    if not isinstance(data, template.data):
        raise TypeError(
            f"template {template.name!r} is written for {template.data.__name__}, "
            f"not for {type(data).__name__}: pass what it was declared with"
        )
    return Message(
        channel=channel,
        template=template.name,
        topic=template.topic,
        data=data.model_dump(mode="json"),
        to=to,
    )


def push(template: Template[D], data: D) -> Message:
    """A notification on the customer's phone.

    Args:
        template: what it says.
        data: the event that the template was declared with.

    Raises:
        TypeError: it is another one.
    """
    return _message("push", template, data)


def email(template: Template[D], data: D) -> Message:
    """An e-mail to the customer.

    Args:
        template: what it says.
        data: the event that the template was declared with.

    Raises:
        TypeError: it is another one.
    """
    return _message("email", template, data)


def webhook(template: Template[D], data: D, *, to: str) -> Message:
    """A task or a note for our own people.

    Args:
        template: what it says.
        data: the event that the template was declared with.
        to: the name of the endpoint that it is posted to, as it is configured.

    Raises:
        TypeError: it is another event.
    """
    return _message("webhook", template, data, to)


class Verdict(StrEnum):
    """Where a message stands in the ledger."""

    SENDING = "sending"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    HELD = "held"
    STALE = "stale"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a message has its verdict."""

    SENDING = "on_its_way"
    SENT = "accepted_by_provider"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    NEWS = "unheard_news"
    TICKET_OPEN = "ticket_open"
    CAP_REACHED = "cap_reached"
    UNSUBSCRIBED = "unsubscribed"
    NO_ADDRESS = "no_address"
    MISSING_DATA = "template_data_missing"
    ALREADY_SENT = "already_sent_for_objective"
    NOT_CONFIGURED = "channel_not_configured"
    REJECTED = "rejected_by_provider"
    AMBIGUOUS = "provider_did_not_say"
    JOURNEY_ENDED = "journey_ended"
    UNKNOWN_ENDPOINT = "no_such_endpoint"
    NO_LONGER_RELEVANT = "no_longer_relevant"
    ENROLLMENT_OVER = "enrollment_over"

    @property
    def curable_elsewhere(self) -> bool:
        """Whether another channel can succeed where this one did not (semantics 20)."""
        return self in {
            Reason.UNSUBSCRIBED,
            Reason.NO_ADDRESS,
            Reason.NOT_CONFIGURED,
            Reason.REJECTED,
            Reason.MISSING_DATA,
        }


class SendRequest(BaseModel):
    """A journey asks to send the first of `messages` that can reach the customer.

    Attributes:
        step: the send's name in the journey, unique in the enrollment; with the channel it
            makes the message's key.
        heard: the number of the last event that the journey has applied.
        objective: what the message is for; the same objective is sent once a customer.
        cap: the pressure limit that this journey respects.
    """

    enrollment_id: str
    customer_id: str
    journey: str
    step: str
    heard: int
    messages: list[Message]
    objective: str | None = None
    cap: Cap = Field(default_factory=Cap)

    def key(self, message: Message) -> str:
        """The deterministic key: one send in the code is one key (semantics 19)."""
        return f"{self.enrollment_id}/{self.step}/{message.channel}"


class Sent(BaseModel):
    """The provider has it."""

    kind: Literal["sent"] = "sent"
    channel: str
    message_id: str


class Suppressed(BaseModel):
    """Not sent, and why. `reason` is a `Reason`'s value, `detail` a sentence with the evidence."""

    kind: Literal["suppressed"] = "suppressed"
    reason: Reason
    detail: str = ""


class Unknown(BaseModel):
    """The provider may or may not have it: neither sent nor failed (semantics 21)."""

    kind: Literal["unknown"] = "unknown"
    channel: str
    message_id: str
    detail: str = ""


class Held(BaseModel):
    """Parked until what holds it is over; the journey asks again then."""

    kind: Literal["held"] = "held"
    reason: Reason
    detail: str = ""


class Stale(BaseModel):
    """Decided on a stale view: here is what the journey has not heard yet."""

    kind: Literal["stale"] = "stale"
    news: list[Envelope]


Delivery = Sent | Suppressed | Unknown
"""What a journey gets to know of a send."""


Answer = Sent | Suppressed | Unknown | Held | Stale
"""What the runtime gets to know: a delivery, or a reason to wait or to hear first."""


class PassedOver(BaseModel):
    """A message before the one that was answered about: not sent, and another was tried."""

    channel: str
    reason: Reason
    detail: str = ""


class SendAnswer(BaseModel):
    """The gate's and the provider's answer to a `SendRequest`.

    Attributes:
        answer: about the last message that was tried.
        passed_over: those that were tried before it.
    """

    answer: Answer = Field(discriminator="kind")
    passed_over: list[PassedOver] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Go:
    """The gate says send: the place under the cap is reserved and the ledger row is written.

    Attributes:
        message_id: the ledger row.
        address: where to.
        customer: what is known of the customer, for the template.
        in_flight_since: when an earlier attempt called the provider and got no answer that
            we know of; None where there was none.
    """

    message_id: str
    address: str
    customer: Customer
    in_flight_since: datetime | None = None


Decision = Go | Sent | Suppressed | Unknown | Held | Stale
"""What the gate decides about one message; `Sent` and `Unknown` are earlier answers, kept."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready for its channel."""

    subject: str
    text: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a channel is asked to deliver.

    Attributes:
        key: deterministic; the idempotency key where the provider takes one.
        data: structured data for channels that pass it on.
    """

    key: str
    message_id: str
    address: str
    content: Rendered
    data: dict[str, Any]
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken the message; `provider_id` is its own name for it."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class RejectedForGood:
    """The provider will never take this; `address_is_dead` where the address is the reason."""

    detail: str
    address_is_dead: bool = False


@dataclass(frozen=True, slots=True)
class RejectedForNow:
    """The provider did not take it and may later; nothing reached the customer."""

    detail: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The provider may or may not have it."""

    detail: str


ProviderAnswer = Accepted | RejectedForGood | RejectedForNow | Ambiguous
