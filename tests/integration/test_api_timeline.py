"""A customer's timeline: everything in one list, filtered, in pages, across merges."""

import statistics
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.database.enrollments import PostgresEnrollments
from tests.api import Api, running_api
from tests.parts import Postgres

CART = {"cart_id": "c1", "total": 81.5, "currency": "EUR"}
HELD = {"verdict": "held", "reason": "ticket_open", "detail": "ticket t1 open"}
SENDING = {"verdict": "sending", "reason": "on_its_way", "detail": ""}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture(scope="module")
async def shared(postgres: Postgres) -> AsyncIterator[Api]:
    """For tests that leave nothing behind."""
    async with postgres.database() as url, running_api(url) as running:
        yield running


async def _message(api: Api, number: int, at: datetime, *decisions: dict[str, str]) -> None:
    """A ledger row; its decisions were taken a minute apart, the last of them at `at`."""
    found = await api.customer(user_id="u1")
    told = [
        {"at": (at - timedelta(minutes=back)).isoformat(), **decision}
        for back, decision in zip(range(len(decisions))[::-1], decisions, strict=True)
    ]
    await api.pool.execute(
        "insert into message (id, key, customer_id, enrollment_id, journey, step, channel,"
        " template, topic, verdict, reason, detail, decided_at, decisions)"
        " values ($1, $1, $2, 'enr_1', 'abandoned_cart', 'reminder', 'email', 't', 'promotional',"
        " $3, $4, $5, $6, $7)",
        f"msg_{number}",
        found["id"],
        *decisions[-1].values(),
        at,
        told,
    )


def _told(timeline: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(item["kind"], item["summary"]) for item in timeline]


async def _pages(api: Api, limit: int, **filters: Any) -> list[list[dict[str, Any]]]:
    found = await api.customer(user_id="u1")
    pages: list[list[dict[str, Any]]] = []
    asked: dict[str, Any] = {"limit": limit, **filters}
    while True:
        page = (await api.get(f"/customers/{found['id']}/timeline", **asked)).json()
        pages.append(page["timeline"])
        if page["next"] is None:
            return pages
        asked["before"] = page["next"]


async def test_a_timeline_tells_all_that_happened_newest_first(api: Api) -> None:
    await api.identify({"email": "a@example.com"}, userId="u1", messageId="m1")
    await api.track("cart_abandoned", CART, messageId="m2")
    await api.track("cart_abandoned", CART, messageId="m3")
    await _message(api, 1, datetime.now(UTC) + timedelta(minutes=1), HELD, SENDING)
    (enrollment,) = await api.about("enrollments")
    await PostgresEnrollments(api.pool).ended_outside(enrollment["id"], "test")
    timeline = await api.about("timeline")
    assert _told(timeline)[:2] == [
        ("message", "reminder by email: sending"),
        ("decision", "reminder by email: sending, on_its_way"),
    ]
    assert _told(timeline)[2:] == [
        ("enrollment", "left abandoned_cart"),
        ("decision", "reminder by email: held, ticket_open"),
        ("refusal", "did not enter abandoned_cart: already enrolled"),
        ("event", "cart_abandoned"),
        ("enrollment", "entered abandoned_cart"),
        ("event", "cart_abandoned"),
        ("trait", "learned email"),
        ("event", "identify"),
    ]
    refusal, cart = timeline[4], timeline[5]
    assert refusal["details"] == {"key": "c1", "code": "already_enrolled", "message_id": "m3"}
    assert cart["details"]["source"] == "dev"
    assert cart["details"]["message_id"] == "m3"
    assert cart["details"]["properties"] == CART
    assert timeline[8]["details"] == {
        "name": "email",
        "old_value": None,
        "new_value": "a@example.com",
        "source": "dev",
        "message_id": "m1",
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 31, 500])
async def test_a_timeline_read_in_pages_is_the_same_timeline(api: Api, limit: int) -> None:
    # One batch is received at one moment: a page may end within it.
    for part in range(3):
        events = [{"event": f"e{part}.{n}", "messageId": f"{part}.{n}"} for n in range(7)]
        await api.receipts([{"type": "track", "userId": "u1", **one} for one in events])
        await api.track("cart_abandoned", CART)
    await api.identify({"a": 1, "b": 2})
    moment = await api.pool.fetchval("select min(received_at) from event")
    for number in range(3):
        await _message(api, number, moment, HELD, SENDING)
    for table, column in (
        ("refusal", "created_at"),
        ("trait_change", "changed_at"),
        ("enrollment", "created_at"),
    ):  # and different things at one moment too
        await api.pool.execute(f"update {table} set {column} = $1", moment)
    whole = await api.about("timeline")
    assert len(whole) == 3 * 8 + 1 + 1 + 2 + 2 + 3 * 3
    pages = await _pages(api, limit)
    assert [item for page in pages for item in page] == whole
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_timeline_is_filtered(api: Api) -> None:
    await api.identify({"plan": "pro", "city": "Rome"})
    await api.track("seen")
    await api.post("/v1/batch", {"batch": [{"type": "page", "userId": "u1", "name": "Home"}]})
    await api.track("cart_abandoned", CART)
    await api.track("cart_abandoned", CART)
    await api.track("purchase_made", {"order_id": "o1", "cart_id": "c1"})
    await _message(api, 1, datetime.now(UTC), HELD)

    async def told(**filters: Any) -> list[tuple[str, str]]:
        whole = _told(await api.about("timeline", **filters))
        assert [item for p in await _pages(api, 1, **filters) for item in _told(p)] == whole
        return whole

    assert await told(kind="refusal") == [
        ("refusal", "did not enter abandoned_cart: already enrolled")
    ]
    assert {kind for kind, _ in await told(kind=["message", "trait"])} == {"message", "trait"}
    assert await told(name="seen") == [("event", "seen")]
    assert await told(name="city") == [("trait", "learned city")]
    assert await told(type="page") == [("event", "Home")]
    assert await told(type="page", name="seen") == []
    assert await told(journey="abandoned_cart") == [
        ("message", "reminder by email: held"),
        ("decision", "reminder by email: held, ticket_open"),
        ("event", "purchase_made"),
        ("refusal", "did not enter abandoned_cart: already enrolled"),
        ("enrollment", "entered abandoned_cart"),
        ("event", "cart_abandoned"),
    ]
    assert await told(journey="nobody_knows") == []
    assert await told(name="\0") == []
    middle = (await api.about("timeline", name="Home"))[0]["at"]
    late, early = await told(since=middle), await told(before=middle)
    assert late + early == await told()
    assert late[-1] == ("event", "Home")


async def test_a_timeline_can_begin_at_any_moment(api: Api) -> None:
    await api.track("one")
    await api.track("two")
    two, one = await api.about("timeline")
    assert await api.about("timeline", before=two["at"]) == [one]
    assert await api.about("timeline", before="2000-01-01T00:00:00Z") == []
    for late in ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"):
        assert len(await api.about("timeline", before=late)) == 2


@pytest.mark.parametrize(
    "before",
    [
        "soon",
        "",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00Z~event~1",
        "1767225600000000",
        "1767225600000000~x",
        "1767225600000000~event",
        "1767225600000000~event~x",
        "1767225600000000~event~-1",
        "1767225600000000~event~9999999999999999999",
        "1767225600000000~message~\0",
        "1767225600000000~letter~1",
        "99999999999999999~event~1",
    ],
)
async def test_a_timeline_cannot_begin_at_what_is_no_place(shared: Api, before: str) -> None:
    await shared.identify({})
    found = await shared.customer(user_id="u1")
    answer = await shared.get(f"/customers/{found['id']}/timeline", before=before)
    assert answer.status_code == 422
    assert answer.json()["field"] == "before"


@pytest.mark.parametrize(("field", "value"), [("since", "soon"), ("since", "2026-01-01T00:00:00")])
async def test_a_timeline_cannot_end_at_what_is_no_moment(
    shared: Api, field: str, value: str
) -> None:
    await shared.identify({})
    found = await shared.customer(user_id="u1")
    answer = await shared.get(f"/customers/{found['id']}/timeline", **{field: value})
    assert answer.status_code == 422
    assert answer.json()["field"] == field


async def test_a_hundred_thousand_events_do_not_slow_a_page(api: Api) -> None:
    # Two customers who are one, so that pages are read across both ids.
    await api.track("seen", user="u1")
    await api.post("/v1/track", {"anonymousId": "a1", "event": "seen"})
    for number, by in enumerate(({"user_id": "u1"}, {"anonymous_id": "a1"})):
        who = (await api.customer(**by))["id"]
        await api.pool.execute(
            "insert into event (source_id, message_id, customer_id, type, name, occurred_at,"
            " received_at) select 1, $1::text || n, $1::text, 'track', 'e' || n % 50, t, t"
            " from generate_series(1, 50000) n,"
            " lateral (select timestamptz '2026-01-01Z' + n * interval '2 s'"
            " + $2 * interval '1 s') x (t)",
            who,
            number,
        )
    await api.pool.execute("analyze event")
    await api.identify({}, userId="u1", anonymousId="a1")
    whole = (await api.customer(user_id="u1"))["id"]
    before: str | None = None
    seen: list[str] = []
    took: list[float] = []
    for _ in range(10):
        began = time.perf_counter()
        place = {} if before is None else {"before": before}
        page = (await api.get(f"/customers/{whole}/timeline", limit=100, **place)).json()
        took.append(time.perf_counter() - began)
        seen += [item["at"] for item in page["timeline"]]
        before = page["next"]
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen[4:])) == len(seen[4:])
    plan = await api.pool.fetch(
        "explain (analyze, buffers) select id from event where customer_id = $1"
        " order by received_at desc, id desc limit 100",
        whole,
    )
    assert "Index Only Scan" in "".join(row[0] for row in plan)
    # A page that read and sorted everything takes longer than all ten.
    assert statistics.median(took) < 1
