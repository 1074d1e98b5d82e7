"""Sojourn's own processes, as `sojourn dev` starts them."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.dev.child import Command
from infra.settings import Settings, not_settings

_ROOT = Path(__file__).resolve().parents[2]
_POLL = 0.05
_ROLES = (
    "accounts",
    "accounts_lead",
    "care",
    "care_lead",
    "concierge",
    "field",
    "sales",
    "sales_lead",
)
"""Our own people whom the journeys that are shipped write to; in development the mailbox."""

Ready = Callable[[float], Awaitable[None]]
"""Waits for ever until the part, started at that time, does its work."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of our own processes: restarted when it dies.

    Attributes:
        name: its command, and its name on the terminal.
        command: how it is started.
        ready: waits until it does its work.
    """

    name: str
    command: Command
    ready: Ready


def command(name: str, environment: Mapping[str, str]) -> Command:
    """How to start one of our own processes."""
    return Command([sys.executable, "-m", "cli.main", name], environment, _ROOT)


def environment(
    settings: Settings, data_dir: Path, database_url: str, *, colours: bool
) -> dict[str, str]:
    """What our own processes find in their environment."""
    env = dict(os.environ)
    for name in not_settings(env):  # it has been said once
        del env[name]
    env["SOJOURN_DATA_DIR"] = str(data_dir)
    env["SOJOURN_DATABASE_URL"] = database_url
    env["SOJOURN_TEMPORAL_ADDRESS"] = settings.temporal_target
    env["SOJOURN_WEBHOOKS"] = json.dumps(
        settings.webhooks or {role: f"{settings.mailbox_url}/webhooks/{role}" for role in _ROLES}
    )
    env["SOJOURN_PUSH_URL"] = settings.push_url or settings.mailbox_url
    env["SOJOURN_JOURNEY_PARAMETERS"] = json.dumps(settings.journey_parameters)
    env["SOJOURN_LOG_LEVEL"] = settings.log_level
    env["PYTHONUNBUFFERED"] = "1"
    if colours:
        env["FORCE_COLOR"] = "1"
    return env


def api_url(settings: Settings) -> str:
    """Where this machine reaches the API."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.api_port}"


async def wait_for_page(url: str) -> None:
    """Wait until a page answers 200; for ever."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        while True:
            try:
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(_POLL)


async def wait_for_port(port: int) -> None:
    """Wait until a port of this machine takes connections; for ever."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_POLL)
        else:
            writer.close()
            return
