"""Pages that use the browser library: in jsdom under Node, and in Chromium where there is one."""

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from infra.web import listen, run_server
from tests.parts import free_port

_HERE = Path(__file__).parent
_LIBRARY = "node_modules/@segment/analytics-next/dist/umd/index.js"
_FLAGS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

TIME_ZONE, LOCALE = "Pacific/Auckland", "en-US"
"""Where the pages' reader is, and how they read."""


def chromium() -> str | None:
    """Where Chromium is, if it is on this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.asynccontextmanager
async def page_in_jsdom(job: Any, packages: Path) -> AsyncIterator[None]:
    """A page that plays `job`, open for as long as the context."""
    async with _running("node", str(_HERE / "jsdom_client.cjs"), job=job, cwd=packages):
        yield


@contextlib.asynccontextmanager
async def page_in_chromium(job: Any, packages: Path) -> AsyncIterator[None]:
    """A page that plays `job` in a real browser, open for as long as the context."""
    found = chromium()
    assert found is not None
    port = free_port()
    site = _Site(job, packages)
    config = uvicorn.Config(site, http="httptools", log_config=None, lifespan="off")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        listen("127.0.0.1", port, "SOJOURN_API_PORT") as listener,
    ):
        serving = asyncio.create_task(run_server(config, listener))
        flags = [*_FLAGS, f"--user-data-dir={profile}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # it refuses to run as root with one
        async with _running(found, *flags, f"http://127.0.0.1:{port}/basket?from=mail"):
            yield
        serving.cancel()
        await asyncio.wait([serving])


class _Site:
    """The shop whose page it is: of another origin than the API."""

    def __init__(self, job: Any, packages: Path) -> None:
        page = f"""<!doctype html><title>Shop</title>
            <script>window.leave = () => window.location.assign('/left')</script>
            <script src="/library.js"></script><script src="/scenario.js"></script>
            <script>window.play({json.dumps(job)})</script>"""
        self._files = {
            "/basket": (b"text/html", page.encode()),
            "/left": (b"text/html", b"<!doctype html><title>Left</title>"),
            "/library.js": (b"text/javascript", (packages / _LIBRARY).read_bytes()),
            "/scenario.js": (b"text/javascript", (_HERE / "browser_scenario.js").read_bytes()),
        }

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        kind, content = self._files.get(scope["path"], (b"text/plain", b""))
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@contextlib.asynccontextmanager
async def _running(*command: str, job: Any = None, cwd: Path | None = None) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "TZ": TIME_ZONE, "LANGUAGE": LOCALE, "LANG": f"{LOCALE}.UTF-8"},
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
