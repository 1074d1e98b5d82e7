"""`POST /webhooks/{name}`: what tools that know nothing of us post when something happens."""

from datetime import UTC, datetime
from typing import Annotated

import orjson
import structlog
from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic import BaseModel

from api.body import read_body
from api.calls import Receipt
from api.hooks import Delivery
from api.intake import Origin, Rejection
from api.problems import Unauthorized, documented
from api.segment import Post
from api.state import Parts
from domain.errors import Refused

router = APIRouter(tags=["webhooks"])

DOOR = "webhook"

_log = structlog.get_logger()


class Delivered(BaseModel):
    """A receipt for every event that the payload stands for; none where it stands for none."""

    success: bool = True
    receipts: list[Receipt]


@router.post(
    "/webhooks/{name}",
    summary="A tool's webhook",
    response_model=Delivered,
    responses=documented(
        {
            400: "Not JSON, or nested too deep. What was signed rightly is kept in quarantine.",
            401: "Not signed, signed by somebody else, or too long ago.",
            404: "There is no such hook.",
            413: "A body of more than 4 MB, or a payload that stands for too many events.",
            415: "A content encoding that is not understood.",
            429: "The hook's limit; nothing was accepted. Retry-After says when to try again.",
            503: (
                "Nothing was accepted: the database is away or has enough to do, or journeys are "
                "too far behind to begin more. Retry-After says when to try again."
            ),
        }
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "Whatever the tool posts: the hook's file says what it means.",
            "content": {"application/json": {"schema": {}}},
        }
    },
)
async def webhook(
    request: Request, name: Annotated[str, Path(description="The hook: its file's name.")]
) -> Response:
    """Accept what a tool posts. Needs no key: the hook's file says how the tool proves itself.

    An event that cannot be taken is kept in quarantine, so the answer is 200 all the same:
    the tool can do nothing better than it did.
    """
    parts: Parts = request.app.state.parts
    hook = parts.hooks.get(name)
    if hook is None:
        raise HTTPException(404, "no such hook")
    now = datetime.now(UTC)
    parts.acceptor.check_room()  # before the body is read
    body = await read_body(request)
    headers = dict(request.headers)
    try:
        hook.verify(headers, body, now)
    except Unauthorized as error:
        _log.warning("a webhook was refused", hook=name, reason=error.detail)
        raise
    # What nobody signed does not count: it would use up what the tool may do.
    grant = parts.hook_grants[name]
    parts.admission.request(grant)
    delivery = Delivery(hook.visible(headers), body)
    origin = Origin(grant, f"{DOOR}:{name}", now, {"headers": dict(delivery.headers)})
    try:
        read = await parts.hook_reader.read(hook, delivery, Post(grant.source_id, now))
    except Refused as error:
        await parts.intake.keep(origin, [Rejection(error, body)])
        raise
    receipts = await parts.intake.accept(origin, read)
    content = orjson.dumps({"success": True, "receipts": receipts})
    return Response(content, media_type="application/json")
