"""`/journeys`: which there are, what starts them, who may enter them again."""

from datetime import time
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from pydantic_core import to_jsonable_python

from api.auth import may
from api.customers import PartsOf
from api.problems import documented
from api.state import Parts
from domain.schedules import Schedule
from workflows.declaration import Declaration

router = APIRouter(
    prefix="/journeys",
    tags=["journeys"],
    responses=documented(
        {
            401: "No key, or an unknown one.",
            403: "The key does not allow it: reading needs `read`, enrolling `operate`.",
            429: "The key's limit. Retry-After says when to try again.",
            503: (
                "Nothing was accepted: the database is away or has enough to do, or journeys are "
                "too far behind to begin more. Retry-After says when to try again."
            ),
        }
    ),
)


class TriggerOut(BaseModel):
    """An event that starts a journey, with properties as an example."""

    name: str
    example: dict[str, Any]


class ReEntryOut(BaseModel):
    """When a customer may enter again: never, after the exit and a pause, or at any time."""

    allowed: bool
    pause_seconds: float
    while_live: bool


class PerDayOut(BaseModel):
    """How many enrollments a journey takes in a day of a time zone."""

    entries: int
    zone: str


class ScheduleOut(BaseModel):
    """When a journey takes in a segment by the clock; no segment: everybody.

    `zone` counts where `in_customers_zone` is false, or no zone of the customer is known.
    """

    words: str
    at: time
    days: list[str]
    segment: str | None
    in_customers_zone: bool
    zone: str
    rate: int = Field(description="Enrollments a second, at most.")
    skip_if_late_seconds: float


class ParameterOut(BaseModel):
    """A parameter as it is for who enters now, and as the code has it."""

    value: Any
    default: Any


class JourneyOut(BaseModel):
    """A journey. `keyed`: a customer may be in it once for each key, such as each cart."""

    name: str
    summary: str
    triggers: list[TriggerOut]
    listens: list[str]
    keyed: bool
    re_entry: ReEntryOut
    entries_per_day: PerDayOut | None
    schedule: ScheduleOut | None
    parameters: dict[str, ParameterOut]


class JourneysOut(BaseModel):
    """The journeys that there are, by name."""

    journeys: list[JourneyOut]


@router.get("", summary="The journeys", dependencies=[Depends(may("read"))])
async def journeys(parts: PartsOf) -> JourneysOut:
    """What starts each, who may enter again, and its parameters."""
    return JourneysOut(
        journeys=[_journey(parts, cls.declaration) for cls in parts.catalog.workflows]
    )


def _journey(parts: Parts, declared: Declaration[Any]) -> JourneyOut:
    now = parts.catalog.parameters(declared.name).model_dump(mode="json")
    code = {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in declared.parameters.model_fields.items()
    }
    per_day = declared.per_day
    return JourneyOut(
        name=declared.name,
        summary=declared.summary,
        triggers=[
            TriggerOut(name=kind.name, example=dict(kind.example)) for kind in declared.triggers
        ],
        listens=[kind.name for kind in declared.listens],
        keyed=declared.key is not None,
        re_entry=ReEntryOut(
            allowed=declared.re_entry.allowed,
            pause_seconds=declared.re_entry.pause.total_seconds(),
            while_live=declared.re_entry.while_live,
        ),
        entries_per_day=per_day and PerDayOut(entries=per_day.entries, zone=per_day.zone),
        schedule=declared.schedule and _schedule(declared.schedule),
        parameters={
            name: ParameterOut(value=now[name], default=to_jsonable_python(code[name]))
            for name in sorted(code)
        },
    )


def _schedule(schedule: Schedule) -> ScheduleOut:
    return ScheduleOut(
        words=str(schedule),
        at=schedule.at,
        days=[day.name.lower() for day in sorted(set(schedule.days))],
        segment=schedule.segment_name,
        in_customers_zone=schedule.in_customers_zone,
        zone=schedule.zone,
        rate=schedule.rate,
        skip_if_late_seconds=schedule.skip_if_late.total_seconds(),
    )
