"""A running development mailbox for tests: the real process's code, on free ports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cli.mailbox.process import serve
from infra.settings import Settings
from tests.parts import free_port
from tests.patience import PATIENCE


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where it listens, and what it has taken.

    Attributes:
        settings: with its ports; `build_channels(settings)` sends to it.
        http: a client whose base URL is the mailbox.
    """

    settings: Settings
    http: httpx.AsyncClient

    async def messages(self, **filters: str) -> list[dict[str, Any]]:
        """What was taken, newest last; filters are `to` and `channel`."""
        response = await self.http.get("/messages", params=filters)
        response.raise_for_status()
        messages: list[dict[str, Any]] = response.json()
        return messages

    async def fault(self, channel: str, fault: str, times: int = 1, seconds: float = 1) -> None:
        """Ask for a fault."""
        wish = {"channel": channel, "fault": fault, "times": times, "seconds": seconds}
        (await self.http.post("/faults", json=wish)).raise_for_status()

    async def clear(self) -> None:
        """Forget messages and faults."""
        (await self.http.delete("/messages")).raise_for_status()
        (await self.http.delete("/faults")).raise_for_status()


@contextlib.asynccontextmanager
async def running_mailbox(tmp_path: Path, **overrides: Any) -> AsyncIterator[Mailbox]:
    """Run a mailbox that keeps its messages in `tmp_path`.

    Args:
        overrides: settings, such as `smtp_port` to come back on the same one.
    """
    port = free_port()
    settings = Settings(
        **{
            "data_dir": tmp_path,
            "smtp_port": free_port(),
            "mailbox_port": port,
            "push_url": f"http://127.0.0.1:{port}",
            **overrides,
        }
    )
    serving = asyncio.create_task(serve(settings))
    try:
        async with httpx.AsyncClient(
            base_url=settings.mailbox_url, trust_env=False, timeout=PATIENCE
        ) as http:
            await _ready(http, serving)
            yield Mailbox(settings, http)
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _ready(http: httpx.AsyncClient, serving: asyncio.Task[None]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not serving.done():
            with contextlib.suppress(httpx.TransportError):
                await http.get("/faults", timeout=1)
                return
            await asyncio.sleep(0.02)
    await serving
    raise AssertionError("the mailbox ended before it was asked to")
