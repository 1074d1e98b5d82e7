"""Notices enrollments whose workflow was terminated, deleted or lost in Temporal (semantics 16).

Nothing is decided from Temporal's list, which lags behind: it only says whom to ask first.
The answer is the workflow's own description.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from domain.temporal_names import JOURNEY
from infra.database.enrollments import PostgresEnrollments
from infra.database.pool import UNREACHABLE, Pool

_log = structlog.get_logger()

_EVERY = 5.0
_MOST = 50
_ROUND = timedelta(minutes=1)
_OVERLAP = timedelta(seconds=30)
_CALL = timedelta(seconds=10)

_BY_WORKFLOW = """
select id, workflow_id from enrollment where state = 'live' and workflow_id = any ($1)
"""

# Started ones only, and a few at a time: those that were not looked at for the longest.
_NEXT = """
update enrollment set verified_at = now()
where id in (
    select id from enrollment
    where state = 'live' and run_id is not null and verified_at < now() - $1::interval
    order by verified_at limit $2 for update skip locked)
returning id, workflow_id
"""

_RUN = "update enrollment set run_id = $2 where id = $1 and run_id is distinct from $2"

_GONE = {
    WorkflowExecutionStatus.TERMINATED: "its workflow was terminated in Temporal",
    WorkflowExecutionStatus.TIMED_OUT: "its workflow timed out in Temporal",
    WorkflowExecutionStatus.FAILED: "its workflow failed in Temporal",
    WorkflowExecutionStatus.CANCELED: "its workflow was cancelled in Temporal",
    WorkflowExecutionStatus.COMPLETED: "its workflow completed without saying so",
}


def is_gone(error: RPCError) -> bool:
    """Whether Temporal says that there is no such workflow, or that it is closed.

    That there is no such namespace is also "not found", and says nothing of the workflow.
    """
    if error.status is not RPCStatusCode.NOT_FOUND:
        return False
    return not any(
        detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details
    )


class Watch:
    """Looks after live enrollments."""

    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client
        self._enrollments = PostgresEnrollments(pool)
        self._since = datetime.now(UTC) - timedelta(days=1)

    async def run(self) -> None:
        """Look, until cancelled. Temporal or PostgreSQL being away is the relay's to report."""
        while True:
            try:
                await self.look()
            except (RPCError, RuntimeError, *UNREACHABLE) as error:  # type: ignore[misc]
                _log.debug("could not look after enrollments", error=str(error))
            except Exception:  # noqa: BLE001 - logged; it must not end the relay beside it
                _log.exception("could not look after enrollments")
            await asyncio.sleep(_EVERY)

    async def look(self) -> int:
        """Look once. Returns how many enrollments were found ended from outside."""
        began = datetime.now(UTC)
        suspects = await self._pool.fetch(_BY_WORKFLOW, await self._closed_lately())
        quiet = await self._pool.fetch(_NEXT, _ROUND, _MOST)
        found = 0
        for row in (*suspects, *quiet):
            found += await self._check(row["id"], row["workflow_id"])
        self._since = began - _OVERLAP
        return found

    async def _closed_lately(self) -> list[str]:
        query = (
            f"{JOURNEY} IS NOT NULL"
            " AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed', 'Canceled')"
            f" AND CloseTime > '{self._since:%Y-%m-%dT%H:%M:%SZ}'"
        )
        return [execution.id async for execution in self._client.list_workflows(query)]

    async def _check(self, enrollment_id: str, workflow_id: str) -> bool:
        try:
            description = await self._client.get_workflow_handle(workflow_id).describe(
                rpc_timeout=_CALL
            )
        except RPCError as error:
            if not is_gone(error):
                raise
            reason: str | None = "its workflow was deleted in Temporal"
        else:
            reason = _GONE.get(description.status) if description.status else None
            # After a reset the journey goes on under another run: links should lead there.
            await self._pool.execute(_RUN, enrollment_id, description.run_id)
        if reason is None:
            return False
        gone = await self._enrollments.ended_outside(enrollment_id, reason)
        if gone:
            _log.warning("a journey was ended from outside", workflow_id=workflow_id, reason=reason)
        return gone
