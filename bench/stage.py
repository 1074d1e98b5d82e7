"""The parts that are measured: a PostgreSQL and a Temporal server as `sojourn dev` starts them."""

import asyncio
import contextlib
import json
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from temporalio.client import Client

from bench.load import user
from bench.processes import RECORDS
from cli.dev import temporal
from cli.dev.child import Child, Command
from cli.dev.parts import environment, wait_for_page
from cli.dev.postgres import Postgres
from infra.database.accept import Acceptor, Incoming
from infra.database.keys import ensure_development_key
from infra.database.migrate import upgrade
from infra.database.pool import Pool, open_pool
from infra.settings import Settings
from infra.temporal import register

_ROOT = Path(__file__).resolve().parents[1]
_READY_WITHIN = 60.0
_AT_ONCE = 1_000


def free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Stage:
    """Running parts, and what is done with them around a measurement.

    Attributes:
        settings: of the processes; its ports are free ones.
        database_url: the PostgreSQL, with fsync and synchronous commit on.
        records: the file that the workers' records are in.
    """

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.records = directory / "records"
        self.database_url = ""
        self.children: dict[str, Child] = {}
        self._directory = directory
        self._source = 0
        self.pool: Pool
        self.temporal: Client

    async def start_stores(self) -> None:
        """Start PostgreSQL and Temporal on fresh files."""
        postgres = Postgres(self._directory, lambda _: None)
        self.children["postgres"] = await postgres.start(lambda _: None)
        self.database_url = postgres.url
        await asyncio.to_thread(upgrade, postgres.url)
        await ensure_development_key(postgres.url)
        self.pool = await open_pool(postgres.url, size=4)
        for name in ("fsync", "synchronous_commit"):
            if await self.pool.fetchval(f"show {name}") != "on":
                raise RuntimeError(f"PostgreSQL runs without {name}: the figures would mean little")
        self._source = await self.pool.fetchval("select source_id from api_key limit 1")
        server = temporal.server(self.settings, self._directory)
        self.children["temporal"] = await Child.start(server, lambda _: None)
        self.temporal = await asyncio.wait_for(temporal.connect(self.settings), _READY_WITHIN)
        await register(self.temporal)

    async def start(self, name: str, *module: str, **more: str) -> None:
        """Start one of our processes, such as `start("api", "cli.main", "api")`; wait for it."""
        settings = self.settings
        env = environment(settings, self._directory, self.database_url, colours=False)
        env["SOJOURN_API_PORT"] = str(settings.api_port)
        env[RECORDS] = str(self.records)
        log = self._directory / "logs" / f"{name}.log"
        child = await Child.start(
            Command([sys.executable, "-m", *module], env | more, _ROOT, log=log), lambda _: None
        )
        self.children[name] = child
        ready: Awaitable[None]
        if name == "api":
            ready = wait_for_page(f"http://127.0.0.1:{settings.api_port}/health/ready")
        elif name == "worker":
            ready = temporal.wait_for_worker(self.temporal, child.started)
        else:
            ready = asyncio.sleep(2)
        waiting = asyncio.ensure_future(ready)
        over = asyncio.ensure_future(child.wait())
        await asyncio.wait(
            {waiting, over}, timeout=_READY_WITHIN, return_when=asyncio.FIRST_COMPLETED
        )
        if not waiting.done() or child.returncode is not None:
            raise RuntimeError(f"{name} does not start: {' / '.join(child.last_lines())}")
        over.cancel()

    async def end(self) -> None:
        """End everything, ours first."""
        if hasattr(self, "pool"):
            await self.pool.close()
        for child in reversed(self.children.values()):
            if child.returncode is None:
                await child.end(asyncio.Event())

    async def post(self, incoming: Sequence[Incoming]) -> None:
        """Accept events without HTTP, to prepare a measurement."""
        acceptor = Acceptor(self.pool, lambda: None)
        for start in range(0, len(incoming), _AT_ONCE):
            await acceptor.accept(incoming[start : start + _AT_ONCE])
        await acceptor.close()

    def event(
        self, customer: int, name: str, properties: Any, effects: dict[str, Any] | None = None
    ) -> Incoming:
        """An event for `post`."""
        now = datetime.now(UTC)
        return Incoming(
            source_id=self._source,
            message_id=uuid.uuid4().hex,
            user_id=user(customer),
            anonymous_id=None,
            type="identify" if effects and "traits" in effects else "track",
            name=name,
            occurred_at=now,
            received_at=now,
            properties=json.dumps(properties),
            effects=effects,
        )

    async def carried(self, within: float = 120.0) -> None:
        """Wait until the relay has carried everything."""

        async def empty() -> bool:
            return not await self.pool.fetchval("select count(*) from backlog")

        await until(empty, within, "the relay did not carry its backlog")

    async def quiet(self, within: float = 60.0) -> None:
        """Wait until our processes have nothing to do: less than a tenth of a core together."""

        async def idle() -> bool:
            before, began = sum(self.cpu().values()), time.monotonic()
            await asyncio.sleep(0.5)
            return (sum(self.cpu().values()) - before) / (time.monotonic() - began) < 0.1

        await until(idle, within, "the processes do not come to rest")

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time that every part has used, with its children, ended or not."""
        return {name: sum(map(_cpu, _tree(child.pid))) for name, child in self.children.items()}

    def memory(self) -> dict[str, tuple[float, float]]:
        """MB of every part with its own children: resident (summed), and proportional."""
        sizes: dict[str, tuple[float, float]] = {}
        for name, child in self.children.items():
            infos = [process.memory_full_info() for process in _tree(child.pid)]
            sizes[name] = (sum(i.rss for i in infos) / 1e6, sum(i.pss for i in infos) / 1e6)
        return sizes


def _cpu(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):  # what it used is its parent's by now
        return float(sum(process.cpu_times()[:4]))
    return 0.0


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


async def until(true: Callable[[], Awaitable[bool]], within: float, otherwise: str) -> None:
    """Wait until something is true.

    Raises:
        RuntimeError: it is not within so many seconds.
    """
    deadline = time.monotonic() + within
    while not await true():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Fresh stores in a directory of their own; everything is ended and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="sojourn-bench-"))
    (directory / "logs").mkdir()
    api_port, temporal_port, ui_port = free_ports(3)
    settings = Settings(
        data_dir=directory,
        api_port=api_port,
        temporal_port=temporal_port,
        temporal_ui_port=ui_port,
        log_level="warning",
    )
    parts = Stage(settings, directory)
    try:
        await parts.start_stores()
        yield parts
    finally:
        await parts.end()
        shutil.rmtree(directory, ignore_errors=True)
