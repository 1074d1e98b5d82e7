"""An enrollment as its workflow sees it: what it has heard, and where the journey stands."""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from temporalio import workflow

from domain import wording
from domain.carried import Carried
from domain.enrollments import EnterRequest, Start
from domain.errors import Refused
from domain.events import (
    CUSTOMER_MERGED,
    MESSAGE_SETTLED,
    TIME_ZONE_CHANGED,
    Envelope,
    Event,
    event_type,
)
from domain.outcomes import Outcome
from workflows import attributes, moving
from workflows.calls import to_the_end
from workflows.failures import dump_error, load_error
from workflows.gaps import GapWatch
from workflows.inbox import BY_HAND, Inbox
from workflows.journal import Journal, Step
from workflows.story import Story, settled

T = TypeVar("T")

_WITHIN: ContextVar[Step | None] = ContextVar("within", default=None)
"""The step that the present task is in."""

LATE = timedelta(minutes=1)
"""A timer that fires this much later than it was due is noted: the system was down."""


class Scope(Protocol):
    """A block that an event ends; see `workflows.scopes`."""

    task: asyncio.Task[Any] | None

    def __bool__(self) -> bool: ...

    def offer(self, event: Event, /) -> bool:
        """Take the event if it ends this block."""
        ...


class Enrollment:
    """What one enrollment has heard, what it may begin, and what support staff see of it.

    Args:
        start: what this run starts with.
        title: the journey in a few words.
        keeps: the event types that waits can ask for; others are heard and not kept.

    Attributes:
        customer_id: whose it is; another id after a merge.
        entered_at: when its first run began.
        task: the task in which the journey's code runs.
        superseded: the customer is another's now, who is in the same journey already.
        hand_over: where the customer goes on if this enrollment ends with that outcome.
        hold_events: how many events that open or close holds have been applied.
        moves: how often the customer may have come into another time zone.
        applied: how many events this run has applied.
    """

    def __init__(self, start: Start, title: str, keeps: Iterable[type[Event]]) -> None:
        carried = start.carried
        self.start = start
        self.customer_id = start.customer_id
        self.entered_at = carried.entered_at if carried else workflow.info().start_time
        self.task: asyncio.Task[Any] | None = None
        self.superseded = False
        self.hand_over: tuple[Outcome, EnterRequest] | None = None
        self.hold_events = 0
        self.moves = 0
        self.untaken: list[Event] = []
        self.journal = Journal(carried.steps if carried else {})
        self._keeps = tuple(keeps)
        self._story = Story(title, start)
        self._scopes: list[Scope] = []
        # What comes while the code is on its way to where the run before had left it.
        self._arrived: list[Envelope] | None = None
        self.applied = 0
        self._waits = 0
        self._calls = 0
        self._parked: list[Callable[[], bool]] = []
        self._too_large: tuple[tuple[int, ...], str] | None = None
        self._cancelled = False
        first, *others = start.events
        if carried is None:
            self._inbox = Inbox()
            # The event that started it is the journey's argument, not something to wait for.
            self._inbox.receive([first])
            self.note(f"entered by **{first.name}** `{first.event_id}`")
        else:
            self._inbox = Inbox(carried.heard, carried.ahead, carried.heard_as)
            self.untaken = [event for e in carried.untaken if (event := _read(e)) is not None]
            self._arrived = []
            self._refresh()
        gap = carried.gap if carried else None
        self._gaps = GapWatch(self._inbox, self.note, start.enrollment_id, gap)
        if carried is None:
            self.hear(others)

    @property
    def heard(self) -> int:
        """The number of the last event applied."""
        return self._inbox.heard

    # Hearing.

    def hear(self, envelopes: Iterable[Envelope]) -> None:
        """Apply events: to the scopes that they end, else to the inbox. Never raises."""
        if self._arrived is not None:
            self._arrived.extend(envelopes)
            return
        for envelope in self._inbox.receive(envelopes):
            self._apply(envelope)
        self._gaps.look()
        self._refresh()

    def go_live(self) -> None:
        """The code is where the run before had left it: what has arrived since is heard now."""
        if self._arrived is not None:
            arrived, self._arrived = self._arrived, None
            if workflow.info().typed_search_attributes.get(attributes.STATE) == attributes.HELD:
                # The wait that would have said otherwise was left behind with the run before.
                self._say(attributes.ACTIVE)
            self.hear(arrived)

    def _apply(self, envelope: Envelope) -> None:
        self.applied += 1
        if envelope.name == CUSTOMER_MERGED:
            self._become_one(envelope)
            return
        if envelope.name == TIME_ZONE_CHANGED:
            self.moves += 1
            zone = envelope.properties.get("time_zone")
            self._note(f"the customer's time zone is {zone or 'not known any more'}")
            return
        if envelope.name == MESSAGE_SETTLED:
            unread = f"⚠ **{envelope.name}** could not be read and is left out"
            self._note(settled(envelope.properties) or unread)
            return
        event = self.read(envelope)
        if event is None:
            return
        how = ", by hand in the Temporal UI" if envelope.number == BY_HAND else ""
        self._note(f"heard **{event.name}** `{event.event_id}`{how}")
        self.hold_events += event.hold is not None
        if not any(scope.offer(event) for scope in self._scopes) and isinstance(event, self._keeps):
            self.untaken.append(event)

    def read(self, envelope: Envelope) -> Event | None:
        """An event as this version of the code knows it; None, and a line, where it cannot."""
        try:
            return _read_or_refuse(envelope)
        except Refused as error:
            self._note(
                f"⚠ **{envelope.name}** `{envelope.event_id}` could not be read "
                f"and is left out: {error}"
            )
            return None

    def _become_one(self, envelope: Envelope) -> None:
        """Go on under the customer who stays; end where another enrollment goes on instead."""
        match envelope.properties:
            case {"customer_id": str(customer_id), "ended": list(ended)}:
                pass
            case _:
                self._note(f"⚠ **{envelope.name}** could not be read and is left out")
                return
        if customer_id != self.customer_id:
            self.customer_id = self._story.customer_id = customer_id
            workflow.upsert_search_attributes([attributes.CUSTOMER.value_set(customer_id)])
        self._note(f"this customer and another are one, `{customer_id}`")
        self.hold_events += 1  # what holds the one holds the other
        self.moves += 1  # and one may be elsewhere
        if self.start.enrollment_id in ended:
            self.superseded = True
            self._note("the same journey began earlier for the other: that one goes on")
            self.cancel()

    # Scopes, and what may begin.

    def enter_scope(self, scope: Scope, *, look_back: bool) -> None:
        """Offer the scope what arrives, and before that what has arrived, where it is new."""
        self._scopes.append(scope)
        if look_back:
            for event in self.untaken:
                if scope.offer(event):
                    self.untaken.remove(event)
                    break

    def leave_scope(self, scope: Scope) -> None:
        """Offer the scope nothing more."""
        self._scopes.remove(scope)

    def interrupted(self) -> bool:
        """Whether a scope around the present task has its event."""
        task = asyncio.current_task()
        return any(scope.task is task and scope for scope in self._scopes)

    async def checkpoint(self) -> None:
        """Begin nothing new inside a scope that is over.

        The cancellation that ends a scope can be lost on its way, for instance where an
        activity of the author's own answers at the same moment.

        Raises:
            asyncio.CancelledError: a scope around the present task has its event, or the
                enrollment is over.
        """
        if self.interrupted() or self.superseded:
            await asyncio.sleep(0)  # one that is still on its way must not hit what comes later
            raise asyncio.CancelledError

    def cancel(self) -> None:
        """End the journey's code; it may clean up."""
        self._cancelled = True
        if self.task is not None:
            self.task.cancel()

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

    def _say(self, state: str) -> None:
        workflow.upsert_search_attributes([attributes.STATE.value_set(state)])

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
        return (
            bool(self._parked)
            and not self._calls
            and not self._cancelled
            and any(self._progress())
            and moving.is_long(self.start)
            and workflow.all_handlers_finished()
            and not any(ready() for ready in self._parked)
            and self._fits()
        )

    def _progress(self) -> tuple[int, ...]:
        """What this run has done so far."""
        return (self.applied, self.journal.begun, self._waits)

    def _fits(self) -> bool:
        """Whether Temporal would take what the next run must know; asked once a state."""
        if self._too_large is None or self._too_large[0] != self._progress():
            start = self.next_start()
            if (size := moving.size(start)) <= moving.MOST:
                self._too_large = None
                return True
            assert start.carried is not None
            why = f"cannot go on in a new run: {size:,} bytes; {moving.largest(start.carried)}"
            if self._too_large is None:
                self.note(f"⚠ {why}")
                workflow.logger.warning("%s %s", self.start.enrollment_id, why)
            self._too_large = (self._progress(), why)
        moving.check_patience(self._too_large[1])
        return False

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

    def note(self, what: str) -> None:
        """Add a line to the story."""
        self._note(what)
        self._refresh()

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

    def _note(self, what: str) -> None:
        self._story.note(workflow.now(), what)

    def _refresh(self) -> None:
        workflow.set_current_details(self._story.markdown())


def _read_or_refuse(envelope: Envelope) -> Event:
    kind = event_type(envelope.name)
    if kind is None:
        raise Refused("no such event type in this version")
    return kind.from_envelope(envelope)


def _read(envelope: Envelope) -> Event | None:
    try:
        return _read_or_refuse(envelope)
    except Refused:
        return None


def _late(until: datetime | None) -> timedelta:
    late = workflow.now() - until if until is not None else timedelta(0)
    return max(late, timedelta(0))
