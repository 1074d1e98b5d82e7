"""Computed traits and segments, kept on write and read at decision time, under concurrency."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.segment import Post
from domain.audiences import Segment
from domain.errors import Refused
from infra.database.accept import Incoming
from infra.database.audiences import AudienceKeeper
from infra.database.customers import PostgresCustomers
from infra.database.pool import Connection, open_pool
from tests.audiences import (
    DAY,
    EVERYTHING,
    Shop,
    big_spender,
    frequent,
    last_currency,
    last_order_at,
    orders,
    orders_30d,
    shop,
    spent,
)
from tests.patience import PATIENCE


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Shop]:
    async with shop(database_url) as made:
        yield made


# Kept on write.


async def test_what_is_computed_is_there_when_the_event_is_acknowledged(store: Shop) -> None:
    await store.accept(store.purchase(10.10, currency="EUR"), store.purchase(20.20, currency="USD"))
    ada = await store.customer()
    assert ada.value(orders) == 2
    assert ada.value(spent) == Decimal("30.3")
    assert ada.value(last_currency) == "USD"
    assert ada.computed["days_since_order"] == 0


async def test_an_event_counts_once_however_often_it_is_posted_at_once(store: Shop) -> None:
    again = store.purchase(60, message="same")
    answers = await store.accept_each(*[again] * 40)
    assert sorted(answers) == [False] * 39 + [True]
    assert await store.accept(again, store.purchase(1), again) == [False, True, False]
    ada = await store.customer()
    assert (ada.value(orders), ada.value(spent)) == (2, Decimal(61))


async def test_fifty_writers_at_once_add_up_and_enter_a_segment_once(store: Shop) -> None:
    await store.accept_each(*(store.purchase(10, user=f"u{n % 3}") for n in range(150)))
    for user in ("u0", "u1", "u2"):
        someone = await store.customer(user)
        assert (someone.value(orders), someone.value(spent)) == (50, Decimal(500))
        assert someone.is_in(big_spender)
        assert await store.moves(user) == ["+big_spender", "+frequent"] or await store.moves(
            user
        ) == ["+frequent", "+big_spender"]
    assert await store.pool.fetchval("select count(*) from enrollment") == 3


class Slow(AudienceKeeper):
    """Commits some time after it has looked."""

    async def add(self, connection: Connection, accepted: Sequence[Incoming]) -> bool:
        routed = await super().add(connection, accepted)
        await asyncio.sleep(0.3)
        return routed


async def test_two_writers_who_share_no_row_still_see_each_other(database_url: str) -> None:
    async with shop(database_url, [orders_30d, frequent]) as store:
        await store.accept(store.identify())
        for acceptor in store.acceptors:
            acceptor._keeper = Slow(store.audiences, lambda _: ())
        # Each of a day of its own: neither alone makes anybody frequent.
        await store.accept_each(store.purchase(ago=DAY), store.purchase(ago=9 * DAY))
        assert await store.moves() == ["+frequent"]


async def test_a_late_event_falls_into_its_own_time(store: Shop) -> None:
    await store.accept(store.purchase(1, currency="EUR"))
    await store.accept(store.purchase(2, ago=20 * DAY, currency="USD"))
    await store.accept(store.purchase(4, ago=40 * DAY, currency="GBP"))
    ada = await store.customer()
    assert (ada.value(orders), ada.value(orders_30d), ada.value(spent)) == (3, 2, Decimal(7))
    assert ada.value(last_currency) == "EUR"
    assert ada.value(last_order_at) is not None


async def test_nothing_is_added_for_events_that_nothing_is_computed_from(store: Shop) -> None:
    item = {"userId": "u1", "event": "Cart Abandoned", "properties": {"cart_id": "c1"}}

    read = store.reader.read("track", item, Post(1, datetime.now(UTC)))
    assert read.effects is None
    assert store.identify(name="Ada").effects == {"traits": {"name": "Ada"}}


@pytest.mark.parametrize("total", [None, 1e40, 1e-40, "12.5"])
async def test_an_amount_that_is_none_never_costs_the_event(store: Shop, total: Any) -> None:
    assert await store.accept(store.purchase(total)) == [True]
    ada = await store.customer()
    assert ada.value(orders) == 1
    assert ada.value(spent) == (Decimal("12.5") if total == "12.5" else 0)


async def test_a_mistake_in_a_segment_costs_neither_the_event_nor_other_segments(
    database_url: str,
) -> None:
    broken = Segment(lambda customer: customer[last_currency] > 3, name="broken")
    async with shop(database_url, [*EVERYTHING, broken]) as store:
        await store.accept(store.purchase(100, currency="EUR"))
        assert await store.moves() == ["+big_spender"]
        assert (await store.customer()).segments == ("big_spender",)


# Entries and exits are events.


async def test_an_entry_is_an_event_that_starts_a_journey_and_an_exit_is_heard(
    store: Shop,
) -> None:
    await store.accept(store.purchase(100))
    enrolled = await store.pool.fetchrow("select id, journey, state, listens from enrollment")
    assert (enrolled["journey"], enrolled["state"]) == ("welcome", "live")
    assert store.woken
    await store.accept(store.purchase(-50))
    heard = await store.pool.fetch(
        "select d.number, e.name, e.properties from delivery d"
        " join event e using (source_id, message_id) where enrollment_id = $1 order by number",
        enrolled["id"],
    )
    assert [(row["number"], row["name"]) for row in heard] == [
        (1, "segment_entered"),
        (2, "segment_left"),
    ] or [row["name"] for row in heard] == ["segment_entered", "purchase_made", "segment_left"]
    assert heard[-1]["properties"] == {"segment": "big_spender", "evidence": {"spent": 50.0}}


async def test_a_trait_told_moves_a_customer_between_segments(store: Shop) -> None:
    await store.accept(store.identify(plan="gold"))
    await store.accept(store.identify(plan="gold"))
    await store.accept(store.identify(plan=None))
    await store.accept(store.identify(plan="gold"))
    assert await store.moves() == ["+gold", "-gold", "+gold"]


async def test_moves_alternate_whatever_the_writers_do_at_once(store: Shop) -> None:
    rng = random.Random(7)
    amounts = [rng.choice((60, -60)) for _ in range(120)]
    await store.accept_each(*(store.purchase(amount, ago=90 * DAY) for amount in amounts))
    moves = [move for move in await store.moves() if move.endswith("big_spender")]
    assert moves == [("+" if n % 2 == 0 else "-") + "big_spender" for n in range(len(moves))]
    assert (len(moves) % 2 == 1) == (sum(amounts) >= 100)
    assert (await store.customer()).is_in(big_spender) == (sum(amounts) >= 100)


async def test_nobody_else_can_say_that_a_customer_entered_a_segment(store: Shop) -> None:

    item = {"userId": "u1", "event": "Segment Entered", "properties": {"segment": "big_spender"}}
    with pytest.raises(Refused, match="said by this system alone"):
        store.reader.read("track", item, Post(1, datetime.now(UTC)))


# Time alone.


async def test_time_alone_makes_a_customer_enter_and_the_sweep_says_so_once(store: Shop) -> None:
    soon = timedelta(seconds=4)
    almost = 60 * DAY - soon
    await store.accept(store.purchase(1, ago=almost), store.purchase(1, user="u2", ago=almost))
    assert (await store.customer()).segments == ()
    await asyncio.sleep(soon.total_seconds())
    # Right at the moment of the decision, whether or not the sweep has been there.
    assert (await store.customer()).segments == ("lapsing",)
    assert await store.moves() == []
    assert sum([await store.sweep() for _ in range(3)]) == 2
    assert await store.moves() == await store.moves("u2") == ["+lapsing"]
    await store.accept(store.purchase(1))
    assert await store.moves() == ["+lapsing", "-lapsing"]


async def test_a_count_that_falls_out_of_its_window_makes_a_customer_leave(store: Shop) -> None:
    await store.accept(store.purchase(1), store.purchase(1))
    assert await store.moves() == ["+frequent"]
    due = await store.pool.fetchval("select due_at from assessment")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert due == midnight + 31 * DAY
    # Thirty-one days later.
    await store.pool.execute("update computed set until = clock_timestamp() where key like '%30d%'")
    await store.pool.execute("update assessment set due_at = clock_timestamp()")
    assert await store.sweep() == 1
    assert await store.moves() == ["+frequent", "-frequent"]
    left = await store.pool.fetchval("select count(*) from computed where key like 'orders_30d%'")
    assert left == 0


async def test_a_sweep_waits_for_nobody(store: Shop) -> None:
    await store.accept(store.purchase(1, ago=70 * DAY), store.purchase(1, user="u2", ago=70 * DAY))
    await store.pool.execute(
        "insert into assessment select id, now() from customer"
        " on conflict (customer_id) do update set due_at = now()"
    )
    async with store.pool.acquire() as busy, busy.transaction():
        await busy.execute(
            "select 1 from customer where id = $1 for no key update", await store.id_of()
        )
        assert await asyncio.wait_for(store.sweep(), PATIENCE) == 1


# Look-ups.


async def test_a_look_up_reads_the_customers_own_rows_and_no_events(
    store: Shop, database_url: str
) -> None:
    await store.accept(*(store.purchase(1, ago=n * DAY / 2) for n in range(200)))
    customer = await store.id_of()
    # A connection of its own, which has read nothing else yet.
    fresh = await open_pool(database_url, size=1)
    async with fresh.acquire() as connection, connection.transaction():
        ada = await PostgresCustomers(connection, store.audiences).get(customer)
        scanned = await connection.fetch(
            "select relname, seq_scan + coalesce(idx_scan, 0) as scans, seq_tup_read,"
            " coalesce(idx_tup_fetch, 0) as rows from pg_stat_xact_user_tables"
            " where seq_scan + coalesce(idx_scan, 0) > 0"
        )
    await fresh.close()
    assert ada.value(orders) == 200
    seen = {row["relname"]: (row["scans"], row["rows"]) for row in scanned}
    assert "event" not in seen
    # One for each trait that has no window (they share the key's page), one for each day.
    assert seen["computed"][1] <= 5 + 31
