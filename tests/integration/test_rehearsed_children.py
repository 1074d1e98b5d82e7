"""Workflows and their children, in a rehearsal and on Temporal's server."""

from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus as Status
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from rehearsal.clock import Clock
from rehearsal.engine import Engine
from rehearsal.protocol.values import CONVERTER
from tests.patience import eventually
from tests.unit.family_specimens import POLICIES, Errand, Leaves, LetsGo, Shouts


def rehearsed(cls: type, workflow_id: str, argument: Any) -> Engine:
    engine = Engine(Clock(datetime(2026, 1, 5, tzinfo=UTC)), {}, workflows={"Errand": Errand})
    engine.start(cls, workflow_id, argument)
    return engine


def worker(temporal: WorkflowEnvironment) -> Worker:
    return Worker(
        temporal.client,
        task_queue="children",
        workflows=[Errand, Leaves, LetsGo, Shouts],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def _status(handle: WorkflowHandle[Any, Any]) -> Status | None:
    try:
        return (await handle.describe()).status
    except RPCError:  # it is not there yet
        return None


async def _is_asked_to_stop(handle: WorkflowHandle[Any, Any]) -> bool:
    events = (await handle.fetch_history()).events
    return any(e.HasField("workflow_execution_cancel_requested_event_attributes") for e in events)


async def test_what_is_said_to_others_arrives_or_is_answered_as_by_the_server(
    temporal: WorkflowEnvironment,
) -> None:
    async with worker(temporal):
        truth = await temporal.client.execute_workflow(
            Shouts.run, "a thing", id="shouts", task_queue="children"
        )
    engine = rehearsed(Shouts, "shouts", "a thing")
    await engine.settle()
    result = engine.executions["shouts"].result
    assert result is not None
    assert CONVERTER.from_payloads([result], [list[str]]) == [truth]
    assert truth[2:] == ["well", "well"]
    await engine.close()


@pytest.mark.parametrize("kind", ["ABANDON", "TRY_CANCEL"])
async def test_a_child_that_is_let_go_is_as_the_server_has_it(
    temporal: WorkflowEnvironment, kind: str
) -> None:
    name = f"lets go by {kind}"
    engine = rehearsed(LetsGo, name, kind)
    await engine.settle()
    result = engine.executions[name].result
    assert result is not None
    async with worker(temporal):
        truth = await temporal.client.execute_workflow(
            LetsGo.run, kind, id=name, task_queue="children"
        )
        child = temporal.client.get_workflow_handle(f"errand of {name}")
        await eventually(lambda: _status(child), lambda status: status is Status.TERMINATED)
    assert CONVERTER.from_payloads([result], [str]) == [truth]
    assert engine.executions[f"errand of {name}"].status is Status.TERMINATED
    await engine.close()


@pytest.mark.parametrize("how", ["ends", "goes on"])
async def test_what_becomes_of_children_is_what_the_server_makes_of_them(
    temporal: WorkflowEnvironment, how: str
) -> None:
    name = f"leaves and {how}"
    ids = [f"{policy.name} of {name}" for policy in POLICIES]
    engine = rehearsed(Leaves, name, how)
    await engine.settle()

    # One of them tidies up for five minutes, and nobody waits for that here.
    here = [engine.executions[one].status for one in ids]
    assert here == [Status.RUNNING, Status.RUNNING, Status.TERMINATED]
    handles = [temporal.client.get_workflow_handle(one) for one in ids]

    async def there() -> list[Status | None]:
        return [await _status(handle) for handle in handles]

    async with worker(temporal):
        parent = await temporal.client.start_workflow(
            Leaves.run, how, id=name, task_queue="children"
        )
        await eventually(there, lambda answer: answer == here)
        asked = [await _is_asked_to_stop(handle) for handle in handles]
        assert asked == [False, True, False]
        for handle in handles[:2]:
            await handle.terminate()
        if how == "goes on":
            await parent.terminate()
    await engine.close()
