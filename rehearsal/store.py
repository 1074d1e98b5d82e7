"""The store in memory: the same ports as the real one, the same rules, without I/O.

`tests/integration/test_gate.py` holds the real store and this one to one contract.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from domain.customers import Customer
from domain.enrollments import EndAnswer, EndRequest, EnterAnswer, EnterRequest
from domain.gate import Facts, Proceed, judge
from domain.messages import (
    Decision,
    Go,
    Held,
    Message,
    Reason,
    SendRequest,
    Stale,
    Suppressed,
    Verdict,
)
from domain.outcomes import Outcome
from rehearsal.merging import merge
from rehearsal.people import Enrollment, News, Now, Person, Row, real_time
from rehearsal.records import MemoryRecords
from rehearsal.reports import Suppressions, unsubscribed

ENDPOINT = "https://example.test/care"
"""Where messages to our own people go."""


def _nobody(_: Row) -> None:
    pass


class MemoryStore:
    """Implements the ports `Gate`, `Enrollments` and `Customers`; `records` the others.

    Args:
        now: what time it is.
        told: called with every row of the ledger when it is written or changed.
    """

    def __init__(self, now: Now = real_time, told: Callable[[Row], None] = _nobody) -> None:
        self.people: dict[str, Person] = {}
        self._now = now
        self._told = told
        self.records = MemoryRecords(self.people, now)
        self._suppressions: Suppressions = {}
        self._ids = count(1)

    def person(self, **about: Any) -> Person:
        """A new customer."""
        person = Person(
            f"cus_{next(self._ids)}",
            now=self._now,
            suppressions=self._suppressions,
            told=self._told,
            **about,
        )
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
            time_zone=person.time_zone,
            locale=person.locale,
        )

    async def end(self, request: EndRequest) -> EndAnswer:
        """As `Enrollments.end`."""
        person = self.people[request.customer_id]
        enrollment = person.enrollments[request.enrollment_id]
        news = enrollment.acknowledged[request.heard :]
        if news:
            return EndAnswer(ended=False, news=news)
        over = request.hand_over
        may = over is not None and self.records.may_enter(over)
        if enrollment.outcome is None:
            enrollment.outcome, enrollment.ended_at = request.outcome, self._now()
            self._close(person, enrollment)
        handed_over = None if over is None else self.records.hand_over(over, may=may)
        return EndAnswer(ended=True, news=[], handed_over=handed_over)

    async def enter(self, request: EnterRequest) -> EnterAnswer:
        """As `Enrollments.enter`."""
        return self.records.enter(request)

    def end_from_outside(self, enrollment_id: str, outcome: Outcome) -> None:
        """As when an enrollment's workflow is terminated, or gone."""
        person, enrollment = self.records.find(enrollment_id)
        enrollment.outcome, enrollment.ended_at = outcome, self._now()
        self._close(person, enrollment)

    def merge(self, stays: Person, goes: Person) -> News:
        """Two customers turn out to be one; what each live enrollment hears of it."""
        news, over = merge(stays, goes)
        for customer_id, person in self.people.items():
            if person is goes:
                self.people[customer_id] = stays
        for enrollment in over:
            self._close(stays, enrollment)
        return news

    def _close(self, person: Person, enrollment: Enrollment) -> None:
        for row in person.rows(enrollment.enrollment_id):
            if row.in_flight_since is not None:
                self._change(row, Verdict.UNKNOWN, Reason.AMBIGUOUS)
            elif row.verdict in {Verdict.HELD, Verdict.STALE, Verdict.SENDING}:
                self._change(row, Verdict.SUPPRESSED, Reason.JOURNEY_ENDED, row.detail)
        self.records.close(enrollment)

    async def decide(self, request: SendRequest, message: Message) -> Decision:
        """As `Gate.decide`."""
        person = self.people[request.customer_id]
        judgement = judge(await self._facts(person, request, message), request, message)
        match judgement:
            case Proceed(address):
                row = self._write(person, request, message, Verdict.SENDING, Reason.SENDING)
                row.in_flight_since, row.address = self._now(), address
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
        late = verdict is Verdict.SENT and row.verdict is not verdict and row.reported_at is None
        if open_still or late:
            self._change(row, verdict, reason, detail)
        if dead_address is not None:
            person.addresses.pop(row.message.channel, None)
        return row.verdict

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
        enrollment = person.enrollments[request.enrollment_id]
        key = request.key(message)
        counted = [
            row
            for row in person.ledger.values()
            if row.key != key
            and row.verdict in {Verdict.SENDING, Verdict.SENT, Verdict.UNKNOWN}
            and row.reason is not Reason.BOUNCED
        ]
        earlier = person.ledger.get(key)
        since = self._now() - request.cap.per
        return Facts(
            customer=await self.get(person.customer_id),
            live=enrollment.outcome is None,
            earlier=None if earlier is None else earlier.as_read(),
            news=enrollment.acknowledged[request.heard :],
            unsubscribed=unsubscribed(person),
            objective_met_by=next(
                (
                    row.message_id
                    for row in counted
                    if request.objective is not None and row.objective == request.objective
                ),
                None,
            ),
            addresses={**person.addresses, "webhook": ENDPOINT},
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
            self._now(),
            detail,
            request.objective,
            reported_at=before.reported_at if before else None,
        )
        person.ledger[key] = row
        self._told(row)
        return row

    def _change(self, row: Row, verdict: Verdict, reason: Reason, detail: str = "") -> None:
        row.verdict, row.reason, row.detail, row.in_flight_since = verdict, reason, detail, None
        self._told(row)
