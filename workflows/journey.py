"""A journey: a Temporal workflow about one customer, written as the story it tells."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Generic, Literal, cast, overload

from pydantic import BaseModel, TypeAdapter
from temporalio import workflow
from temporalio.common import RawValue
from typing_extensions import TypeVar

from activities.customers import CustomerActivities
from activities.experiments import ExperimentActivities
from activities.history import HistoryActivities
from domain.customers import Customer
from domain.enrollments import AFTER_EXIT, PerDay, ReEntry, Start
from domain.events import Event, JourneyEnded
from domain.experiments import HELD_OUT, Assignment, holdout
from domain.history import LookBack
from domain.local_time import Window
from domain.messages import Cap, Delivery, Message
from domain.outcomes import Outcome
from domain.tasks import ANSWER_TASK
from workflows.checks import undeclared
from workflows.declaration import ClassLine, Declaration, declare
from workflows.driver import drive
from workflows.elsewhere import Elsewhere, Entered, NotEntered, StillInside
from workflows.enrollment import Enrollment
from workflows.inbox import Unreadable, read_envelopes
from workflows.journal import Rounds
from workflows.matching import Match, dump_event, load_event, matches
from workflows.parameters import Parameters
from workflows.people import People, Question, Reply
from workflows.scopes import Until
from workflows.sending import Sender
from workflows.short_calls import short_call
from workflows.signals import SEVERAL, add_signals
from workflows.waits import Arrival, Quiet, Waits

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound=Parameters, default=Parameters)
A = TypeVar("A", bound=Event)
B = TypeVar("B", bound=Event)
C = TypeVar("C", bound=Event)
D = TypeVar("D", bound=Event)
T = TypeVar("T")
V = TypeVar("V", bound=str)

On = type[A] | Match[A]
"""An event type, or `on(type, condition)`."""


class Journey(ABC, Generic[E, P]):
    """One customer's way through one journey, begun by an event of type `E`, `A | B` for several.

    Write a subclass, decorate it with `@workflow.defn` and its `run` with `@workflow.run`:

        @workflow.defn
        class AbandonedCart(Journey[CartAbandoned], listens=[PurchaseMade]):
            @workflow.run
            async def run(self, cart: CartAbandoned) -> Outcome: ...

    Everything that is awaited on `self` is a step. Steps have names, given with `step=` or
    made from what they do, and numbered from the second of a name on. Where a journey goes on
    for long its code is run again from the top, and steps that are behind it give at once what
    they gave: see `workflows.journal`.

    Class keywords:
        listens: the event types that it waits for. Events that open and close holds are
            heard by every journey and need not be named, unless they are waited for.
        key: the business key of the event that starts it: one enrollment a cart, an order, …
        where: whether an event of the type starts it at all.
        re_entry: when a customer may enter again with the same key.
        entries_per_day: how many enrollments it takes in a day, all customers together; a
            number is in days of UTC.

    Attributes:
        declaration: what the class declares.
        parameters: this enrollment's parameters, as fixed at its entry.
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
        **kwargs: Any,
    ) -> None:
        """Check what the journey declares and give it its signals and its driver.

        Raises:
            JourneyError: something is missing or wrong; the sentence says what to write.
        """
        super().__init_subclass__(**kwargs)
        if "run" not in cls.__dict__:
            return
        line = ClassLine(tuple(listens), key, where, re_entry, entries_per_day)
        cls.declaration = declare(cls, Journey, line)
        add_signals(cls, (*cls.declaration.listens, JourneyEnded))
        _drive_by(cls, cls.__dict__["run"])

    @workflow.init
    def __init__(self, start: Start) -> None:
        declaration = self.declaration
        self.parameters = cast(P, declaration.parameters.model_validate(start.parameters))
        keeps: tuple[type[Event], ...] = (*declaration.keeps, JourneyEnded)
        self._enrollment = Enrollment(start, declaration.summary.rstrip("."), keeps)
        self._sender = Sender(self._enrollment, lambda: self.cap)
        self._waits = Waits(self._enrollment, self._look_up, self.parameters.time_zone)
        self._people = People(self._enrollment, self._sender)
        self._elsewhere = Elsewhere(self._enrollment, self._waits)

    @abstractmethod
    async def run(self, event: E, /) -> Outcome:
        """Take the customer through the journey."""

    @property
    def customer_id(self) -> str:
        """Whose journey this is; another id after a merge."""
        return self._enrollment.customer_id

    @property
    def entered_at(self) -> datetime:
        """When the enrollment began, in UTC."""
        return self._enrollment.entered_at

    @property
    def cap(self) -> Cap:
        """The pressure limit that this journey's promotional messages respect."""
        return self.parameters.cap

    # Waiting for events.

    async def wait_for(
        self,
        event: type[A],
        /,
        *,
        timeout: timedelta,
        where: Callable[[A], bool] | None = None,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | None:
        """Take the oldest such event not yet taken, or None at the timeout.

        What one wait took, no other wait gets. An event and a timeout at the same moment:
        the event wins. An event that was there before is found at once.

        Args:
            event: the event type, one of those the journey listens to.
            timeout: how long to wait at most; zero to look only.
            where: whether this one is meant, such as "the purchase of this cart".
            at_most_late: how much later than it was due the timeout may be noticed, because
                the system was down; None for however late.
            step: the wait's name.

        Raises:
            UndeclaredEvent: the journey does not listen to it.
            TooLate: see `at_most_late`.
        """
        self._check_declared(event)
        return await self._waits.for_event(Match(event, where), timeout, at_most_late, step)

    @overload
    async def first_of(
        self,
        a: On[A],
        b: On[B],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | B | None: ...
    @overload
    async def first_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | B | C | None: ...
    @overload
    async def first_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        d: On[D],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | B | C | D | None: ...
    async def first_of(
        self,
        *events: Any,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Event | None:
        """Take the oldest event of several types, or None at the timeout. As `wait_for`.

        match await self.first_of(PurchaseMade, on(TicketOpened, about_it), timeout=DAY):
            case PurchaseMade(): ...
            case TicketOpened(): ...
            case None: ...
        """
        meant = matches(events)
        self._check_declared(*(match.kind for match in meant))
        return await self._waits.for_first(meant, timeout, at_most_late, step)

    @overload
    async def all_of(
        self,
        a: On[A],
        b: On[B],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[A, B] | None: ...
    @overload
    async def all_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[A, B, C] | None: ...
    async def all_of(
        self,
        *events: Any,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[Event, ...] | None:
        """Take one event of each, in whatever order they come, or None at the timeout.

        At the timeout none is taken: those that came can be asked for by a later wait.
        As `wait_for` otherwise.
        """
        meant = matches(events)
        self._check_declared(*(match.kind for match in meant))
        return await self._waits.for_all(meant, timeout, at_most_late, step)

    async def quiet(
        self,
        event: type[A],
        /,
        *,
        duration: timedelta,
        where: Callable[[A], bool] | None = None,
        timeout: timedelta | None = None,
        step: str | None = None,
    ) -> Quiet[A]:
        """Wait until there has been no such event for a while; each one begins the while anew.

        Args:
            event: the event type; every one that comes is taken.
            duration: how long it must be quiet.
            where: whether this one counts.
            timeout: after this time it is over, quiet or not.
            step: the wait's name.

        Raises:
            UndeclaredEvent: the journey does not listen to it.
        """
        self._check_declared(event)
        return await self._waits.for_quiet(Match(event, where), duration, timeout, step)

    def until(
        self,
        event: type[A],
        /,
        *,
        where: Callable[[A], bool] | None = None,
        step: str | None = None,
    ) -> Until[A]:
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
        return Until(self._enrollment, Match(event, where), step or f"until_{event.name}")

    # Waiting for a time.

    async def sleep(
        self,
        duration: timedelta,
        summary: str | None = None,
        *,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait for a time; an enclosing `until` can end it.

        Args:
            duration: how long; zero or less returns at once.
            summary: what for, in words, for the Temporal UI.
            at_most_late: as for `wait_for`.
            step: the wait's name.
        """
        return await self._waits.for_time(duration, summary, at_most_late, step)

    async def sleep_until(
        self,
        moment: datetime,
        summary: str | None = None,
        *,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait until a moment. One that has passed returns at once, and says so in `passed`.

        Raises:
            ValueError: the moment has no time zone.
        """
        return await self._waits.for_moment(moment, summary, at_most_late, step)

    async def sleep_until_local(
        self,
        clock: time,
        *,
        day: date | int = 0,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait until the clock where the customer is shows a time.

        It goes with a customer who moves to another time zone meanwhile, through both clock
        changes: a time that the clock jumps over is the moment of the jump, of a time that
        comes twice it is the first. One that has passed returns at once and says so.

        Args:
            clock: the time there, such as `time(9)`.
            day: a date there, or in how many days from today: 1 is tomorrow.
            at_most_late: as for `wait_for`.
            step: the wait's name.
        """
        return await self._waits.for_local(clock, day, at_most_late, step)

    async def sleep_until_window(
        self,
        window: Window,
        *,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait until a window of the week is open where the customer is; none if it is.

            await self.sleep_until_window(Window(time(9), time(11), Day.TUESDAY.to(Day.THURSDAY)))

        Where the window has closed again before anybody could notice, it waits for the next.
        """
        return await self._waits.for_window(window, at_most_late, step)

    # Asking about the customer.

    async def customer(self, *, step: str | None = None) -> Customer:
        """Look up the customer: traits, addresses and what is open, as they are now."""

        async def live(_: object) -> Customer:
            return await self._look_up()

        return await self._enrollment.step(
            step or "look_up",
            live,
            dump=lambda customer: customer.model_dump(mode="json"),
            load=Customer.model_validate,
        )

    async def look_back(
        self,
        event: type[A],
        /,
        *,
        within: timedelta,
        where: Callable[[A], bool] | None = None,
        most: int = 100,
        step: str | None = None,
    ) -> list[A]:
        """Events from before this enrollment began, oldest first.

        Args:
            event: the event type; it need not be declared.
            within: how long before now they may have happened.
            where: whether this one is meant.
            most: how many at most; of more, the latest.
            step: the step's name.
        """

        async def live(_: object) -> list[A]:
            request = LookBack(
                customer_id=self.customer_id,
                enrollment_id=self._enrollment.start.enrollment_id,
                names=[event.name],
                since=workflow.now() - within,
                most=most,
            )
            found = await self._enrollment.call(
                short_call(HistoryActivities.look_back, request, f"look back for {event.name}")
            )
            events = [load_event(event, asdict(envelope)) for envelope in found]
            return [one for one in events if one is not None and (where is None or where(one))]

        return await self._enrollment.step(
            step or f"look_back_for_{event.name}",
            live,
            dump=lambda events: [dump_event(one) for one in events],
            load=lambda data: [one for d in data if (one := load_event(event, d)) is not None],
        )

    async def when(
        self,
        condition: Callable[[Customer], bool],
        /,
        *,
        timeout: timedelta,
        words: str = "a condition holds",
        look_again: timedelta = timedelta(hours=1),
        step: str | None = None,
    ) -> Customer | None:
        """Wait until a condition about the customer holds; one that does already does not wait.

        It is asked again whenever the journey hears an event, and once in a while.

        Args:
            condition: on what is known of the customer at that moment.
            timeout: how long to wait at most.
            words: the condition in words, for the Temporal UI.
            look_again: how often to ask if nothing is heard.
            step: the wait's name.

        Returns:
            The customer of whom it holds, or None at the timeout.
        """
        return await self._waits.for_condition(condition, timeout, look_again, words, step)

    async def hold(self) -> None:
        """Park here while something is open that holds promotional messages, such as a ticket.

        Sends do this by themselves. Use it to ask a question of your own afterwards.
        """

        async def live(_: object) -> None:
            while True:
                seen = self._enrollment.hold_events
                customer = await self._look_up()
                if not customer.open_holds:
                    return
                await self._enrollment.checkpoint()
                await self._enrollment.while_held(seen, " and ".join(customer.open_holds) + " open")

        await self._enrollment.step("hold", live, dump=_same, load=_same)

    # Sending.

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

    # Experiments.

    async def split(self, name: str, variants: Mapping[V, float], /) -> V:
        """Which variant of an experiment this customer gets; recorded as a decision.

        The first one dealt stays, whatever the weights are by now and whichever journey asks.
        Buckets are GrowthBook's.

            match await self.split("subject line", {"plain": 1, "witty": 1}): ...

        Args:
            name: the experiment; the same name is the same experiment in every journey.
            variants: weights by name; only how they compare counts, and their order.
        """
        return cast(
            V,
            await self._assigned(
                name, {str(variant): weight for variant, weight in variants.items()}, "split"
            ),
        )

    async def holdout(self, share: float, /, *, name: str | None = None) -> bool:
        """Whether this customer is held out, to compare the others with; recorded as a decision.

        Args:
            share: of all customers, from 0 to 1.
            name: the experiment; by default the journey's own.

        Raises:
            ValueError: the share is not between 0 and 1.
        """
        name = name or f"{self.declaration.name} holdout"
        return await self._assigned(name, holdout(share), "holdout") == HELD_OUT

    # People.

    async def ask(
        self,
        role: str,
        title: str,
        /,
        *,
        deadline: timedelta,
        choices: Sequence[str] = (),
        details: str = "",
        escalate_to: str | None = None,
        escalate_after: timedelta | None = None,
        tell: Message | None = None,
        step: str | None = None,
    ) -> Reply | None:
        """Ask a person of a role, and wait for the answer; None where nobody gives one.

        The task stands in `GET /tasks` and in the Temporal UI, and is answered by either. An
        enclosing `until` that ends withdraws it.

        Args:
            role: who should answer, such as `sales`.
            title: what is to be done, in a line.
            deadline: how long to wait at most, escalated or not.
            choices: the answers there are; none: any text.
            details: what one must know to do it.
            escalate_to: the role that gets it where the first has not answered in time.
            escalate_after: when; by default after half of the deadline.
            tell: a message that tells the role, such as a webhook; its template has the task
                as `event.task`, with `id`, `role`, `title`, `details`, `choices`, `deadline`.
                Escalated, it goes to the endpoint of the other role's name.
            step: the step's name.
        """
        question = Question(
            role, title, details, tuple(choices), deadline, escalate_to, escalate_after, tell
        )
        return await self._people.ask(question, step)

    # Other journeys.

    async def through(
        self,
        journey: "type[Journey[A, Any]]",
        event: A,
        /,
        *,
        timeout: timedelta,
        step: str | None = None,
    ) -> Outcome | NotEntered | StillInside:
        """Take the customer through another journey, and wait for its end.

        It is an enrollment like any other, by that journey's own rules of entry.

        Args:
            journey: the other journey.
            event: an event that starts it; no other journey hears it.
            timeout: how long to wait; the other journey goes on after that.
            step: the step's name.

        Returns:
            Its outcome, or `NotEntered` with the reason, or `StillInside`.
        """
        return await self._elsewhere.through(journey.declaration.name, event, timeout, step)

    async def enter(
        self, journey: "type[Journey[A, Any]]", event: A, /, *, step: str | None = None
    ) -> Entered | NotEntered:
        """Take the customer into another journey, and go on in this one at once."""
        return await self._elsewhere.enter(journey.declaration.name, event, step)

    def hand_over(self, journey: "type[Journey[A, Any]]", event: A, /) -> Outcome:
        """End here, and go on in another journey: one ends and the other begins at once.

        return self.hand_over(Loyalty, purchase)
        """
        return self._elsewhere.hand_over(journey.declaration.name, event)

    # Loops, and work of your own.

    def rounds(
        self, memory: BaseModel, /, *, most: int | None = None, step: str | None = None
    ) -> Rounds:
        """A loop that may go on for years. It gives the number of the round, from 1 on.

        What a round did is forgotten when the next one begins, but for the memory: a model of
        yours, whose fields the loop changes. It is the only thing that a round may leave to
        the next one or to what follows the loop.

            bought = Bought()
            async for _ in self.rounds(bought):
                purchase = await self.wait_for(PurchaseMade, timeout=YEAR)
                if purchase is None:
                    break
                bought.orders += 1
            return Outcome.completed(f"{bought.orders} orders")

        Args:
            memory: as it is when the first round begins.
            most: how many rounds at most; None for as many as it takes.
            step: the loop's name.
        """
        return Rounds(self._enrollment.journal, step or "rounds", memory, most)

    async def step(
        self,
        name: str,
        returns: type[T],
        work: Callable[[], Awaitable[T]],
        /,
        *,
        whole: bool = True,
    ) -> T:
        """Do work of your own, such as an activity or a child workflow, as a step: once.

            score = await self.step("score", float, lambda: workflow.execute_activity(...))

        Args:
            name: the step's name.
            returns: the type of its result, which must be one that JSON can hold (pydantic).
            work: does it. No steps of the journey's within.
            whole: do it to its end, also where an `until` around it ends meanwhile; False to
                let that cancel it.
        """
        adapter: TypeAdapter[T] = TypeAdapter(returns)

        async def live(_: object) -> T:
            self._enrollment.now_at(f"Doing {name}")
            return await self._enrollment.call(work(), whole=whole)

        return await self._enrollment.step(
            name,
            live,
            dump=lambda result: adapter.dump_python(result, mode="json"),
            load=adapter.validate_python,
        )

    async def now(self) -> datetime:
        """The time at this step, in UTC; the same one whenever the code is run again."""

        async def live(_: object) -> datetime:
            return workflow.now()

        return await self._enrollment.step(
            "now", live, dump=datetime.isoformat, load=datetime.fromisoformat
        )

    def note(self, what: str) -> None:
        """Add a line to the story that support staff read. Not a step: it may be said again."""
        self._enrollment.note(what)

    # What Temporal calls.

    @workflow.update(
        name=ANSWER_TASK,
        description="Answer a task that this journey asks of a person. Example: "
        '{"choice": "reached", "by": "your name"}',
    )
    async def _answer_task(self, raw: RawValue = None) -> dict[str, str]:  # type: ignore[assignment]
        return await self._people.take(raw)

    @_answer_task.validator
    def _check_answer(self, raw: RawValue = None) -> None:  # type: ignore[assignment]
        self._people.check(raw)

    @workflow.query(
        name="status", description="Where the customer stands, what is awaited, what was heard."
    )
    def _status(self) -> dict[str, Any]:
        return self._enrollment.status()

    @workflow.signal(dynamic=True, description="Anything else: noted, and without effect.")
    def _anything(self, name: str, _: Sequence[RawValue]) -> None:
        self.note(f"⚠ signal **{name}** is not one that this journey knows; ignored")

    def _receive(self, name: str | None, raw: RawValue | None) -> None:
        try:
            envelopes = read_envelopes(name, raw)
        except Unreadable as error:
            self.note(f"⚠ a signal **{name or SEVERAL}** could not be read and is ignored: {error}")
            return
        self._enrollment.hear(envelopes)

    def _check_declared(self, *events: type[Event]) -> None:
        for event in events:
            if event not in self.declaration.keeps:
                raise undeclared(type(self), event)

    async def _assigned(
        self, name: str, weights: dict[str, float], kind: Literal["split", "holdout"]
    ) -> str:
        async def live(_: object) -> str:
            request = Assignment(
                customer_id=self.customer_id,
                enrollment_id=self._enrollment.start.enrollment_id,
                journey=self.declaration.name,
                name=name,
                weights=weights,
                kind=kind,
            )
            variant = await self._enrollment.call(
                short_call(ExperimentActivities.assign, request, f"{kind} {name!r}")
            )
            self._enrollment.note(f"⑂ {name}: **{variant}**")
            return variant

        return await self._enrollment.step(f"{kind}_{name}", live, dump=_same, load=_same)

    async def _look_up(self) -> Customer:
        return await self._enrollment.call(
            short_call(CustomerActivities.look_up, self.customer_id, "look up the customer")
        )


def _same(value: T) -> T:
    return value


def _drive_by(cls: type, authored: Callable[[Any, Any], Awaitable[Outcome]]) -> None:
    """Let Temporal start the journey with a `Start`, and the author's code with its event."""

    # Its parameters must be written as __init__'s are: `self` bare, `start` unused.
    async def run(self, start: Start) -> Outcome:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG001
        journey: Journey[Any, Any] = self
        trigger = journey.declaration.read(journey._enrollment.start.events[0])  # noqa: SLF001
        return await drive(journey._enrollment, cls.__name__, lambda: authored(journey, trigger))  # noqa: SLF001

    run.__qualname__ = f"{cls.__qualname__}.run"
    run.__module__ = cls.__module__
    run.__doc__ = authored.__doc__
    cls.run = workflow.run(run)  # type: ignore[attr-defined]
