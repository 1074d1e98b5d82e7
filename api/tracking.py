"""`/v1/…`: Segment's tracking API.

These are the hottest routes, so they read and answer raw requests; what they take and give
is in the OpenAPI document all the same.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.auth import authorize
from api.body import check_item, decode, read_body, salvage_batch
from api.problems import Problem
from api.segment import Post, SegmentReader, read_post
from api.state import Parts
from domain.errors import Refused
from infra.database.accept import Incoming

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

    status: str = Field(description="accepted, duplicate or rejected")
    messageId: str | None = None  # noqa: N815
    reason: str | None = None
    field: str | None = None


class BatchSuccess(Success):
    """A receipt for every item, in order. A bad item never costs a good one."""

    receipts: list[Receipt]


def _documented(body: type[BaseModel]) -> dict[str, Any]:
    schema = body.model_json_schema()
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "security": [{"key": []}],
    }


_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
    for status, description in {
        400: "Not JSON, or a field is missing or of the wrong type; nothing was accepted.",
        401: "No key, or an unknown one.",
        403: "The key does not allow writing.",
        413: "An event of more than 32 KB or a body of more than 500 KB.",
        415: "A content encoding that is not understood.",
        503: "The database is away; nothing was accepted. Retry-After says when to try again.",
    }.items()
}


@router.post(
    "/v1/track",
    summary="Something a customer did",
    response_model=Success,
    responses=_ERRORS,
    openapi_extra=_documented(Track),
)
async def track(request: Request) -> Response:
    """Accept one event. Answers when it is stored, numbered and routed."""
    return await _single(request, "track")


@router.post(
    "/v1/identify",
    summary="Who a customer is",
    response_model=Success,
    responses=_ERRORS,
    openapi_extra=_documented(Identify),
)
async def identify(request: Request) -> Response:
    """Accept traits. `email`, `phone` and `push_token` make the customer reachable."""
    return await _single(request, "identify")


@router.post(
    "/v1/batch",
    summary="Several calls at once",
    response_model=BatchSuccess,
    responses=_ERRORS,
    openapi_extra=_documented(Batch),
)
async def batch(request: Request) -> Response:
    """Accept what is good of up to 5,000 calls, in order, with a receipt for each."""
    parts: Parts = request.app.state.parts
    grant = await authorize(parts.keys, request, "write")
    body = await read_body(request)
    now = datetime.now(UTC)
    items: Sequence[tuple[Any, bytes]]
    try:
        envelope = decode(body)
        listed = envelope.get("batch")
        if not isinstance(listed, list):
            raise Refused("batch must be an array of calls", field="batch")
        items = [(item, body) for item in listed]
    except Refused as error:
        salvaged = salvage_batch(body) if error.field is None else None
        if salvaged is None:
            parts.metrics.rejected()
            raise
        envelope, raw = salvaged
        items = [(None, part) for part in raw]
    if len(items) > _MOST_ITEMS:
        raise Refused(f"more than {_MOST_ITEMS} calls in one batch", status=413)
    post = read_post(grant.source_id, now, envelope)
    read = [_read(parts.reader, item, part, post) for item, part in items]
    receipts = await _accept(parts, read)
    return _json(orjson.dumps({"success": True, "receipts": receipts}))


async def _single(request: Request, kind: str) -> Response:
    parts: Parts = request.app.state.parts
    grant = await authorize(parts.keys, request, "write")
    try:
        body = await read_body(request)
        item = decode(body)
        check_item(item, body)
        incoming = parts.reader.read(kind, item, Post(grant.source_id, datetime.now(UTC)))
    except Refused:
        parts.metrics.rejected()
        raise
    parts.metrics.accepted(await parts.acceptor.accept((incoming,)))
    return _json(_SUCCESS)


def _read(reader: SegmentReader, item: Any, body: bytes, post: Post) -> Incoming | dict[str, Any]:
    """One item of a batch, or the receipt that says why not."""
    try:
        if item is None and body.strip() != b"null":
            item = decode(body)  # from a batch that did not decode as a whole
        check_item(item, body)
        return reader.read(None, item, post)
    except Refused as error:
        receipt: dict[str, Any] = {"status": "rejected", "reason": error.reason}
        if isinstance(item, Mapping) and isinstance(item.get("messageId"), str):
            receipt["messageId"] = item["messageId"]
        if error.field is not None:
            receipt["field"] = error.field
        return receipt


async def _accept(parts: Parts, read: Sequence[Incoming | dict[str, Any]]) -> list[dict[str, Any]]:
    good = [item for item in read if isinstance(item, Incoming)]
    new = await parts.acceptor.accept(good)
    parts.metrics.accepted(new)
    parts.metrics.rejected(len(read) - len(good))
    fresh = iter(new)
    return [
        {"status": "accepted" if next(fresh) else "duplicate", "messageId": item.message_id}
        if isinstance(item, Incoming)
        else item
        for item in read
    ]


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
