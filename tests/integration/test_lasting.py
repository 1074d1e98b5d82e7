"""Long lives on the real server and store: people, other journeys, and very many events.

`make endure` plays the last one with 100,000 events and prints its figures.
"""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil
import pytest
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.messaging import MessagingActivities
from domain.outcomes import Outcome
from infra.channels import ConfiguredEndpoints
from infra.database.gate import PostgresGate
from journeys.catalog import Catalog
from rehearsal import PlainRenderer, RecordingChannel
from tests.api import Api, running_api
from tests.integration.lasting import AsksSales, AsksUntilBought, Endures, LeadsThrough, Led
from tests.patience import PATIENCE, eventually
from worker.process import build_workers
from workflows import Journey

EVENTS = int(os.environ.get("SOJOURN_ENDURE", "3000"))
_BATCH = 100
_LONGEST = 12_000  # events, where Temporal suggests a new run at some 4,000
_GROWN = 400  # MB
_SHORT = 10_000  # events: below that runs are short, so that there are some


@contextlib.asynccontextmanager
async def running(
    database_url: str,
    temporal: WorkflowEnvironment,
    *journeys: type[Journey[Any, Any]],
    run_length: int | None,
) -> AsyncIterator[Api]:
    """The API with its relay, and workers, for these journeys."""
    address = temporal.client.service_client.config.target_host
    catalog = Catalog(journeys)
    async with contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(
            running_api(
                database_url,
                temporal_address=address,
                relay=True,
                catalog=catalog,
                run_length=run_length,
            )
        )
        gate = PostgresGate(api.pool, ConfiguredEndpoints({}))
        messaging = MessagingActivities(gate, PlainRenderer(), {"push": RecordingChannel("push")})
        for worker in build_workers(temporal.client, catalog, messaging, api.pool):
            await stack.enter_async_context(worker)
        yield api


async def _handle(api: Api, temporal: WorkflowEnvironment, journey: str) -> Any:
    workflow_id = await api.pool.fetchval(
        "select workflow_id from enrollment where journey = $1", journey
    )
    return temporal.client.get_workflow_handle(workflow_id, result_type=Outcome)


async def _reason(handle: WorkflowHandle[Any, Outcome], patience: float = PATIENCE) -> str:
    async with asyncio.timeout(patience):
        return (await handle.result()).reason


@dataclass
class Seen:
    """The most that was seen.

    Attributes:
        history: events in the history of one run.
        size: its bytes.
        grown: MB by which this process, with the API, relay and workers in it, had grown.
    """

    history: int = 0
    size: int = 0
    grown: float = 0


async def _watch(handle: WorkflowHandle[Any, Any], seen: Seen) -> None:
    """Look every now and then."""
    process = psutil.Process()
    before = process.memory_info().rss
    while True:
        with contextlib.suppress(RPCError):  # it has not begun
            info = (await handle.describe()).raw_description.workflow_execution_info
            seen.history = max(seen.history, info.history_length)
            seen.size = max(seen.size, info.history_size_bytes)
        seen.grown = max(seen.grown, (process.memory_info().rss - before) / 1e6)
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("run_length", [None, 0])
async def test_an_answer_by_the_api_is_an_update_and_the_journey_goes_on(
    database_url: str, temporal: WorkflowEnvironment, run_length: int | None
) -> None:
    async with running(database_url, temporal, AsksSales, run_length=run_length) as api:
        await api.track("cart_abandoned", {"cart_id": "c1"})

        async def asked() -> list[dict[str, Any]]:
            tasks: list[dict[str, Any]] = (await api.get("/tasks", role="sales")).json()["tasks"]
            return tasks

        (task,) = await eventually(asked)
        bad = await api.post(f"/tasks/{task['id']}/answer", {"answer": "maybe", "by": "Ben"})
        assert bad.status_code >= 400
        good = await api.post(f"/tasks/{task['id']}/answer", {"answer": "yes", "by": "Ben"})
        assert good.status_code == 200, good.text
        await api.track("purchase_made", {"order_id": "o1"})
        handle = await _handle(api, temporal, "asks_sales")
        assert await _reason(handle) == "c1: yes by Ben, o1"
        assert (await api.get(f"/tasks/{task['id']}")).json()["state"] == "answered"


async def _reset(handle: WorkflowHandle[Any, Any], temporal: WorkflowEnvironment) -> None:
    """Back to the first task, as if nothing had been heard since."""
    first_task = next(
        event.event_id
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    execution = (await handle.describe()).raw_description.workflow_execution_info.execution
    await temporal.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=temporal.client.namespace,
            workflow_execution=execution,
            reason="a test",
            workflow_task_finish_event_id=first_task,
            request_id=uuid.uuid4().hex,
            reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL],
        )
    )


async def test_16_after_a_reset_that_leaves_out_what_was_heard_a_person_can_still_answer(
    database_url: str, temporal: WorkflowEnvironment
) -> None:
    async with running(database_url, temporal, AsksUntilBought, run_length=None) as api:
        await api.track("cart_abandoned", {"cart_id": "c1"})

        async def tasks(state: str) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await api.get("/tasks", state=state)).json()["tasks"]
            return found

        (task,) = await eventually(partial(tasks, "open"))
        await api.track("purchase_made", {"order_id": "o1"})
        await eventually(partial(tasks, "withdrawn"))
        handle = await _handle(api, temporal, "asks_until_bought")
        await _reset(handle, temporal)
        assert [again["id"] for again in await eventually(partial(tasks, "open"))] == [task["id"]]
        answer = await api.post(f"/tasks/{task['id']}/answer", {"answer": "yes", "by": "Ben"})
        assert answer.status_code == 200, answer.text
        assert await _reason(handle) == "c1: yes by Ben"
        told = [item["summary"] for item in await api.about("timeline", kind="task")]
        assert "Call her: asked again of sales" in told
        history = (await api.get(f"/tasks/{task['id']}")).json()["history"]
        assert [step["what"] for step in history] == [
            "opened",
            "withdrawn",
            "reopened",
            "answered",
        ]


@pytest.mark.parametrize("run_length", [None, 0])
async def test_a_journey_goes_through_another_and_hears_its_end(
    database_url: str, temporal: WorkflowEnvironment, run_length: int | None
) -> None:
    async with running(database_url, temporal, LeadsThrough, Led, run_length=run_length) as api:
        await api.track("cart_abandoned", {"cart_id": "lead"})

        async def led() -> int:
            there: int = await api.pool.fetchval(
                "select count(*) from enrollment where journey = 'led' and run_id is not null"
            )
            return there

        await eventually(led)
        await api.track("purchase_made", {"order_id": "o1"})
        handle = await _handle(api, temporal, "leads_through")
        assert await _reason(handle) == "converted: lead on o1"


async def test_g7_a_journey_hears_very_many_events_each_once_and_in_order(
    database_url: str, temporal: WorkflowEnvironment
) -> None:
    run_length = 30 if EVENTS < _SHORT else None
    async with running(database_url, temporal, Endures, run_length=run_length) as api:
        await api.track("cart_abandoned", {"cart_id": "c1"})
        handle = await _handle(api, temporal, "endures")
        seen = Seen()
        watching = asyncio.create_task(_watch(handle, seen))
        began = time.monotonic()
        names = [*map(str, range(EVENTS)), "last"]
        for start in range(0, len(names), _BATCH):
            items = [
                {
                    "type": "track",
                    "userId": "u1",
                    "messageId": f"m{order_id}",
                    "event": "purchase_made",
                    "properties": {"order_id": order_id},
                }
                for order_id in names[start : start + _BATCH]
            ]
            await api.receipts(items)
        accepted = time.monotonic() - began
        reason = await _reason(handle, PATIENCE + EVENTS / 50)
        took = time.monotonic() - began
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        status = await handle.query("status")
        print(  # noqa: T201 - the figures of `make endure`
            f"\n{EVENTS:,} events: accepted in {accepted:.0f} s, heard in {took:.0f} s, "
            f"{status['run']} runs; {seen}"
        )
    assert reason == f"c1: {EVENTS} heard, 0 wrong"
    assert status["heard"] == EVENTS + 2
    assert status["run"] > 1
    assert seen.history < _LONGEST
    assert seen.grown < _GROWN
