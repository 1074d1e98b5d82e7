"""An enrollment as its workflow sees it: what it has heard, and where the journey stands."""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow

from domain import wording
from domain.carried import Carried
from domain.enrollments import EnterRequest, Start
from domain.events import Event
from domain.outcomes import Outcome
from workflows import attributes, moving
from workflows.calls import to_the_end
from workflows.failures import dump_error, load_error, reading
from workflows.hearing import Hearing
from workflows.journal import Journal, Step

T = TypeVar("T")

_WITHIN: ContextVar[Step | None] = ContextVar("within", default=None)
"""The step that the present task is in."""

LATE = timedelta(minutes=1)
"""A timer that fires this much later than it was due is noted: the system was down."""


class Enrollment(Hearing):
    """One enrollment: what it has heard, the steps of its journey, and how it goes on.

    Args:
        start: what this run starts with.
        title: the journey in a few words.
        keeps: the event types that waits can ask for; others are heard and not kept.

    Attributes:
        entered_at: when its first run began.
        journal: the journey's steps.
        hand_over: where the customer goes on if this enrollment ends with that outcome.
    """

    def __init__(self, start: Start, title: str, keeps: Iterable[type[Event]]) -> None:
        super().__init__(start, title, keeps)
        carried = start.carried
        self.entered_at = carried.entered_at if carried else workflow.info().start_time
        self.hand_over: tuple[Outcome, EnterRequest] | None = None
        self.journal = Journal(carried.steps if carried else {})
        self._waits = 0
        self._calls = 0
        self._parked: list[Callable[[], bool]] = []
        self._weighing = moving.Weighing(self.note)

    # Steps.

    async def step(
        self,
        name: str,
        live: Callable[[Step], Awaitable[T]],
        *,
        dump: Callable[[T], Any],
        load: Callable[[Any], T],
        undo: Callable[[Step], Awaitable[None]] | None = None,
    ) -> T:
        """Do a step, or give what it gave where an earlier run has done it.

        What is awaited within a step, such as by a `still`, is part of it, under a name that
        begins with its: it is asked again whenever that is.

        Args:
            name: numbered from the second of this name on.
            live: does it.
            dump: makes JSON of its result, for the next run.
            load: reads that again.
            undo: takes back what it had begun where a scope around it ends first, be it
                before `live` goes on in a new run.
        """
        if (around := _WITHIN.get()) is not None:
            part = around.part(name)
            _WITHIN.set(part)
            try:
                return await live(part)
            except asyncio.CancelledError:
                if undo is not None:
                    await undo(part)
                raise
            finally:
                _WITHIN.set(around)
        step = self.journal.open(name)
        if step.cut:
            raise asyncio.CancelledError
        if step.failed:
            raise load_error(step.name, step.result)
        if step.done:
            with reading(step.name):
                return load(step.result)
        self.go_live()
        _WITHIN.set(step)
        try:
            await self.checkpoint()
            result = await live(step)
        except asyncio.CancelledError:
            if undo is not None:
                await undo(step)
            step.cut_off()
            raise
        except Exception as error:
            step.fail(dump_error(error))
            raise
        finally:
            _WITHIN.set(None)
            self._story.let_go()
        # At once: what the author's code does to the result is no concern of the next run.
        step.finish(dump(result))
        return result

    async def ask_again(self, question: Callable[[], bool | Awaitable[bool]]) -> bool:
        """Ask what may be asked several times within a step: its parts have the same names."""
        if (around := _WITHIN.get()) is not None:
            around.begin_parts_anew()
        answer = question()
        return bool(await answer) if inspect.isawaitable(answer) else bool(answer)

    # Waiting.

    async def park(
        self,
        ready: Callable[[], bool],
        until: datetime | None,
        summary: str,
        *,
        looks: bool = False,
    ) -> timedelta:
        """Wait until `ready()` or the deadline, whichever is first; `ready` is asked again after.

        Only here can the journey go on in a new run.

        Args:
            ready: whether what is waited for is there.
            until: the deadline.
            summary: what for, in words; the timeline has the step's name before it.
            looks: whether it is only time to look again then, so that being late means nothing.

        Returns:
            How late the deadline was noticed; zero where it was not there.
        """
        timeout = None if until is None else until - workflow.now()
        if ready():
            return _late(until)
        if (within := _WITHIN.get()) is not None:
            summary = f"{within.name}: {summary}"
        if timeout is None or timeout > timedelta(0):
            self._parked.append(ready)
            try:
                with contextlib.suppress(TimeoutError):
                    await workflow.wait_condition(ready, timeout=timeout, timeout_summary=summary)
            finally:
                self._parked.remove(ready)
            self._waits += 1
        late = _late(until)
        if late >= LATE and not looks and not ready():
            self.note(f"this wait was over {wording.duration(late)} ago: the system was down")
        return late

    async def while_held(self, seen: int, why: str) -> None:
        """Park until something that holds opens or closes, or it is time to look again.

        Args:
            seen: `hold_events` as it was before the question that was answered "held".
            why: what holds, in words.
        """
        look_again = workflow.now() + timedelta(days=1)
        if self._story.held(workflow.now(), why, look_again):
            self._note(f"held: {why}")
        self._refresh()
        self._say(attributes.HELD)
        try:
            await self.park(
                lambda: self.hold_events != seen,
                look_again,
                f"held: {why}; look again",
                looks=True,
            )
        finally:
            self._say(attributes.ACTIVE)

    async def call(self, call: Awaitable[T], *, whole: bool = True) -> T:
        """Await an activity or the like; until it has answered there is no new run.

        Args:
            call: what to await.
            whole: to its end, even if a scope around it ends meanwhile: a message cannot be
                half sent, and an activity whose answer is lost cannot be asked again.
        """
        self._calls += 1
        try:
            return await (to_the_end(call) if whole else call)
        finally:
            self._calls -= 1

    # Going on in a new run.

    def may_move(self) -> bool:
        """Whether the journey should go on in a new run, and can: it waits and nothing else.

        Raises:
            TooLarge: it should, but what it would carry is too large, and that for long.
        """
        progress = (self.applied, self.journal.begun, self._waits)
        return (
            bool(self._parked)
            and not self._calls
            and not self._cancelled
            and any(progress)
            and moving.is_long(self.start)
            and workflow.all_handlers_finished()
            and not any(ready() for ready in self._parked)
            and self._weighing.fits(progress, self.next_start)
        )

    def next_start(self) -> Start:
        """What the next run starts with."""
        carried = self.start.carried
        untaken, forgotten = moving.newest(self.untaken)
        story = self._story.record()
        if forgotten:
            what = f"⚠ {forgotten} events that no wait asked for are forgotten"
            story.notes.append((workflow.now(), what))
        return Start(
            enrollment_id=self.start.enrollment_id,
            customer_id=self.customer_id,
            journey=self.start.journey,
            key=self.start.key,
            parameters=self.start.parameters,
            events=self.start.events[:1],
            run_length=self.start.run_length,
            carried=Carried(
                run=carried.run + 1 if carried else 1,
                entered_at=self.entered_at,
                heard=self._inbox.heard,
                heard_as=self._inbox.heard_as,
                ahead=list(self._inbox.ahead.values()),
                gap=self._gaps.gap,
                untaken=untaken,
                steps=self.journal.records(),
                story=story,
            ),
        )

    # What support staff see.

    def remark(self, what: str) -> None:
        """Add a line of the author's own to the story, unless an earlier run has done so."""
        if self._arrived is None:
            self.note(what)

    def now_at(self, what: str, until: datetime | None = None) -> None:
        """Say where the customer stands, and until when at most."""
        within = _WITHIN.get()
        self._story.at(workflow.now(), what, until, within.name if within is not None else "")
        self._refresh()

    def status(self) -> dict[str, Any]:
        """For the query of that name."""
        return {
            "run": self.start.carried.run + 1 if self.start.carried else 1,
            "heard": self._inbox.heard,
            "missing": self._inbox.missing,
            "missing_since": self._gaps.since and self._gaps.since.isoformat(),
            "untaken": [f"{event.name} {event.event_id}" for event in self.untaken],
            "scopes": [repr(scope) for scope in self._scopes],
            "parameters": self.start.parameters,
            "story": self._story.markdown(),
        }


def _late(until: datetime | None) -> timedelta:
    late = workflow.now() - until if until is not None else timedelta(0)
    return max(late, timedelta(0))
