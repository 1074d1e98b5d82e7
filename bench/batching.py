"""Batches of 100 events, against a raw insert of 1,000 rows a statement."""

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime

import asyncpg

from bench.accepting import CUSTOMERS, ENROLLED, enroll
from bench.load import Kind, Load, run, user
from bench.plan import Measured, Plan
from bench.report import compared
from bench.stage import Stage, stage

BATCH = 100
_ROWS = 1_000
_PROPERTIES = json.dumps({"order_id": "another", "survey": "s1", "score": 9, "total": 81.5})

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


async def measure(plan: Plan) -> Measured:
    """Measure in turn: the raw insert, a batch that nobody hears, one that journeys hear."""
    raw: list[float] = []
    rates: list[list[float]] = [[], []]
    kinds = [
        Kind("/v1/batch", "page_seen", CUSTOMERS, BATCH),
        Kind("/v1/batch", "survey_answered", ENROLLED, BATCH),
    ]
    async with stage() as parts:
        plan.say("batching: preparing")
        await parts.post([parts.event(number, "page_seen", {}) for number in range(CUSTOMERS)])
        await parts.pool.execute(_TABLE)
        await parts.start("api", "bench.processes", "api")
        await parts.start("worker", "bench.processes", "worker")
        await enroll(parts)
        for repeat in range(plan.repeats):
            plan.say(f"batching, {repeat + 1} of {plan.repeats}")
            raw.append(await _insert(parts, 2.0))
            for index, kind in enumerate(kinds):
                load = Load(
                    parts.settings.api_port,
                    [kind],
                    f"b{repeat}-{index}",
                    connections=48,
                    turns=1,
                    # Journeys are signalled meanwhile, and their backlog must be carried after.
                    seconds=2 if index == 0 else 1,
                )
                rates[index] += (await run(load)).rates
            await parts.carried()
            await parts.quiet()
    against = f"raw insert, {_ROWS:,} rows"
    return Measured(
        [
            compared(
                f"events accepted, {BATCH} a request, nobody listens",
                "/s",
                rates[0],
                against,
                raw,
                at_least=0.8,
            ),
            compared(
                f"events accepted, {BATCH} a request, journeys listen",
                "/s",
                rates[1],
                against,
                raw,
                at_least=0.5,
            ),
        ]
    )


async def _insert(parts: Stage, seconds: float) -> float:
    """Insert from two connections, as the API has two transactions under way. Returns rows/s."""

    async def one() -> int:
        connection = await asyncpg.connect(parts.database_url)
        try:
            inserted = 0
            while time.monotonic() - began < seconds:
                now = datetime.now(UTC)
                await connection.execute(
                    _INSERT,
                    [uuid.uuid4().hex for _ in range(_ROWS)],
                    [user(number % CUSTOMERS) for number in range(inserted, inserted + _ROWS)],
                    ["page_seen"] * _ROWS,
                    [now] * _ROWS,
                    [_PROPERTIES] * _ROWS,
                )
                inserted += _ROWS
            return inserted
        finally:
            await connection.close()

    began = time.monotonic()
    inserted = await asyncio.gather(one(), one())
    return sum(inserted) / (time.monotonic() - began)
