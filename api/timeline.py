"""`/customers/{id}/timeline`: everything that happened to a customer, in one list."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, WithJsonSchema

from api.auth import may
from api.customers import NOT_FOUND, PARAMETERS, Limit, PartsOf, known
from api.customers import router as customers
from domain.errors import Refused
from infra.database.timeline import KINDS, Kind, Place, Wanted

router = APIRouter(
    prefix=customers.prefix,
    tags=customers.tags,
    dependencies=[Depends(may("read"))],
    responses=customers.responses,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERED = ("event", "trait", "merge", "refusal")
_KEYED = tuple(kind for kind in KINDS if kind not in _NUMBERED)

_PLACE = (  # without a sign that means something else in a URL
    r"^([0-9]{1,16})~"
    rf"(?:({'|'.join(_NUMBERED)})~([0-9]{{1,18}})|({'|'.join(_KEYED)})~([^\u0000]*))$"
)

_TIME: Any = {"type": "string", "format": "date-time"}
_NEXT: Any = {"type": "string", "pattern": _PLACE}

Since = Annotated[
    str | None,
    Query(description="Not older than this ISO 8601 time."),
    WithJsonSchema(_TIME),
]
Before = Annotated[
    str | None,
    Query(description="Only what is older: an ISO 8601 time, or a page's `next`."),
    WithJsonSchema({"anyOf": [_TIME, _NEXT]}),
]


class TimelineEntry(BaseModel):
    """One thing that happened."""

    at: datetime
    kind: Kind
    summary: str
    details: dict[str, Any]


class TimelineOut(BaseModel):
    """What happened, newest first; `next` is the `before` of the next page, if there is one."""

    timeline: list[TimelineEntry]
    next: str | None


@router.get("/{customer_id}/timeline", summary="What happened", responses=NOT_FOUND | PARAMETERS)
async def timeline(
    parts: PartsOf,
    customer_id: str,
    kind: Annotated[list[Kind] | None, Query(description="Of these kinds only.")] = None,
    journey: Annotated[
        str | None,
        Query(description="What this journey did, and the events that it heard."),
    ] = None,
    name: Annotated[
        str | None, Query(description="Events, or changes of the trait, of this name.")
    ] = None,
    type: Annotated[  # noqa: A002 - Segment's word
        str | None, Query(description="Events of this type, such as `track` or `page`.")
    ] = None,
    since: Since = None,
    before: Before = None,
    limit: Limit = 100,
) -> TimelineOut:
    """Events, decisions, messages, entries and exits, merges, changes of traits in one list."""
    customer_id = await known(parts, customer_id)
    place = None if before is None else _place(before)
    wanted = Wanted(
        kinds=frozenset(kind or ()),
        journey=journey,
        name=name,
        type=type,
        since=None if since is None else _moment(since, "since"),
    )
    if any(text is not None and "\0" in text for text in (journey, name, type)):
        return TimelineOut(timeline=[], next=None)
    page = await parts.reading.timeline(customer_id, wanted, place, limit)
    return TimelineOut(
        timeline=[
            TimelineEntry(at=i.at, kind=i.kind, summary=i.summary, details=i.details)
            for i in page.items
        ],
        next=None if page.next is None else _place_text(page.next),
    )


def _place_text(place: Place) -> str:
    return f"{(place.at - _EPOCH) // timedelta(microseconds=1)}~{place.kind}~{place.id}"


def _place(text: str) -> Place:
    found = re.fullmatch(_PLACE, text, re.DOTALL)
    if found is None:
        return Place(_moment(text, "before"))
    at = _EPOCH + timedelta(microseconds=int(found[1]))
    if found[2] is not None:
        return Place(at, _kind(found[2]), int(found[3]))
    return Place(at, _kind(found[4]), found[5])


def _kind(text: str) -> Kind:
    return next(kind for kind in KINDS if kind == text)


def _moment(text: str, field: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            f"{field} must be an ISO 8601 time"
            + (" or a page's `next`" if field == "before" else ""),
            field=field,
            status=422,
        ) from None
    if at.tzinfo is None:
        raise Refused(f"{field} needs a time zone, such as Z", field=field, status=422)
    try:
        return at.astimezone(UTC)
    except OverflowError:  # the first or the last day there is
        return at.replace(tzinfo=UTC)
