"""`sojourn health`: whether a process beside this one does its work.

For container health checks and the curious. It looks from outside: the process itself is
asked where it can be (the api), and otherwise those are asked who would have heard from it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from domain.errors import ConfigurationError
from infra.settings import Settings, load_settings

if TYPE_CHECKING:
    from temporalio.api.taskqueue.v1 import PollerInfo

_PATIENCE = 8.0
_SILENT = timedelta(seconds=30)
"""A relay looks for work four times a second; the pause is for one that is busy."""
_LONGEST_POLL = timedelta(seconds=150)
"""A worker's question to Temporal stays open for up to a minute or so."""

_SESSIONS = """
select count(*) from pg_stat_activity
where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
    and client_addr is not distinct from inet_client_addr()
    and query_start > clock_timestamp() - $1::interval and application_name = $2
"""


class _Unhealthy(Exception):
    """It does not do its work; the text says what is wrong."""


def health(
    process: Annotated[
        Literal["api", "relay", "worker"], typer.Argument(help="Which process to look at.")
    ],
) -> None:
    """Say whether a process here does its work. The exit code is 0 if it does, 1 if not."""
    checks: dict[str, Callable[[Settings], Awaitable[str]]] = {
        "api": _api,
        "relay": _relay,
        "worker": _worker,
    }
    try:
        said = asyncio.run(_within_patience(checks[process](load_settings())))
    except (_Unhealthy, ConfigurationError) as trouble:
        typer.echo(f"{process}: {trouble}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{process}: {said}")


async def _within_patience(check: Awaitable[str]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check
    except TimeoutError:
        raise _Unhealthy(f"no answer within {_PATIENCE:.0f} s") from None


async def _api(settings: Settings) -> str:
    """Ask the api. It is healthy while it can accept events, Temporal or not."""
    import httpx  # noqa: PLC0415 -- each check imports only what it needs

    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_PATIENCE) as client:
            answer = await client.get(f"http://{host}:{settings.api_port}/health/ready")
    except httpx.HTTPError as error:
        raise _Unhealthy(f"does not answer: {str(error) or type(error).__name__}") from None
    if answer.status_code != HTTPStatus.OK:
        raise _Unhealthy(f"not ready: {answer.text}")
    return answer.text


async def _relay(settings: Settings) -> str:
    """Ask PostgreSQL whether a relay here asked it something lately."""
    import asyncpg  # noqa: PLC0415

    from infra.database.pool import session_name  # noqa: PLC0415

    try:
        connection = await asyncpg.connect(settings.required_database_url(), timeout=_PATIENCE)
        try:
            sessions = await connection.fetchval(_SESSIONS, _SILENT, session_name("relay"))
        finally:
            await connection.close()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _Unhealthy(f"PostgreSQL does not answer: {error}") from None
    if not sessions:
        raise _Unhealthy(f"has not looked for work for {_SILENT.seconds} s")
    return "looks for work"


async def _worker(settings: Settings) -> str:
    """Ask Temporal whether a worker on this host asked it for work lately."""
    from temporalio.api.enums.v1 import TaskQueueType  # noqa: PLC0415
    from temporalio.api.taskqueue.v1 import TaskQueue  # noqa: PLC0415
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest  # noqa: PLC0415
    from temporalio.service import RPCError  # noqa: PLC0415

    from infra.temporal import connect  # noqa: PLC0415
    from workflows.queues import JOURNEYS, SENDS  # noqa: PLC0415

    workflow, activity = (
        TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    try:
        client = await connect(settings)
        for queue, kind in [(JOURNEYS, workflow), *((q, activity) for q in set(SENDS.values()))]:
            answer = await client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=client.namespace,
                    task_queue=TaskQueue(name=queue),
                    task_queue_type=kind,
                )
            )
            if not any(_ours(poller) for poller in answer.pollers):
                raise _Unhealthy(f"has not asked {queue} for work lately")
    except (RPCError, RuntimeError) as error:
        raise _Unhealthy(f"Temporal does not answer: {error}") from None
    return "asks for work"


def _ours(poller: "PollerInfo") -> bool:
    asked = poller.last_access_time.ToDatetime(tzinfo=UTC)
    here = poller.identity.endswith(f"@{socket.gethostname()}")
    return here and datetime.now(UTC) - asked < _LONGEST_POLL
