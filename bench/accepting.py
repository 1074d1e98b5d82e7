"""How many single events a second the API accepts, against its own no-op."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.load import Kind, Load, run
from bench.plan import Measured, Plan
from bench.report import Figure, compared
from bench.stage import Stage, free_ports, stage
from cli.dev.parts import wait_for_port
from domain.events import PurchaseMade
from infra.database.accept import entry_effect
from journeys.catalog import Catalog, discover

CUSTOMERS = 20_000
ENROLLED = 1_000


async def measure(plan: Plan) -> Measured:
    """Measure in turn: no-op, an event that nobody hears, one that a waiting journey hears."""
    rates: list[list[float]] = [[], [], []]
    generator = 0.0
    kinds = [
        Kind("/noop", "page_seen", CUSTOMERS),
        Kind("/v1/track", "page_seen", CUSTOMERS),
        Kind("/v1/track", "survey_answered", ENROLLED),
    ]
    async with stage() as parts:
        plan.say("accepting: preparing")
        await parts.post([parts.event(number, "page_seen", {}) for number in range(CUSTOMERS)])
        await parts.start("api", "bench.processes", "api")
        await parts.start("worker", "bench.processes", "worker")
        await enroll(parts)
        for repeat in range(plan.repeats):
            plan.say(f"accepting, {repeat + 1} of {plan.repeats}")
            counted = await run(Load(parts.settings.api_port, kinds[:2]))
            for kind, rate in enumerate(counted.rates):
                rates[kind].append(rate)
            generator = max(generator, counted.cpu[0])
            # Apart, because the relay and the worker are busy with it for a while.
            load = Load(parts.settings.api_port, kinds[2:], turns=1, seconds=2)
            rates[2] += (await run(load)).rates
            await parts.carried()
            await parts.quiet()
    async with _answerer() as port:
        ceiling = (await run(Load(port, kinds[:1], turns=1))).rates[0]
    return Measured(
        [
            _figure("single events accepted, nobody listens", rates[1], rates[0], at_least=0.5),
            _figure("single events accepted, a waiting journey listens", rates[2], rates[0]),
        ],
        [
            (
                f"The load generator's ceiling is {ceiling:,.0f} requests/s; against the no-op it "
                f"used {generator:.0%} of a core at most."
            ),
        ],
    )


def _figure(
    what: str, ours: list[float], noop: list[float], at_least: float | None = None
) -> Figure:
    return compared(what, "/s", ours, "no-op", noop, at_least=at_least)


async def enroll(parts: Stage) -> None:
    """Let customers 0, 1, … wait in post_purchase_survey, in Temporal and in the worker."""
    catalog = Catalog(discover())
    purchase = PurchaseMade(order_id="o1")
    effects = {"entries": [entry_effect(entry) for entry in catalog.entries(purchase)]}
    await parts.post(
        [
            parts.event(number, PurchaseMade.name, {"order_id": "o1"}, effects)
            for number in range(ENROLLED)
        ]
    )
    await parts.carried()
    await parts.quiet()


@asynccontextmanager
async def _answerer() -> AsyncIterator[int]:
    """A server that does nothing but answer: its rate is the generator's ceiling."""
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", "answer", str(port)
    )
    try:
        await wait_for_port(port)
        yield port
    finally:
        process.terminate()
        await process.wait()
