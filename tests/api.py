"""The API in a test: the real application over a fresh database, without a socket."""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from api.process import running_app
from api.state import Parts
from domain.limits import Limits
from infra.database.keys import SCOPES, create_key
from infra.database.pool import Pool, close_pool, open_pool
from infra.relay import run_relay
from infra.settings import Settings
from journeys.catalog import Catalog
from tests.parts import free_port

NOBODY = "127.0.0.1:1"
"""An address at which no Temporal answers."""


@dataclass
class Api:
    """The running API, and the few calls that tests make again and again.

    Every answer is compared with the OpenAPI document: a status that is not in it is an error.
    """

    app: FastAPI
    http: httpx.AsyncClient
    pool: Pool
    seen: set[tuple[str, str, int]] = field(default_factory=set)

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.state.parts
        return parts

    async def post(self, path: str, content: Any, key: str | None = "dev") -> httpx.Response:
        """Post bytes as they are, anything else as JSON."""
        raw = content if isinstance(content, bytes) else orjson.dumps(content)
        return await self._checked(await self.http.post(path, content=raw, headers=_key(key)))

    async def get(self, path: str, key: str | None = "dev", **params: Any) -> httpx.Response:
        return await self._checked(await self.http.get(path, params=params, headers=_key(key)))

    async def send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return await self._checked(await self.http.request(method, path, **kwargs))

    async def track(
        self,
        event: Any,
        properties: Mapping[str, Any] | None = None,
        *,
        user: str = "u1",
        **fields: Any,
    ) -> httpx.Response:
        return await self.post(
            "/v1/track",
            {"userId": user, "event": event, "properties": dict(properties or {}), **fields},
        )

    async def identify(self, traits: Mapping[str, Any], **fields: Any) -> httpx.Response:
        return await self.post(
            "/v1/identify", {"traits": dict(traits), **(fields or {"userId": "u1"})}
        )

    async def receipts(self, items: Sequence[Any], **fields: Any) -> list[dict[str, Any]]:
        """Post a batch that is taken, and give its receipts."""
        answer = await self.post("/v1/batch", {"batch": list(items), **fields})
        assert answer.status_code == 200, answer.text
        receipts: list[dict[str, Any]] = answer.json()["receipts"]
        assert len(receipts) == len(items)
        return receipts

    async def customers(self, **by: str) -> list[dict[str, Any]]:
        answer = await self.get("/customers", **by)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["customers"]
        return found

    async def customer(self, **by: str) -> dict[str, Any]:
        """The one customer with this name or address."""
        (found,) = await self.customers(**by)
        return found

    async def about(self, what: str, *, user: str = "u1", **params: Any) -> list[dict[str, Any]]:
        """A customer's `enrollments`, `messages` or `timeline`."""
        found = await self.customer(user_id=user)
        answer = await self.get(f"/customers/{found['id']}/{what}", **params)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()[what]
        return rows

    async def count(self, table: str) -> int:
        number: int = await self.pool.fetchval(f"select count(*) from {table}")
        return number

    async def _checked(self, answer: httpx.Response) -> httpx.Response:
        path, method = answer.request.url.path, answer.request.method.lower()
        for template, operations in self.app.openapi()["paths"].items():
            if method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                told = operations[method]["responses"].get(str(answer.status_code))
                assert told is not None, f"{method} {path}: {answer.status_code} not documented"
                kind = answer.headers.get("content-type", "").partition(";")[0]
                documented = told.get("content", {"": None})
                assert kind in documented, f"{method} {path}: {kind} not documented"
                self.seen.add((method, template, answer.status_code))
        if answer.status_code >= 400:
            check_problem(answer)
        return answer


def _key(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def check_problem(answer: httpx.Response) -> None:
    """An error says what it is, as RFC 9457 has it."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"] == problem["message"]
    assert problem["code"]
    assert {"type", "title", "status", "detail", "code", "message", "field"} >= problem.keys()


@contextlib.asynccontextmanager
async def running_api(
    database_url: str,
    *,
    temporal_address: str = NOBODY,
    relay: bool = False,
    scopes: Collection[str] = SCOPES,
    door: str | None = None,
    catalog: Catalog | None = None,
    **settings: Any,
) -> AsyncIterator[Api]:
    """The API over a database, with the key `dev`.

    Args:
        database_url: a migrated database.
        temporal_address: where Temporal is.
        relay: whether the relay runs in it.
        scopes: what the key may do.
        door: another URL of the same database, for the API's own connections.
        catalog: the journeys; by default those that are shipped.
        settings: other settings.
    """
    pool = await open_pool(database_url, size=4)
    await create_key(pool, "dev", scopes, key="dev")
    configured = Settings(
        database_url=door or database_url,
        temporal_address=temporal_address,
        **settings,
    )
    try:
        async with (
            running_app(configured, catalog) as app,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://api", timeout=60
            ) as http,
        ):
            carrying = asyncio.create_task(run_relay(app.state.relay)) if relay else None
            yield Api(app, http, pool)
            if carrying is not None:
                carrying.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await carrying
    finally:
        await close_pool(pool)


class Door:
    """A TCP door to a database behind a socket, which a test can shut and open again."""

    def __init__(self, directory: str, name: str) -> None:
        self._socket = f"{directory}/.s.PGSQL.5432"
        self.port = free_port()
        self.url = f"postgresql://postgres:@127.0.0.1:{self.port}/{name}"
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        """Break every connection and take no more."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._passing):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._socket)
        self._passing |= {writer, inner_writer}
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        self._passing -= {writer, inner_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def door_to(database_url: str) -> AsyncIterator[Door]:
    """An open door to a database given by its socket's directory."""
    found = re.fullmatch(r"postgresql://postgres:@/(\w+)\?host=(.+)", database_url)
    assert found is not None
    door = Door(found[2], found[1])
    await door.open()
    try:
        yield door
    finally:
        await door.shut()


async def call_raw(
    app: FastAPI, path: str, messages: Sequence[Message], headers: Sequence[tuple[bytes, bytes]]
) -> list[Message]:
    """Post to the application message by message, as a server passes a body on."""
    waiting = list(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    asgi_receive: Receive = receive
    asgi_send: Send = send
    await app(scope, asgi_receive, asgi_send)
    return sent


async def slow_key(api: Api) -> str:
    """A key that may do one thing, and nothing more for ever: the clock of limits stands still."""
    api.parts.admission._clock = lambda: 0.0
    scopes = ["write", "read", "operate"]
    return await create_key(api.pool, "slow", scopes, limits=Limits(1, 0, 1))
