"""Batches of 100 events, against a raw insert of 1,000 rows a statement.

Both sides store the same properties of the same customers under random message ids, and both
share the machine with what makes them up: the load generator there, the inserting process here.
"""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median

import asyncpg
import psutil

from bench.accepting import CUSTOMERS, ENROLLED, enroll
from bench.load import PROPERTIES, Kind, Load, message_id, run, user
from bench.plan import Measured, Plan
from bench.report import compared
from bench.stage import Stage, stage

BATCH = 100
_ROWS = 1_000
_PROPERTIES = json.dumps(PROPERTIES)
_UNHEARD = Kind("/v1/batch", "page_seen", CUSTOMERS, BATCH)
_HEARD = Kind("/v1/batch", "survey_answered", ENROLLED, BATCH)

# What anybody would write who only stores events, each once.
_TABLE = """
create table raw_event (
    source_id bigint, message_id text, user_id text not null, name text not null,
    occurred_at timestamptz not null, received_at timestamptz not null default now(),
    properties jsonb not null, primary key (source_id, message_id))
"""
_INSERT = """
insert into raw_event (source_id, message_id, user_id, name, occurred_at, properties)
select 1, * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[]::jsonb[])
on conflict do nothing
"""


_COUNT = "select count(*) from event"

Costs = dict[str, list[float]]
"""Microseconds of processor time an event, by who used them, one a repeat."""


async def measure(plan: Plan) -> Measured:
    """Measure in turn: the raw insert, a batch that nobody hears, one that journeys hear."""
    raw: list[float] = []
    unheard: list[float] = []
    heard: list[float] = []
    carried: list[float] = []
    costs: dict[str, Costs] = {"raw insert": {}, "nobody listens": {}, "journeys listen": {}}
    raw_costs, unheard_costs, heard_costs = costs.values()
    async with stage() as parts:
        plan.say("batching: preparing")
        await parts.post([parts.event(number, "page_seen", {}) for number in range(CUSTOMERS)])
        await parts.pool.execute(_TABLE)
        await parts.start("api", "bench.processes", "api", SOJOURN_RELAY_IN_API="false")
        await parts.start("relay", "cli.main", "relay")
        await parts.start("worker", "bench.processes", "worker")
        await enroll(parts)
        for repeat in range(plan.repeats):
            plan.say(f"batching, {repeat + 1} of {plan.repeats}")
            raw.append(await _insert(parts, 2.0, raw_costs))
            unheard.append(await _accept(parts, _UNHEARD, 2.0, unheard_costs))
            with _held(parts, "relay"):
                heard.append(await _accept(parts, _HEARD, 1.0, heard_costs))
            await parts.carried()
            await parts.quiet()
            carried.append(await _accept(parts, _HEARD, 1.0, {}))
            await parts.carried()
            await parts.quiet()
    what, against = f"events accepted, {BATCH} a request", f"raw insert, {_ROWS:,} rows"
    return Measured(
        [
            compared(f"{what}, nobody listens", "/s", unheard, against, raw, at_least=0.8),
            compared(f"{what}, journeys listen", "/s", heard, against, raw, at_least=0.5),
            compared(f"{what}, journeys listen and hear", "/s", carried, against, raw),
        ],
        [
            "Journeys that listen hear after the load; those that listen and hear, meanwhile.",
            "Processor time an event, in µs: " + "; ".join(map(_said, costs, costs.values())) + ".",
        ],
    )


async def _accept(parts: Stage, kind: Kind, seconds: float, costs: Costs) -> float:
    load = Load(parts.settings.api_port, [kind], connections=48, turns=1, seconds=seconds)
    before, used = await parts.pool.fetchval(_COUNT), parts.cpu()
    counted = await run(load)
    used = {name: seconds - used[name] for name, seconds in parts.cpu().items()}
    events = await parts.pool.fetchval(_COUNT) - before
    _add(costs, "PostgreSQL", used["postgres"], events)
    _add(costs, "the API", used["api"], events)
    _add(costs, "the load generator", counted.cpu[0], counted.rates[0])
    return counted.rates[0]


def _add(costs: Costs, who: str, seconds: float, events: float) -> None:
    costs.setdefault(who, []).append(seconds * 1e6 / events)


def _said(what: str, costs: Costs) -> str:
    return f"{what}: " + ", ".join(f"{who} {median(used):.1f}" for who, used in costs.items())


@contextmanager
def _held(parts: Stage, name: str) -> Iterator[None]:
    """Let a process stand still."""
    process = psutil.Process(parts.children[name].pid)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def _insert(parts: Stage, seconds: float, costs: Costs) -> float:
    """Insert from two connections, as the API has two transactions under way. Returns rows/s."""

    async def one() -> int:
        connection = await asyncpg.connect(parts.database_url)
        try:
            inserted = 0
            while time.monotonic() - began < seconds:
                now = datetime.now(UTC)
                await connection.execute(
                    _INSERT,
                    [message_id() for _ in range(_ROWS)],
                    [user(number % CUSTOMERS) for number in range(inserted, inserted + _ROWS)],
                    ["page_seen"] * _ROWS,
                    [now] * _ROWS,
                    [_PROPERTIES] * _ROWS,
                )
                inserted += _ROWS
            return inserted
        finally:
            await connection.close()

    began, client, postgres = time.monotonic(), time.process_time(), parts.cpu()["postgres"]
    inserted = sum(await asyncio.gather(one(), one()))
    _add(costs, "PostgreSQL", parts.cpu()["postgres"] - postgres, inserted)
    _add(costs, "the client", time.process_time() - client, inserted)
    return inserted / (time.monotonic() - began)
