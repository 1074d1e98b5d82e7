"""How soon `sojourn dev` is ready, and what memory a thousand waiting journeys take."""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.plan import Measured, Plan
from bench.report import Figure
from bench.stage import free_ports, stage
from domain.events import CartAbandoned
from infra.database.accept import entry_effect
from journeys.abandoned_cart import AbandonedCart, CartParameters

_ROOT = Path(__file__).resolve().parents[1]
_JOURNEYS = 1_000
_READY_SECONDS = 15.0
_PORTS = ("API", "TEMPORAL", "TEMPORAL_UI", "SMTP", "MAILBOX")


async def measure_start(plan: Plan) -> Measured:
    """Start it on a fresh directory, then again on the same one."""
    fresh: list[float] = []
    again: list[float] = []
    for number in range(plan.repeats):
        plan.say(f"start {number + 1} of {plan.repeats}")
        directory = Path(tempfile.mkdtemp(prefix="sojourn-bench-"))
        try:
            fresh.append(await _start(directory))
            again.append(await _start(directory))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return Measured(
        [
            Figure(f"dev ready, {name} data", median(times), "s", times, at_most=_READY_SECONDS)
            for name, times in (("fresh", fresh), ("earlier", again))
        ]
    )


async def _start(directory: Path) -> float:
    ports = zip(_PORTS, free_ports(len(_PORTS)), strict=True)
    env = {f"SOJOURN_{name}_PORT": str(port) for name, port in ports}
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        "dev",
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "SOJOURN_DATA_DIR": str(directory), **env},
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(120):
            async for line in process.stdout:
                said.append(line.decode())
                if "Ready after" in said[-1]:
                    return time.monotonic() - began
        raise RuntimeError("it ended before it was ready: " + "".join(said[-5:]))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def measure_memory(plan: Plan) -> Measured:
    """Let a thousand carts wait for an hour, and look at every process."""
    cart = CartAbandoned(cart_id="c1")
    entry = AbandonedCart.declaration.entry(cart, CartParameters())
    assert entry is not None
    wish = {"entries": [entry_effect(entry)]}
    async with stage() as parts:
        await parts.start("api", "cli.main", "api")
        await parts.start("worker", "cli.main", "worker")
        await parts.quiet()
        before = parts.memory()
        plan.say(f"{_JOURNEYS} journeys begin to wait")
        await parts.post(
            [parts.event(n, cart.name, {"cart_id": "c1"}, wish) for n in range(_JOURNEYS)]
        )
        await parts.carried()
        await parts.quiet()
        after = parts.memory()
    figures = [
        Figure(f"memory of {name}, {_JOURNEYS:,} waiting", resident, "MB")
        for name, (resident, _) in after.items()
    ]
    grown = ", ".join(f"{name} {after[name][0] - before[name][0]:+.0f}" for name in after)
    return Measured(figures, [f"Resident, children included. Grown by the journeys (MB): {grown}."])
