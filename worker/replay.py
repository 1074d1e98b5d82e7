"""Plays open journeys again from their histories, with the code at hand (G8)."""

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from infra.database.live import LiveEnrollment
from journeys.catalog import Catalog
from worker.sandbox import sandbox

_DONE = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED

# The SDK says why in the words of its core, which are a structure as Rust prints it.
_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_TYPE = re.compile(r'r#type: "(\w+)"')


@dataclass(frozen=True, slots=True)
class Replayed:
    """An enrollment whose history was played again.

    Attributes:
        why_not: why its journey would park with this code; None where it goes on.
        untried: there is nothing to play yet: its run has just begun, or has been parked since.
    """

    enrollment: LiveEnrollment
    why_not: str | None = None
    untried: bool = False


async def replay(
    client: Client, catalog: Catalog, enrollments: AsyncIterable[LiveEnrollment]
) -> AsyncIterator[Replayed]:
    """Play enrollments again, as a worker with this code would that takes them over.

    Histories are read, and that is all: nothing is told to Temporal, and no activity is done.

    Args:
        client: as the worker's.
        catalog: the journeys of this code.
        enrollments: which ones. One whose workflow is gone meanwhile is passed over.

    Raises:
        RPCError: Temporal does not answer.
    """
    known = {cls.declaration.name for cls in catalog.workflows}
    under_way: dict[str, LiveEnrollment] = {}
    aside: list[Replayed] = []

    async def histories() -> AsyncIterator[WorkflowHistory]:
        async for enrollment in enrollments:
            if enrollment.journey not in known:
                aside.append(Replayed(enrollment, "there is no such journey in this code"))
                continue
            handle = client.get_workflow_handle(enrollment.workflow_id)
            try:
                history = await handle.fetch_history()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                continue
            if not any(event.event_type == _DONE for event in history.events):
                # The SDK would wait for ever for what is to come.
                aside.append(Replayed(enrollment, untried=True))
                continue
            under_way[enrollment.workflow_id] = enrollment
            yield history

    replayer = Replayer(
        workflows=catalog.workflows,
        workflow_runner=sandbox(),
        namespace=client.namespace,
        data_converter=client.data_converter,
        runtime=_quiet(),
    )
    async with replayer.workflow_replay_iterator(histories()) as results:
        async for result in results:
            enrollment, failure = under_way.pop(result.history.workflow_id), result.replay_failure
            yield Replayed(enrollment, None if failure is None else why(failure))
    for replayed in aside:
        yield replayed


def why(failure: Exception) -> str:
    """Why a replay failed, in a line."""
    told = str(failure)
    message = _MESSAGE.search(told)
    if message is None:
        return " ".join(told.split())
    text = re.sub(r"\\(.)", lambda each: " " if each[1] == "n" else each[1], message[1])
    kind = _TYPE.search(told)
    return f"{kind[1]}: {text}" if kind else text


def _quiet() -> Runtime:
    """A runtime that says nothing of replays that fail: whoever asks for them is told."""
    level = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=level)))
