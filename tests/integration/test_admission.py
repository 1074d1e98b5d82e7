"""Not now: limits by key, a full queue, journeys that are hours behind."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from domain.errors import NotNow
from domain.limits import Limits
from infra.database.accept import Acceptor, Incoming
from infra.database.keys import create_key, limit_key
from infra.database.pool import Pool
from tests.api import Api, running_api
from tests.patience import PATIENCE, eventually

EVENT = {"userId": "u1", "event": "seen"}


def incoming(name: str) -> Incoming:
    now = datetime.now(UTC)
    return Incoming(1, name, "u1", None, "track", "seen", now, now, "{}")


def retry_after(answer: httpx.Response, status: int) -> int:
    assert answer.status_code == status, answer.text
    seconds = int(answer.headers["retry-after"])
    assert seconds >= 1
    return seconds


class Clock:
    """Stands still until told, so that a slow machine gives no key more than it has."""

    def __init__(self, api: Api) -> None:
        self.now = 0.0
        api.parts.admission._clock = lambda: self.now


async def metric(api: Api, name: str) -> float:
    lines = (await api.get("/metrics", key=None)).text.splitlines()
    return next((float(li.rpartition(" ")[2]) for li in lines if li.startswith(name + " ")), 0.0)


async def test_a_key_may_make_so_many_requests_and_no_more(database_url: str) -> None:
    async with running_api(database_url) as api:
        clock = Clock(api)
        key = await create_key(api.pool, "shop", ["write", "read"], limits=Limits(3, 0, 1))
        for _ in range(2):
            assert (await api.post("/v1/track", EVENT, key=key)).status_code == 200
        assert (await api.get("/customers", key=key)).status_code == 200
        assert retry_after(await api.post("/v1/track", EVENT, key=key), 429) == 1
        assert retry_after(await api.get("/customers", key=key), 429) == 1
        other = await create_key(api.pool, "shop", ["write"], limits=Limits(3, 0, 1))
        assert (await api.post("/v1/track", EVENT, key=other)).status_code == 200
        assert await metric(api, 'sojourn_not_now_total{why="limit"}') == 2
        clock.now = 0.34
        assert (await api.post("/v1/track", EVENT, key=key)).status_code == 200
        retry_after(await api.post("/v1/track", EVENT, key=key), 429)


async def test_events_count_one_by_one_whatever_becomes_of_them(database_url: str) -> None:
    async with running_api(database_url) as api:
        Clock(api)
        key = await create_key(api.pool, "shop", ["write"], limits=Limits(0, 10, 1))

        async def post(*items: Any) -> httpx.Response:
            return await api.post("/v1/batch", {"batch": items}, key=key)

        good = {"type": "track", **EVENT}
        assert (await post(good, good, 1, {}, good)).status_code == 200  # five
        assert (await api.post("/v1/track", b"nonsense", key=key)).status_code == 400  # six
        stored = await api.count("event")
        assert retry_after(await post(*[good] * 5), 429) == 1
        assert await api.count("event") == stored  # all of it or nothing
        assert (await post(*[good] * 3)).status_code == 200


async def test_a_batch_larger_than_the_burst_passes_and_is_paid_off(database_url: str) -> None:
    async with running_api(database_url) as api:
        key = await create_key(api.pool, "shop", ["write"], limits=Limits(0, 10, 1))
        clock = Clock(api)
        batch = {"batch": [{"type": "track", **EVENT}] * 40}
        assert (await api.post("/v1/batch", batch, key=key)).status_code == 200
        assert retry_after(await api.post("/v1/batch", batch, key=key), 429) == 4
        assert retry_after(await api.post("/v1/track", EVENT, key=key), 429) == 4
        clock.now = 4.0
        assert (await api.post("/v1/batch", batch, key=key)).status_code == 200


async def test_a_key_without_limits_has_those_of_the_settings(database_url: str) -> None:
    async with running_api(database_url, limit_requests=1, limit_burst=1) as api:
        Clock(api)
        free = await create_key(api.pool, "shop", ["write"], limits=Limits(0, 0, 1))
        assert (await api.post("/v1/track", EVENT)).status_code == 200
        retry_after(await api.post("/v1/track", EVENT), 429)
        for _ in range(5):
            assert (await api.post("/v1/track", EVENT, key=free)).status_code == 200


async def test_limits_that_were_changed_hold_from_then_on(pool: Pool, database_url: str) -> None:
    async with running_api(database_url) as api:
        Clock(api)
        key = await create_key(pool, "shop", ["write"])
        assert (await api.post("/v1/track", EVENT, key=key)).status_code == 200
        await limit_key(pool, key[:6], Limits(1, 0, 1))
        api.parts.keys._known.clear()  # five seconds pass
        assert (await api.post("/v1/track", EVENT, key=key)).status_code == 200
        retry_after(await api.post("/v1/track", EVENT, key=key), 429)


# A full queue.


async def test_what_cannot_wait_is_refused_and_what_waits_is_accepted(database_url: str) -> None:
    big = {"type": "track", **EVENT, "properties": {"text": "x" * 30_000}}
    numbers = itertools.count()

    def batch() -> dict[str, Any]:
        return {"batch": [{**big, "messageId": f"m{next(numbers)}"} for _ in range(10)]}

    async with running_api(database_url, accept_megabytes=1) as api:
        await api.track("seen")
        async with api.pool.acquire() as connection, connection.transaction():
            await connection.execute("lock table event in exclusive mode")
            posts = [asyncio.create_task(api.post("/v1/batch", batch())) for _ in range(20)]
            await asyncio.wait(posts, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            assert any(post.done() for post in posts)
            # Not even read.
            answer = await api.send(
                "POST", "/v1/track", content=b"nonsense", headers={"Authorization": "Bearer dev"}
            )
            assert retry_after(answer, 503) == 2
        answers = await asyncio.gather(*posts)
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 0 < len(refused) < 20
        for answer in refused:
            assert retry_after(answer, 503) == 2
        assert await api.count("event") == 1 + 10 * (20 - len(refused))
        assert await metric(api, 'sojourn_not_now_total{why="busy"}') == len(refused) + 1
        assert (await api.track("seen")).status_code == 200


async def test_nobody_joins_a_queue_that_does_not_move(pool: Pool) -> None:
    acceptor = Acceptor(pool, lambda: None, lanes=1, longest_wait=0.05)
    await acceptor.accept([incoming("m0")])
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table event in exclusive mode")
        waiting = []
        for name in ("m1", "m2"):
            waiting.append(asyncio.create_task(acceptor.accept([incoming(name)])))
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        with pytest.raises(NotNow):
            await asyncio.wait_for(acceptor.accept([incoming("m3")]), PATIENCE)
    assert await asyncio.gather(*waiting) == [[True], [True]]
    assert await acceptor.accept([incoming("m3")]) == [True]


async def test_a_request_larger_than_the_queue_is_taken_when_nobody_waits(pool: Pool) -> None:
    acceptor = Acceptor(pool, lambda: None, most_bytes=1)
    items: list[Incoming] = [incoming(f"m{n}") for n in range(10)]
    assert await acceptor.accept(items) == [True] * 10


async def test_too_many_readers_are_told_to_come_back(database_url: str) -> None:
    async with running_api(database_url) as api:
        await api.track("seen")
        async with api.pool.acquire() as connection, connection.transaction():
            await connection.execute("lock table customer")
            asked = [asyncio.create_task(api.get("/customers", user_id="u1")) for _ in range(12)]

            async def done() -> list[httpx.Response]:
                return [task.result() for task in asked if task.done()]

            refused = await eventually(done, lambda answers: len(answers) == 2)
            assert [retry_after(answer, 503) for answer in refused] == [2, 2]
        answers = await asyncio.gather(*asked)
        assert sorted(answer.status_code for answer in answers) == [200] * 10 + [503] * 2


# Journeys that are hours behind.

CART = ("cart_abandoned", {"cart_id": "c1"})


async def _age(api: Api, hours: float, attempts: int = 0) -> None:
    await api.pool.execute(
        "update backlog set oldest_at = now() - $1::interval, attempts = $2",
        timedelta(hours=hours),
        attempts,
    )
    await api.parts.figures.refresh()


async def test_while_journeys_are_hours_behind_none_begins_and_all_can_end(
    database_url: str,
) -> None:
    async with running_api(database_url) as api:
        await api.track(*CART)
        await _age(api, 5.9)
        assert (await api.track(*CART, user="u2")).status_code == 200
        await _age(api, 6.1)
        stored = await api.count("event")
        assert retry_after(await api.track(*CART, user="u3"), 503) == 30
        page = {"type": "page", "userId": "u3"}
        cart = {"type": "track", "userId": "u3", "event": CART[0], "properties": CART[1]}
        assert retry_after(await api.post("/v1/batch", {"batch": [page, cart]}), 503) == 30
        assert await api.count("event") == stored
        # What a running journey may wait for, what holds, and what none hears.
        for event, properties in (
            ("purchase_made", {"order_id": "o1", "cart_id": "c1"}),
            ("ticket_opened", {"ticket_id": "t1"}),
            ("seen", {}),
        ):
            assert (await api.track(event, properties)).status_code == 200
        assert (await api.identify({"email": "a@example.com"})).status_code == 200
        # Nobody waits for what is only asked for, whatever its name.
        survey = {"user_id": "u3", "event": {"properties": {"order_id": "o1"}}}
        path = "/journeys/post_purchase_survey/enrollments"
        assert retry_after(await api.post(path, survey), 503) == 30
        assert await metric(api, 'sojourn_not_now_total{why="backlog"}') == 3
        await api.pool.execute("delete from backlog")
        await api.parts.figures.refresh()
        assert (await api.track(*CART, user="u3")).status_code == 200


async def test_one_enrollment_that_cannot_be_handed_over_stops_nobody(database_url: str) -> None:
    async with running_api(database_url) as api:
        await api.track(*CART)
        await _age(api, 100, attempts=3)
        assert (await api.track(*CART, user="u2")).status_code == 200
        await api.parts.figures.refresh()
        assert await metric(api, "sojourn_relay_failing_enrollments") == 1
        assert await metric(api, "sojourn_relay_backlog_enrollments") == 2


async def test_it_can_be_turned_off(database_url: str) -> None:
    async with running_api(database_url, admit_backlog_age="PT0S") as api:
        await api.track(*CART)
        await _age(api, 1_000)
        assert (await api.track(*CART, user="u2")).status_code == 200
