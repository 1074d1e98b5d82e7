"""`POST /events`: CloudEvents 1.0 over HTTP, in the binary, the structured and the batch mode."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.auth import authorize
from api.body import Doubts, check_event, decode, read_body
from api.calls import SOMEBODY, Receipt
from api.cloudevents import BATCH, STRUCTURED, from_binary, named, read_batch, structured
from api.intake import Origin, Rejection
from api.problems import documented
from api.segment import Post
from api.state import Parts
from domain.errors import Refused
from infra.database.accept import Incoming
from infra.database.grants import Grant

router = APIRouter(tags=["events"])

DOOR = "cloudevents"

_WORD = r"^[^\x00]*\S[^\x00]*$"
_NAME = {"type": "string", "pattern": _WORD, "maxLength": 255}


def _or_null(schema: dict[str, Any], description: str) -> dict[str, Any]:
    """An attribute that may be left out, or null, which is the same."""
    return {"anyOf": [schema, {"type": "null"}], "description": description}


_EVENT: dict[str, Any] = {
    "type": "object",
    "title": "CloudEvent",
    "required": ["specversion", "id", "source", "type"],
    "anyOf": [
        {"required": [name], "properties": {name: {"type": "string", "pattern": SOMEBODY}}}
        for name in ("subject", "anonymousid")
    ],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": _WORD, "description": "With `source`, taken once."},
        "source": {
            "type": "string",
            "pattern": r"^[^ \x00]*[^\s\x00][^ \x00]*$",
            "description": "A URI reference.",
        },
        "type": {**_NAME, "description": "The event's name."},
        "subject": _or_null({**_NAME, "pattern": SOMEBODY}, "The customer's user id."),
        "anonymousid": _or_null(_NAME, "A device's id, an extension; one of the two."),
        "time": _or_null({"type": "string", "format": "date-time"}, "When it happened."),
        "datacontenttype": _or_null(
            {"type": "string", "pattern": r"^[a-z]+/([a-z.]+\+)?json$"}, "JSON of some kind."
        ),
        "data": _or_null(
            {"type": "object"}, "The event's properties; or, encoded, as `data_base64`."
        ),
    },
}
_EVENTS: dict[str, Any] = {
    "type": "array",
    "items": {},
    "description": "Up to 5,000 CloudEvents; what is none has a receipt that says so.",
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
            413: "An event of more than 32 KB or a body of more than 4 MB.",
            415: "An event format, a kind of data or a content encoding that is not understood.",
            429: "The key's limit; nothing was accepted. Retry-After says when to try again.",
            503: (
                "Nothing was accepted: the database is away or has enough to do, or journeys are "
                "too far behind to begin more. Retry-After says when to try again."
            ),
        }
    ),
    openapi_extra={
        "security": [{"key": []}],
        "requestBody": {
            "required": True,
            "content": {
                f"{STRUCTURED}+json": {"schema": _EVENT},
                f"{BATCH}+json": {"schema": _EVENTS},
            },
        },
    },
)
async def events(request: Request) -> Response:
    """Accept one event or a batch. Answers when they are stored, numbered and routed.

    An event that names a message of ours (`data.email_id`) is its customer's, and taken without a
    `subject`, too.

    The binary mode is taken too, which this document cannot describe: the attributes in `ce-`
    headers, the data as the body, with a Content-Type that is none of the two below.
    """
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
        return await parts.intake.reconsider(origin, Rejection(error, body, named(event)))


def _media_type(request: Request) -> str:
    said = request.headers.get("content-type", "")
    return said.partition(";")[0].strip().lower()


def _check_format(kind: str, mode: str) -> None:
    if kind not in {mode, f"{mode}+json"}:
        raise Refused(f"the event format {kind[:60]!r} is not understood: use JSON", status=415)


def _origin(grant: Grant, now: datetime, door: str) -> Origin:
    return Origin(grant, door, now, {})


def _answer(receipts: list[dict[str, Any]]) -> Response:
    content: Mapping[str, Any] = {"success": True, "receipts": receipts}
    return Response(orjson.dumps(content), media_type="application/json")
