"""One server for all clients, on a socket, and the packages of those that run in Node."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn

from infra.web import listen, run_server
from tests.api import running_api
from tests.clients.front import Front, Server
from tests.parts import Postgres, free_port

_HERE = Path(__file__).parent
_INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"]


@pytest.fixture(scope="package")
async def server(postgres: Postgres) -> AsyncIterator[Server]:
    """The API on a real server, and before it a peer that answers for it when it is told to."""
    port = free_port()
    async with postgres.database() as url, running_api(url) as api:
        front = Front(api.app)
        config = uvicorn.Config(front, http="httptools", log_config=None, lifespan="off")
        with listen("127.0.0.1", port, "SOJOURN_API_PORT") as listener:
            serving = asyncio.create_task(run_server(config, listener))
            yield Server(api, front, port)
            serving.cancel()
            await asyncio.wait([serving])


@pytest.fixture(autouse=True)
def _forget(server: Server) -> None:
    server.front.forget()


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """Where the locked packages are installed: outside the tree, once for each lock."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    locked = b"".join((_HERE / name).read_bytes() for name in ("package.json", "package-lock.json"))
    name = f"sojourn-clients-{os.getuid()}-{hashlib.sha256(locked).hexdigest()[:12]}"
    directory = Path(tempfile.gettempdir()) / name
    if not directory.exists():
        # Made aside and put in place whole: neither a broken run nor another one is in the way.
        with tempfile.TemporaryDirectory(prefix=name) as aside:
            whole = Path(aside) / "whole"
            whole.mkdir()
            for file in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / file, whole)
            done = subprocess.run(
                _INSTALL, cwd=whole, check=False, capture_output=True, text=True, timeout=300
            )
            if done.returncode != 0:
                pytest.fail(f"npm could not install the stock libraries:\n{done.stderr}")
            with contextlib.suppress(OSError):  # another run was faster
                whole.rename(directory)
    return directory
