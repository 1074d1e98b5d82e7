"""What an enrollment has heard: events in order, each once, and what they end."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from temporalio import workflow

from domain.enrollments import Start
from domain.errors import Refused
from domain.events import (
    CUSTOMER_MERGED,
    MESSAGE_SETTLED,
    TIME_ZONE_CHANGED,
    Envelope,
    Event,
    event_type,
)
from workflows import attributes
from workflows.gaps import GapWatch
from workflows.inbox import BY_HAND, Inbox
from workflows.story import Story, settled


class Scope(Protocol):
    """A block that an event ends; see `workflows.scopes`."""

    task: asyncio.Task[Any] | None

    def __bool__(self) -> bool: ...

    def offer(self, event: Event, /) -> bool:
        """Take the event if it ends this block."""
        ...


class Hearing:
    """What one enrollment has heard, and what that has ended.

    Args:
        start: what this run starts with.
        title: the journey in a few words.
        keeps: the event types that waits can ask for; others are heard and not kept.

    Attributes:
        start: what this run starts with.
        customer_id: whose it is; another id after a merge.
        task: the task in which the journey's code runs.
        superseded: the customer is another's now, who is in the same journey already.
        hold_events: how many events that open or close holds have been applied.
        moves: how often the customer may have come into another time zone.
        applied: how many events this run has applied.
        untaken: the events that no wait has taken yet, oldest first.
    """

    def __init__(self, start: Start, title: str, keeps: Iterable[type[Event]]) -> None:
        carried = start.carried
        self.start = start
        self.customer_id = start.customer_id
        self.task: asyncio.Task[Any] | None = None
        self.superseded = False
        self.hold_events = 0
        self.moves = 0
        self.applied = 0
        self.untaken: list[Event] = []
        self._keeps = tuple(keeps)
        self._story = Story(title, start)
        self._scopes: list[Scope] = []
        # What comes while the code is on its way to where the run before had left it.
        self._arrived: list[Envelope] | None = None
        self._cancelled = False
        first, *others = start.events
        if carried is None:
            self._inbox = Inbox()
            # The event that started it is the journey's argument, not something to wait for.
            self._inbox.receive([first])
            self.note(f"entered by **{first.name}** `{first.event_id}`")
        else:
            self._inbox = Inbox(carried.heard, carried.ahead, carried.heard_as)
            self.untaken = [event for e in carried.untaken if (event := self.read(e)) is not None]
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
            kind = event_type(envelope.name)
            if kind is None:
                raise Refused("no such event type in this version")
            return kind.from_envelope(envelope)
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

    # What support staff see of it.

    def note(self, what: str) -> None:
        """Add a line to the story."""
        self._note(what)
        self._refresh()

    def _note(self, what: str) -> None:
        self._story.note(workflow.now(), what)

    def _refresh(self) -> None:
        workflow.set_current_details(self._story.markdown())

    def _say(self, state: str) -> None:
        workflow.upsert_search_attributes([attributes.STATE.value_set(state)])
