"""`/v1/…`: Segment's tracking API.

These are the hottest routes, so they read and answer raw requests; what they take and give
is in the OpenAPI document all the same.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.auth import authorize
from api.body import Doubts, check_event, decode, read_body, salvage_batch
from api.problems import documented
from api.segment import Post, SegmentReader, read_post
from api.state import Parts
from domain.errors import Refused
from infra.database.accept import Incoming

_log = structlog.get_logger()

router = APIRouter(tags=["tracking"])

_SUCCESS = b'{"success":true}'
_MOST_ITEMS = 5_000


class Call(BaseModel):
    """What every call has."""

    userId: str | None = Field(None, description="Your id of the customer.")  # noqa: N815 - Segment's names
    anonymousId: str | None = Field(None, description="A device's id; one of the two.")  # noqa: N815
    messageId: str | None = Field(  # noqa: N815
        None, description="Your id of the event; an event is taken once per source and messageId."
    )
    timestamp: datetime | None = Field(None, description="When it happened, ISO 8601.")
    sentAt: datetime | None = Field(  # noqa: N815
        None, description="Your clock when sending; corrects `timestamp`."
    )
    context: dict[str, Any] | None = None


class Track(Call):
    """Something a customer did."""

    event: str
    properties: dict[str, Any] | None = None


class Identify(Call):
    """Who a customer is."""

    traits: dict[str, Any] | None = None


class Batch(BaseModel):
    """Several calls, each with a `type`."""

    batch: list[dict[str, Any]]
    sentAt: datetime | None = None  # noqa: N815
    context: dict[str, Any] | None = None


class Success(BaseModel):
    """Stored, and already routed."""

    success: bool = True


class Receipt(BaseModel):
    """What became of one item of a batch."""

    status: Literal["accepted", "duplicate", "rejected"]
    messageId: str | None = None  # noqa: N815
    reason: str | None = Field(None, description="Why it was rejected.")
    field: str | None = Field(None, description="The offending field, where there is one.")


class Ignored(BaseModel):
    """A field of the batch itself that could not be read and was left out."""

    field: str
    reason: str


class BatchSuccess(Success):
    """A receipt for every item, in order. A bad item never costs a good one."""

    receipts: list[Receipt]
    ignored: list[Ignored] | None = None


def _body(body: type[BaseModel]) -> dict[str, Any]:
    schema = body.model_json_schema()
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "security": [{"key": []}],
    }


_ERRORS = documented(
    {
        400: "Not JSON, or a field is missing or of the wrong type; nothing was accepted.",
        401: "No key, or an unknown one.",
        403: "The key does not allow writing.",
        413: "An event of more than 32 KB or a body of more than 500 KB.",
        415: "A content encoding that is not understood.",
        503: "The database is away; nothing was accepted. Retry-After says when to try again.",
    }
)


@router.post(
    "/v1/track",
    summary="Something a customer did",
    response_model=Success,
    responses=_ERRORS,
    openapi_extra=_body(Track),
)
async def track(request: Request) -> Response:
    """Accept one event. Answers when it is stored, numbered and routed."""
    return await _single(request, "track")


@router.post(
    "/v1/identify",
    summary="Who a customer is",
    response_model=Success,
    responses=_ERRORS,
    openapi_extra=_body(Identify),
)
async def identify(request: Request) -> Response:
    """Accept traits. `email`, `phone` and `push_token` make the customer reachable."""
    return await _single(request, "identify")


@router.post(
    "/v1/batch",
    summary="Several calls at once",
    response_model=BatchSuccess,
    responses=_ERRORS,
    openapi_extra=_body(Batch),
)
async def batch(request: Request) -> Response:
    """Accept what is good of up to 5,000 calls, in order, with a receipt for each."""
    parts: Parts = request.app.state.parts
    grant = await authorize(parts.keys, request, "write")
    now = datetime.now(UTC)
    try:
        body = await read_body(request)
        envelope, items = _take_apart(body)
    except Refused as error:
        _note_rejected(parts, grant.source, [error])
        raise
    doubts = Doubts.of(body)
    post, ignored = read_post(grant.source_id, now, envelope, doubts)
    read = [_read(parts.reader, item, doubts, post) for item in items]
    _note_rejected(parts, grant.source, [one[0] for one in read if isinstance(one, tuple)])
    answer: dict[str, Any] = {"success": True, "receipts": await _accept(parts, read)}
    if ignored:
        answer["ignored"] = [{"field": e.field, "reason": e.reason} for e in ignored]
    return _json(orjson.dumps(answer))


def _take_apart(body: bytes) -> tuple[Mapping[str, Any], Sequence[Any]]:
    """A batch's fields and its items; raw text each where the batch as a whole is not JSON."""
    fields: Mapping[str, Any]
    items: Any
    try:
        fields = decode(body)
    except Refused:
        salvaged = salvage_batch(body)
        if salvaged is None:
            raise
        fields, items = salvaged
    else:
        items = fields.get("batch")
        if not isinstance(items, list):
            raise Refused("batch must be an array of calls", field="batch")
    if len(items) > _MOST_ITEMS:
        raise Refused(f"more than {_MOST_ITEMS} calls in one batch", status=413, field="batch")
    return fields, items


async def _single(request: Request, kind: str) -> Response:
    parts: Parts = request.app.state.parts
    grant = await authorize(parts.keys, request, "write")
    try:
        body = await read_body(request)
        item = decode(body)
        check_event(item, Doubts.of(body))
        incoming = parts.reader.read(kind, item, Post(grant.source_id, datetime.now(UTC)))
    except Refused as error:
        _note_rejected(parts, grant.source, [error])
        raise
    parts.metrics.accepted(await parts.acceptor.accept((incoming,)))
    return _json(_SUCCESS)


_Rejected = tuple[Refused, str | None]
"""Why, and the item's messageId where it could be read."""


def _read(reader: SegmentReader, item: Any, doubts: Doubts, post: Post) -> Incoming | _Rejected:
    """One item of a batch; as raw text where the batch did not decode as a whole."""
    try:
        if isinstance(item, bytes):
            doubts = Doubts.of(item)
            item = decode(item, "event")
        check_event(item, doubts)
        return reader.read(None, item, post)
    except Refused as error:
        message_id = item.get("messageId") if isinstance(item, Mapping) else None
        return error, message_id if isinstance(message_id, str) else None


async def _accept(parts: Parts, read: Sequence[Incoming | _Rejected]) -> list[dict[str, Any]]:
    new = await parts.acceptor.accept([item for item in read if isinstance(item, Incoming)])
    parts.metrics.accepted(new)
    fresh = iter(new)
    receipts: list[dict[str, Any]] = []
    for item in read:
        receipt: dict[str, Any]
        if isinstance(item, Incoming):
            status = "accepted" if next(fresh) else "duplicate"
            receipt = {"status": status, "messageId": item.message_id}
        else:
            error, message_id = item
            receipt = {"status": "rejected", "reason": error.reason}
            if message_id is not None:
                receipt["messageId"] = message_id
            if error.field is not None:
                receipt["field"] = error.field
        receipts.append(receipt)
    return receipts


def _note_rejected(parts: Parts, source: str, errors: Sequence[Refused]) -> None:
    """A stock client does not read receipts: whoever runs this must see what it got wrong."""
    if errors:
        parts.metrics.rejected(len(errors))
        first = errors[0]
        _log.warning(
            "events were rejected",
            source=source,
            count=len(errors),
            first=first.reason,
            field=first.field,
        )


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
