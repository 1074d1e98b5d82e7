"""The ledger's counts are kept as it changes, and are what counting it would give."""

import asyncio
import random

import pytest

from infra.database.figures import Figures
from infra.database.pool import Pool
from tests.patience import PATIENCE

VERDICTS = ("sending", "sent", "held", "suppressed", "unknown")
CHANNELS = ("email", "push")


@pytest.fixture
async def figures(pool: Pool) -> Figures:
    await pool.execute("insert into customer (id) values ('c')")
    return Figures(pool)


async def insert(pool: Pool, name: str, verdict: str, channel: str) -> None:
    await pool.execute(
        "insert into message (id, key, customer_id, enrollment_id, journey, step, channel,"
        " template, topic, verdict, reason) values ($1, $1, 'c', 'e', 'j', 's', $3, 't',"
        " 'promotional', $2, 'r')"
        " on conflict (key) do update set verdict = excluded.verdict",
        name,
        verdict,
        channel,
    )


async def counted(pool: Pool) -> dict[tuple[str, str], int]:
    rows = await pool.fetch("select verdict, channel, count(*) from message group by 1, 2")
    return {(row[0], row[1]): row[2] for row in rows}


async def test_the_counts_are_exact_whoever_counts_meanwhile(pool: Pool, figures: Figures) -> None:
    chance = random.Random(3)
    done = asyncio.Event()

    async def change(worker: int) -> None:
        for _ in range(150):
            name = f"{worker}-{chance.randrange(40)}"
            if chance.random() < 0.1:
                await pool.execute("delete from message where id = $1", name)
            else:
                channel = CHANNELS[len(name) % 2]
                await insert(pool, name, chance.choice(VERDICTS), channel)

    async def count() -> None:
        while not done.is_set():
            await figures.refresh()

    counting = [asyncio.create_task(count()) for _ in range(2)]
    await asyncio.gather(*(change(worker) for worker in range(4)))
    done.set()
    await asyncio.gather(*counting)
    await figures.refresh()
    assert figures.messages is not None
    assert {key: n for key, n in figures.messages.items() if n} == await counted(pool)
    assert await pool.fetchval("select count(*) from message_change") == 0


async def test_what_is_not_committed_is_neither_counted_nor_waited_for(
    pool: Pool, figures: Figures
) -> None:
    await insert(pool, "m1", "sent", "email")
    async with pool.acquire() as connection, connection.transaction():
        await insert(connection, "m2", "sent", "email")
        await asyncio.wait_for(figures.refresh(), PATIENCE)
        assert figures.messages == {("sent", "email"): 1}
        await asyncio.wait_for(insert(pool, "m3", "sent", "email"), PATIENCE)
    await figures.refresh()
    assert figures.messages == {("sent", "email"): 3}


async def test_the_same_verdict_again_changes_nothing(pool: Pool, figures: Figures) -> None:
    for _ in range(3):
        await insert(pool, "m1", "held", "email")
    assert await pool.fetchval("select count(*) from message_change") == 1
    await figures.refresh()
    assert figures.messages == {("held", "email"): 1}
