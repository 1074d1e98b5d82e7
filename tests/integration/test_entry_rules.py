"""Semantics 13: who may enter a journey, decided in the accepting transaction."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from domain.enrollments import AFTER_EXIT, ALWAYS, ONCE, PerDay, ReEntry
from infra.database.pool import Pool, open_pool
from tests.integration.test_accept import World, entry, event, somebody_waits

PAUSE = ReEntry(pause=timedelta(days=30))
POLICIES = {"once": ONCE, "after exit": AFTER_EXIT, "after a pause": PAUSE, "always": ALWAYS}
# How long ago the earlier enrollment ended, or None where it is under way.
BEFORE = {
    "live": None,
    "ended just now": timedelta(0),
    "ended before the pause is over": timedelta(days=29, hours=23),
    "ended long ago": timedelta(days=30, seconds=1),
}
KEYS = {"same key": ("k", "k"), "another key": ("k", "other"), "no key": (None, None)}


def refusal(policy: str, before: str) -> str | None:
    """What the documentation says, for an earlier enrollment with the same key."""
    if policy == "always":
        return None
    if before == "live":
        return "already_enrolled"
    if policy == "once":
        return "once"
    if policy == "after a pause" and before != "ended long ago":
        return "pause"
    return None


@pytest.fixture
async def world(pool: Pool, database_url: str) -> AsyncIterator[World]:
    other = await open_pool(database_url)
    made = World(pool, other)
    yield made
    for acceptor in made.acceptors:
        await acceptor.close()
    await other.close()


async def _customers(world: World, count: int) -> list[str]:
    await world.accept(*(event(user=f"u{n + 1}") for n in range(count)))
    return [row[0] for row in await world.rows("select id from customer order by id")]


def _effect(journey: str, per_day: PerDay) -> dict[str, Any]:
    effects = entry(journey, per_day=per_day).effects
    assert effects is not None
    effect: dict[str, Any] = effects["entries"][0]
    return effect


@pytest.mark.parametrize(
    ("policy", "before", "keys"), list(itertools.product(POLICIES, BEFORE, KEYS))
)
async def test_re_entry(world: World, policy: str, before: str, keys: str) -> None:
    first, second = KEYS[keys]
    await world.accept(entry(key=first, re_entry=POLICIES[policy]))
    if (ago := BEFORE[before]) is not None:
        await world.end()
        await world.pool.execute("update enrollment set ended_at = ended_at - $1::interval", ago)
    await world.accept(entry(key=second, re_entry=POLICIES[policy], message="again"))

    expected = None if keys == "another key" else refusal(policy, before)
    refusals = await world.rows("select code, message_id, reason <> '' from refusal")
    assert refusals == ([] if expected is None else [(expected, "again", True)])
    enrollments = await world.rows("select key, ordinal from enrollment order by key, ordinal")
    entered = [(first or "", 1)]
    if expected is None:
        entered.append((second or "", 2 if first == second else 1))
    assert enrollments == sorted(entered)


async def test_always_enters_however_many_are_under_way_each_with_its_own_news(
    world: World,
) -> None:
    await world.pool.execute("insert into heard_name values ('heard')")
    await world.accept_each(*(entry(key=None, re_entry=ALWAYS) for _ in range(20)))
    ids = await world.rows("select workflow_id, ordinal from enrollment where state = 'live'")
    assert sorted(ordinal for _, ordinal in ids) == list(range(1, 21))
    assert all(workflow_id.endswith(f"/{ordinal}") for workflow_id, ordinal in ids)
    await world.accept(event(message="news"))
    heard = await world.rows("select number from delivery where message_id = 'news'")
    assert heard == [(2,)] * 20


async def test_who_is_in_a_journey_several_times_is_so_after_a_merge(world: World) -> None:
    await world.accept(
        entry(key=None, re_entry=ALWAYS, user="u"),
        entry(key=None, re_entry=ALWAYS, user=None, device="d"),
        entry("tour 2", key=None, user="u"),
        entry("tour 2", key=None, user=None, device="d"),
    )
    await world.accept(event(user="u", device="d", kind="identify", effects={"traits": {}}))
    assert await world.rows(
        "select journey, state, ordinal from enrollment order by journey, ordinal"
    ) == [
        ("tour", "live", 1),
        ("tour", "live", 2),
        ("tour 2", "live", 1),
        ("tour 2", "ended", 2),
    ]


def test_rules_that_contradict_themselves_are_none() -> None:
    for wrong in (
        {"while_live": True, "pause": timedelta(days=1)},
        {"while_live": True, "allowed": False},
        {"pause": timedelta(days=-1)},
    ):
        with pytest.raises(ValueError, match=r"pause|ALWAYS"):
            ReEntry(**wrong)
    for entries, zone in ((0, "UTC"), (10, "Mars/Olympus")):
        with pytest.raises(ValueError, match=r"at least 1|time zone"):
            PerDay(entries, zone)


# Entries a day.


async def test_a_day_takes_exactly_as_many_as_it_may_under_concurrency(world: World) -> None:
    rule = PerDay(30)
    # The same customers also enter another journey with a limit, in the other order.
    answers = await world.accept_each(
        *(
            entry(journey, key=None, user=f"u{n}", per_day=rule)
            for n in range(60)
            for journey in (("a", "b") if n % 2 else ("b", "a"))
        )
    )
    assert answers == [True] * 120
    for journey in ("a", "b"):
        of = await world.value("select count(*) from enrollment where journey = $1", journey)
        assert of == 30
        refusals = await world.rows(
            "select distinct code, reason from refusal where journey = $1", journey
        )
        today = datetime.now(UTC).date().isoformat()
        assert refusals == [
            (
                "entry_cap",
                f"this journey takes 30 entries a day, and has taken them for {today} (UTC)",
            )
        ]
    assert await world.value("select count(*) from refusal") == 60
    assert await world.value("select sum(entries)::int from entry_count") == 60


async def test_the_last_place_is_taken_once_whoever_asks_at_the_same_moment(world: World) -> None:
    ids = await _customers(world, 60)
    effect = _effect("tour", PerDay(30))
    await asyncio.gather(
        *(world.value("select enter($1, $2, 1, $1)", customer, effect) for customer in ids)
    )
    assert await world.value("select count(*) from enrollment") == 30
    assert await world.value("select count(*) from refusal where code = 'entry_cap'") == 30


async def test_two_who_enter_two_full_journeys_do_not_wait_for_each_other(world: World) -> None:
    first, second = await _customers(world, 2)
    a, b = _effect("a", PerDay(10)), _effect("b", PerDay(10))
    async with world.pool.acquire() as one, world.pool.acquire() as other:
        async with one.transaction():
            await one.execute("select enter($1, $2, 1, 'm')", first, a)

            async def crosswise() -> None:
                async with other.transaction():
                    await other.execute("select enter($1, $2, 1, 'm')", second, b)
                    await other.execute("select enter($1, $2, 1, 'm')", second, a)

            crossing = asyncio.create_task(crosswise())
            await somebody_waits(world)
            await one.execute("select enter($1, $2, 1, 'm')", first, b)
        await crossing
    assert await world.value("select count(*) from enrollment") == 4


async def test_who_is_refused_for_another_reason_takes_no_place(world: World) -> None:
    rule = PerDay(2)
    await world.accept(entry(per_day=rule), entry(per_day=rule), entry(per_day=rule, key="other"))
    assert await world.rows("select code from refusal") == [("already_enrolled",)]
    assert await world.value("select count(*) from enrollment") == 2


async def test_a_place_is_given_back_with_its_transaction(world: World) -> None:
    ids = await _customers(world, 2)
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select enter($1, $2, 1, 'm')", ids[0], _effect("tour", PerDay(1)))
        # Another one waits for the only place, and gets it when this one gives up.
        waiting = asyncio.create_task(world.accept(entry(per_day=PerDay(1), user="u2")))
        await somebody_waits(world)
        await transaction.rollback()
        assert await waiting == [True]
    assert await world.value("select count(*) from enrollment") == 1


async def test_a_new_day_has_new_places_in_the_zone_that_was_stated(world: World) -> None:
    rule = PerDay(1, "Pacific/Auckland")
    await world.accept(entry(per_day=rule, user="u1"), entry(per_day=rule, user="u2"))
    assert await world.value("select count(*) from enrollment") == 1
    (day,) = (await world.rows("select day from entry_count"))[0]
    assert day == rule.day(datetime.now(UTC))
    await world.pool.execute("update entry_count set day = day - 1")
    await world.accept(entry(per_day=rule, user="u2"))
    assert await world.value("select count(*) from enrollment") == 2


def test_a_day_begins_at_midnight_there() -> None:
    rule = PerDay(1, "Pacific/Auckland")
    # 13 hours ahead in summer, 12 in winter.
    assert rule.day(datetime(2026, 1, 1, 10, 59, tzinfo=UTC)).isoformat() == "2026-01-01"
    assert rule.day(datetime(2026, 1, 1, 11, 0, tzinfo=UTC)).isoformat() == "2026-01-02"
    assert rule.day(datetime(2026, 7, 1, 11, 30, tzinfo=UTC)).isoformat() == "2026-07-01"
    assert rule.day(datetime(2026, 7, 1, 12, 0, tzinfo=UTC)).isoformat() == "2026-07-02"


async def test_two_may_not_be_under_way_where_one_is_allowed_whatever_writes_them(
    world: World,
) -> None:
    await world.accept(entry())
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.pool.execute(
            "insert into enrollment (id, customer_id, journey, workflow_type, workflow_id,"
            " task_queue, key, ordinal, listens, last_number)"
            " select 'x', customer_id, journey, workflow_type, 'x', '', key, 2, '{}', 1"
            " from enrollment"
        )
