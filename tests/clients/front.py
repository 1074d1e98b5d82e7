"""A peer before the API, and what became of what clients posted through it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.cors import TrackingCors
from api.problems import problem
from api.tracking import ENDPOINTS
from tests.api import Api
from tests.patience import PATIENCE


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that came by."""

    method: str
    path: str
    headers: dict[str, str]
    status: int


@dataclass
class Front:
    """Passes requests on; posts of events are answered with `answers`, while there are any."""

    app: ASGIApp
    answers: list[int] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answering = TrackingCors(self._answer, ENDPOINTS)

    def forget(self) -> None:
        """Begin anew."""
        self.answers.clear()
        self.seen.clear()

    @property
    def posts(self) -> list[tuple[str, int]]:
        """The path and status of every post of events."""
        return [
            (seen.path, seen.status)
            for seen in self.seen
            if seen.method == "POST" and seen.path != "/v1/m"
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                seen = Seen(scope["method"], scope["path"], headers, message["status"])
                self.seen.append(seen)
            await send(message)

        told = self.answers and scope["method"] == "POST" and scope["path"] != "/v1/m"
        await (self._answering if told else self.app)(scope, receive, note)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = self.answers.pop(0)
        again = {"Retry-After": "1"} if status in {429, 503} else None
        await problem(status, "as it was told to", headers=again)(scope, receive, send)


@dataclass(frozen=True)
class Server:
    """The API, and the peer before it."""

    api: Api
    front: Front
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answered(self, path: str, status: int) -> None:
        """Returns once a post to this path has had this answer."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if (path, status) in {(seen.path, seen.status) for seen in self.front.seen}:
                    return
                await asyncio.sleep(0.05)

    async def events(self, user: str, count: int) -> list[dict[str, Any]]:
        """A customer's events in the order in which they happened, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if await self.api.customers(user_id=user):
                    timeline = await self.api.about("timeline", user=user)
                    events = [
                        {"name": entry["summary"], **entry["details"]}
                        for entry in reversed(timeline)
                        if entry["kind"] == "event"
                    ]
                    if len(events) >= count:
                        return sorted(events, key=_happened)
                await asyncio.sleep(0.05)


def _happened(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["occurred_at"])


async def run_client(command: Sequence[str], job: Any, cwd: Path | None = None) -> Any:
    """Run a client's process: what it has to do goes in as JSON, what it met with comes out."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate(json.dumps(job).encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, errors.decode()
    return json.loads(output.splitlines()[-1])
