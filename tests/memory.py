"""The store in memory, and a channel that records: the same ports, without I/O.

`tests/integration/test_gate.py` holds the real store and this one to one contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from domain.customers import Customer
from domain.enrollments import EndAnswer, EndRequest, EnterAnswer, EnterRequest
from domain.events import Envelope, Event
from domain.gate import Facts, LedgerRow, Proceed, judge
from domain.messages import (
    Accepted,
    Decision,
    Go,
    Held,
    Message,
    Parcel,
    ProviderAnswer,
    Reason,
    Rendered,
    SendRequest,
    Stale,
    Suppressed,
    Verdict,
)
from domain.outcomes import Outcome
from tests.memory_records import MemoryRecords


@dataclass
class Row:
    """One message in the ledger."""

    message_id: str
    key: str
    message: Message
    verdict: Verdict
    reason: Reason
    detail: str = ""
    objective: str | None = None
    in_flight_since: datetime | None = None
    decided_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_read(self) -> LedgerRow:
        """As the gate's rules read it."""
        return LedgerRow(
            self.message_id, self.verdict, self.reason, self.detail, self.in_flight_since
        )


@dataclass
class Person:
    """A customer in memory, with at most one enrollment."""

    customer_id: str
    addresses: dict[str, str] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    holds: list[str] = field(default_factory=list)
    computed: dict[str, Any] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    acknowledged: list[Envelope] = field(default_factory=list)
    listens: tuple[str, ...] = ()
    outcome: Outcome | None = None
    ledger: dict[str, Row] = field(default_factory=dict)

    def acknowledge(self, event: Event) -> Envelope:
        """What the accepting transaction does: number the event, note what it opens or closes."""
        number = len(self.acknowledged) + 1
        properties = event.model_dump(mode="json", exclude_none=True)
        name = type(event).name
        envelope = Envelope(number, name, f"e{number}", datetime.now(UTC).isoformat(), properties)
        self.acknowledged.append(envelope)
        if event.hold is not None:
            what = f"{event.hold.kind} {getattr(event, event.hold.reference)}"
            if event.hold.action == "open":
                self.holds.append(what)
            elif what in self.holds:
                self.holds.remove(what)
        return envelope

    def said(self) -> list[tuple[str, str, str]]:
        """The ledger as (key without the enrollment, verdict, reason)."""
        return [
            (row.key.partition("/")[2], row.verdict.value, row.reason.value)
            for row in self.ledger.values()
        ]


class MemoryStore:
    """Implements the ports `Gate`, `Enrollments` and `Customers`."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.records = MemoryRecords()
        self._ids = count(1)

    def person(self, **about: Any) -> Person:
        """A new customer."""
        person = Person(f"cus_{next(self._ids)}", **about)
        self.people[person.customer_id] = person
        return person

    async def get(self, customer_id: str) -> Customer:
        """As `Customers.get`."""
        person = self.people[customer_id]
        return Customer(
            id=customer_id,
            traits=person.traits,
            channels=tuple(sorted(person.addresses)),
            open_holds=tuple(person.holds),
            computed=person.computed,
            segments=person.segments,
        )

    async def end(self, request: EndRequest) -> EndAnswer:
        """As `Enrollments.end`."""
        person = self.people[request.customer_id]
        news = person.acknowledged[request.heard :]
        if news:
            return EndAnswer(ended=False, news=news)
        person.outcome = person.outcome or request.outcome
        for row in person.ledger.values():
            if row.in_flight_since is not None:
                row.verdict, row.reason = Verdict.UNKNOWN, Reason.AMBIGUOUS
                row.in_flight_since = None
            elif row.verdict in {Verdict.HELD, Verdict.STALE, Verdict.SENDING}:
                row.verdict, row.reason = Verdict.SUPPRESSED, Reason.JOURNEY_ENDED
        over = request.hand_over
        handed_over = None if over is None else await self.enter(over)
        return EndAnswer(ended=True, news=[], handed_over=handed_over)

    async def enter(self, request: EnterRequest) -> EnterAnswer:
        """As `Enrollments.enter`; the other enrollment is among the records."""
        return await self.records.enter(request)

    async def decide(self, request: SendRequest, message: Message) -> Decision:
        """As `Gate.decide`."""
        person = self.people[request.customer_id]
        judgement = judge(await self._facts(person, request, message), request, message)
        match judgement:
            case Proceed(address):
                row = self._write(person, request, message, Verdict.SENDING, Reason.SENDING)
                row.in_flight_since = datetime.now(UTC)
                return Go(row.message_id, address, await self.get(person.customer_id))
            case Stale():
                self._write(person, request, message, Verdict.STALE, Reason.NEWS)
            case Held(reason=reason, detail=detail):
                self._write(person, request, message, Verdict.HELD, reason, detail)
            case Suppressed(reason=reason, detail=detail) if reason is not Reason.REJECTED:
                self._write(person, request, message, Verdict.SUPPRESSED, reason, detail)
            case _:
                pass
        return judgement

    async def skip(
        self, request: SendRequest, message: Message, reason: Reason, detail: str
    ) -> None:
        """As `Gate.skip`."""
        person = self.people[request.customer_id]
        row = person.ledger.get(request.key(message))
        final = {Verdict.SENT, Verdict.UNKNOWN, Verdict.REJECTED}
        if row is None or (row.verdict not in final and row.in_flight_since is None):
            self._write(person, request, message, Verdict.SUPPRESSED, reason, detail)

    async def complete(
        self,
        message_id: str,
        verdict: Verdict,
        reason: Reason,
        *,
        detail: str = "",
        provider_id: str | None = None,  # noqa: ARG002 - as the port has it
        dead_address: str | None = None,
    ) -> Verdict:
        """As `Gate.complete`."""
        person, row = self._row(message_id)
        open_still = row.verdict in {Verdict.SENDING, Verdict.UNKNOWN}
        if not open_still and (verdict is not Verdict.SENT or row.verdict is Verdict.SENT):
            return row.verdict
        row.verdict, row.reason, row.detail, row.in_flight_since = verdict, reason, detail, None
        if dead_address is not None:
            person.addresses.pop(row.message.channel, None)
        return verdict

    async def unsettled(self, request: SendRequest) -> set[str]:
        """As `Gate.unsettled`."""
        ledger = self.people[request.customer_id].ledger
        keys = {request.key(message) for message in request.messages}
        return {k for k in keys if k in ledger and ledger[k].in_flight_since is not None}

    async def not_taken(self, message_id: str, detail: str) -> None:
        """As `Gate.not_taken`."""
        _, row = self._row(message_id)
        row.in_flight_since, row.detail = None, detail

    def _row(self, message_id: str) -> tuple[Person, Row]:
        for person in self.people.values():
            for row in person.ledger.values():
                if row.message_id == message_id:
                    return person, row
        raise LookupError(message_id)

    async def _facts(self, person: Person, request: SendRequest, message: Message) -> Facts:
        key = request.key(message)
        counted = [
            row
            for row in person.ledger.values()
            if row.key != key and row.verdict in {Verdict.SENDING, Verdict.SENT, Verdict.UNKNOWN}
        ]
        earlier = person.ledger.get(key)
        since = datetime.now(UTC) - request.cap.per
        return Facts(
            customer=await self.get(person.customer_id),
            live=person.outcome is None,
            earlier=None if earlier is None else earlier.as_read(),
            news=person.acknowledged[request.heard :],
            objective_met_by=next(
                (
                    row.message_id
                    for row in counted
                    if request.objective is not None and row.objective == request.objective
                ),
                None,
            ),
            addresses={**person.addresses, "webhook": "https://example.test/care"},
            recent=sum(row.message.topic.capped and row.decided_at > since for row in counted),
        )

    def _write(
        self,
        person: Person,
        request: SendRequest,
        message: Message,
        verdict: Verdict,
        reason: Reason,
        detail: str = "",
    ) -> Row:
        key = request.key(message)
        before = person.ledger.pop(key, None)
        row = Row(
            before.message_id if before else f"msg_{next(self._ids)}",
            key,
            message,
            verdict,
            reason,
            detail,
            request.objective,
        )
        person.ledger[key] = row
        return row


class RecordingChannel:
    """A channel that takes everything, or answers as told."""

    def __init__(self, name: str, idempotency_life: timedelta | None = None) -> None:
        self.name = name
        self.idempotency_life = idempotency_life
        self.parcels: list[Parcel] = []
        self.answers: list[ProviderAnswer] = []
        self.on_deliver: Any = None

    async def deliver(self, parcel: Parcel) -> ProviderAnswer:
        """Record, and answer."""
        if self.on_deliver is not None:
            await self.on_deliver(parcel)
        self.parcels.append(parcel)
        return self.answers.pop(0) if self.answers else Accepted(f"p{len(self.parcels)}")

    async def close(self) -> None:
        """Nothing to let go of."""


class PlainRenderer:
    """Words without a template."""

    def render(self, message: Message, customer: Customer) -> Rendered:
        """The template's name as the subject."""
        return Rendered(subject=message.template, text=f"for {customer.id}")


Channels = Mapping[str, RecordingChannel]
