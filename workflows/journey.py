"""A journey: a Temporal workflow about one customer, written as the story it tells."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Generic, cast

from pydantic import BaseModel, TypeAdapter
from temporalio import workflow
from temporalio.common import RawValue
from typing_extensions import TypeVar

from domain.enrollments import AFTER_EXIT, PerDay, ReEntry, Start
from domain.events import Event, JourneyEnded
from domain.messages import Cap
from domain.outcomes import Outcome
from domain.schedules import Schedule
from domain.tasks import ANSWER_TASK
from workflows.declaration import UNSAID, ClassLine, Takes, declare
from workflows.driver import drive
from workflows.enrollment import Enrollment
from workflows.inbox import Unreadable, read_envelopes
from workflows.journal import Rounds
from workflows.parameters import Parameters
from workflows.people import People
from workflows.sending import Sender
from workflows.signals import SEVERAL, add_signals
from workflows.verbs.asking import Asks
from workflows.verbs.leading import Leads
from workflows.verbs.several import HearsSeveral
from workflows.verbs.telling import Tells
from workflows.verbs.timing import Waits

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound=Parameters, default=Parameters)
T = TypeVar("T")


class Journey(HearsSeveral, Leads, Waits, Asks, Tells, ABC, Generic[E, P]):
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
        key: the business key of the event that starts it: one enrollment a cart, an order, …;
            None for one at a time.
        where: whether an event of the type starts it at all.
        re_entry: when a customer may enter again with the same key.
        entries_per_day: how many enrollments it takes in a day, all customers together; a
            number is in days of UTC.
        schedule: when customers enter it by the clock, with a `ScheduledEntry`.

    Attributes:
        declaration: what the class declares.
        parameters: this enrollment's parameters, as fixed at its entry.
    """

    parameters: P

    def __init_subclass__(
        cls,
        *,
        listens: Sequence[type[Event]] = (),
        key: Takes[E, str] | None = UNSAID,
        where: Takes[E, bool] | None = None,
        re_entry: ReEntry = AFTER_EXIT,
        entries_per_day: int | PerDay | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """Check what the journey declares and give it its signals and its driver.

        Raises:
            JourneyError: something is missing or wrong; the sentence says what to write.
        """
        super().__init_subclass__()
        if "run" not in cls.__dict__:
            return
        line = ClassLine(tuple(listens), key, where, re_entry, entries_per_day, schedule)
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
        self._people = People(self._enrollment, self._sender)

    @abstractmethod
    async def run(self, event: E, /) -> Outcome:
        """Take the customer through the journey."""

    @property
    def entered_at(self) -> datetime:
        """When the enrollment began, in UTC."""
        return self._enrollment.entered_at

    @property
    def cap(self) -> Cap:
        """The pressure limit that this journey's promotional messages respect."""
        return self.parameters.cap

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
            work: does it. Steps of the journey's within it are part of it. What it raises, it
                raises again in a new run: Temporal's errors, and those whose arguments are
                plain.
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

    def note(self, what: str) -> None:
        """Add a line to the story that support staff read."""
        self._enrollment.remark(what)

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
        self._enrollment.note(f"⚠ signal **{name}** is not one that this journey knows; ignored")

    def _receive(self, name: str | None, raw: RawValue | None) -> None:
        try:
            envelopes = read_envelopes(name, raw)
        except Unreadable as error:
            what = f"⚠ a signal **{name or SEVERAL}** could not be read and is ignored: {error}"
            self._enrollment.note(what)
            return
        self._enrollment.hear(envelopes)


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
