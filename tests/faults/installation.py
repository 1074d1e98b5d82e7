"""A whole installation of real processes, any of which can be killed, stopped and started."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from cli.dev import temporal
from cli.dev.child import Child, Command, tail
from cli.dev.parts import environment, wait_for_page
from cli.dev.postgres import Postgres
from infra.database.keys import create_key
from infra.database.migrate import upgrade
from infra.database.pool import close_pool, open_pool
from infra.settings import Settings
from infra.temporal import register
from tests.faults import LEASE, SOURCES
from tests.mailbox import Mailbox
from tests.parts import free_port

APIS = ("api-1", "api-2")
RELAYS = ("relay-1", "relay-2")
WORKERS = ("worker-1", "worker-2")
POSTGRES = "postgres"
TEMPORAL = "temporal"

_ROOT = Path(__file__).resolve().parents[2]
_READY_WITHIN = 90.0
_RUN_LENGTH = 12
"""Journeys go on in a new run every few events, so that faults meet that, too."""


class Installation:
    """Two apis (the first with a relay inside), two relays apart, two workers, the stores.

    Attributes:
        database_url: the PostgreSQL.
        urls: where the apis are, by name.
        deaths: which processes ended by themselves, and how; they are started again.
    """

    def __init__(self, directory: Path, mailbox: Mailbox, lease: float) -> None:
        self._directory = directory
        self._lease = lease
        self._settings = Settings(
            data_dir=directory,
            temporal_port=free_port(),
            temporal_ui_port=free_port(),
            mailbox_port=mailbox.settings.mailbox_port,
            log_level="warning",
        )
        self._ports = {name: free_port() for name in APIS}
        self._postgres = Postgres(directory, lambda _: None)
        self._children: dict[str, Child] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._expected: set[str] = set()
        self.deaths: list[str] = []
        self.database_url = self._postgres.url
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()}

    async def client(self) -> Client:
        """A client for its Temporal."""
        return await Client.connect(
            self._settings.temporal_target, data_converter=pydantic_data_converter
        )

    async def open(self) -> None:
        """Start everything, and wait until it works."""
        await self.start(POSTGRES)
        await asyncio.to_thread(upgrade, self.database_url)
        await self._make_keys()
        await self.start(TEMPORAL)
        async with asyncio.timeout(_READY_WITHIN):
            client = await temporal.connect(self._settings)
            await register(client)
            for name in (*APIS, *RELAYS, *WORKERS):
                await self.start(name)
            for url in self.urls.values():
                await wait_for_page(f"{url}/health/ready")
            for name in WORKERS:
                await temporal.wait_for_worker(client, self._children[name].started)

    async def _make_keys(self) -> None:
        pool = await open_pool(self.database_url, size=1)
        for source, key in SOURCES.items():
            await create_key(pool, source, ["write"], key)
        await close_pool(pool)

    async def start(self, name: str) -> None:
        """Start a process; a PostgreSQL is waited for."""
        self._expected.discard(name)
        if name == POSTGRES:
            child = await self._postgres.start(lambda _: None)
        else:
            child = await Child.start(self._command(name), lambda _: None)
        self._children[name] = child
        watch = asyncio.create_task(self._watch(name, child))
        self._watching.add(watch)
        watch.add_done_callback(self._watching.discard)

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        self._expected.add(name)
        self._signal(name, signal.SIGKILL)
        await self._children[name].wait()

    def stop(self, name: str) -> None:
        """SIGSTOP: it is there, and does nothing."""
        self._signal(name, signal.SIGSTOP)

    def let_go_on(self, name: str) -> None:
        """SIGCONT."""
        self._signal(name, signal.SIGCONT)

    def kill_backend(self, which: float) -> None:
        """SIGKILL to one of PostgreSQL's backends, which makes it restart all of them.

        Args:
            which: from 0 to 1: the place among those that serve Sojourn's processes.
        """
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            backends = [
                process.pid
                for process in psutil.Process(self._children[POSTGRES].pid).children()
                if " sojourn " in " ".join(process.cmdline())
            ]
            if backends:
                os.kill(backends[int(which * len(backends))], signal.SIGKILL)

    async def close(self) -> None:
        """End everything, ours first."""
        self._expected |= self._children.keys()
        for watch in list(self._watching):
            watch.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        hurry = asyncio.Event()
        hurry.set()
        for name, child in reversed(list(self._children.items())):
            if child.returncode is None:
                self.let_go_on(name)
                await child.end(hurry)
        self._postgres.tidy()

    def last_words(self) -> str:
        """The ends of the logs."""
        logs = sorted((self._directory / "logs").glob("*.log"))
        return "\n".join(f"--- {log.name}\n" + "\n".join(tail(log)) for log in logs)

    def _signal(self, name: str, number: signal.Signals) -> None:
        child = self._children[name]
        if child.returncode is None:
            os.kill(child.pid, number)

    def _command(self, name: str) -> Command:
        if name == TEMPORAL:
            return temporal.server(self._settings, self._directory)
        role = name.partition("-")[0]
        env = environment(self._settings, self._directory, self.database_url, colours=False)
        env[LEASE] = str(self._lease)
        env["SOJOURN_RUN_LENGTH"] = str(_RUN_LENGTH)
        if name in APIS:
            env["SOJOURN_API_PORT"] = str(self._ports[name])
            env["SOJOURN_RELAY_IN_API"] = str(name == APIS[0]).lower()
        log = self._directory / "logs" / f"{name}.log"
        return Command([sys.executable, "-m", "tests.faults.processes", role], env, _ROOT, log=log)

    async def _watch(self, name: str, child: Child) -> None:
        """As an orchestrator does: what ends by itself is started again, and counted."""
        await child.wait()
        if name in self._expected:
            return
        self.deaths.append(f"{name}: {child.how_it_ended()}: {' / '.join(child.last_lines()[-2:])}")
        await asyncio.sleep(1)
        if name not in self._expected and self._children[name] is child:
            await self.start(name)


@contextlib.asynccontextmanager
async def installation(
    directory: Path, mailbox: Mailbox, lease: float
) -> AsyncIterator[Installation]:
    """Run an installation in a directory; everything is ended afterwards."""
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    made = Installation(directory, mailbox, lease)
    try:
        await made.open()
        yield made
    finally:
        await made.close()
