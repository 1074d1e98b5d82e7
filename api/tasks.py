"""`/tasks`: what journeys ask of people, and the people's answers."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.auth import may
from api.body import decode, read_body
from api.customers import PARAMETERS, Limit, PartsOf
from api.problems import documented
from domain.errors import Refused
from domain.tasks import STORABLE, TaskAnswer, TaskState
from infra.database.tables import TaskRow

_LARGEST_NUMBER = 2**63 - 1

router = APIRouter(
    prefix="/tasks",
    tags=["tasks"],
    responses=documented(
        {
            401: "No key, or an unknown one.",
            403: "The key does not allow it: reading needs `read`, answering `operate`.",
            429: "The key's limit. Retry-After says when to try again.",
            503: (
                "The database, Temporal or the journey does not answer. Send the same again: "
                "it counts once. Retry-After says when."
            ),
        }
    ),
)
_NOT_FOUND = documented({404: "There is no such task."})
_ANSWERS = documented(
    {
        400: "The body broke off, or is no JSON object.",
        409: "It was answered already, or the journey does not take this answer; it says why.",
        410: "Nobody waits for an answer any more: it has expired, or the journey has ended.",
        413: "A body that is too large.",
        415: "A content encoding that is not understood.",
        422: "A field is missing, of the wrong type, or no choice of the task; it is named.",
    }
)


class TaskStepOut(BaseModel):
    """Something that happened to a task."""

    model_config = ConfigDict(extra="allow")

    at: datetime
    what: str = Field(description="opened, escalated, answered, expired, withdrawn or reopened")
    role: str
    by: str | None = None


class TaskOut(BaseModel):
    """What a journey asks of a person. No `choices`: any text is an answer."""

    id: str
    customer_id: str
    enrollment_id: str
    journey: str
    step: str
    role: str
    title: str
    details: str
    choices: list[str]
    deadline: datetime | None
    state: TaskState
    answer: dict[str, Any] | None
    by: str | None
    opened_at: datetime
    settled_at: datetime | None
    history: list[TaskStepOut]


class TasksOut(BaseModel):
    """Tasks, newest first; `next` is the `before` of the next page, if there is one."""

    tasks: list[TaskOut]
    next: int | None


class AnswerIn(BaseModel):
    """A person's answer."""

    model_config = ConfigDict(extra="forbid")  # a misspelt note would be lost, silently

    answer: str = Field(
        min_length=1,
        max_length=4000,
        pattern=STORABLE,
        description="One of the task's choices, where it has any.",
    )
    by: str = Field(
        min_length=1, max_length=255, pattern=STORABLE, description="Who answers, for the record."
    )
    note: str | None = Field(
        None, max_length=4000, pattern=STORABLE, description="What else there is to say."
    )


@router.get(
    "", summary="Tasks for people", dependencies=[Depends(may("read"))], responses=PARAMETERS
)
async def tasks(
    parts: PartsOf,
    role: Annotated[str | None, Query(description="Of this role only.")] = None,
    state: Annotated[TaskState | None, Query(description="In this state only.")] = None,
    customer_id: Annotated[
        str | None, Query(description="About this customer, by any id that the customer has had.")
    ] = None,
    before: Annotated[
        int | None, Query(ge=1, le=_LARGEST_NUMBER, description="A page's `next`.")
    ] = None,
    limit: Limit = 100,
) -> TasksOut:
    """What journeys ask of people, newest first."""
    if any(text is not None and "\0" in text for text in (role, customer_id)):
        return TasksOut(tasks=[], next=None)
    rows = await parts.reading.tasks(
        role=role, state=state, customer_id=customer_id, before=before, limit=limit
    )
    return TasksOut(
        tasks=[_shown(row) for row in rows],
        next=rows[-1].number if len(rows) == limit else None,
    )


@router.get(
    "/{task_id}", summary="One task", dependencies=[Depends(may("read"))], responses=_NOT_FOUND
)
async def one(parts: PartsOf, task_id: str) -> TaskOut:
    """A task with what happened to it."""
    row = None if "\0" in task_id else await parts.reading.task(task_id)
    if row is None:
        raise HTTPException(404, "no such task")
    return _shown(row)


@router.post(
    "/{task_id}/answer",
    summary="Answer a task",
    dependencies=[Depends(may("operate"))],
    responses=_NOT_FOUND | _ANSWERS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": AnswerIn.model_json_schema()}},
        }
    },
)
async def answer(request: Request, parts: PartsOf, task_id: str) -> TaskOut:
    """Hand a person's answer to the journey that asked; answered when the journey has taken it.

    The same answer by the same person again is no error.
    """
    given = _read(decode(await read_body(request)))
    await parts.answering.answer(
        TaskAnswer(task_id=task_id, choice=given.answer, by=given.by, note=given.note)
    )
    return await one(parts, task_id)


def _read(body: dict[str, Any]) -> AnswerIn:
    try:
        return AnswerIn.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise Refused(f"{field}: {first['msg']}", field=field, status=422) from None


def _shown(row: TaskRow) -> TaskOut:
    return TaskOut.model_validate(row, from_attributes=True)
