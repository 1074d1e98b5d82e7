"""Journeys that ask people and lead into others: real API, store, relay, worker and Temporal."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.messaging import MessagingActivities
from domain.events import CartAbandoned, PurchaseMade
from infra.database.pool import Pool
from infra.relay import Relay
from infra.watch import Watch
from journeys.catalog import Catalog
from rehearsal import PlainRenderer
from tests.api import Api, running_api
from tests.integration.leading import CallHer, Care, ThroughCare, ToCare
from tests.patience import eventually
from tests.worlds import PostgresWorld, postgres_world, track
from worker.process import build_workers
from workflows import Journey, Outcome


@dataclass
class Live:
    world: PostgresWorld
    api: Api
    temporal: WorkflowEnvironment

    async def enroll(self, journey: type[Journey[Any, Any]]) -> WorkflowHandle[Any, Outcome]:
        cart = CartAbandoned(cart_id="c1")
        entry = journey.declaration.entry(cart, journey.declaration.parameters())
        assert entry is not None
        await self.world.accept(track(self.world.user_id, cart, entry))
        return await self.handle(journey.declaration.name)

    async def handle(self, name: str) -> WorkflowHandle[Any, Outcome]:
        async def there() -> Any:
            return await self.world.pool.fetchval(
                "select workflow_id from enrollment where journey = $1 and run_id is not null"
                " order by created_at desc limit 1",
                name,
            )

        return self.temporal.client.get_workflow_handle(
            await eventually(there), result_type=Outcome
        )

    async def task(self) -> dict[str, Any]:
        async def asked() -> Any:
            return (await self.api.get("/tasks", state="open")).json()["tasks"]

        found: list[dict[str, Any]] = await eventually(asked)
        return found[0]


@pytest.fixture
async def live(pool: Pool, database_url: str, temporal: WorkflowEnvironment) -> AsyncIterator[Live]:
    world = await postgres_world(pool)
    await pool.execute("delete from backlog")  # its own enrollment: no worker here knows that
    address = temporal.client.service_client.config.target_host
    messaging = MessagingActivities(world.gate, PlainRenderer(), {})
    relay = Relay(pool, temporal.client)
    async with contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(running_api(database_url, temporal_address=address))
        for one in build_workers(
            temporal.client, Catalog([CallHer, Care, ThroughCare, ToCare]), messaging, pool
        ):
            await stack.enter_async_context(one)
        carrying = asyncio.create_task(relay.run())
        yield Live(world, api, temporal)
        carrying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await carrying


async def test_of_several_answers_at_once_one_reaches_the_journey(live: Live) -> None:
    handle = await live.enroll(CallHer)
    task = await live.task()
    body = {"answer": "yes", "by": "Ben"}
    answers = await asyncio.gather(
        *(live.api.post(f"/tasks/{task['id']}/answer", body) for _ in range(3)),
        live.api.post(f"/tasks/{task['id']}/answer", {"answer": "no", "by": "Eve"}),
    )
    assert sorted(a.status_code for a in answers) in ([200, 200, 200, 409], [200, 409, 409, 409])
    task = (await live.api.get(f"/tasks/{task['id']}")).json()
    said = f"{task['by']}: {task['answer']['choice']}"
    assert (await handle.result()).reason == said


async def test_16_a_reset_after_the_answer_asks_nobody_again(live: Live) -> None:
    handle = await live.enroll(CallHer)
    task = await live.task()
    answer = await live.api.post(f"/tasks/{task['id']}/answer", {"answer": "yes", "by": "Ben"})
    assert answer.status_code == 200, answer.text
    first = next(
        e.event_id
        for e in (await handle.fetch_history()).events
        if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    await live.temporal.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=live.temporal.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            reason="a test",
            workflow_task_finish_event_id=first,
            request_id=uuid.uuid4().hex,
        )
    )
    async with asyncio.timeout(20):
        assert (await handle.result()).reason == "Ben: yes"


async def test_a_journey_goes_on_when_the_one_that_it_led_into_has_ended(live: Live) -> None:
    parent = await live.enroll(ThroughCare)
    child = await live.handle("care")
    await live.world.acknowledge(PurchaseMade(order_id="o1"))
    assert (await child.result()).reason == "c1, o1"
    async with asyncio.timeout(20):
        assert (await parent.result()).reason == "converted: c1, o1"


async def test_16_a_journey_goes_on_when_the_one_that_it_led_into_was_terminated(
    live: Live,
) -> None:
    parent = await live.enroll(ThroughCare)
    child = await live.handle("care")
    await child.terminate()
    await live.world.pool.execute("update enrollment set verified_at = now() - interval '1 day'")
    await Watch(live.world.pool, live.temporal.client).look()
    async with asyncio.timeout(20):
        assert (await parent.result()).reason.startswith("terminated: its workflow was terminated")


async def test_a_hand_over_begins_the_other_journey_as_this_one_ends(live: Live) -> None:
    first = await live.enroll(ToCare)
    assert (await first.result()).reason == "handed over to care"
    child = await live.handle("care")
    await live.world.acknowledge(PurchaseMade(order_id="o1"))
    assert (await child.result()).reason == "c1, o1"


async def test_16_cancelling_withdraws_what_was_asked(live: Live) -> None:
    handle = await live.enroll(CallHer)
    task = await live.task()
    await handle.cancel()

    async def withdrawn() -> bool:
        now = (await live.api.get(f"/tasks/{task['id']}")).json()
        return bool(now["state"] == "withdrawn")

    await eventually(withdrawn)
    answer = await live.api.post(f"/tasks/{task['id']}/answer", {"answer": "yes", "by": "Ben"})
    assert answer.status_code == 410
