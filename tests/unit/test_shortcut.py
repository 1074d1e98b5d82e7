"""The shortcut answers as the framework would."""

from collections.abc import Awaitable, Callable

import httpx
import orjson
import pytest
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from api import problems
from api.problems import Unauthorized
from api.shortcut import Shortcut
from domain.errors import Refused, Unavailable

ERRORS = {
    "refused": Refused("no", field="here"),
    "unauthorized": Unauthorized("no key"),
    "unavailable": Unavailable("away"),
    "unreachable": ConnectionResetError("cut"),
    "http": HTTPException(418, "a teapot"),
    "bug": ZeroDivisionError("a fault of ours"),
}


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="text/plain")


def failing(error: Exception) -> Callable[[Request], Awaitable[Response]]:
    async def fail(_: Request) -> Response:
        raise error

    return fail


ENDPOINTS = {"/echo": echo} | {f"/{name}": failing(error) for name, error in ERRORS.items()}


def client(*, short: bool) -> httpx.AsyncClient:
    app = FastAPI()
    problems.install(app)
    for path, endpoint in ENDPOINTS.items():
        app.add_api_route(path, endpoint, methods=["POST"], response_model=None)
    if short:
        app.add_middleware(Shortcut, endpoints=ENDPOINTS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://sojourn")


@pytest.mark.parametrize("path", [*ENDPOINTS, "/elsewhere"])
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "OPTIONS"])
async def test_it_answers_as_the_framework_does(method: str, path: str) -> None:
    async with client(short=True) as short, client(short=False) as long:
        answers = [
            await one.request(method, path, content=b"as it is", params={"q": "1"})
            for one in (short, long)
        ]
    first, second = ((a.status_code, sorted(a.headers.items()), a.content) for a in answers)
    assert first == second


async def test_a_bug_is_answered_and_goes_on_to_whoever_logs_it() -> None:
    async with client(short=True) as short:
        answer = await short.post("/bug")
    assert (answer.status_code, orjson.loads(answer.content)["status"]) == (500, 500)
    app = FastAPI()
    problems.install(app)
    app.add_middleware(Shortcut, endpoints=ENDPOINTS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s") as loud:
        with pytest.raises(ZeroDivisionError):
            await loud.post("/bug")
