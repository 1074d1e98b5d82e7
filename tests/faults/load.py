"""The clients: they post what their seed says, and repeat what was not acknowledged."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import httpx

from tests.faults import SOURCES
from tests.faults.acknowledgements import Acknowledgements, Posted

_TIMEOUT = 2.0
_LONGEST_PAUSE = 0.5
_TWICE = 0.1
_AT_ONCE = 0.05
_PATIENCE = 60.0


class Client:
    """One client. Everything that it wants follows from the seed and its number.

    Args:
        apis: base URLs by name.
        log: where it notes what it posts.
        users: the customers, shared with the other clients.
        parcels: the parcels under way by customer, shared too.
        pace: seconds between two wishes, on average.
    """

    def __init__(
        self,
        seed: int,
        number: int,
        apis: dict[str, str],
        log: Acknowledgements,
        users: Sequence[str],
        parcels: dict[str, list[str]],
        pace: float,
    ) -> None:
        self._random = random.Random(f"{seed} client {number}")
        # Of each source one client uses this prefix: the same ids for other events.
        self._source = list(SOURCES)[number % len(SOURCES)]
        self._prefix = f"s{seed}c{number // len(SOURCES)}"
        self._apis = apis
        self._log = log
        self._users = users
        self._parcels = parcels
        self._pace = pace
        self._count = 0
        self._http = httpx.AsyncClient(
            auth=(SOURCES[self._source], ""), timeout=_TIMEOUT, trust_env=False
        )
        self._asides: set[asyncio.Task[None]] = set()

    async def run(self, until: float) -> None:
        """Post until a time of the machine's clock; then finish what has begun."""
        wishes = (self._rally, self._parcel, self._offer, self._pages, self._identity, self._mix)
        try:
            while time.time() < until:
                (wish,) = self._random.choices(wishes, weights=(8, 6, 3, 1, 1, 3))
                await wish(self._random.choice(self._users))
                await asyncio.sleep(self._random.expovariate(1 / self._pace))
            await asyncio.gather(*self._asides)
        finally:
            await self._http.aclose()

    # What it wants.

    async def _rally(self, user: str) -> None:
        await self._post_somehow([self._ball(user) for _ in range(self._random.randint(1, 4))])

    async def _parcel(self, user: str) -> None:
        await self._post_somehow(self._parcel_news(user))

    async def _offer(self, user: str) -> None:
        offer = self._event(user, "offer_made", after=self._random.choice((0.0, 0.5, 1.5)))
        offer.properties["offer_id"] = offer.ref
        await self.post([offer])
        if self._random.random() < 0.5:
            withdrawal = self._event(user, "offer_withdrawn", offer_id=offer.ref)
            self._aside(self._later(self._random.uniform(0, 2), withdrawal))

    async def _pages(self, user: str) -> None:
        await self.post(
            [self._event(user, "page_viewed") for _ in range(self._random.randint(5, 20))]
        )

    async def _identity(self, user: str) -> None:
        told = self._event(user, "identify", level=self._random.randint(1, 9))
        told.kind = "identify"
        await self.post([told])

    async def _mix(self, _: str) -> None:
        events: list[Posted] = []
        for user in self._random.choices(self._users, k=4):
            events += [self._ball(user), *self._parcel_news(user)]
            events.append(self._event(user, "page_viewed"))
        self._random.shuffle(events)
        events.append(self._random.choice(events))  # the same event twice in one batch
        await self.post(events)

    def _ball(self, user: str) -> Posted:
        ends_after = 40 if self._random.random() < 0.02 else self._random.randint(1, 5)
        return self._event(user, "ball_played", ends_after=ends_after)

    def _parcel_news(self, user: str) -> list[Posted]:
        under_way = self._parcels[user]
        if not under_way or (len(under_way) < 3 and self._random.random() < 0.3):
            sent = self._event(user, "parcel_sent")
            sent.properties["parcel_id"] = sent.ref
            under_way.append(sent.ref)
            return [sent]
        parcel = self._random.choice(under_way)
        arrived = self._random.random() < 0.35
        if arrived:
            under_way.remove(parcel)
        return [self._event(user, "parcel_moved", parcel_id=parcel, arrived=arrived)]

    def _event(self, user: str, name: str, **properties: Any) -> Posted:
        self._count += 1
        return Posted(self._source, f"{self._prefix}n{self._count}", user, name, properties)

    def _aside(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _later(self, seconds: float, event: Posted) -> None:
        await asyncio.sleep(seconds)
        await self.post([event])

    # How it posts.

    async def _post_somehow(self, events: list[Posted]) -> None:
        """One batch, or one after the other, each when the one before was acknowledged."""
        if self._random.random() < 0.3:
            await self.post(events)
        else:
            for event in events:
                await self.post([event])

    async def post(self, events: list[Posted]) -> None:
        """Post until it is acknowledged; now and then twice at once, or once more afterwards."""
        dice = self._random.random()
        if dice < _AT_ONCE:
            await asyncio.gather(*(self._repeat(events, api) for api in self._apis))
            return
        first = self._random.choice(list(self._apis))
        await self._repeat(events, first)
        if dice < _AT_ONCE + _TWICE:
            await self._repeat(events, self._random.choice(list(self._apis)))

    async def _repeat(self, events: list[Posted], api: str) -> None:
        """As a stock client does: after no answer or a 5xx the same again, here elsewhere."""
        names, pause = list(self._apis), 0.05
        give_up = time.time() + _PATIENCE
        while time.time() < give_up:
            self._log.sending(events)
            if await self._ask(events, api):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            api = names[(names.index(api) + 1) % len(names)]
        self._log.answers["gave up"] += 1

    async def _ask(self, events: list[Posted], api: str) -> bool:
        calls = [event.call() for event in events]
        path, body = "/v1/batch", {"batch": calls}
        if len(calls) == 1:
            path, body = f"/v1/{events[0].kind}", calls[0]
        try:
            answer = await self._http.post(self._apis[api] + path, json=body)
        except httpx.TransportError as error:
            self._log.answers[type(error).__name__] += 1
            return False
        self._log.answers[str(answer.status_code)] += 1
        if answer.status_code != httpx.codes.OK:
            if answer.is_client_error:
                self._log.refused.append(f"{answer.status_code}: {answer.text[:200]}")
            return False
        for event, receipt in zip(events, answer.json().get("receipts", ()), strict=False):
            event.accepted += receipt["status"] == "accepted"
            if receipt["status"] == "rejected":
                self._log.refused.append(f"{event.ref}: {receipt}")
        self._log.acknowledged(events, api)
        return True


class Load:
    """All clients together.

    Args:
        rate: events a second that they try to post together, roughly.
    """

    def __init__(
        self, seed: int, apis: dict[str, str], *, customers: int, clients: int, rate: float
    ) -> None:
        self.log = Acknowledgements()
        self.users = [f"customer-{seed}-{number}" for number in range(customers)]
        parcels: dict[str, list[str]] = defaultdict(list)
        pace = clients * 4 / rate  # a wish is some four events
        self._clients = [
            Client(seed, number, apis, self.log, self.users, parcels, pace)
            for number in range(clients)
        ]

    async def introduce(self) -> None:
        """Make every customer known and reachable, before anything goes wrong."""
        told = [
            Posted("shop", f"{user}-hello", user, "identify", {"push_token": user}, kind="identify")
            for user in self.users
        ]
        await self._clients[0].post(told)

    async def run(self, seconds: float) -> None:
        """Post for so many seconds, and until everything is acknowledged or given up."""
        until = time.time() + seconds
        async with asyncio.TaskGroup() as posting:
            for client in self._clients:
                posting.create_task(client.run(until))
