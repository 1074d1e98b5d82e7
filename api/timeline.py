"""`/customers/{id}/timeline`: everything that happened to a customer, in one list."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

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

_LARGEST_ID = 2**63 - 1
_NUMBERED = {"event", "trait", "merge", "refusal"}


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
    since: Annotated[str | None, Query(description="Not older than this ISO 8601 time.")] = None,
    before: Annotated[
        str | None,
        Query(description="Only what is older: an ISO 8601 time, or a page's `next`."),
    ] = None,
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
    # With Z: a plus sign in a URL is a space.
    moment = place.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return f"{moment}~{place.kind}~{place.id}"


def _place(text: str) -> Place:
    time, *thing = text.split("~", 2)
    at = _moment(time, "before")
    match thing:
        case []:
            return Place(at)
        case [kind, number] if kind in _NUMBERED and number.isdecimal() and number.isascii():
            if int(number) <= _LARGEST_ID:
                return Place(at, _kind(kind), int(number))
        case [kind, key] if kind in KINDS and kind not in _NUMBERED and "\0" not in key:
            return Place(at, _kind(kind), key)
        case _:
            pass
    raise Refused("before must be an ISO 8601 time or a page's `next`", field="before", status=422)


def _kind(text: str) -> Kind:
    return next(kind for kind in KINDS if kind == text)


def _moment(text: str, field: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo is not None else at
    except (ValueError, OverflowError):
        raise Refused(
            f"{field} must be an ISO 8601 time"
            + (" or a page's `next`" if field == "before" else ""),
            field=field,
            status=422,
        ) from None
    if at.tzinfo is None:
        raise Refused(f"{field} needs a time zone, such as Z", field=field, status=422)
    return at
