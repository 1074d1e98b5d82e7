"""Errors as RFC 9457 problem details."""

import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException

from domain.errors import NotNow, Refused, Unavailable
from infra.database.pool import UNREACHABLE

RETRY_AFTER_SECONDS = 2


class Problem(BaseModel):
    """Problem details (RFC 9457). `field` names the offending field where there is one.

    `code` and `message` say the same once more: Segment's and RudderStack's libraries for Python
    read them, and without them RudderStack's would repeat for ever what it should give up.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    message: str
    field: str | None = None


def documented(descriptions: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Problems by status, as a route's documentation lists them."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {
        status: {
            "description": description,
            "content": content,
            "headers": _HEADERS.get(status, {}),
        }
        for status, description in descriptions.items()
    }


_RETRY_AFTER = {
    "Retry-After": {
        "description": "In how many seconds to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}


class Unauthorized(Exception):
    """No key, or a key that does not allow this."""

    def __init__(self, detail: str, status: int = 401) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


def problem(
    status: int, detail: str, *, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """A problem as a response."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": HTTPStatus(status).name.lower(),
        "message": detail,
    }
    if field is not None:
        content["field"] = field
    return Response(
        orjson.dumps(content),
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def unavailable() -> Response:
    """The database is away: nothing was acknowledged, try again soon."""
    return problem(
        503,
        "the database does not answer; nothing was accepted, try again",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def not_now(error: NotNow) -> Response:
    """Not at the moment: whole seconds, at least one."""
    seconds = max(1, math.ceil(error.retry_after))
    return problem(error.status, error.reason, headers={"Retry-After": str(seconds)})


def refused(error: Refused) -> Response:
    """Input that cannot be taken."""
    return problem(error.status, error.reason, field=error.field)


def unauthorized(error: Unauthorized) -> Response:
    """No key, or not the right one."""
    headers = {"WWW-Authenticate": 'Basic realm="Sojourn"'} if error.status == 401 else None  # noqa: PLR2004
    return problem(error.status, error.detail, headers=headers)


def _headers(app: FastAPI, request: Request, error: HTTPException) -> dict[str, str] | None:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        known = _methods(app, request.url.path) or sorted(headers.get("Allow", "").split(", "))
        headers["Allow"] = ", ".join(known)
    return headers or None


def _methods(app: FastAPI, path: str) -> list[str]:
    """Every method of a path, as documented: a route knows only its own."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    template = path if path in paths else next((t for t in paths if _fits(t, path)), None)
    return sorted(method.upper() for method in paths[template]) if template is not None else []


def _fits(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None


def install(app: FastAPI) -> None:
    """Answer every error of the application as problem details."""

    @app.exception_handler(Refused)
    async def _(_: Request, error: Refused) -> Response:
        return refused(error)

    @app.exception_handler(NotNow)
    async def _(request: Request, error: NotNow) -> Response:
        request.app.state.parts.metrics.not_now(error.why)
        return not_now(error)

    @app.exception_handler(Unauthorized)
    async def _(_: Request, error: Unauthorized) -> Response:
        return unauthorized(error)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        headers = _headers(app, request, error)
        return problem(error.status_code, str(error.detail), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return problem(422, f"{field}: {first['msg']}", field=field)

    @app.exception_handler(NoConnection)
    async def _(request: Request, _: NoConnection) -> Response:
        request.app.state.parts.metrics.not_now("busy")
        return not_now(
            NotNow("too many are reading, try again", why="busy", retry_after=RETRY_AFTER_SECONDS)
        )

    async def away(_: Request, __: Exception) -> Response:
        return unavailable()

    async def bug(_: Request, __: Exception) -> Response:
        return problem(500, "this is a fault of ours; it is in the log")

    app.add_exception_handler(Exception, bug)

    app.add_exception_handler(Unavailable, away)
    for kind in UNREACHABLE:
        app.add_exception_handler(kind, away)  # type: ignore[arg-type]
