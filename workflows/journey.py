"""A journey: a Temporal workflow about one customer, written as the story it tells."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, cast, get_args, get_origin

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception
from typing_extensions import TypeVar

from activities.customers import CustomerActivities
from activities.enrollments import EnrollmentActivities
from domain import wording
from domain.customers import Customer
from domain.enrollments import AFTER_EXIT, EndRequest, PerDay, ReEntry, Start
from domain.errors import JourneyError, Refused
from domain.events import CUSTOMER_MERGED, Envelope, Event, event_type
from domain.messages import Cap, Delivery, Message
from domain.outcomes import Outcome, OutcomeKind
from domain.schedules import Schedule
from workflows import attributes
from workflows.declaration import (
    Declaration,
    check_events,
    check_run,
    check_schedule,
    check_takes,
    check_waits,
    event_types_in,
    limit_of,
    snake_case,
    undeclared,
    with_holds,
)
from workflows.inbox import BY_HAND, Inbox, Unreadable, read_envelopes
from workflows.parameters import Parameters
from workflows.scopes import Until, to_the_end
from workflows.sending import Sender
from workflows.signals import SEVERAL, add_signals
from workflows.story import Story

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound=Parameters, default=Parameters)
A = TypeVar("A", bound=Event)

_SHORT = timedelta(seconds=10)


class JourneyFailed(Exception):
    """Raised by a journey's own code to end it as failed.

    Any other exception is a bug: it parks the journey, which goes on from the same place
    when the fixed code is deployed (semantics 17).
    """


class JourneyBug(Exception):
    """A journey's code raised what it should have handled; the journey parks."""


class Journey(ABC, Generic[E, P]):
    """One customer's way through one journey, begun by an event of type `E`, `A | B` for several.

    Write a subclass, decorate it with `@workflow.defn` and its `run` with `@workflow.run`:

        @workflow.defn
        class AbandonedCart(Journey[CartAbandoned], listens=[PurchaseMade]):
            @workflow.run
            async def run(self, cart: CartAbandoned) -> Outcome: ...

    Class keywords:
        listens: the event types that it waits for. Events that open and close holds are
            heard by every journey and need not be named.
        key: the business key of the event that starts it: one enrollment a cart, an order, …
        where: whether an event of the type starts it at all.
        re_entry: when a customer may enter again with the same key.
        entries_per_day: how many enrollments it takes in a day, all customers together; a
            number is in days of UTC.
        schedule: when customers enter it by the clock, with a `ScheduledEntry`.

    Attributes:
        declaration: what the class declares.
        parameters: this enrollment's parameters, as fixed at its entry.
        customer_id: whose journey this is; another id after a merge.
    """

    declaration: ClassVar[Declaration[Any]]

    def __init_subclass__(
        cls,
        *,
        listens: Sequence[type[Event]] = (),
        key: Callable[[Any], str] | None = None,
        where: Callable[[Any], bool] | None = None,
        re_entry: ReEntry = AFTER_EXIT,
        entries_per_day: int | PerDay | None = None,
        schedule: Schedule | None = None,
        **kwargs: Any,
    ) -> None:
        """Check what the journey declares and give it its signals and its driver.

        Raises:
            JourneyError: something is missing or wrong; the sentence says what to write.
        """
        super().__init_subclass__(**kwargs)
        if "run" not in cls.__dict__:
            return
        triggers, parameters = _type_arguments(cls)
        heard = with_holds(tuple(listens))
        check_events(cls, (*triggers, *heard))
        check_run(cls, triggers)
        check_takes(cls, "key", key, triggers)
        check_takes(cls, "where", where, triggers)
        check_schedule(cls, schedule, triggers)
        if not workflow.unsafe.in_sandbox():
            check_waits(cls, heard)
        name = snake_case(cls.__name__)
        cls.declaration = Declaration(
            name=name,
            workflow_type=cls.__name__,
            triggers=triggers,
            listens=heard,
            parameters=parameters,
            key=key,
            where=where,
            re_entry=re_entry,
            per_day=limit_of(cls, entries_per_day),
            schedule=schedule,
            summary=(cls.__doc__ or name).strip().split("\n", maxsplit=1)[0],
        )
        add_signals(cls, heard)
        _drive_by(cls, cls.__dict__["run"])

    @workflow.init
    def __init__(self, start: Start) -> None:
        declaration = self.declaration
        self.customer_id = start.customer_id
        self.parameters = cast(P, declaration.parameters.model_validate(start.parameters))
        self._start = start
        self._inbox = Inbox()
        self._untaken: list[Event] = []
        self._scopes: list[Until[Any]] = []
        self._hold_events = 0
        self._task: asyncio.Task[Any] | None = None
        self._superseded = False
        self._story = Story(declaration.summary.rstrip("."), start)
        self._sender = Sender(self, start)
        # The event that started it is the journey's argument, not something to wait for.
        first, *others = start.events
        self._inbox.receive([first])
        self._note(f"entered by **{first.name}** `{first.event_id}`")
        self.hear(others)

    @abstractmethod
    async def run(self, event: E, /) -> Outcome:
        """Take the customer through the journey."""

    # What a journey's author uses.

    async def wait_for(
        self,
        event: type[A],
        /,
        *,
        timeout: timedelta,
        where: Callable[[A], bool] | None = None,
    ) -> A | None:
        """Take the oldest such event not yet taken, or None at the timeout.

        What one wait took, no other wait gets. An event and a timeout at the same moment:
        the event wins. An event that was there before is found at once.

        Args:
            event: the event type, one of those the journey listens to.
            timeout: how long to wait at most.
            where: whether this one is meant, such as "the purchase of this cart".

        Raises:
            UndeclaredEvent: the journey does not listen to it.
        """
        self._check_declared(event)
        self.checkpoint()

        def found() -> A | None:
            for candidate in self._untaken:
                if isinstance(candidate, event) and (where is None or where(candidate)):
                    return candidate
            return None

        taken = found()
        if taken is None and timeout > timedelta(0):
            at_most = wording.duration(timeout)
            self.now_at(f"Waiting for {event.name}", timeout)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: found() is not None,
                    timeout=timeout,
                    timeout_summary=f"waiting for {event.name}, {at_most} at most",
                )
            taken = found()
        if taken is None:
            self._note(f"no {event.name} within {wording.duration(timeout)}")
            return None
        self._untaken.remove(taken)
        return taken

    def until(self, event: type[A], /, *, where: Callable[[A], bool] | None = None) -> Until[A]:
        """Leave the block at the first such event, even in the middle of a wait.

        Looks at what has arrived untaken when it is entered. Nested blocks: the outermost
        match wins. A send under way finishes and is counted first.

            async with self.until(PurchaseMade, where=same_cart) as purchase:
                await self.sleep(timedelta(days=1))
            return Outcome.converted() if purchase else Outcome.completed()

        Raises:
            UndeclaredEvent: the journey does not listen to it.
        """
        self._check_declared(event)
        return Until(self, event, where)

    async def sleep(self, duration: timedelta, summary: str | None = None) -> None:
        """Wait for a time; an enclosing `until` can end it.

        Args:
            duration: how long; zero or less returns at once.
            summary: what for, in words, for the Temporal UI.
        """
        self.checkpoint()
        if duration <= timedelta(0):
            return
        words = summary or f"pause of {wording.duration(duration)}"
        self.now_at(f"Sleeping: {words}", duration)
        await workflow.sleep(duration, summary=words)

    async def hold(self) -> None:
        """Park here while something is open that holds promotional messages, such as a ticket.

        Sends do this by themselves. Use it to ask a question of your own afterwards.
        """
        while True:
            seen = self._hold_events
            customer = await self.customer()
            if not customer.open_holds:
                return
            await self.while_held(seen, " and ".join(customer.open_holds) + " open")

    async def customer(self) -> Customer:
        """Look up the customer: traits, addresses and what is open, as they are now."""
        self.checkpoint()
        return await to_the_end(
            workflow.execute_local_activity_method(
                CustomerActivities.look_up,
                self.customer_id,
                start_to_close_timeout=_SHORT,
                local_retry_threshold=_SHORT,
                summary="look up the customer",
            )
        )

    async def send(
        self,
        message: Message,
        /,
        *,
        step: str | None = None,
        objective: str | None = None,
        still: Callable[[], bool | Awaitable[bool]] | None = None,
    ) -> Delivery:
        """Send a message, if the gate lets it pass. As `send_first` with one message."""
        return await self.send_first(message, step=step, objective=objective, still=still)

    async def send_first(
        self,
        *messages: Message,
        step: str | None = None,
        objective: str | None = None,
        still: Callable[[], bool | Awaitable[bool]] | None = None,
    ) -> Delivery:
        """Send the first of `messages` whose channel can reach the customer.

        It goes down the list only for reasons that another channel can cure. It parks while
        a hold is open and hears unheard news before anything is decided; both waits can be
        ended by an enclosing `until`, a call to a provider cannot.

        Args:
            messages: in order of preference.
            step: the send's name in the UI and in the ledger; by default the template's,
                numbered from the second on.
            objective: what it is for; the same objective is sent once a customer, whichever
                journey asks.
            still: asked before every decision, so again after each hold: is this message
                still worth sending?

        Returns:
            `Sent`, `Suppressed` with its reason, or `Unknown`.
        """
        return await self._sender.send(messages, step, objective, still)

    @property
    def cap(self) -> Cap:
        """The pressure limit that this journey's promotional messages respect."""
        return self.parameters.cap

    # What the runtime's other parts use of a journey.

    @property
    def heard(self) -> int:
        """The number of the last event applied."""
        return self._inbox.heard

    @property
    def hold_events(self) -> int:
        """How many events that open or close holds have been applied."""
        return self._hold_events

    def hear(self, envelopes: Iterable[Envelope]) -> None:
        """Apply events: to the scopes that they end, else to the inbox. Never raises."""
        for envelope in self._inbox.receive(envelopes):
            self._apply(envelope)
        self._refresh()

    def enter_scope(self, scope: Until[Any]) -> None:
        """Offer the scope what has arrived, then what arrives."""
        self._scopes.append(scope)
        for event in self._untaken:
            if scope.offer(event):
                self._untaken.remove(event)
                break

    def leave_scope(self, scope: Until[Any]) -> None:
        """Offer the scope nothing more."""
        self._scopes.remove(scope)

    def interrupted(self) -> bool:
        """Whether a scope around the present task has its event."""
        task = asyncio.current_task()
        return any(scope.task is task and scope for scope in self._scopes)

    def checkpoint(self) -> None:
        """Begin nothing new inside a scope that is over.

        The cancellation that ends a scope can be lost on its way, for instance where an
        activity of the author's own answers at the same moment.

        Raises:
            asyncio.CancelledError: a scope around the present task has its event, or the
                enrollment is over.
        """
        if self.interrupted() or self._superseded:
            raise asyncio.CancelledError

    def now_at(self, what: str, within: timedelta | None = None) -> None:
        """Say where the customer stands, and until when at most."""
        self._story.at(workflow.now(), what, within)
        self._refresh()

    def note(self, what: str) -> None:
        """Add a line to the story."""
        self._note(what)
        self._refresh()

    async def while_held(
        self, seen: int, why: str, look_again: timedelta = timedelta(days=1)
    ) -> None:
        """Park until something that holds opens or closes, or it is time to look again.

        Args:
            seen: `hold_events` as it was before the question that was answered "held".
            why: what holds, in words.
            look_again: ask again after this time even if nothing was heard.
        """
        self.note(f"held: {why}")
        self.now_at(f"Held: {why}; goes on when that is over", look_again)
        workflow.upsert_search_attributes([attributes.STATE.value_set(attributes.HELD)])
        try:
            await workflow.wait_condition(
                lambda: self._hold_events != seen,
                timeout=look_again,
                timeout_summary=f"held: {why}; look again",
            )
        except TimeoutError:
            pass
        finally:
            workflow.upsert_search_attributes([attributes.STATE.value_set(attributes.ACTIVE)])

    @workflow.query(
        name="status", description="Where the customer stands, what is awaited, what was heard."
    )
    def _status(self) -> dict[str, Any]:
        return {
            "heard": self._inbox.heard,
            "missing": self._inbox.missing,
            "untaken": [f"{event.name} {event.event_id}" for event in self._untaken],
            "scopes": [repr(scope) for scope in self._scopes],
            "parameters": self._start.parameters,
            "story": self._story.markdown(),
        }

    @workflow.signal(dynamic=True, description="Anything else: noted, and without effect.")
    def _anything(self, name: str, _: Sequence[RawValue]) -> None:
        self.note(f"⚠ signal **{name}** is not one that this journey knows; ignored")

    # How it works.

    def _receive(self, name: str | None, raw: RawValue | None) -> None:
        try:
            envelopes = read_envelopes(name, raw)
        except Unreadable as error:
            self.note(f"⚠ a signal **{name or SEVERAL}** could not be read and is ignored: {error}")
            return
        self.hear(envelopes)

    def _apply(self, envelope: Envelope) -> None:
        if envelope.name == CUSTOMER_MERGED:
            self._become_one(envelope)
            return
        kind = event_type(envelope.name)
        try:
            if kind is None:
                raise Refused("no such event type in this version")
            event = kind.from_envelope(envelope)
        except Refused as error:
            self._note(
                f"⚠ **{envelope.name}** `{envelope.event_id}` could not be read "
                f"and is left out: {error}"
            )
            return
        how = ", by hand in the Temporal UI" if envelope.number == BY_HAND else ""
        self._note(f"heard **{event.name}** `{event.event_id}`{how}")
        self._hold_events += event.hold is not None
        if not any(scope.offer(event) for scope in self._scopes):
            self._untaken.append(event)

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
        self._hold_events += 1  # what holds the one holds the other
        if self._start.enrollment_id in ended:
            self._superseded = True
            self._note("the same journey began earlier for the other: that one goes on")
            if self._task is not None:
                self._task.cancel()

    def _check_declared(self, event: type[Event]) -> None:
        if event not in self.declaration.listens:
            raise undeclared(type(self), event)

    def _note(self, what: str) -> None:
        self._story.note(workflow.now(), what)

    def _refresh(self) -> None:
        workflow.set_current_details(self._story.markdown())

    async def _drive(self, authored: Callable[[Any, E], Awaitable[Outcome]]) -> Outcome:
        trigger = self.declaration.read(self._start.events[0])
        self._task = asyncio.current_task()
        try:
            self.checkpoint()
            outcome = await authored(self, trigger)
            if not isinstance(outcome, Outcome):
                raise TypeError(
                    f"{type(self).__name__}.run must return an Outcome, got {outcome!r}"
                )
        except JourneyFailed as failure:
            outcome = Outcome(kind=OutcomeKind.FAILED, reason=str(failure))
        except (asyncio.CancelledError, FailureError, TimeoutError) as error:
            if not is_cancelled_exception(error):
                # Temporal would end the journey as failed; it is a bug like any other.
                raise JourneyBug(f"{type(self).__name__}.run raised {error!r}") from error
            outcome = (
                Outcome(kind=OutcomeKind.MERGED, reason="the older enrollment goes on")
                if self._superseded
                else Outcome(kind=OutcomeKind.CANCELLED, reason="cancelled in Temporal")
            )
        with contextlib.suppress(asyncio.CancelledError):  # too late, it is ending already
            await to_the_end(self._end(outcome))
        if outcome.kind is OutcomeKind.CANCELLED:
            raise asyncio.CancelledError
        if outcome.kind is OutcomeKind.FAILED:
            raise ApplicationError(outcome.reason, type="JourneyFailed", non_retryable=True)
        return outcome

    async def _end(self, outcome: Outcome) -> None:
        """Ending is a decision like sending: what was acknowledged is heard first."""
        self.now_at(f"Ending: {outcome.kind}")
        while True:
            answer = await workflow.execute_local_activity_method(
                EnrollmentActivities.end,
                EndRequest(
                    enrollment_id=self._start.enrollment_id,
                    customer_id=self.customer_id,
                    heard=self.heard,
                    outcome=outcome,
                ),
                start_to_close_timeout=_SHORT,
                local_retry_threshold=_SHORT,
                summary=f"end as {outcome.kind}",
            )
            if answer.ended:
                break
            self.hear(answer.news)
        workflow.upsert_search_attributes([attributes.STATE.value_set(outcome.kind.value)])
        self._note(f"**{outcome.kind}** {outcome.reason}".strip())
        self.now_at(f"Ended: {outcome.kind}" + (f", {outcome.reason}" if outcome.reason else ""))


def _type_arguments(cls: type) -> tuple[tuple[type[Event], ...], type[Parameters]]:
    for base in getattr(cls, "__orig_bases__", ()):
        if get_origin(base) is Journey:
            trigger, *rest = get_args(base)
            if triggers := event_types_in(trigger):
                return triggers, (rest[0] if rest else Parameters)
    raise JourneyError(
        f"{cls.__name__}: say which event starts it, as in `class {cls.__name__}(Journey[MyEvent])`"
        " or, where there are several, `Journey[MyEvent | MyOtherEvent]`"
    )


def _drive_by(cls: type, authored: Callable[[Any, Any], Awaitable[Outcome]]) -> None:
    """Let Temporal start the journey with a `Start`, and the author's code with its event."""

    # Its parameters must be written as __init__'s are: `self` bare, `start` unused.
    async def run(self, start: Start) -> Outcome:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG001
        journey: Journey[Any, Any] = self
        return await journey._drive(authored)  # noqa: SLF001 - a method, written here

    run.__qualname__ = f"{cls.__qualname__}.run"
    run.__module__ = cls.__module__
    run.__doc__ = authored.__doc__
    cls.run = workflow.run(run)  # type: ignore[attr-defined]
