"""One customer's way through one journey, as a test follows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from temporalio.client import WorkflowExecutionStatus as Status
from temporalio.common import TypedSearchAttributes

from domain import wording
from domain.events import Envelope, Event
from domain.messages import ProviderAnswer, Reason, Verdict
from domain.outcomes import Outcome, OutcomeKind
from domain.tasks import ANSWER_TASK, TaskAnswer
from rehearsal.calls import Call
from rehearsal.engine import shortened
from rehearsal.execution import Awaited, Execution
from rehearsal.people import Enrollment, Person, Row
from rehearsal.protocol.commands import Answer
from rehearsal.protocol.values import CONVERTER
from rehearsal.records import Asked

if TYPE_CHECKING:
    from rehearsal.stage import Rehearsal

LIFETIME = timedelta(days=20 * 365)
_OFTEN = 250  # attempts in a row


class NeverEnds(AssertionError):
    """The journey was asked for its end, and has none."""


class DidNotPark(AssertionError):
    """The journey was expected to be stopped by a mistake, and was not."""


@dataclass(frozen=True)
class Handed:
    """A message as it was handed to a provider.

    Attributes:
        message_id: as `Sent` has it; what is told of the message later names it.
        answer: what the provider said; only `Accepted` is sent.
    """

    message_id: str
    step: str
    channel: str
    address: str
    subject: str
    text: str
    html: str | None
    at: datetime
    answer: ProviderAnswer


class Play:
    """One enrollment in virtual time.

    Attributes:
        who: the customer, with the ledger over all journeys.
        enrollment: the enrollment as the store has it.
        stage: where it is played.
    """

    def __init__(
        self, stage: "Rehearsal", who: Person, enrollment: Enrollment, execution: Execution
    ) -> None:
        self.stage = stage
        self.who = who
        self.enrollment = enrollment
        self.execution = execution
        self.may_park = False

    def __repr__(self) -> str:
        if self.outcome is not None:
            stands = f"ended as {self.outcome.kind}: {self.outcome.reason}".rstrip(": ")
        else:
            stands = "now: " + (", ".join(map(repr, self.awaits)) or "nothing")
        whose = f"{self.enrollment.journey} of {self.who.customer_id}"
        handed = (
            name + (f" ({n} times)" if n > 1 else "")
            for name, n in ((name, len(list(same))) for name, same in groupby(self.sent))
        )
        return f"<{whose}, {stands}; handed over: {', '.join(handed) or 'nothing'}>"

    # What happens.

    async def happens(self, event: Event, *, relayed: bool = True) -> None:
        """An event of the customer is acknowledged, and told to all journeys that listen.

        Args:
            event: the event.
            relayed: False where it is acknowledged alone: no journey has heard of it yet.
        """
        await self.stage.happens(self.who, event, relayed=relayed)

    def acknowledge(self, event: Event) -> Envelope:
        """Acknowledge an event that is to be relayed by hand; see `relay`.

        Raises:
            LookupError: this journey does not listen to it.
        """
        heard = self.who.acknowledge(event).get(self.enrollment.enrollment_id)
        if heard is None:
            raise LookupError(f"{self.enrollment.journey} does not hear {type(event).name}")
        return heard[-1]

    async def relay(self, *envelopes: Envelope) -> None:
        """Carry envelopes to this journey, in whatever order."""
        name = envelopes[0].name if len({each.name for each in envelopes}) == 1 else "events"
        await self.signal(name, list(envelopes))

    async def passes(self, time: timedelta) -> None:
        """Let time pass, and what is due then be done."""
        await self.stage.passes(time)

    async def at(self, moment: str | datetime, zone: str | None = None) -> None:
        """Let time pass until a moment; without a zone, by the customer's own clock."""
        await self.stage.at(moment, zone or self.who.time_zone or "UTC")

    async def settles(self) -> None:
        """Let the journey do what it can without more time or events."""
        await self.stage.settles()

    async def signal(self, name: str, *arguments: Any) -> None:
        """A signal, as from the Temporal UI."""
        self.execution.signal(name, *arguments)
        await self.settles()

    async def update(self, name: str, *arguments: Any) -> Any:
        """An update, as from the Temporal UI; gives its answer.

        Raises:
            Exception: what it was refused or failed with.
            AssertionError: it was accepted, and its handler waits for something.
        """
        future = self.execution.update(name, *arguments)
        await self.settles()
        assert future.done(), f"the update {name!r} is not done yet\n{self.timeline}"
        answer: Answer = future.result()
        if answer.error is not None:
            raise answer.error
        return None if answer.value is None else CONVERTER.from_payloads([answer.value])[0]

    async def answers(self, choice: str, *, by: str = "sue", note: str | None = None) -> None:
        """Somebody answers what was asked first of what is open; see `tasks`.

        Raises:
            AssertionError: nothing is asked.
            ApplicationError: the answer is none of the choices.
        """
        task = next((task for task in self.tasks if task.state == "open"), None)
        assert task is not None, f"nobody is asked anything\n{self.timeline}"
        answer = TaskAnswer(task_id=task.id, choice=choice, by=by, note=note)
        await self.update(ANSWER_TASK, answer)

    async def query(self, name: str, *arguments: Any) -> Any:
        """Ask the journey."""
        return await self.execution.query(name, *arguments)

    async def cancel(self) -> None:
        """A person cancels it."""
        self.execution.cancel()
        await self.settles()

    def terminate(self) -> None:
        """A person terminates it; the journey is not asked."""
        self.execution.terminate()
        outcome = Outcome(kind=OutcomeKind.TERMINATED, reason="by a person")
        self.stage.store.end_from_outside(self.enrollment.enrollment_id, outcome)

    async def ends(self, within: timedelta = LIFETIME) -> Outcome:
        """The outcome, letting as much time pass as it takes.

        Raises:
            NeverEnds: it waits for what never comes; a try that fails again and again; or
                it takes longer than `within`.
        """
        before = {call: call.attempt for call in self.execution.retrying()}

        def why_stuck() -> str | None:
            return self._why_stuck(before)

        await self.stage.pass_until(
            self.stage.now + within, lambda: self.execution.over or why_stuck() is not None
        )
        if not self.execution.over:
            why = why_stuck() or f"it goes on for more than {within}"
            causes = [call.error for call in self.execution.retrying()]
            raise NeverEnds(f"{why}\n{self.timeline}") from (causes[0] if causes else None)
        if self.execution.result is not None:
            ended: Outcome = CONVERTER.from_payloads([self.execution.result], [Outcome])[0]
            return ended
        if self.enrollment.outcome is None:
            raise NeverEnds(f"it ended without an outcome\n{self.timeline}") from self.failure
        return self.enrollment.outcome

    async def parks(self) -> BaseException:
        """The mistake that parks the journey, which goes on when the code is put right.

        Raises:
            DidNotPark: there is none.
        """
        self.may_park = True
        await self.settles()
        if self.execution.mistake is None:
            raise DidNotPark(f"no mistake parks it\n{self.timeline}")
        return self.execution.mistake

    def _why_stuck(self, before: Mapping[Call, int]) -> str | None:
        if self.execution.parked:
            return f"it is parked by a mistake: {self.execution.mistake!r}"
        for call in self.execution.retrying():
            if call.attempt - before.get(call, 0) >= _OFTEN:
                return f"{call.command.name!r} failed {call.attempt} times: {call.error}"
        if not self.execution.over and not self.awaits:
            return "it waits for ever: no timer is set, and nothing is under way"
        return None

    # What is to be seen.

    @property
    def handed(self) -> list[Handed]:
        """What was handed to providers, with its words."""
        mine = f"{self.enrollment.enrollment_id}/"
        rows = {row.key: row for row in self.who.ledger.values()}
        return [
            Handed(
                message_id=parcel.message_id,
                step=parcel.key.removeprefix(mine).rpartition("/")[0],
                channel=parcel.key.rpartition("/")[2],
                address=parcel.address,
                subject=parcel.content.subject,
                text=parcel.content.text,
                html=parcel.content.html,
                at=parcel.sent_at,
                answer=answer,
            )
            for parcel, answer in self.stage.handed
            if parcel.key.startswith(mine) and parcel.key in rows
        ]

    @property
    def sent(self) -> list[str]:
        """What was handed to providers, as `step/channel`."""
        return [f"{each.step}/{each.channel}" for each in self.handed]

    @property
    def ledger(self) -> list[Row]:
        """Every message that was decided about, and how."""
        return self.who.rows(self.enrollment.enrollment_id)

    @property
    def not_sent(self) -> Mapping[str, Reason]:
        """The messages that were not sent, by `step/channel`, and why."""
        return {row.name: row.reason for row in self.ledger if row.verdict is not Verdict.SENT}

    @property
    def awaits(self) -> list[Awaited]:
        """What the journey waits for, and until when at most; the next first."""
        return self.execution.awaits()

    @property
    def tasks(self) -> list[Asked]:
        """What was asked of people, and what became of it."""
        mine = self.enrollment.enrollment_id
        asked = self.stage.store.records.tasks.values()
        return [task for task in asked if task.request.enrollment_id == mine]

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, or None while it has not."""
        return self.enrollment.outcome

    @property
    def status(self) -> Status:
        """How it stands, as Temporal would say it."""
        return self.execution.status

    @property
    def failure(self) -> BaseException | None:
        """What the workflow failed with, where it did."""
        return self.execution.failure

    @property
    def attributes(self) -> TypedSearchAttributes:
        """The search attributes, as the Temporal UI would show them."""
        return self.execution.attributes

    async def story(self) -> str:
        """What support staff would read."""
        return str((await self.query("status"))["story"])

    @property
    def timeline(self) -> str:
        """All that happened, a line each, and what it waits for now."""
        of = {self.execution.workflow_id, self.enrollment.enrollment_id, self.who.customer_id}
        lines = [str(line) for line in self.stage.engine.lines if line.of in of]
        now = f"It is {wording.moment(self.stage.now)}: {self!r}"
        return "\n".join([*shortened(lines), now])
