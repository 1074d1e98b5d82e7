"""The gate's rules: pure, in their order, over facts that were read under the customer's lock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.customers import Customer
from domain.events import Envelope
from domain.messages import (
    Go,
    Held,
    Message,
    Reason,
    SendRequest,
    Sent,
    Stale,
    Suppressed,
    Unknown,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What the ledger already says under this message's key.

    Attributes:
        in_flight_since: when the provider was called without an answer yet, or None.
    """

    message_id: str
    verdict: Verdict
    reason: Reason
    detail: str
    in_flight_since: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a decision rests on, read in one transaction under the customer's lock.

    Attributes:
        earlier: the ledger row with this message's key, if there is one.
        live: whether the enrollment is still live.
        news: what was acknowledged for the enrollment and not heard by it yet.
        objective_met_by: the id of another message that met the objective, or None.
        unsubscribed: where the customer's address on a channel is unsubscribed, since what.
        addresses: the customer's address by channel.
        recent: how many capped messages the customer got within the cap's window.
    """

    customer: Customer
    live: bool
    earlier: LedgerRow | None = None
    news: Sequence[Envelope] = ()
    unsubscribed: Mapping[str, str] = field(default_factory=dict)
    objective_met_by: str | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    recent: int = 0


@dataclass(frozen=True, slots=True)
class Proceed:
    """Nothing stands in the way: reserve, write the row, call the provider at `address`."""

    address: str


Judgement = Proceed | Go | Sent | Suppressed | Unknown | Held | Stale
Rule = Callable[[Facts, SendRequest, Message], Judgement | None]


def _already_decided(facts: Facts, _: SendRequest, message: Message) -> Judgement | None:
    """One key is sent once: an earlier answer stands, an earlier call must be settled first."""
    row = facts.earlier
    if row is None:
        return None
    if row.verdict is Verdict.SENT:
        return Sent(channel=message.channel, message_id=row.message_id)
    if row.verdict is Verdict.UNKNOWN:
        return Unknown(channel=message.channel, message_id=row.message_id, detail=row.detail)
    if row.verdict is Verdict.REJECTED:
        return Suppressed(reason=Reason.REJECTED, detail=row.detail)
    if row.verdict is Verdict.SENDING and row.in_flight_since is not None:
        return Go(
            row.message_id,
            facts.addresses.get(message.channel, ""),
            facts.customer,
            in_flight_since=row.in_flight_since,
        )
    return None


def _enrollment_is_live(facts: Facts, _: SendRequest, __: Message) -> Judgement | None:
    if facts.live:
        return None
    return Suppressed(reason=Reason.ENROLLMENT_OVER, detail="the enrollment has ended")


def _nothing_unheard(facts: Facts, _: SendRequest, __: Message) -> Judgement | None:
    """G3: no message is decided on a stale view."""
    return Stale(news=list(facts.news)) if facts.news else None


def _wanted(facts: Facts, _: SendRequest, message: Message) -> Judgement | None:
    if not message.topic.optional or message.channel not in facts.unsubscribed:
        return None
    return Suppressed(reason=Reason.UNSUBSCRIBED, detail=facts.unsubscribed[message.channel])


def _objective_open(facts: Facts, request: SendRequest, _: Message) -> Judgement | None:
    if facts.objective_met_by is None:
        return None
    return Suppressed(
        reason=Reason.ALREADY_SENT,
        detail=f"{request.objective}: already met by {facts.objective_met_by}",
    )


def _not_held(facts: Facts, _: SendRequest, message: Message) -> Judgement | None:
    if not message.topic.held or not facts.customer.open_holds:
        return None
    return Held(reason=Reason.TICKET_OPEN, detail=" and ".join(facts.customer.open_holds) + " open")


def _reachable(facts: Facts, _: SendRequest, message: Message) -> Judgement | None:
    if facts.addresses.get(message.channel):
        return None
    if message.to is not None:
        return Suppressed(
            reason=Reason.UNKNOWN_ENDPOINT,
            detail=f"no endpoint {message.to!r} is configured in SOJOURN_WEBHOOKS",
        )
    return Suppressed(reason=Reason.NO_ADDRESS, detail=f"no address for {message.channel}")


def _under_the_cap(facts: Facts, request: SendRequest, message: Message) -> Judgement | None:
    if not message.topic.capped or facts.recent < request.cap.count:
        return None
    return Suppressed(
        reason=Reason.CAP_REACHED,
        detail=f"{facts.recent} sent within {request.cap.per}, at most {request.cap.count} allowed",
    )


RULES: tuple[Rule, ...] = (
    _already_decided,
    _enrollment_is_live,
    _nothing_unheard,
    _wanted,
    _objective_open,
    _not_held,
    _reachable,
    _under_the_cap,
)


def judge(facts: Facts, request: SendRequest, message: Message) -> Judgement:
    """Decide about one message: the first rule with an objection wins."""
    for rule in RULES:
        if (judgement := rule(facts, request, message)) is not None:
            return judgement
    return Proceed(facts.addresses[message.channel])
