"""Journeys on the real server and store, steered or broken from outside (semantics 16, 17)."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.enrollments import EnrollmentActivities
from activities.messaging import MessagingActivities
from domain.enrollments import Start
from domain.events import CartAbandoned, Envelope, PurchaseMade
from infra.database.pool import Pool
from infra.relay import Relay
from journeys.abandoned_cart import AbandonedCart, CartParameters
from journeys.catalog import Catalog
from rehearsal import PlainRenderer, RecordingChannel
from tests.patience import eventually
from tests.worlds import PostgresWorld, postgres_world, track
from worker.process import build_workers
from workflows import Journey, Outcome

CART = CartAbandoned(cart_id="cart-of-this-test")
_AT = "2026-01-01T00:00:00+00:00"
_WAIT = timedelta(seconds=5)
"""Long enough for a worker to end meanwhile."""
_LONG = timedelta(minutes=5)


@pytest.fixture
async def channel() -> RecordingChannel:
    """A provider that takes everything."""
    return RecordingChannel("push")


@pytest.fixture
async def world(pool: Pool) -> PostgresWorld:
    """A customer with a push token."""
    return await postgres_world(pool)


@pytest.fixture
def run_length() -> int | None:
    """How long runs are; by default as Temporal suggests."""
    return None


@pytest.fixture
async def running(
    world: PostgresWorld,
    temporal: WorkflowEnvironment,
    channel: RecordingChannel,
    run_length: int | None,
) -> AsyncIterator[None]:
    """A worker and a relay over the real parts."""
    messaging = MessagingActivities(world.gate, PlainRenderer(), {"push": channel})
    relay = Relay(world.pool, temporal.client, run_length=run_length)
    async with contextlib.AsyncExitStack() as stack:
        for worker in build_workers(
            temporal.client, Catalog([AbandonedCart]), messaging, world.pool
        ):
            await stack.enter_async_context(worker)
        carrying = asyncio.create_task(relay.run())
        yield
        carrying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await carrying


async def _enroll(
    world: PostgresWorld, temporal: WorkflowEnvironment, **parameters: timedelta
) -> WorkflowHandle[Any, Any]:
    entry = AbandonedCart.declaration.entry(CART, CartParameters(**parameters))
    assert entry is not None
    await world.accept(track(world.user_id, CART, entry))
    workflow_id = await world.pool.fetchval(
        "select workflow_id from enrollment where customer_id = $1 and key = $2",
        world.customer_id,
        CART.cart_id,
    )
    handle = temporal.client.get_workflow_handle(workflow_id)

    async def there() -> bool:
        with contextlib.suppress(Exception):
            return bool(await handle.describe())
        return False

    await eventually(there)
    return handle


@pytest.mark.parametrize("run_length", [None, 0])
@pytest.mark.usefixtures("running")
async def test_16_a_reset_sends_nothing_a_second_time_and_hears_again(
    world: PostgresWorld, temporal: WorkflowEnvironment, channel: RecordingChannel
) -> None:
    handle = await _enroll(world, temporal, patience=timedelta(milliseconds=200))

    async def run_id() -> str:
        return str(
            await world.pool.fetchval(
                "select coalesce(run_id, '') from enrollment where workflow_id = $1", handle.id
            )
        )

    first_run = await eventually(run_id)

    async def sent() -> bool:
        return len(channel.parcels) == 1

    await eventually(sent)
    first_task = next(
        event.event_id
        for event in (
            await temporal.client.get_workflow_handle(handle.id, run_id=first_run).fetch_history()
        ).events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    await temporal.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=temporal.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=first_run),
            reason="a test",
            workflow_task_finish_event_id=first_task,
            request_id=uuid.uuid4().hex,
        )
    )

    async def story_says_sent() -> bool:
        status = await handle.query("status")
        return "sent by push" in status["story"]

    await eventually(story_says_sent)
    assert len(channel.parcels) == 1
    await world.acknowledge(PurchaseMade(order_id="o1", cart_id=CART.cart_id))

    async def ended() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

    await eventually(ended)
    assert len(channel.parcels) == 1


@pytest.mark.usefixtures("running")
async def test_16_cancelling_in_temporal_is_recorded_in_the_store(
    world: PostgresWorld, temporal: WorkflowEnvironment
) -> None:
    handle = await _enroll(world, temporal)
    await handle.cancel()

    async def outcome() -> Any:
        return await world.pool.fetchval(
            "select outcome from enrollment where workflow_id = $1", handle.id
        )

    assert await eventually(outcome) == "cancelled"


@workflow.defn(name="Mended")
class _Broken(Journey[CartAbandoned], listens=[PurchaseMade]):
    """A journey with a bug."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Divide by zero."""
        return Outcome.completed(str(1 // len(cart.cart_id[:0])))


@workflow.defn(name="Mended")
class _Mended(Journey[CartAbandoned], listens=[PurchaseMade]):
    """The same without."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Hear what was kept meanwhile."""
        purchase = await self.wait_for(PurchaseMade, timeout=_WAIT)
        return Outcome.completed(f"{purchase and purchase.order_id} {cart.cart_id}")


@workflow.defn(name="MendedLater")
class _BrokenLater(Journey[CartAbandoned], listens=[PurchaseMade]):
    """A journey with a bug behind its second wait."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Divide by zero."""
        await self.wait_for(PurchaseMade, timeout=_LONG)
        await self.wait_for(PurchaseMade, timeout=_LONG)
        return Outcome.completed(str(1 // len(cart.cart_id[:0])))


@workflow.defn(name="MendedLater")
class _MendedLater(Journey[CartAbandoned], listens=[PurchaseMade]):
    """The same without."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say what was taken in the runs before, and hear what was kept meanwhile."""
        said = [cart.cart_id]
        for _ in range(3):
            purchase = await self.wait_for(PurchaseMade, timeout=_LONG)
            said.append(purchase.order_id if purchase else "nothing")
        return Outcome.completed(" ".join(said))


@workflow.defn
class _TimesOut(Journey[CartAbandoned]):
    """A journey that forgets that a wait of Temporal's own raises at its timeout."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """A bug, too."""
        await self.step(
            "wait",
            type(None),
            lambda: workflow.wait_condition(lambda: not cart.cart_id, timeout=0.1),
        )
        return Outcome.completed()


def _start(world: PostgresWorld, run_length: int | None = None) -> Start:
    return Start(
        enrollment_id=world.enrollment_id,
        customer_id=world.customer_id,
        journey="mended",
        parameters={},
        events=[Envelope(1, "cart_abandoned", "e1", _AT, {"cart_id": "c"})],
        run_length=run_length,
    )


def _worker(
    world: PostgresWorld, temporal: WorkflowEnvironment, queue: str, journey: type
) -> Worker:
    return Worker(
        temporal.client,
        task_queue=queue,
        workflows=[journey],
        activities=[EnrollmentActivities(world.enrollments, Catalog([])).end],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    )


async def test_2_an_event_and_a_timer_due_in_the_same_task_the_event_wins(
    world: PostgresWorld, temporal: WorkflowEnvironment
) -> None:
    queue = f"waits-{uuid.uuid4().hex}"
    async with _worker(world, temporal, queue, _Mended):
        handle = await temporal.client.start_workflow(
            "Mended", _start(world), id=f"waits/{uuid.uuid4()}", task_queue=queue
        )

        async def waiting() -> bool:
            events = (await handle.fetch_history()).events
            return any(e.event_type == EventType.EVENT_TYPE_TIMER_STARTED for e in events)

        await eventually(waiting)

    async def fired() -> bool:
        events = (await handle.fetch_history()).events
        return any(e.event_type == EventType.EVENT_TYPE_TIMER_FIRED for e in events)

    await eventually(fired)  # nobody is there to see it
    await world.acknowledge(PurchaseMade(order_id="o1"))
    await handle.signal(
        "purchase_made", [Envelope(2, "purchase_made", "e2", _AT, {"order_id": "o1"})]
    )
    async with _worker(world, temporal, queue, _Mended):
        assert (await handle.result())["reason"] == "o1 c"


async def test_17_a_bug_parks_the_journey_until_the_fix_is_deployed(
    world: PostgresWorld, temporal: WorkflowEnvironment
) -> None:
    queue = f"mended-{uuid.uuid4().hex}"
    async with _worker(world, temporal, queue, _Broken):
        handle = await temporal.client.start_workflow(
            "Mended", _start(world), id=f"mended/{uuid.uuid4()}", task_queue=queue
        )

        async def failing() -> bool:
            description = (await handle.describe()).raw_description
            return description.pending_workflow_task.attempt > 1

        await eventually(failing)
    await world.acknowledge(PurchaseMade(order_id="o1"))
    await handle.signal(
        "purchase_made", [Envelope(2, "purchase_made", "e2", _AT, {"order_id": "o1"})]
    )
    async with _worker(world, temporal, queue, _Mended):
        assert (await handle.result())["reason"] == "o1 c"
    row = await world.pool.fetchrow(
        "select state, outcome from enrollment where id = $1", world.enrollment_id
    )
    assert (row["state"], row["outcome"]) == ("ended", "completed")


async def test_17_a_bug_in_a_later_run_parks_the_journey_and_the_fixed_code_goes_on_from_there(
    world: PostgresWorld, temporal: WorkflowEnvironment
) -> None:
    queue = f"mended-later-{uuid.uuid4().hex}"

    async def buys(number: int) -> None:
        order = {"order_id": f"o{number}"}
        await world.acknowledge(PurchaseMade(order_id=f"o{number}"))
        envelope = Envelope(number, "purchase_made", f"e{number}", _AT, order)
        await handle.signal("purchase_made", [envelope])

    async with _worker(world, temporal, queue, _BrokenLater):
        handle = await temporal.client.start_workflow(
            "MendedLater", _start(world, 0), id=f"mended/{uuid.uuid4()}", task_queue=queue
        )
        await buys(2)

        async def in_a_later_run() -> bool:
            status = await handle.query("status")
            return bool(status["run"] > 1 and status["heard"] > 1)

        await eventually(in_a_later_run)
        await buys(3)

        async def failing() -> bool:
            described = await handle.describe()
            assert described.status is WorkflowExecutionStatus.RUNNING
            return described.raw_description.pending_workflow_task.attempt > 1

        await eventually(failing)
    await buys(4)
    async with _worker(world, temporal, queue, _MendedLater):
        assert (await handle.result())["reason"] == "c o2 o3 o4"
    row = await world.pool.fetchrow(
        "select state, outcome from enrollment where id = $1", world.enrollment_id
    )
    assert (row["state"], row["outcome"]) == ("ended", "completed")


async def test_17_a_timeout_that_nobody_caught_is_a_bug_and_parks_the_journey(
    world: PostgresWorld, temporal: WorkflowEnvironment
) -> None:
    queue = f"times-out-{uuid.uuid4().hex}"
    async with _worker(world, temporal, queue, _TimesOut):
        handle = await temporal.client.start_workflow(
            "_TimesOut", _start(world), id=f"times-out/{uuid.uuid4()}", task_queue=queue
        )

        async def failing() -> bool:
            events = (await handle.fetch_history()).events
            return any(e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for e in events)

        await eventually(failing)
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        await handle.terminate()
    state = await world.pool.fetchval(
        "select state from enrollment where id = $1", world.enrollment_id
    )
    assert state == "live"
