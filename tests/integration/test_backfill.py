"""Computing from the history, while events go on coming in."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.audiences import Count
from domain.errors import ConfigurationError
from domain.events import PurchaseMade
from infra.database.audiences import register
from infra.database.backfill import Backfill, Progress
from tests.audiences import (
    DAY,
    EVERYTHING,
    Shop,
    big_spender,
    orders,
    orders_30d,
    shop,
    spent,
)

big_orders = Count(PurchaseMade, where=lambda purchase: (purchase.total or 0) >= 50)


async def fill(store: Shop, **how: Any) -> list[Progress]:
    told: list[Progress] = []
    again = how.pop("again", False)
    await Backfill(store.pool, store.keepers[0], **how).run(told.append, again=again)
    return told


async def test_the_history_counts_as_if_it_had_been_computed_all_along(database_url: str) -> None:
    async with shop(database_url, ()) as before:
        purchases = [
            before.purchase(n, user=f"u{n % 3}", ago=n * DAY, currency="EUR") for n in range(90)
        ]
        await before.accept(*purchases, *purchases[:5])
    async with shop(database_url) as store:
        assert (await store.customer("u0")).computed == {}
        assert (await store.customer("u0")).value(orders) is None
        await store.accept(store.purchase(1, user="u0"))
        assert (await store.customer("u0")).segments == ()
        told = await fill(store, at_once=2)
        assert [progress.done for progress in told] == [2, 3]
        assert told[-1].events == 91
        by_hand = await _computed(store)
        assert (await store.customer("u0")).value(orders) == 31
        assert (await store.customer("u1")).value(orders_30d) == 10
        assert (await store.customer("u2")).value(spent) == sum(range(2, 90, 3))
    async with shop(database_url, [*EVERYTHING, big_orders]) as store:
        # What was there stays as it is; what is new is computed.
        await fill(store)
        assert {k: v for k, v in (await _computed(store)).items() if "big" not in k} == by_hand
        assert (await store.customer("u1")).value(big_orders) == 13


async def test_who_is_found_in_a_new_segment_has_not_just_entered_it(database_url: str) -> None:
    async with shop(database_url, ()) as before:
        await before.accept(before.purchase(200), before.purchase(200, user="u2"))
    async with shop(database_url) as store:
        await fill(store)
        assert (await store.customer()).is_in(big_spender)
        await store.accept(store.purchase(1))
        assert await store.moves() == ["+frequent"]
        await store.accept(store.purchase(-150))
        assert await store.moves() == ["+frequent", "-big_spender"]


async def test_who_is_found_in_a_new_segment_enters_it_where_that_is_wanted(
    database_url: str,
) -> None:
    async with shop(database_url, ()) as before:
        await before.accept(before.purchase(200))
    async with shop(database_url) as store:
        await fill(store, announce=True)
        await fill(store, announce=True, again=True)
        assert await store.moves() == ["+big_spender"]
        assert await store.pool.fetchval("select journey from enrollment") == "welcome"


async def test_a_backfill_does_not_swallow_what_was_due_anyway(database_url: str) -> None:
    async with shop(database_url) as store:
        await store.accept(store.purchase(1, ago=60 * DAY - timedelta(milliseconds=300)))
        await asyncio.sleep(0.4)
    async with shop(database_url, [*EVERYTHING, big_orders]) as store:
        await fill(store)
        assert await store.moves() == ["+lapsing"]


async def test_every_event_counts_once_while_events_come_in_during_a_backfill(
    database_url: str,
) -> None:
    async with shop(database_url, ()) as before:
        for _ in range(5):
            await before.accept(*(before.purchase(1, user=f"u{n}") for n in range(40)))
    async with shop(database_url) as store:
        done = asyncio.Event()
        posted = dict.fromkeys((f"u{n}" for n in range(40)), 5)

        async def post(lane: int) -> None:
            turn = lane
            while not done.is_set():
                turn += 1
                user = f"u{turn % 40}"
                item = store.purchase(1, user=user)
                await store.acceptors[lane % 2].accept([item, item])
                posted[user] += 1

        async with asyncio.TaskGroup() as posting:
            for lane in range(6):
                posting.create_task(post(lane))
            for again in (False, True, True):
                await fill(store, at_once=3, again=again)
            done.set()
        assert sum(posted.values()) > 400
        for user, count in posted.items():
            ada = await store.customer(user)
            assert (user, ada.value(orders), ada.value(spent)) == (user, count, Decimal(count))


async def test_another_meaning_is_another_trait_and_the_old_one_is_cleared_away(
    database_url: str,
) -> None:
    def named(where: Any) -> Count:
        return Count(PurchaseMade, where=where, name="some")

    async with shop(database_url, [named(lambda p: p.total >= 50)]) as before:
        await before.accept(before.purchase(20), before.purchase(70))
        assert (await before.customer()).computed == {"some": 1}
    async with shop(database_url, [named(lambda p: p.total >= 10)]) as store:
        assert (await store.customer()).computed == {}
        await fill(store)
        assert (await store.customer()).computed == {"some": 2}
        assert await store.pool.fetchval("select count(*) from audience") == 1
        assert await store.pool.fetchval("select count(*) from computed") == 1
    # Back to the code of before: what it had was given up, as it does not have all of it.
    async with shop(database_url, [named(lambda p: p.total >= 50)]) as back:
        assert (await back.customer()).computed == {}
        assert await register(back.pool, back.audiences) == ["some"]


async def test_a_backfill_goes_on_where_it_was_stopped(database_url: str) -> None:
    async with shop(database_url, ()) as before:
        await before.accept(*(before.purchase(1, user=f"u{n}") for n in range(6)))
    async with shop(database_url) as store:

        def stop(progress: Progress) -> None:
            if progress.done == 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await Backfill(store.pool, store.keepers[0], at_once=2).run(stop)
        known = [(await store.customer(f"u{n}")).value(orders) for n in range(6)]
        assert sorted(known, key=str) == [1, 1, 1, 1, None, None]
        assert [progress.done for progress in await fill(store, at_once=2)] == [6]


async def test_two_backfills_at_once_are_one_too_many(database_url: str) -> None:
    async with shop(database_url) as store:
        async with Backfill(store.pool, store.keepers[0])._alone():
            with pytest.raises(ConfigurationError, match="another backfill is running"):
                await fill(store)
        await fill(store)


async def test_a_segment_that_is_removed_leaves_nothing_behind(database_url: str) -> None:
    async with shop(database_url) as before:
        await before.accept(before.purchase(200))
    async with shop(database_url, [orders]) as store:
        await fill(store)
        assert await store.pool.fetchval("select count(*) from membership") == 0
        assert await store.pool.fetch("select key from computed") == await store.pool.fetch(
            "select key from audience"
        )


# Merges.


async def merge(store: Shop, source: str, into: str) -> None:
    ids = [await store.id_of(source), await store.id_of(into)]
    async with store.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select 1 from customer where id = any ($1) order by id for no key update", ids
        )
        await connection.execute("select merge_computed($1, $2)", *ids)


async def test_merging_adds_up_and_looks_at_the_segments_of_both(database_url: str) -> None:
    async with shop(database_url) as store:
        await store.accept(
            store.purchase(60, ago=3 * DAY, currency="EUR"),
            store.purchase(70, user="u2", ago=DAY, currency="USD"),
            store.purchase(200, user="u3", ago=90 * DAY),
        )
        await merge(store, "u1", "u2")
        both = await store.customer("u2")
        assert (both.value(orders), both.value(spent)) == (2, Decimal(130))
        assert both.computed["last_currency"] == "USD"
        assert await store.sweep() == 1
        assert await store.moves("u2") == ["+big_spender", "+frequent"]
        # Who was in it as either has not entered it.
        await merge(store, "u3", "u2")
        assert await store.sweep() == 1
        assert await store.moves("u2") == ["+big_spender", "+frequent", "-lapsing"]
        assert (await store.customer("u1")).computed["orders"] == 0


async def _computed(store: Shop) -> dict[str, Any]:
    rows = await store.pool.fetch("select * from computed order by customer_id, key, until")
    return {f"{row['customer_id']} {row['key']} {row['until']}": tuple(row) for row in rows}
