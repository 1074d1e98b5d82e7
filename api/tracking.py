"""`/v1/…`: Segment's and RudderStack's tracking API.

These are the hottest routes, so they read and answer raw requests, beneath the framework
(`shortcut`); what they take and give is in the OpenAPI document all the same.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api import calls
from api.auth import NO_KEY, authorize, write_key, write_key_in
from api.batch import Taken, message_id, read_items, take_apart
from api.body import Doubts, check_event, decode, read_body
from api.intake import Origin, Rejection
from api.problems import Unauthorized, documented
from api.segment import Post, circumstances, read_post
from api.shortcut import Endpoint
from api.state import Parts
from domain.errors import Refused
from infra.database.grants import Grant

router = APIRouter(tags=["tracking"])

_SUCCESS = b'{"success":true}'

_ERRORS = documented(
    {
        400: "Not JSON, or a field is missing or of the wrong type; nothing was accepted.",
        401: "No key, or an unknown one.",
        403: "The key does not allow writing.",
        413: "An event of more than 32 KB or a body of more than 4 MB.",
        415: "A content encoding that is not understood: neither gzip nor deflate.",
        429: "The key's limit; nothing was accepted. Retry-After says when to try again.",
        503: (
            "Nothing was accepted: the database is away or has enough to do, or journeys are too "
            "far behind to begin more. Retry-After says when to try again."
        ),
    }
)


async def batch(request: Request) -> Response:
    """Accept what is good of up to 5,000 calls, in order, with a receipt for each."""
    parts: Parts = request.app.state.parts
    now = datetime.now(UTC)
    grant, body, (envelope, items) = await _receive(parts, request, "batch", now, take_apart)
    doubts = Doubts.of(body)
    post, ignored = read_post(grant.source_id, now, envelope, doubts)
    read = await read_items(parts.reader, items, doubts, post, body)
    origin = _origin(grant, now, "segment", circumstances(post))
    answer: dict[str, Any] = {"success": True, "receipts": await parts.intake.accept(origin, read)}
    if ignored:
        answer["ignored"] = [{"field": e.field, "reason": e.reason} for e in ignored]
    return _json(orjson.dumps(answer))


def _single(kind: str) -> Endpoint:
    async def call(request: Request) -> Response:
        """Accept one event. Answers when it is stored, numbered and routed."""
        parts: Parts = request.app.state.parts
        now = datetime.now(UTC)
        grant, body, (item, _) = await _receive(parts, request, kind, now, _take_alone)
        try:
            check_event(item, Doubts.of(body))
            incoming = parts.reader.read(kind, item, Post(grant.source_id, now))
        except Refused as error:
            origin = _origin(grant, now, f"segment:{kind}")
            rejection = Rejection(error, body, message_id(item))
            incoming = await parts.intake.reconsider(origin, rejection)
        parts.admission.events(grant, 1)
        parts.metrics.accepted(await parts.acceptor.accept((incoming,)))
        return _json(_SUCCESS)

    return call


async def ignore_metrics(_: Request) -> Response:
    """Take what the browser library measures of itself, for the sake of its peace; keep nothing."""
    return _json(_SUCCESS)


async def _receive(
    parts: Parts,
    request: Request,
    kind: str,
    now: datetime,
    take: Callable[[bytes], Awaitable[Taken]],
) -> tuple[Grant, bytes, Taken]:
    """Whose key it is, the body, and what `take` makes of it."""
    key, body = write_key(request), b""
    grant = None if key is None else await authorize(parts.keys, request, "write", key)
    try:
        body = await read_body(request)
        taken = await take(body)
    except Refused as error:
        if grant is None:
            raise Unauthorized(NO_KEY) from None
        await parts.intake.keep(_origin(grant, now, f"segment:{kind}"), [Rejection(error, body)])
        raise
    if grant is None:
        grant = await authorize(parts.keys, request, "write", write_key_in(taken[0]))
    return grant, body, taken


async def _take_alone(body: bytes) -> Taken:
    return decode(body), ()


def _origin(
    grant: Grant, now: datetime, door: str, envelope: Mapping[str, Any] | None = None
) -> Origin:
    return Origin(grant, door, now, envelope or {})


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _add(
    paths: Sequence[str],
    endpoint: Endpoint,
    body: type[BaseModel],
    answer: type[BaseModel],
    summary: str,
) -> None:
    reference = f"#/components/schemas/{body.__name__}"
    for path in paths:
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            summary=summary if path == paths[0] else f"The same as {paths[0]}",
            response_model=answer,
            responses=_ERRORS,
            openapi_extra={
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": reference}}},
                },
                "security": [{"key": []}, {"writeKey": []}],
            },
            include_in_schema=not path.endswith("/"),
        )


# Each has the short name by which the browser library posts; `import` is what Segment's libraries
# for Ruby, Java and C# call a batch.
_add(["/v1/track", "/v1/t"], _single("track"), calls.Track, calls.Success, "What a customer did")
_add(
    ["/v1/batch", "/v1/b", "/v1/import", "/v1/import/", "/beacon/v1/batch"],
    batch,
    calls.Batch,
    calls.BatchSuccess,
    "Several calls at once",
)
for _kind, _model, _summary in (
    ("identify", calls.Identify, "Who a customer is"),
    ("page", calls.Page, "A page that a customer looked at"),
    ("screen", calls.Screen, "A screen of an app that a customer looked at"),
    ("group", calls.Group, "A company or team that a customer belongs to"),
    ("alias", calls.Alias, "Another id by which a customer was known"),
):
    _add([f"/v1/{_kind}", f"/v1/{_kind[0]}"], _single(_kind), _model, calls.Success, _summary)
router.add_api_route(
    "/v1/m",
    ignore_metrics,
    methods=["POST"],
    summary="What the browser library measures of itself",
    response_model=calls.Success,
)

ENDPOINTS: Mapping[str, Endpoint] = {
    route.path: route.endpoint for route in router.routes if isinstance(route, APIRoute)
}
"""What answers, by path. Browsers may post here from pages of any origin."""
