"""`/v1/…`: Segment's tracking API.

These are the hottest routes, so they read and answer raw requests; what they take and give
is in the OpenAPI document all the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.auth import authorize
from api.batch import message_id, read_items, take_apart
from api.body import Doubts, check_event, decode, read_body
from api.intake import Origin, Receipt, Rejection
from api.problems import documented
from api.segment import Post, circumstances, read_post
from api.state import Parts
from domain.errors import Refused
from infra.database.keys import Grant

router = APIRouter(tags=["tracking"])

_SUCCESS = b'{"success":true}'


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
    now, body = datetime.now(UTC), b""
    try:
        body = await read_body(request)
        envelope, items = take_apart(body)
    except Refused as error:
        await parts.intake.keep(_origin(grant, now, "segment:batch"), [Rejection(error, body)])
        raise
    doubts = Doubts.of(body)
    post, ignored = read_post(grant.source_id, now, envelope, doubts)
    read = read_items(parts.reader, items, doubts, post, body)
    origin = _origin(grant, now, "segment", circumstances(post))
    answer: dict[str, Any] = {"success": True, "receipts": await parts.intake.accept(origin, read)}
    if ignored:
        answer["ignored"] = [{"field": e.field, "reason": e.reason} for e in ignored]
    return _json(orjson.dumps(answer))


async def _single(request: Request, kind: str) -> Response:
    parts: Parts = request.app.state.parts
    grant = await authorize(parts.keys, request, "write")
    now, body, item = datetime.now(UTC), b"", None
    try:
        body = await read_body(request)
        item = decode(body)
        check_event(item, Doubts.of(body))
        incoming = parts.reader.read(kind, item, Post(grant.source_id, now))
    except Refused as error:
        rejection = Rejection(error, body, message_id(item))
        await parts.intake.keep(_origin(grant, now, f"segment:{kind}"), [rejection])
        raise
    parts.metrics.accepted(await parts.acceptor.accept((incoming,)))
    return _json(_SUCCESS)


def _origin(
    grant: Grant, now: datetime, door: str, envelope: Mapping[str, Any] | None = None
) -> Origin:
    return Origin(grant.source_id, grant.source, door, now, envelope or {})


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
