"""The same stories in a rehearsal and on Temporal's server, in the worker's sandbox.

Everything that a journey's author tests is played in a rehearsal; this holds it to the truth.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.customers import CustomerActivities
from activities.enrollments import EnrollmentActivities
from activities.messaging import MessagingActivities
from domain.enrollments import Start
from domain.events import CartAbandoned, Event, PurchaseMade, TicketClosed, TicketOpened
from domain.messages import Ambiguous, ProviderAnswer, RejectedForGood, RejectedForNow
from domain.outcomes import Outcome
from infra.templates import JinjaRenderer
from journeys.abandoned_cart import AbandonedCart
from journeys.catalog import Catalog
from rehearsal import MemoryStore, Person, Play, RecordingChannel, Rehearsal
from tests.unit import family_specimens as family
from tests.unit import specimens
from worker.sandbox import sandbox
from workflows import Journey
from workflows.queues import JOURNEYS, SENDS

AnyJourney = type[Journey[Any, Any]]

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1", cart_id="c1")
ANOTHER = PurchaseMade(order_id="o2", cart_id="another")
OPENED, CLOSED = TicketOpened(ticket_id="t1"), TicketClosed(ticket_id="t1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHILDREN: list[type] = [family.Errand, family.Stumbles]
_QUIET = 3  # looks in a row


class Course(Protocol):
    """A journey under way, here or there."""

    async def happens(self, event: Event, *, relayed: bool = True) -> None:
        """An event of the customer."""

    async def passes(self, time: timedelta) -> None:
        """Time passes."""

    async def cancel(self) -> None:
        """A person cancels it."""

    async def told(self) -> "Told":
        """Let it end, and tell."""


@dataclass
class Told:
    """What can be seen of a journey from outside."""

    outcome: Outcome | None
    sent: list[str]
    ledger: list[tuple[str, str, str]]
    story: list[str]


def _notes(story: str) -> list[str]:
    """What happened, without the times: a server's are those of its own clock."""
    lines = [line.split("|", 2)[-1] for line in story.splitlines() if line.startswith("| 2")]
    return [line.strip(" |") for line in lines]


@dataclass
class Rehearsed:
    """In a rehearsal."""

    play: Play

    async def happens(self, event: Event, *, relayed: bool = True) -> None:
        await self.play.happens(event, relayed=relayed)

    async def passes(self, time: timedelta) -> None:
        await self.play.passes(time)

    async def cancel(self) -> None:
        await self.play.cancel()

    async def told(self) -> Told:
        await self.play.ends()
        story = _notes(await self.play.story())
        return Told(self.play.outcome, self.play.sent, self.play.who.said(), story)


@dataclass
class Served:
    """On the time-skipping server."""

    environment: WorkflowEnvironment
    who: Person
    handle: WorkflowHandle[Any, Any]
    channels: dict[str, RecordingChannel]

    async def happens(self, event: Event, *, relayed: bool = True) -> None:
        ((envelope,),) = self.who.acknowledge(event).values()
        if relayed:
            await self.handle.signal(envelope.name, [envelope])
            await self._settles()

    async def passes(self, time: timedelta) -> None:
        await self.environment.sleep(time)
        await self._settles()

    async def cancel(self) -> None:
        await self.handle.cancel()

    async def told(self) -> Told:
        with suppress(WorkflowFailureError):
            await self.handle.result()
        (enrollment,) = self.who.enrollments.values()
        story = _notes((await self.handle.query("status"))["story"])
        log = self.channels["push"].log
        sent = [parcel.key.partition("/")[2] for parcel, _ in log]
        return Told(enrollment.outcome, sent, self.who.said(), story)

    async def _settles(self) -> None:
        quiet = 0
        while quiet < _QUIET:
            now = (await self.handle.describe()).raw_description
            busy = now.pending_activities or now.HasField("pending_workflow_task")
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _served(
    environment: WorkflowEnvironment,
    journey: AnyJourney,
    answers: list[ProviderAnswer],
    run_length: int | None,
) -> AsyncIterator[Served]:
    """A journey on the server, with a worker of its own around the same parts."""
    store, log = MemoryStore(), []  # type: ignore[var-annotated]
    channels = {name: RecordingChannel(name, log=log) for name in ("push", "email", "webhook")}
    channels["push"].answers, channels["email"].answers = list(answers), list(answers)
    messaging = MessagingActivities(store, JinjaRenderer(), channels)
    activities: list[Callable[..., Any]] = [
        CustomerActivities(store).look_up,
        EnrollmentActivities(store, Catalog([journey])).end,
        messaging.send,
        messaging.skip,
    ]
    name = journey.declaration.name
    async with AsyncExitStack() as running:
        for queue in {JOURNEYS, *SENDS.values()}:
            worker = Worker(
                environment.client,
                task_queue=queue,
                workflows=[journey, *CHILDREN] if queue == JOURNEYS else [],
                activities=activities,
                workflow_runner=sandbox(),
            )
            await running.enter_async_context(worker)
        who = store.person(addresses={"email": "ada@example.test", "push": "token"})
        entry = journey.declaration.entry(CART, journey.declaration.parameters())
        enrollment = who.enroll("enr_1", CART, entry=entry)
        start = Start(
            enrollment_id=enrollment.enrollment_id,
            customer_id=who.customer_id,
            journey=name,
            parameters=journey.declaration.parameters().model_dump(mode="json"),
            events=enrollment.acknowledged,
            run_length=run_length,
        )
        handle = await environment.client.start_workflow(
            journey.declaration.workflow_type,
            start,
            id=f"parity/{name}/{run_length}",
            task_queue=JOURNEYS,
        )
        served = Served(environment, who, handle, channels)
        await served._settles()
        yield served


async def _nothing(_: Course) -> None:
    pass


async def _is_bought(course: Course) -> None:
    await course.passes(2 * HOUR)
    await course.happens(BOUGHT)


async def _is_held(course: Course) -> None:
    await course.happens(OPENED)
    await course.passes(3 * HOUR)
    await course.happens(CLOSED)


async def _is_bought_unheard(course: Course) -> None:
    await course.happens(BOUGHT, relayed=False)


async def _buys_twice(course: Course) -> None:
    await course.happens(ANOTHER)
    await course.happens(BOUGHT)


async def _is_bought_within_the_hour(course: Course) -> None:
    await course.passes(HOUR / 4)
    await course.happens(BOUGHT)


async def _is_cancelled(course: Course) -> None:
    await course.cancel()


BUSY, GONE = RejectedForNow("busy"), RejectedForGood("gone", address_is_dead=True)

STORIES: list[tuple[AnyJourney, Callable[[Course], Awaitable[None]], list[ProviderAnswer]]] = [
    (AbandonedCart, _nothing, []),
    (AbandonedCart, _is_bought, []),
    (AbandonedCart, _is_held, []),
    (AbandonedCart, _is_bought_unheard, []),
    (AbandonedCart, _nothing, [BUSY, BUSY, BUSY]),
    (specimens.TwoWaits, _buys_twice, []),
    (specimens.Nested, _buys_twice, []),
    (specimens.Everything, _buys_twice, []),
    (specimens.EmptyScope, _buys_twice, []),
    (specimens.OneSend, _nothing, [GONE]),
    (specimens.OneSend, _is_bought, [Ambiguous("lost")]),
    (specimens.OneSendLater, _is_bought_unheard, []),
    (specimens.Receipt, _nothing, [Ambiguous("lost")]),
    (specimens.OwnWaitInScope, _is_bought, []),
    (specimens.CleansUp, _is_cancelled, []),
    (specimens.Fails, _nothing, []),
    (family.Sends, _nothing, []),
    (family.SendsAnother, _nothing, []),
    (family.Stops, _is_bought_within_the_hour, []),
    (family.Hurries, _nothing, []),
]


@pytest.mark.parametrize("run_length", [None, 0])
@pytest.mark.parametrize(("journey", "happens", "answers"), STORIES)
async def test_a_rehearsal_tells_the_story_that_a_server_tells(
    skipping: WorkflowEnvironment,
    journey: AnyJourney,
    happens: Callable[[Course], Awaitable[None]],
    answers: list[ProviderAnswer],
    run_length: int | None,
) -> None:
    async with Rehearsal(workflows=CHILDREN) as rehearsal:
        for name in ("push", "email"):
            rehearsal.channels[name].answers = list(answers)
        play = await rehearsal.play(journey, CART, run_length=run_length)
        here = Rehearsed(play)
        await happens(here)
        async with _served(skipping, journey, answers, run_length) as there:
            await happens(there)
            truth = await there.told()
        assert await here.told() == truth
    assert truth.outcome is not None
    assert truth.story
