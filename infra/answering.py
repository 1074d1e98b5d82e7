"""People's answers to tasks, on their way to the workflows that asked."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from domain.errors import NotNow, Refused
from domain.tasks import ANSWER_TASK, TaskAnswer
from infra.database.pool import Pool
from infra.temporal import is_absent
from infra.watch import is_gone

_WITHIN = timedelta(seconds=10)
_RETRY_AFTER = 2.0

_TASK = """
select t.state, t.choices, t.answer, t.by, e.workflow_id
from task t join enrollment e on e.id = t.enrollment_id where t.id = $1
"""


@dataclass(frozen=True, slots=True)
class _Task:
    state: str
    choices: list[str]
    answer: dict[str, Any] | None
    by: str | None
    workflow_id: str

    def has(self, answer: TaskAnswer) -> bool:
        """Whether this very answer was given."""
        given = (self.answer or {}).get("choice")
        return (self.state, given, self.by) == ("answered", answer.choice, answer.by)


class Answering:
    """Hands people's answers to the workflows that wait for them.

    Args:
        pool: the database.
        client: Temporal; may be lazy.
        within: how long to wait for the workflow to take an answer.
    """

    def __init__(self, pool: Pool, client: Client, *, within: timedelta = _WITHIN) -> None:
        self._pool = pool
        self._client = client
        self._within = within

    async def answer(self, answer: TaskAnswer) -> None:
        """Hand over an answer; returns when the workflow has taken it.

        The same person's same answer again changes nothing and is no error.

        Raises:
            Refused: there is no such task (404), it has no such choice (422), it is answered or
                the workflow does not take the answer (409), nobody waits for one any more (410).
            NotNow: Temporal, or the workflow, does not answer; the same again is right.
        """
        task = await self._task(answer.task_id)
        if task.has(answer):
            return
        _check(task, answer)
        try:
            async with asyncio.timeout(self._within.total_seconds()):
                await self._client.get_workflow_handle(task.workflow_id).execute_update(
                    ANSWER_TASK,
                    answer.model_dump(mode="json"),
                    # The same again is the same update: one that was taken is not taken twice.
                    id=_update_id(answer),
                    rpc_timeout=self._within,
                )
        except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError):
            raise _not_now("the journey does not answer") from None
        except WorkflowUpdateFailedError as error:
            task = await self._task(answer.task_id)
            if task.has(answer):
                return
            _check(task, answer)
            raise Refused(_said(error), status=409) from None
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and is_gone(error):
                raise Refused("the journey that asked has ended", status=410) from None
            if not is_absent(error):
                raise
            raise _not_now("Temporal does not answer") from None

    async def _task(self, task_id: str) -> _Task:
        row = None if "\0" in task_id else await self._pool.fetchrow(_TASK, task_id)
        if row is None:
            raise Refused("no such task", status=404)
        return _Task(**row)


def _check(task: _Task, answer: TaskAnswer) -> None:
    if task.state == "answered":
        raise Refused(f"it was answered already by {task.by or 'somebody'}", status=409)
    if task.state != "open":
        raise Refused(f"nobody waits for an answer any more: it is {task.state}", status=410)
    if task.choices and answer.choice not in task.choices:
        known = ", ".join(task.choices)
        raise Refused(f"answer: one of {known} is asked for", field="answer", status=422)


def _update_id(answer: TaskAnswer) -> str:
    return "answer-" + hashlib.sha256(answer.model_dump_json().encode()).hexdigest()[:32]


def _said(error: WorkflowUpdateFailedError) -> str:
    cause = error.cause
    said = cause.message if isinstance(cause, ApplicationError) else str(cause)
    return f"the journey does not take this answer: {said}"


def _not_now(who: str) -> NotNow:
    return NotNow(
        f"{who}; the answer may not have arrived, send the same again",
        why="temporal",
        retry_after=_RETRY_AFTER,
    )
