"""What is rejected is kept, can be put right, and counts once when it is replayed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from api.body import LARGEST_BODY
from cli.main import app
from infra.database.keys import create_key
from infra.database.pool import Pool
from infra.database.quarantine import LONGEST, Quarantine, Rejected
from tests.api import Api, door_to, running_api

CART = {"total": 5}
TIME = "2026-01-02T03:04:05+00:00"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


async def waiting(api: Api, **by: Any) -> list[dict[str, Any]]:
    answer = await api.get("/quarantine", state="waiting", **by)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def the_item(api: Api) -> dict[str, Any]:
    (item,) = await waiting(api)
    answer = await api.get(f"/quarantine/{item['id']}")
    whole: dict[str, Any] = answer.json()
    return whole


async def replay(api: Api, item_id: int) -> dict[str, Any]:
    answer = await api.post(f"/quarantine/{item_id}/replay", b"")
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


async def put(api: Api, item_id: int, body: Any) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = await api.send(
        "PUT",
        f"/quarantine/{item_id}",
        content=raw,
        headers={"Authorization": "Bearer dev"},
    )
    assert answer.status_code == 200, answer.text
    edited: dict[str, Any] = answer.json()
    return edited


async def test_a_declared_event_that_does_not_validate_is_kept_with_the_field_named(
    api: Api,
) -> None:
    answer = await api.track("cart_abandoned", CART, messageId="m1")
    assert answer.status_code == 400
    item = await the_item(api)
    assert item["field"] == "properties.cart_id"
    assert item["reason"] == answer.json()["detail"]
    assert (item["source"], item["door"], item["message_id"]) == ("dev", "segment:track", "m1")
    assert orjson.loads(item["body"])["event"] == "cart_abandoned"
    assert await api.count("event") == 0


async def test_it_is_put_right_replayed_and_counts_once(api: Api) -> None:
    await api.track("cart_abandoned", CART, messageId="m1", timestamp=TIME)
    item = await the_item(api)
    right = {**orjson.loads(item["body"]), "properties": {"cart_id": "c1"}}
    wrong = await put(api, item["id"], {**right, "properties": {"cart_id": ""}})
    assert wrong["still_wrong"]["field"] == "properties.cart_id"
    edited = await put(api, item["id"], right)
    assert edited["still_wrong"] is None
    assert edited["edited_at"]
    assert await api.count("event") == 0

    first, second = await replay(api, item["id"]), await replay(api, item["id"])
    assert first == {
        "replayed": True,
        "receipts": [
            {"status": "accepted", "messageId": "m1", "reason": None, "field": None},
        ],
    }
    assert second["receipts"][0]["status"] == "duplicate"
    (enrollment,) = await api.about("enrollments")
    assert (enrollment["journey"], enrollment["key"]) == ("abandoned_cart", "c1")
    events = [e for e in await api.about("timeline") if e["kind"] == "event"]
    assert [e["details"]["occurred_at"][:19] for e in events] == [TIME[:19]]
    assert await waiting(api) == []


async def test_an_item_without_an_id_counts_once_however_often_it_is_replayed(api: Api) -> None:
    await api.post("/v1/track", {"userId": "u1", "event": "cart_abandoned", "properties": CART})
    item = await the_item(api)
    right = {"userId": "u1", "event": "cart_abandoned", "properties": {"cart_id": "c"}}
    await put(api, item["id"], right)
    done = [(await replay(api, item["id"]))["receipts"][0]["status"] for _ in range(2)]
    assert done == ["accepted", "duplicate"]
    assert await api.count("event") == 1


async def test_the_clocks_of_the_first_sending_are_those_of_the_replay(api: Api) -> None:
    bad = {"type": "track", "userId": "u1", "event": "cart_abandoned", "messageId": "m"}
    envelope = {"sentAt": "2026-01-02T04:00:00Z", "context": {"app": "till"}}
    await api.receipts([{**bad, "timestamp": "2026-01-02T03:50:00Z"}], **envelope)
    item = await the_item(api)
    await put(
        api,
        item["id"],
        {**bad, "timestamp": "2026-01-02T03:50:00Z", "properties": {"cart_id": "c"}},
    )
    await replay(api, item["id"])
    row = await api.pool.fetchrow(
        "select e.occurred_at, e.context, e.received_at, q.received_at as came"
        " from event e, quarantine q"
    )
    assert row["came"] - row["occurred_at"] == timedelta(minutes=10)
    assert row["received_at"] > row["came"]
    assert row["context"] == {"app": "till"}


async def test_a_bad_item_in_a_batch_is_kept_as_it_came_and_costs_no_good_one(api: Api) -> None:
    good = {"type": "track", "userId": "u1", "event": "fine", "messageId": "good"}
    bad = b'{"type":"track","userId":"u1","event":"cart_abandoned", "twice":1,"twice":2}'
    broken = b'{"type":"track",oops}'
    body = b'{"batch":[' + b",".join([orjson.dumps(good), bad, broken]) + b"]}"
    answer = await api.post("/v1/batch", body)
    assert [r["status"] for r in answer.json()["receipts"]] == ["accepted", "rejected", "rejected"]
    kept = {
        (await api.get(f"/quarantine/{item['id']}")).json()["body"] for item in await waiting(api)
    }
    assert kept == {bad.decode(), broken.decode()}
    assert await api.count("event") == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/track", b"not json"),
        ("/v1/batch", b'{"batch":'),
        ("/v1/track", b'{"userId":"\xff\xfe"}'),
        ("/v1/track", b'{"a":' * 1_200 + b"1" + b"}" * 1_200),
        ("/v1/track", rb'{"userId":"u","event":"fine","messageId":"a\u0000b"}'),
    ],
)
async def test_a_body_that_cannot_be_read_is_kept(api: Api, path: str, body: bytes) -> None:
    assert (await api.post(path, body)).status_code == 400
    item = await the_item(api)
    kept = await api.pool.fetchval("select body from quarantine")
    assert kept == body
    assert (item["body"] is None) is (b"\xff" in body)
    assert item["door"] == "segment:" + path.rpartition("/")[2]


async def test_a_batch_that_was_not_json_is_put_right_as_a_batch(api: Api) -> None:
    await api.post("/v1/batch", b'{"batch": nonsense}')
    item = await the_item(api)
    good = {"type": "track", "userId": "u1", "event": "fine", "messageId": "1"}
    await put(api, item["id"], {"batch": [good, {**good, "messageId": "2", "event": ""}]})
    half = await replay(api, item["id"])
    assert half["replayed"] is False
    assert [r["status"] for r in half["receipts"]] == ["accepted", "rejected"]
    assert (await the_item(api))["field"] == "event"
    await put(api, item["id"], {"batch": [good, {**good, "messageId": "2"}]})
    whole = await replay(api, item["id"])
    assert [r["status"] for r in whole["receipts"]] == ["duplicate", "accepted"]


async def test_a_client_that_never_gives_up_fills_one_row(api: Api) -> None:
    for _ in range(3):
        await api.track("cart_abandoned", CART, messageId="m1")
    assert (await the_item(api))["times"] == 3


async def test_an_unknown_event_is_stored_and_not_kept_here(api: Api) -> None:
    assert (await api.track("Something Else")).status_code == 200
    assert await waiting(api) == []
    assert await api.count("event") == 1
    assert await api.count("delivery") == 0


@pytest.mark.parametrize("key", [None, "nobody"])
async def test_nobody_without_a_key_fills_the_quarantine(api: Api, key: str | None) -> None:
    assert (await api.post("/v1/track", b"not json", key=key)).status_code == 401
    assert await api.count("quarantine") == 0


async def test_what_waits_is_replayed_at_once_oldest_first(api: Api) -> None:
    for number in range(3):
        await api.track("cart_abandoned", CART, messageId=f"m{number}")
    await api.pool.execute(
        "update quarantine set body = convert_to(replace(convert_from(body, 'utf8'),"
        " '\"total\"', '\"cart_id\"'), 'utf8') where message_id <> 'm1'"
    )
    first = await api.post("/quarantine/replay?limit=2", b"")
    assert first.json()["replayed"] == 1
    assert first.json()["still_wrong"] == 1
    rest = await api.post(f"/quarantine/replay?limit=2&after={first.json()['next']}", b"")
    assert rest.json() == {"replayed": 1, "still_wrong": 0, "next": None}
    assert [item["message_id"] for item in await waiting(api)] == ["m1"]
    assert [e["details"]["message_id"] for e in await events(api)] == ["m2", "m0"]


async def events(api: Api) -> list[dict[str, Any]]:
    return [e for e in await api.about("timeline") if e["kind"] == "event"]


async def test_it_is_listed_in_pages_and_by_source(api: Api) -> None:
    await create_key(api.pool, "till", ["write"], key="till")
    for number in range(3):
        await api.post("/v1/track", b"%d" % number, key="till")
    await api.post("/v1/track", b"mine")
    assert [item["source"] for item in await waiting(api)] == ["dev", "till", "till", "till"]
    page = (await api.get("/quarantine", source="till", limit=2)).json()
    rest = (await api.get("/quarantine", source="till", limit=2, before=page["next"])).json()
    assert len(page["items"]) == 2
    assert len(rest["items"]) == 1
    assert rest["next"] is None
    assert len(await waiting(api, door="segment")) == 4
    assert await waiting(api, door="cloudevents") == []
    assert await waiting(api, source="a\0b") == []


async def test_it_can_be_forgotten(api: Api) -> None:
    await api.post("/v1/track", b"not json")
    item = await the_item(api)
    headers = {"Authorization": "Bearer dev"}
    path = f"/quarantine/{item['id']}"
    assert (await api.send("DELETE", path, headers=headers)).status_code == 204
    assert (await api.send("DELETE", path, headers=headers)).status_code == 404
    assert (await api.get(path)).status_code == 404
    assert (await api.post(f"{path}/replay", b"")).status_code == 404
    assert (await api.get("/quarantine/9223372036854775808")).status_code == 422


async def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(api: Api) -> None:
    for path, allowed in (
        ("/quarantine/1", "DELETE, GET, PUT"),
        ("/quarantine/replay", "POST"),
        ("/events", "POST"),
        ("/openapi.json", "GET, HEAD"),
    ):
        answer = await api.http.patch(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    for name in ("nobody", "9" * 5_000):
        assert (await api.get(f"/quarantine/{name}")).status_code == 404


async def test_what_was_replayed_is_not_changed_any_more(api: Api) -> None:
    await api.track("cart_abandoned", CART, messageId="m1")
    item = await the_item(api)
    await put(api, item["id"], {"userId": "u1", "event": "fine", "messageId": "m1"})
    await replay(api, item["id"])
    answer = await api.send(
        "PUT",
        f"/quarantine/{item['id']}",
        content=b"{}",
        headers={"Authorization": "Bearer dev"},
    )
    assert answer.status_code == 409
    (listed,) = (await api.get("/quarantine", state="replayed")).json()["items"]
    assert listed["replayed_at"]


async def test_reading_needs_read_and_changing_needs_operate(api: Api) -> None:
    await api.post("/v1/track", b"not json")
    path = f"/quarantine/{(await the_item(api))['id']}"
    await create_key(api.pool, "desk", ["read"], key="reader")
    await create_key(api.pool, "desk", ["write"], key="writer")
    assert (await api.get(path, key="reader")).status_code == 200
    assert (await api.get(path, key="writer")).status_code == 403
    assert (await api.get("/quarantine", key="writer")).status_code == 403
    assert (await api.post(f"{path}/replay", b"", key="reader")).status_code == 403
    assert (await api.post("/quarantine/replay", b"", key="reader")).status_code == 403
    for method in ("PUT", "DELETE"):
        answer = await api.send(
            method, path, content=b"{}", headers={"Authorization": "Bearer reader"}
        )
        assert answer.status_code == 403


async def test_with_the_database_away_nothing_is_rejected_for_good(database_url: str) -> None:
    async with door_to(database_url) as door, running_api(database_url, door=door.url) as api:
        assert (await api.track("fine", messageId="warm")).status_code == 200
        await door.shut()
        answer = await api.track("cart_abandoned", CART, messageId="m1")
        assert answer.status_code == 503
        await door.open()
        assert (await api.track("cart_abandoned", CART, messageId="m1")).status_code == 400
        assert (await the_item(api))["times"] == 1


async def test_a_fault_in_keeping_costs_no_good_item(api: Api) -> None:
    await api.pool.execute("alter table quarantine add column broken int not null")
    good = {"type": "track", "userId": "u1", "event": "fine", "messageId": "good"}
    receipts = await api.receipts([good, {"type": "track"}])
    assert [r["status"] for r in receipts] == ["accepted", "rejected"]
    assert await api.count("event") == 1


def _rejected(source_id: int, number: int, size: int = 100) -> Rejected:
    body = str(number).encode().ljust(size, b"x")
    return Rejected(source_id, "segment", {}, body, "bad", None, None, datetime.now(UTC))


async def test_a_source_keeps_no_more_than_its_share_and_nothing_for_ever(pool: Pool) -> None:
    for source in ("loud", "quiet"):
        await create_key(pool, source, ["write"])
    ids = dict(await pool.fetch("select name, id from source"))
    quarantine = Quarantine(pool, timedelta(days=30), 10_000)
    await quarantine.keep([_rejected(ids["quiet"], 1), _rejected(ids["quiet"], 2)])
    await pool.execute(
        "update quarantine set received_at = now() - interval '31 days' where id = 1"
    )
    await quarantine.keep([_rejected(ids["loud"], number) for number in range(300)])
    left = await quarantine.page(limit=500)
    loud = [kept for kept in left if kept.source == "loud"]
    assert 10 <= len(loud) <= 10_000 // 600
    assert max(kept.id for kept in loud) == max(kept.id for kept in left)
    assert len(left) - len(loud) == 1


async def test_a_body_of_any_length_is_kept_up_to_a_bound(api: Api, pool: Pool) -> None:
    source_id = await pool.fetchval("select id from source")
    quarantine = Quarantine(pool, timedelta(days=1), 10_000_000)
    await quarantine.keep([_rejected(source_id, 1, LONGEST + 1)])
    item = await the_item(api)
    assert item["truncated"]
    assert item["size"] == LONGEST > LARGEST_BODY
    assert (await replay(api, item["id"]))["receipts"][0]["reason"].startswith("only the beginning")
    edited = await put(api, item["id"], {"type": "track", "userId": "u", "event": "fine"})
    assert edited["still_wrong"] is None
    assert not edited["truncated"]


async def test_the_quarantine_is_a_metric(api: Api) -> None:
    await api.post("/v1/track", b"not json")
    await api.parts.figures.refresh()
    assert "sojourn_quarantine_items 1.0" in (await api.get("/metrics")).text


async def test_the_command_line_shows_and_replays_what_waits(
    api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_DATABASE_URL", database_url)

    async def run(*words: str, given: bytes = b"") -> tuple[int, str, str]:
        # In a thread, because a command has an event loop of its own.
        done = await asyncio.to_thread(CliRunner().invoke, app, ["quarantine", *words], given)
        assert not isinstance(done.exception, Exception), done.exception
        return done.exit_code, done.stdout, done.stderr

    await api.track("cart_abandoned", CART, messageId="m1")
    item = await the_item(api)
    name = str(item["id"])
    code, shown, _ = await run("list")
    assert code == 0
    assert shown.startswith(f"{name}  ")
    assert "properties.cart_id" in shown
    assert (await run("show", name))[1] == item["body"]
    assert (await run("replay"))[0] == 1
    right = {"userId": "u1", "event": "cart_abandoned", "properties": {"cart_id": "c"}}
    body = orjson.dumps({**right, "messageId": "m1"})
    code, shown, _ = await run("replay", name, "--body", "-", given=body)
    assert (code, shown) == (0, f"{name}  accepted  m1\n")
    assert [e["key"] for e in await api.about("enrollments")] == ["c"]
    assert (await run("delete", name))[0] == 0
    code, _, error = await run("show", name)
    assert (code, error.count("\n")) == (2, 1)
    assert "no item" in error
