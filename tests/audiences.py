"""Audiences in a test: computed traits and segments over the real store, in two processes."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import workflow

from api.segment import Post, SegmentReader
from domain.audiences import (
    Audiences,
    Count,
    Declared,
    Last,
    LastValue,
    Recency,
    Segment,
    Sum,
    Trait,
    about,
)
from domain.customers import Customer
from domain.events import PurchaseMade, SegmentEntered, SegmentLeft
from infra.database.accept import Acceptor, Incoming
from infra.database.audiences import AudienceKeeper, register
from infra.database.customers import PostgresCustomers
from infra.database.pool import Pool, close_pool, open_pool
from journeys.catalog import Catalog
from workflows import Journey, Outcome

plan = Trait(str)
orders = Count(PurchaseMade)
orders_30d = Count(PurchaseMade, within=timedelta(days=30))
spent = Sum(PurchaseMade, "total")
last_order_at = Last(PurchaseMade)
last_currency = LastValue(PurchaseMade, "currency")
days_since_order = Recency(PurchaseMade)

big_spender = Segment(lambda customer: customer[spent] >= 100)
lapsing = Segment(cel="orders >= 1 && days_since_order >= 60")
frequent = Segment(cel="orders_30d >= 2")
gold = Segment(cel="plan == 'gold'")

EVERYTHING = (
    plan,
    orders,
    orders_30d,
    spent,
    last_order_at,
    last_currency,
    days_since_order,
    big_spender,
    lapsing,
    frequent,
    gold,
)

DAY = timedelta(days=1)
_numbers = itertools.count(1)


@workflow.defn
class Welcome(
    Journey[SegmentEntered], where=about(big_spender), listens=[SegmentLeft, PurchaseMade]
):
    """Welcome a big spender."""

    @workflow.run
    async def run(self, entered: SegmentEntered) -> Outcome:
        """Say nothing."""
        return Outcome.completed(entered.segment)


@dataclass
class Shop:
    """Two processes over one database, each with its own connections."""

    pool: Pool
    audiences: Audiences
    keepers: list[AudienceKeeper]
    acceptors: list[Acceptor]
    reader: SegmentReader
    customers: PostgresCustomers
    woken: list[None] = field(default_factory=list)

    def purchase(
        self,
        total: float | None = 10,
        *,
        user: str = "u1",
        ago: timedelta = timedelta(0),
        message: str | None = None,
        **properties: Any,
    ) -> Incoming:
        now = datetime.now(UTC)
        item = {
            "userId": user,
            "event": "Order Completed",
            "messageId": message or f"m{next(_numbers)}",
            "timestamp": (now - ago).isoformat(),
            "properties": {"order_id": "o1", "total": total, **properties},
        }
        return self.reader.read("track", item, Post(1, now))

    def identify(self, user: str = "u1", **traits: Any) -> Incoming:
        item = {"userId": user, "messageId": f"m{next(_numbers)}", "traits": traits}
        return self.reader.read("identify", item, Post(1, datetime.now(UTC)))

    async def accept(self, *items: Incoming) -> list[bool]:
        return await self.acceptors[0].accept(items)

    async def accept_each(self, *items: Incoming) -> list[bool]:
        """Each in a call of its own, all at once, half with each process."""
        turns = zip(items, itertools.cycle(self.acceptors), strict=False)
        answers = await asyncio.gather(*(acceptor.accept((one,)) for one, acceptor in turns))
        return [answer[0] for answer in answers]

    async def customer(self, user: str = "u1") -> Customer:
        return await self.customers.get(await self.id_of(user))

    async def id_of(self, user: str = "u1") -> str:
        found: str = await self.pool.fetchval(
            "select customer_id from identity where kind = 'user_id' and value = $1", user
        )
        return found

    async def moves(self, user: str = "u1") -> list[str]:
        """Entries and exits, as `+big_spender` and `-big_spender`, as they were stored."""
        rows = await self.pool.fetch(
            "select name, properties from event where source_id = 0 and customer_id = $1"
            " order by id",
            await self.id_of(user),
        )
        return [
            ("+" if row["name"] == "segment_entered" else "-") + row["properties"]["segment"]
            for row in rows
        ]

    async def sweep(self) -> int:
        """What the sweep finds, with both processes at once."""
        found = await asyncio.gather(*(keeper.sweep(self.pool) for keeper in self.keepers))
        return sum(count for count, _ in found)


@contextlib.asynccontextmanager
async def shop(database_url: str, declared: Iterable[Declared] = EVERYTHING) -> AsyncIterator[Shop]:
    """A shop whose code declares these."""
    audiences = Audiences(declared)
    catalog = Catalog([Welcome])
    pools = [await open_pool(database_url), await open_pool(database_url)]
    await register(pools[0], audiences)
    keepers = [AudienceKeeper(audiences, catalog.entries) for _ in pools]
    woken: list[None] = []
    acceptors = [
        Acceptor(pool, lambda: woken.append(None), keeper=keeper)
        for pool, keeper in zip(pools, keepers, strict=True)
    ]
    made = Shop(
        pools[0],
        audiences,
        keepers,
        acceptors,
        SegmentReader(catalog, audiences),
        PostgresCustomers(pools[0], audiences),
        woken,
    )
    try:
        yield made
    finally:
        for acceptor in acceptors:
            await acceptor.close()
        for pool in pools:
            await close_pool(pool)
