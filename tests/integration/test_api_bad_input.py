"""What a source can get wrong: each has its answer, and none costs what is good beside it."""

import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.api import Api, call_raw, running_api
from tests.parts import Postgres

NOTHING = {"userId": "nobody"}


@pytest.fixture(scope="module")
async def api(postgres: Postgres) -> AsyncIterator[Api]:
    """One database for all: what is refused leaves nothing behind."""
    async with postgres.database() as url, running_api(url) as running:
        yield running


def good(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u", "event": "fine", "messageId": name, **fields}


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def raw(**fields: Any) -> bytes:
    """A track call of which some fields are given as raw JSON text."""
    event = {"type": '"track"', "userId": '"u"', "event": '"fine"', **fields}
    members = (
        f'"{name}":'.encode() + (value if isinstance(value, bytes) else value.encode())
        for name, value in event.items()
        if value is not None
    )
    return b"{" + b",".join(members) + b"}"


LONG = "x" * 256
BAD: dict[str, tuple[bytes, int, str, str | None]] = {
    "not JSON": (b"not json", 400, "not JSON", None),
    "nothing": (b"", 400, "not JSON", None),
    "an array": (b"[1,2]", 400, "must be a JSON object", None),
    "a number": (b"5", 400, "must be a JSON object", None),
    "null": (b"null", 400, "must be a JSON object", None),
    "nested 2,000 deep": (raw(properties=nested(2_000)), 400, "not JSON", None),
    "nested 500 deep": (raw(properties=nested(500)), 400, "nested", None),
    "nested 70 deep": (raw(properties=nested(70)), 400, "nested", None),
    "33 KB": (raw(properties='{"a":"' + "x" * 33_000 + '"}'), 413, "larger than", None),
    "33 KB and deep": (
        raw(properties='{"a":"' + "x" * 33_000 + '"}', context=nested(300)),
        400,
        "nested",
        None,
    ),
    "nobody": (raw(userId=None), 400, "userId or anonymousId", "userId"),
    "an empty userId": (raw(userId='""'), 400, "userId or anonymousId", "userId"),
    "a userId that is a list": (raw(userId='["u"]'), 400, "must be a string", "userId"),
    "a userId that is an object": (raw(userId="{}"), 400, "must be a string", "userId"),
    "a very long userId": (raw(userId=f'"{LONG}"'), 400, "longer than", "userId"),
    "a userId beyond integers": (raw(userId="1" + "0" * 40), 400, "whole number", "userId"),
    "an anonymousId that is true": (raw(anonymousId="true"), 400, "string", "anonymousId"),
    "a messageId that is a list": (raw(messageId="[]"), 400, "must be a string", "messageId"),
    "no event": (raw(event=None), 400, "event is required", "event"),
    "an event that is a number": (raw(event="42"), 400, "must be a string", "event"),
    "an event that is too long": (raw(event=f'"{LONG}"'), 400, "longer than", "event"),
    "properties that are a text": (raw(properties='"a"'), 400, "an object", "properties"),
    "properties that are a list": (raw(properties="[]"), 400, "an object", "properties"),
    "a context that is a number": (raw(context="1"), 400, "an object", "context"),
    "a timestamp that is a number": (raw(timestamp="1700000000"), 400, "ISO 8601", "timestamp"),
    "a timestamp that is none": (raw(timestamp='"soon"'), 400, "ISO 8601", "timestamp"),
    "a NUL in a value": (raw(properties=rb'{"a":"\u0000"}'), 400, "NUL", None),
    "a NUL in a key": (raw(properties=rb'{"a":{"\u0000":1}}'), 400, "NUL", None),
    "a NUL in the userId": (raw(userId=rb'"u\u0000"'), 400, "NUL", None),
    "a NUL in the event": (raw(event=rb'"e\u0000"'), 400, "NUL", None),
    "a NUL in the messageId": (raw(messageId=rb'"\u0000"'), 400, "NUL", None),
    "a NUL after a backslash": (raw(properties=rb'{"a":"\\\u0000"}'), 400, "NUL", None),
    "a bare NUL": (raw(properties=b'{"a":"\0"}'), 400, "not JSON", None),
    "a lone surrogate": (raw(properties=rb'{"a":"\ud83d"}'), 400, "not JSON", None),
    "broken UTF-8": (raw(properties=b'{"a":"\xff\xfe"}'), 400, "not JSON", None),
    "NaN": (raw(properties='{"a":NaN}'), 400, "not JSON", None),
    "Infinity": (raw(properties='{"a":-Infinity}'), 400, "not JSON", None),
    "1e400": (raw(properties='{"a":1e400}'), 400, "not JSON", None),
    "a number of 400 digits": (raw(properties='{"a":1' + "0" * 400 + "}"), 400, "not JSON", None),
    "a timestamp in year 0": (
        raw(timestamp='"0000-01-01T00:00:00Z"'),
        400,
        "ISO 8601",
        "timestamp",
    ),
    "integrations that are a text": (raw(integrations='"All"'), 400, "object", "integrations"),
    "a cart without an id": (
        raw(event='"cart_abandoned"', properties='{"total":1}'),
        400,
        "properties.cart_id",
        "properties.cart_id",
    ),
    "a cart whose products are a text": (
        raw(event='"Cart Abandoned"', properties='{"cart_id":"c","products":"all"}'),
        400,
        "properties.products",
        "properties.products",
    ),
    "a ticket id that no index holds": (
        raw(event='"ticket_opened"', properties=f'{{"ticket_id":"{LONG}"}}'),
        400,
        "longer than",
        "properties.ticket_id",
    ),
    "an address that is a number": (
        raw(type='"identify"', traits='{"email":5}'),
        400,
        "must be a string",
        "traits.email",
    ),
    "traits that are a list": (raw(type='"identify"', traits="[1]"), 400, "an object", "traits"),
}
LISTED = [pytest.param(*case, id=name) for name, case in BAD.items()]


@pytest.mark.parametrize(("body", "status", "reason", "field"), LISTED)
async def test_a_bad_event_is_answered_with_what_is_wrong(
    api: Api, body: bytes, status: int, reason: str, field: str | None
) -> None:
    before = await api.count("event")
    kind = "identify" if b'"identify"' in body else "track"
    answer = await api.post(f"/v1/{kind}", body)
    assert answer.status_code == status
    assert reason in answer.json()["detail"]
    assert answer.json().get("field") == field
    assert await api.count("event") == before


@pytest.mark.parametrize(("body", "status", "reason", "field"), LISTED)
async def test_a_bad_event_in_a_batch_costs_only_itself(
    api: Api, body: bytes, status: int, reason: str, field: str | None
) -> None:
    assert status in {400, 413}
    name = f"beside {reason} {field} {hash(body)}"
    first, last = (orjson.dumps(good(f"{name} {which}")) for which in ("first", "last"))
    before = await api.count("event")
    answer = await api.post("/v1/batch", b'{"batch":[' + b",".join([first, body, last]) + b"]}")
    assert answer.status_code == 200
    one, bad, two = answer.json()["receipts"]
    assert one == {"status": "accepted", "messageId": f"{name} first"}
    assert two == {"status": "accepted", "messageId": f"{name} last"}
    assert bad["status"] == "rejected"
    assert reason in bad["reason"]
    assert bad.get("field") == field
    assert await api.count("event") == before + 2


async def test_all_bad_events_in_one_batch_cost_no_good_one(api: Api) -> None:
    parts: list[bytes] = []
    for index, (body, *_) in enumerate(BAD.values()):
        if len(body) < 10_000:
            parts += [body, orjson.dumps(good(f"between {index}"))]
    answer = await api.post("/v1/batch", b'{"batch":[' + b",".join(parts) + b"]}")
    statuses = [receipt["status"] for receipt in answer.json()["receipts"]]
    assert statuses == ["rejected", "accepted"] * (len(parts) // 2)


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b'{"batch":{}}', "must be an array", "batch"),
        (b'{"batch":null}', "must be an array", "batch"),
        (b"{}", "must be an array", "batch"),
        (b'[{"type":"track"}]', "must be a JSON object", None),
        (b'{"batch":[', "not JSON", None),
        (b'{"batch":[]} {"batch":[]}', "not JSON", None),
        (nested(2_000), "not JSON", None),
    ],
)
async def test_a_batch_that_is_none_is_refused(
    api: Api, body: bytes, reason: str, field: str | None
) -> None:
    answer = await api.post("/v1/batch", body)
    assert answer.status_code == 400
    assert reason in answer.json()["detail"]
    assert answer.json().get("field") == field


async def test_an_empty_batch_is_taken(api: Api) -> None:
    assert await api.receipts([]) == []


async def test_a_null_in_a_batch_is_no_event_whatever_surrounds_it(api: Api) -> None:
    (receipt,) = await api.receipts([None], **good("envelope"))
    assert receipt["status"] == "rejected"
    assert await api.pool.fetchval("select count(*) from event where message_id = 'envelope'") == 0


async def test_a_batch_of_more_than_5000_is_too_large(api: Api) -> None:
    answer = await api.post("/v1/batch", {"batch": [1] * 5_001})
    assert answer.status_code == 413


async def test_a_body_of_more_than_4_megabytes_is_too_large(api: Api) -> None:
    filling = [good("much", properties={"a": "x" * 30_200})] * 145
    for path in ("/v1/batch", "/v1/track", "/v1/identify"):
        answer = await api.post(path, {"batch": filling})
        assert answer.status_code == 413
        assert "larger than 4259840 bytes" in answer.json()["detail"]


async def test_a_body_of_4_megabytes_is_taken(api: Api) -> None:
    items = [good(f"much {n}", properties={"a": "x" * 31_000}) for n in range(134)]
    assert {r["status"] for r in await api.receipts(items)} == {"accepted"}


async def test_a_bad_event_among_4_megabytes_costs_only_itself(api: Api) -> None:
    items = [orjson.dumps(good(f"many {n}", properties={"a": ["x"] * 90})) for n in range(4_999)]
    body = b'{"batch":[' + b",".join([*items, b'{"userId":NaN}']) + b"]}"
    answer = await api.post("/v1/batch", body)
    statuses = [receipt["status"] for receipt in answer.json()["receipts"]]
    assert statuses == ["accepted"] * 4_999 + ["rejected"]


KEY = (b"authorization", b"Basic ZGV2Og==")


async def test_a_body_without_a_length_is_counted_as_it_comes(api: Api) -> None:
    chunk = {"type": "http.request", "body": b"x" * 100_000, "more_body": True}
    sent = await call_raw(api.app, "/v1/batch", [chunk] * 100, [KEY])
    assert sent[0]["status"] == 413


@pytest.mark.parametrize("length", [b"10", b"-1", b"nonsense"])
async def test_a_wrong_content_length_is_not_believed(api: Api, length: bytes) -> None:
    chunk = {"type": "http.request", "body": b"x" * 100_000, "more_body": True}
    headers = [KEY, (b"content-length", length)]
    assert (await call_raw(api.app, "/v1/track", [chunk] * 50, headers))[0]["status"] == 413


async def test_a_body_in_pieces_is_put_together(api: Api) -> None:
    body = orjson.dumps(good("in pieces"))
    pieces = [
        {"type": "http.request", "body": body[i : i + 7], "more_body": True}
        for i in range(0, len(body), 7)
    ]
    sent = await call_raw(api.app, "/v1/track", [*pieces, {"type": "http.request"}], [KEY])
    assert sent[0]["status"] == 200


async def test_a_body_that_breaks_off_is_not_an_event(api: Api) -> None:
    half = {"type": "http.request", "body": orjson.dumps(good("half")), "more_body": True}
    sent = await call_raw(api.app, "/v1/track", [half], [KEY])
    assert sent[0]["status"] == 400
    assert await api.pool.fetchval("select count(*) from event where message_id = 'half'") == 0


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "nonsense",
        None,
    ],
)
async def test_a_content_type_does_not_matter(api: Api, kind: str | None) -> None:
    headers = {"Authorization": "Basic ZGV2Og=="}
    if kind is not None:
        headers["Content-Type"] = kind
    content = orjson.dumps(good(f"as {kind}"))
    answer = await api.send("POST", "/v1/track", content=content, headers=headers)
    assert answer.json() == {"success": True}


async def test_a_form_is_not_an_event(api: Api) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic ZGV2Og=="}
    for path in ("/v1/track", "/v1/batch"):
        answer = await api.send("POST", path, content=b"userId=u&event=fine", headers=kind)
        assert answer.status_code == 400
        assert "not JSON" in answer.json()["detail"]


async def test_a_byte_order_mark_does_not_matter(api: Api) -> None:
    body = b"\xef\xbb\xbf" + orjson.dumps(good("marked"))
    assert (await api.post("/v1/track", body)).json() == {"success": True}


async def test_of_a_key_given_twice_the_last_counts_broken_batch_or_not(api: Api) -> None:
    twice = b'"userId":"first","userId":"last","event":"a","event":"fine","type":"track"'
    assert (await api.post("/v1/track", b"{" + twice + b"}")).status_code == 200
    for beside in (b"{}", b"NaN"):
        body = b'{"batch":[1],"batch":[{' + twice + b"}," + beside + b"]}"
        answer = await api.post("/v1/batch", body)
        statuses = [receipt["status"] for receipt in answer.json()["receipts"]]
        assert statuses == ["accepted", "rejected"]
    assert await api.customers(user_id="first") == []
    assert len(await api.about("timeline", user="last")) == 3


async def test_what_a_batch_itself_gets_wrong_is_left_out_and_told(api: Api) -> None:
    body = {"batch": [good("has company")], "sentAt": "soon", "context": {"a": "\0"}}
    answer = await api.post("/v1/batch", body)
    assert answer.status_code == 200
    assert [r["status"] for r in answer.json()["receipts"]] == ["accepted"]
    assert [i["field"] for i in answer.json()["ignored"]] == ["sentAt", "context"]


async def test_letters_that_look_like_a_nul_are_kept(api: Api) -> None:
    body = raw(userId='"letters"', properties=rb'{"a":"\\u0000","\\u0000":"\\\\u0000"}')
    assert (await api.post("/v1/track", body)).status_code == 200
    (event,) = await api.about("timeline", user="letters")
    assert event["details"]["properties"] == {"a": "\\u0000", "\\u0000": "\\\\u0000"}


async def test_an_emoji_may_be_in_every_field(api: Api) -> None:
    smile = "😀"
    fields: dict[str, Any] = {
        "userId": smile,
        "anonymousId": smile * 2,
        "messageId": smile,
        "context": {smile: smile},
    }
    posts: list[tuple[str, dict[str, Any]]] = [
        ("/v1/track", {"event": smile, "properties": {smile: smile}}),
        ("/v1/track", {"event": "cart_abandoned", "properties": {"cart_id": smile * 255}}),
        ("/v1/track", {"event": "ticket_opened", "properties": {"ticket_id": smile * 255}}),
        ("/v1/identify", {"traits": {smile: smile, "email": smile * 500, "timezone": smile}}),
    ]
    for number, (path, body) in enumerate(posts):
        message_id = {"messageId": f"{smile} {number}"}
        answer = await api.post(path, {**fields, **body, **message_id})
        assert answer.json() == {"success": True}
    found = await api.customer(user_id=smile)
    assert found["traits"][smile] == smile
    assert found["addresses"][0]["value"] == smile * 500
    assert (await api.customer(anonymous_id=smile * 2))["id"] == found["id"]
    care, enrollment = await api.about("enrollments", user=smile)
    assert (enrollment["journey"], care["journey"]) == ("abandoned_cart", "ticket_care")
    assert enrollment["key"] == smile * 255
    assert enrollment["workflow_id"].isascii()


async def test_keys_as_long_as_allowed_are_stored_whatever_they_are_made_of(api: Api) -> None:
    # Random, so that the database cannot press them below what an index holds.
    letters = [chr(c) for c in range(0x1_0000, 0x1_5000)]
    long = "".join(random.Random(1).choices(letters, k=255))
    address = "".join(random.Random(2).choices(letters, k=500))
    fields = {"userId": long, "anonymousId": long, "timestamp": None}
    items = [
        good(long[:-1] + "1", **fields),
        good("k2", **fields) | {"event": "cart_abandoned", "properties": {"cart_id": long}},
        good("k3", **fields) | {"event": "ticket_opened", "properties": {"ticket_id": long}},
        good("k4", **fields) | {"type": "identify", "traits": {long: long, "email": address}},
    ]
    assert {r["status"] for r in await api.receipts(items)} == {"accepted"}


async def test_numbers_at_the_ends_of_what_json_has_are_kept(api: Api) -> None:
    text = '{"big":' + "1" + "0" * 40 + ',"more":1.7e308,"less":-1e300,"small":1e-320,"max":'
    body = raw(userId='"numbers"', properties=text + "18446744073709551615}")
    assert (await api.post("/v1/track", body)).status_code == 200
    (event,) = await api.about("timeline", user="numbers")
    kept = event["details"]["properties"]
    assert kept["big"] == 10**40
    assert (float(kept["more"]), float(kept["less"])) == (1.7e308, -1e300)
    assert kept["max"] == 2**64 - 1


async def test_an_unknown_event_is_stored_and_wakes_nobody(api: Api) -> None:
    answer = await api.track("Looked Around", {"where": "shop"}, user="wanderer")
    assert answer.json() == {"success": True}
    (event,) = await api.about("timeline", user="wanderer")
    assert (event["kind"], event["summary"]) == ("event", "Looked Around")
    assert await api.about("enrollments", user="wanderer") == []


async def test_a_page_that_is_named_like_an_event_is_not_that_event(api: Api) -> None:
    cart = {"cart_id": "c"}
    await api.track("cart_abandoned", cart, user="reader")
    page = {"type": "page", "userId": "reader", "name": "purchase_made", "messageId": "a page"}
    await api.receipts([page, {"type": "identify", "userId": "reader", "messageId": "beside"}])
    (enrollment,) = await api.about("enrollments", user="reader")
    delivered = await api.pool.fetch(
        "select number from delivery where enrollment_id = $1", enrollment["id"]
    )
    assert len(delivered) == 1


@pytest.mark.parametrize(
    ("timestamp", "year"), [("1970-01-01T00:00:00Z", 1970), ("0001-01-01T00:00:00Z", 1)]
)
async def test_an_event_of_long_ago_is_kept_at_its_time(
    api: Api, timestamp: str, year: int
) -> None:
    user = f"from {year}"
    await api.track("fine", user=user, timestamp=timestamp)
    (event,) = await api.about("timeline", user=user)
    assert event["details"]["occurred_at"].startswith(f"{year:04}-01-01")


async def test_an_event_of_the_future_has_happened_now(api: Api) -> None:
    await api.track("fine", user="from 2099", timestamp="2099-01-01T00:00:00Z")
    (event,) = await api.about("timeline", user="from 2099")
    assert event["details"]["occurred_at"] == event["at"]


async def test_one_message_id_is_one_event(api: Api) -> None:
    twice = good("twice", userId="doubled")
    receipts = await api.receipts([twice, {**twice, "event": "other"}, good("once")])
    assert [r["status"] for r in receipts] == ["accepted", "duplicate", "accepted"]
    assert [r["status"] for r in await api.receipts([twice])] == ["duplicate"]
    assert (await api.post("/v1/track", twice)).json() == {"success": True}
    (event,) = await api.about("timeline", user="doubled")
    assert event["summary"] == "fine"


def _scrambled(source: random.Random) -> bytes:
    """A batch or an event with a few bytes changed, left out or put in."""
    body = bytearray(
        orjson.dumps(
            source.choice(
                [
                    {"batch": [good(f"f{source.random()}"), {"type": "identify", "userId": "f"}]},
                    good(f"f{source.random()}", properties={"a": [1, {"b": "\\u0000"}]}),
                    {"userId": "f", "traits": {"email": "a", "timezone": "UTC"}},
                ]
            )
        )
    )
    for _ in range(source.randint(0, 4)):
        at = source.randrange(len(body))
        piece = source.choice([b"", b"\0", b'"', b"{", b"}", b"[", b"]", b",", b"\\u0000", b"\xff"])
        body[at : at + source.randint(0, 2)] = piece + bytes([source.randrange(256)])
    return bytes(body)


async def test_scrambled_input_is_always_answered(api: Api) -> None:
    source = random.Random(20_260_301)
    statuses = set()
    for _ in range(600):
        path = source.choice(["/v1/track", "/v1/identify", "/v1/batch"])
        before = await api.count("event")
        answer = await api.post(path, _scrambled(source))
        statuses.add(answer.status_code)
        stored = await api.count("event") - before
        if answer.status_code != 200:
            assert stored == 0
        elif path == "/v1/batch":
            kinds = [receipt["status"] for receipt in answer.json()["receipts"]]
            assert stored == kinds.count("accepted")
        else:
            assert stored <= 1
    assert {200, 400} <= statuses <= {200, 400, 413}
