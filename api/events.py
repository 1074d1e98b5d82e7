"""`POST /events`: CloudEvents 1.0 over HTTP, in the binary, the structured and the batch mode."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.auth import authorize
from api.body import Doubts, check_event, decode, read_body
from api.calls import Receipt
from api.cloudevents import BATCH, STRUCTURED, from_binary, named, read_batch, structured
from api.intake import Origin, Rejection
from api.problems import documented
from api.segment import Post
from api.state import Parts
from domain.errors import Refused
from infra.database.accept import Incoming
from infra.database.keys import Grant

router = APIRouter(tags=["events"])

DOOR = "cloudevents"

_WORD = r"\S"
_ATTRIBUTES: dict[str, Any] = {
    "specversion": {"const": "1.0"},
    "id": {"type": "string", "pattern": _WORD, "description": "With `source`, taken once."},
    "source": {"type": "string", "pattern": r"^\S+$", "description": "A URI reference."},
    "type": {"type": "string", "pattern": _WORD, "description": "The event's name."},
    "subject": {"type": "string", "pattern": _WORD, "description": "The customer's user id."},
    "anonymousid": {
        "type": "string",
        "pattern": _WORD,
        "description": "A device's id, an extension; one of the two.",
    },
    "time": {"type": "string", "format": "date-time", "description": "When it happened."},
}
_LENGTHS: dict[str, Any] = {name: {"maxLength": 255} for name in ("type", "subject", "anonymousid")}
_EVENT: dict[str, Any] = {
    "type": "object",
    "title": "CloudEvent",
    "required": ["specversion", "id", "source", "type"],
    "anyOf": [{"required": ["subject"]}, {"required": ["anonymousid"]}],
    "properties": {
        **{name: {**schema, **_LENGTHS.get(name, {})} for name, schema in _ATTRIBUTES.items()},
        "datacontenttype": {"type": "string", "description": "JSON of some kind, or absent."},
        "data": {"type": "object", "description": "The event's properties."},
        "data_base64": {"type": "string", "description": "The same, encoded."},
    },
}


class Accepted(BaseModel):
    """A receipt for every event, in order. A bad one in a batch never costs a good one."""

    success: bool = True
    receipts: list[Receipt]


@router.post(
    "/events",
    summary="CloudEvents",
    response_model=Accepted,
    responses=documented(
        {
            400: "Not a CloudEvent, or one that cannot be taken; nothing was accepted.",
            401: "No key, or an unknown one.",
            403: "The key does not allow writing.",
            413: "An event of more than 32 KB or a body of more than 500 KB.",
            415: "An event format, a kind of data or a content encoding that is not understood.",
            503: "The database is away; nothing was accepted. Retry-After says when to try again.",
        }
    ),
    openapi_extra={
        "security": [{"key": []}],
        "parameters": [
            {
                "in": "header",
                "name": f"ce-{name}",
                "required": False,
                "schema": {"type": "string"},
                "description": f"Binary mode: {schema.get('description', 'always 1.0')}",
            }
            for name, schema in _ATTRIBUTES.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                f"{STRUCTURED}+json": {"schema": _EVENT},
                f"{BATCH}+json": {"schema": {"type": "array", "items": _EVENT}},
                "application/json": {
                    "schema": {
                        "type": "object",
                        "description": "Binary mode: the data; everything else in `ce-` headers.",
                    }
                },
            },
        },
    },
)
async def events(request: Request) -> Response:
    """Accept one event or a batch. Answers when they are stored, numbered and routed."""
    parts: Parts = request.app.state.parts
    grant = await authorize(parts.keys, request, "write")
    now = datetime.now(UTC)
    kind = _media_type(request)
    post = Post(grant.source_id, now)
    if kind.startswith(BATCH):
        read = await _batch(request, parts, grant, post, kind)
        origin = _origin(grant, now, DOOR)
        return _answer(await parts.intake.accept(origin, read))
    event = await _single(request, parts, grant, post, kind)
    return _answer(await parts.intake.accept(_origin(grant, now, DOOR), [event]))


async def _batch(
    request: Request, parts: Parts, grant: Grant, post: Post, kind: str
) -> list[Incoming | Rejection]:
    body = b""
    try:
        _check_format(kind, BATCH)
        body = await read_body(request)
        return await read_batch(parts.cloudevents, body, post)
    except Refused as error:
        origin = _origin(grant, post.received_at, f"{DOOR}:batch")
        await parts.intake.keep(origin, [Rejection(error, body)])
        raise


async def _single(request: Request, parts: Parts, grant: Grant, post: Post, kind: str) -> Incoming:
    body, event = b"", None
    try:
        if kind.startswith(STRUCTURED):
            _check_format(kind, STRUCTURED)
            body = await read_body(request)
            event = decode(body, "event")
        else:
            data = await read_body(request)
            event = from_binary(request.scope["headers"], kind, data)
            body = structured(event, data)
        check_event(event, Doubts.of(body))
        return parts.cloudevents.read(event, post)
    except Refused as error:
        origin = _origin(grant, post.received_at, DOOR)
        await parts.intake.keep(origin, [Rejection(error, body, named(event))])
        raise


def _media_type(request: Request) -> str:
    said = request.headers.get("content-type", "")
    return said.partition(";")[0].strip().lower()


def _check_format(kind: str, mode: str) -> None:
    if kind not in {mode, f"{mode}+json"}:
        raise Refused(f"the event format {kind[:60]!r} is not understood: use JSON", status=415)


def _origin(grant: Grant, now: datetime, door: str) -> Origin:
    return Origin(grant.source_id, grant.source, door, now, {})


def _answer(receipts: list[dict[str, Any]]) -> Response:
    content: Mapping[str, Any] = {"success": True, "receipts": receipts}
    return Response(orjson.dumps(content), media_type="application/json")
