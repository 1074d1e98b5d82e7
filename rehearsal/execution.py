"""One workflow, over all its runs: what it waits for, what it asked for, how it ended."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.client import WorkflowExecutionStatus as Status
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.worker import WorkflowInstance

from domain import wording
from rehearsal.calls import Call, NotPlayed
from rehearsal.clock import Due
from rehearsal.family import Family
from rehearsal.protocol import commands, instance, jobs
from rehearsal.protocol.jobs import Job
from rehearsal.protocol.values import CONVERTER, Identity
from rehearsal.replay import Record

if TYPE_CHECKING:
    from rehearsal.engine import Engine

_LONG = 4096  # events, at which the server suggests to continue as new
_OFTEN = 300  # runs
_TASK = 3  # events of every workflow task
_LAST = (commands.Complete, commands.Fail, commands.Cancelled, commands.Continue)


@dataclass(frozen=True)
class Awaited:
    """What a workflow waits for, and until when at most."""

    what: str
    until: datetime

    def __repr__(self) -> str:
        return f"{self.what or 'a timer'}, until {wording.moment(self.until)}"


@dataclass
class _Timer:
    due: Due
    what: str


class Execution:
    """A workflow that runs, or has run.

    Attributes:
        status: as a server would say it; a parked one is still running.
        result: its result's payload, once it has completed.
        failure: what it failed with, where it did.
        mistake: the error in its code, or of an activity, that parks it; else None.
        attributes: its search attributes.
        runs: how many runs there were; continuing as new makes another.
        type: its workflow type.
    """

    def __init__(
        self,
        engine: "Engine",
        cls: type,
        workflow_id: str,
        arguments: Sequence[Payload],
        *,
        queue: str = "rehearsal",
        attributes: TypedSearchAttributes = TypedSearchAttributes.empty,
        parent: Identity | None = None,
        ended: Callable[["Execution"], None] = lambda _: None,
        mistaken: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self.workflow_id = workflow_id
        self.status = Status.RUNNING
        self.result: Payload | None = None
        self.failure: BaseException | None = None
        self.mistake: BaseException | None = None
        self.parked = False
        self.attributes = attributes
        self.runs = 0
        self._moment: datetime | None = None
        self._runs_before = 0
        self._engine = engine
        self._cls = cls
        self.type = instance.workflow_type(cls)
        self._queue = queue
        self._parent = parent
        self._ended = ended
        self._parks = mistaken
        self._family = Family(engine, self.type, tell=self.tell, mistaken=self._mistaken)
        self._inbox: list[Job] = []
        self._told: BaseException | None = None
        self._updates: dict[str, asyncio.Future[Any]] = {}
        self._ids = count(1)
        self._begin(arguments, None)

    def _begin(self, arguments: Sequence[Payload], previous: str | None) -> None:
        self.runs += 1
        run_id = f"{self.workflow_id} run {self.runs}"
        now = self._engine.clock()
        self._identity = Identity(
            workflow_id=self.workflow_id,
            workflow_type=self.type,
            run_id=run_id,
            first_run_id=f"{self.workflow_id} run 1",
            continued_run_id=previous,
            task_queue=self._queue,
            attributes=self.attributes,
            started_at=now,
            parent=self._parent,
        )
        self._timers: dict[int, _Timer] = {}
        self._calls: dict[int, Call] = {}
        self._record = Record()
        self._length = 1
        self._instance = self._make()
        self._inbox.insert(0, jobs.starts(self._identity, arguments, now))
        self._engine.turn(self)

    def _make(self) -> WorkflowInstance:
        return instance.make(
            self._cls, self._identity, self._engine.runner, partial(setattr, self, "_told")
        )

    # What happens to it.

    @property
    def run_id(self) -> str:
        """The run that it is in."""
        return self._identity.run_id

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status is not Status.RUNNING

    def tell(self, job: Job) -> None:
        """Something happens; one that has ended does not hear it."""
        if not self.over:
            self._inbox.append(job)
            self._engine.turn(self)

    def signal(self, name: str, *arguments: Any) -> None:
        """A signal."""
        self.receive(name, CONVERTER.to_payloads(arguments))

    def receive(self, name: str, arguments: Sequence[Payload]) -> None:
        """A signal, as it travels."""
        event = self._length + len(self._inbox) + 1
        self.tell(jobs.signals(name, arguments, event))

    def cancel(self) -> None:
        """A request to cancel."""
        self.tell(jobs.cancels())

    def terminate(self) -> None:
        """An end without its consent."""
        self._end(Status.TERMINATED)

    def update(self, name: str, *arguments: Any) -> asyncio.Future[Any]:
        """An update; the future has its answer, as `rehearsal.protocol.commands.Answer`."""
        update_id = f"update {next(self._ids)}"
        future = self._updates[update_id] = asyncio.get_running_loop().create_future()
        self.tell(jobs.updates(update_id, name, arguments))
        return future

    async def query(self, name: str, *arguments: Any) -> Any:
        """Ask it; also one that has ended.

        Raises:
            Exception: what the query raised.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        act = self._activation([jobs.asks(name, arguments)])

        def ask() -> None:
            answer = commands.query_answer(instance.activate(self._instance, act))
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(CONVERTER.from_payloads([answer])[0])

        self._engine.soon(_or_fail(future, ask))
        return await future

    # What it does.

    def awaits(self) -> list[Awaited]:
        """Its timers, and activities that are to be tried again; the next one first.

        Those of its children are among them.
        """
        due = [(timer.due, timer.what) for timer in self._timers.values()]
        due.extend(
            (call.retry_at, f"another try of {call.command.name!r}")
            for call in self._calls.values()
            if call.retry_at is not None
        )
        mine = [Awaited(what, each.at) for each, what in sorted(due, key=itemgetter(0))]
        theirs = [
            Awaited(f"{child.type}: {each.what or 'a timer'}", each.until)
            for child in self._family.under_way()
            for each in child.awaits()
        ]
        return sorted([*mine, *theirs], key=attrgetter("until"))

    def running(self) -> Iterator[Call]:
        """The activities that are under way."""
        return (call for call in self._calls.values() if call.running)

    def retrying(self) -> list[Call]:
        """The activities that will be tried again, its children's among them."""
        mine = [call for call in self._calls.values() if call.retry_at is not None]
        theirs = (call for child in self._family.under_way() for call in child.retrying())
        return [*mine, *theirs]

    def take_turn(self) -> None:
        """Hand it what has happened, and do what it wants."""
        if self.over or self.parked or not self._inbox:
            return
        jobs, self._inbox = self._inbox, []
        try:
            self._activate(jobs)
        except Exception as error:  # noqa: BLE001 - nobody above would see it
            self._park(error)

    def _activate(self, jobs: list[Job]) -> None:
        act = self._activation(jobs)
        completion = instance.activate(self._instance, act)
        if completion.HasField("failed"):
            self._park(self._told or RuntimeError(completion.failed.failure.message))
            return
        wanted = list(commands.wanted(completion))
        self._length += _TASK + len(jobs) + len(wanted)
        if self._engine.replays:
            self._record.add(act, completion)
            self._record.check(self.type, self._make)
        for want in wanted:
            self._do(want)
            if isinstance(want, _LAST):  # what follows is dropped, as the SDK's core does
                break

    def _activation(self, jobs: list[Job]) -> WorkflowActivation:
        engine = self._engine
        suggest = engine.suggests_new or self._length >= _LONG
        return instance.activation(
            self._identity.run_id, engine.clock(), jobs, self._length, suggest_new=suggest
        )

    def _do(self, want: commands.Command) -> None:  # noqa: C901, PLR0912 - one case a command
        match want:
            case commands.StartTimer(seq, after, summary):
                due = self._engine.clock.later(after, partial(self._fire, seq))
                self._timers[seq] = _Timer(due, summary)
                self._note(f"timer: {Awaited(summary, due.at)!r}")
            case commands.CancelTimer(seq):
                if (timer := self._timers.pop(seq, None)) is not None:  # it may just have fired
                    timer.due.off = True
            case commands.Schedule():
                self._call(want)
            case commands.CancelActivity(seq):
                if (call := self._calls.get(seq)) is not None:
                    call.cancel()
            case commands.Upsert(attributes):
                self.attributes = self._merged(attributes)
            case commands.Answer():
                self._answer(want)
            case commands.Patch() | commands.Nothing():
                pass
            case commands.Complete(value):
                self.result = value
                self._end(Status.COMPLETED)
            case commands.Fail(error):
                self.failure = error
                self._end(Status.FAILED)
            case commands.Cancelled():
                self._end(Status.CANCELED)
            case commands.Continue(workflow_type, arguments):
                self._continue(workflow_type, arguments)
            case commands.StartChild():
                self._family.start(want, self._identity)
            case commands.CancelChild(seq):
                self._family.cancel(seq)
            case commands.SignalOther():
                self._family.signal(want)
            case commands.CancelOther():
                self._family.cancel_other(want)
            case commands.Foreign(kind):
                raise NotPlayed(
                    f"{self.type} asks for {kind.replace('_', ' ')}, which a rehearsal does "
                    "not play: test this journey on Temporal's time-skipping server"
                )

    def _fire(self, seq: int) -> None:
        del self._timers[seq]
        self.tell(jobs.fires(seq))

    def _call(self, command: commands.Schedule) -> None:
        function = self._engine.activities.get(command.name)
        if function is None:
            raise NotPlayed(
                f"{self.type} calls the activity {command.name!r}, which this rehearsal does "
                "not have: give it, as in Rehearsal(activities=[…])"
            )
        call = self._calls[command.seq] = Call(
            command,
            function,
            self._engine.clock,
            self._identity,
            resolve=self._resolve,
            note=self._note,
            mistaken=self._mistaken,
        )
        call.begin()

    def _resolve(self, call: Call, job: Job) -> None:
        if self._calls.get(call.command.seq) is call:
            del self._calls[call.command.seq]
            self.tell(job)

    def _answer(self, answer: commands.Answer) -> None:
        future = self._updates[answer.update_id]
        if not answer.accepted and not future.done():
            future.set_result(answer)

    def _merged(self, changed: TypedSearchAttributes) -> TypedSearchAttributes:
        pairs: dict[str, SearchAttributePair[Any]] = {}
        for pair in (*self.attributes, *changed):
            pairs[pair.key.name] = pair
        return TypedSearchAttributes(list(pairs.values()))

    def _continue(self, workflow_type: str, arguments: Sequence[Payload]) -> None:
        if workflow_type not in {"", self.type}:
            raise NotPlayed(f"{self.type} continues as {workflow_type}: that is not played")
        at_once = self.runs - self._runs_before if self._engine.clock() == self._moment else 0
        if at_once >= _OFTEN:
            raise NotPlayed(f"{self.type} went on in {at_once} new runs, and no time has passed")
        if not at_once:
            self._moment, self._runs_before = self._engine.clock(), self.runs
        self._note(f"continues as new, after {self._length} events")
        self._stop()
        self._family.close()
        instance.evict(self._instance)
        self._begin(arguments, self._identity.run_id)

    # How it ends.

    def _end(self, status: Status) -> None:
        self.status = status
        self._note(f"{status.name.lower()}" + (f": {self.failure}" if self.failure else ""))
        self._stop()
        self._family.close()
        self._ended(self)

    def _stop(self) -> None:
        for timer in self._timers.values():
            timer.due.off = True
        for call in self._calls.values():
            call.drop()
        self._timers.clear()
        self._calls.clear()

    def _park(self, error: BaseException) -> None:
        self.parked = True
        self._mistaken(error)

    def _mistaken(self, error: BaseException) -> None:
        if self.mistake is None:
            self._note(f"parked by a mistake: {error!r}")
        self.mistake = error
        self._parks(error)

    def let_go(self) -> None:
        """Let go of everything; nothing can be asked afterwards."""
        self._stop()
        instance.evict(self._instance)

    def _note(self, what: str) -> None:
        self._engine.note(self.workflow_id, what)


def _or_fail(future: asyncio.Future[Any], do: Callable[[], None]) -> Callable[[], None]:
    def guarded() -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            future.set_exception(error)

    return guarded
