"""`/health` and `/metrics`: for whoever runs this."""

import asyncio
from datetime import timedelta
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from temporalio.service import RPCError

from api.problems import documented, unavailable
from api.state import Parts
from infra.database.pool import UNREACHABLE

router = APIRouter(tags=["operations"])

_ASK = timedelta(seconds=1)


class Live(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Events can be accepted. Temporal may be away: they are kept until it is back."""

    status: Literal["ok"] = "ok"
    postgres: Literal["ok"] = "ok"
    temporal: Literal["ok", "away"]


@router.get("/health/live", summary="Does the process run?")
async def live() -> Live:
    """Answers as long as the process does."""
    return Live()


@router.get(
    "/health/ready",
    summary="Can events be accepted?",
    response_model=Ready,
    responses=documented({503: "The database is away. Retry-After says when to ask again."}),
)
async def ready(request: Request) -> Ready | Response:
    """Asks the database, and says whether Temporal answers."""
    parts: Parts = request.app.state.parts
    try:
        await asyncio.wait_for(parts.pool.fetchval("select 1"), 2)
    except UNREACHABLE:
        return unavailable()
    try:
        await asyncio.wait_for(parts.temporal.service_client.check_health(timeout=_ASK), 1.5)
    except (RPCError, RuntimeError, TimeoutError):
        return Ready(temporal="away")
    return Ready(temporal="ok")


@router.get("/metrics", summary="Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Events by what became of them, the relay's backlog and its age, messages by verdict."""
    parts: Parts = request.app.state.parts
    return Response(parts.metrics.render(parts.figures), media_type="text/plain; version=0.0.4")
