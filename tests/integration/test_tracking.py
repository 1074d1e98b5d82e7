"""How clients may post: every route, way to show the key, compression, and origin."""

import base64
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from tests.api import Api, call_raw, check_problem, running_api
from tests.parts import Postgres

BASIC = {"Authorization": "Basic " + base64.b64encode(b"dev:").decode()}
EVENT = {"type": "track", "event": "fine"}
BATCHES = ["/v1/batch", "/v1/b", "/v1/import", "/v1/import/", "/beacon/v1/batch"]
CALLS: dict[str, dict[str, Any]] = {
    "track": {"event": "Looked Around", "properties": {"a": 1}},
    "identify": {"traits": {"a": 1}},
    "page": {"name": "Home", "properties": {"a": 1}},
    "screen": {"name": "Home", "properties": {"a": 1}},
    "group": {"groupId": "g", "traits": {"a": 1}},
    "alias": {"previousId": "before"},
}


@pytest.fixture(scope="module")
async def api(postgres: Postgres) -> AsyncIterator[Api]:
    async with postgres.database() as url, running_api(url) as running:
        yield running


async def posted(
    api: Api, path: str, body: Any, headers: dict[str, str] | None = None
) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await api.send(
        "POST", path, content=content, headers=BASIC if headers is None else headers
    )


@pytest.mark.parametrize("kind", CALLS)
async def test_every_call_is_taken_at_its_long_and_its_short_route_and_in_a_batch(
    api: Api, kind: str
) -> None:
    user = f"calls {kind}"
    body = {"userId": user, **CALLS[kind]}
    for path in (f"/v1/{kind}", f"/v1/{kind[0]}"):
        assert (await posted(api, path, body)).json() == {"success": True}
    assert (await api.receipts([{"type": kind, **body}]))[0]["status"] == "accepted"
    told = await api.about("timeline", user=user)
    events = [item for item in told if item["kind"] == "event"]
    assert [event["details"]["type"] for event in events] == [kind] * 3
    assert len({orjson.dumps(event["details"]["properties"]) for event in events}) == 1


@pytest.mark.parametrize("path", BATCHES)
async def test_a_batch_is_a_batch_by_all_its_names(api: Api, path: str) -> None:
    answer = await posted(api, path, {"batch": [{**EVENT, "userId": f"by {path}"}, 5]})
    assert [r["status"] for r in answer.json()["receipts"]] == ["accepted", "rejected"]
    assert len(await api.about("timeline", user=f"by {path}")) == 1


async def test_an_alias_is_a_fact_of_the_customer(api: Api) -> None:
    await posted(api, "/v1/alias", {"userId": "now", "previousId": "then"})
    (event,) = await api.about("timeline", user="now")
    assert (event["summary"], event["details"]["properties"]) == ("alias", {"previousId": "then"})
    answer = await posted(api, "/v1/alias", {"userId": "now"})
    assert (answer.status_code, answer.json()["field"]) == (400, "previousId")


async def test_the_browsers_measurements_of_itself_are_taken_and_not_kept(api: Api) -> None:
    before = await api.count("event")
    answer = await posted(api, "/v1/m", {"series": [{"type": "Counter"}]}, {})
    assert answer.json() == {"success": True}
    assert await api.count("event") == before


KEYS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "the user name of Basic": ("", BASIC, {}),
    "a Bearer token": ("", {"Authorization": "Bearer dev"}, {}),
    "the URL": ("?writeKey=dev", {}, {}),
    "the body": ("", {}, {"writeKey": "dev"}),
    "the header, whatever the others say": ("?writeKey=x", BASIC, {"writeKey": "x"}),
    "the URL, whatever the body says": ("?writeKey=dev", {}, {"writeKey": "x"}),
}


@pytest.mark.parametrize(("query", "headers", "fields"), KEYS.values(), ids=KEYS)
async def test_the_key_may_be_in(
    api: Api, query: str, headers: dict[str, str], fields: dict[str, Any]
) -> None:
    single = {"userId": "u", **EVENT, **fields}
    assert (await posted(api, f"/v1/t{query}", single, headers)).status_code == 200
    batch = orjson.dumps({"batch": [single], **fields})
    for body in (batch, batch.replace(b"[{", b"[NaN,{")):
        answer = await posted(api, f"/v1/b{query}", body, headers)
        assert answer.json()["receipts"][-1]["status"] == "accepted"


WRONG_KEYS: dict[str, tuple[str, dict[str, str], Any]] = {
    "none": ("", {}, {}),
    "unknown in the header": ("", {"Authorization": "Basic eDo="}, {"writeKey": "dev"}),
    "unreadable in the header": ("", {"Authorization": "Basic §"}, {"writeKey": "dev"}),
    "empty in the header": ("", {"Authorization": ""}, {"writeKey": "dev"}),
    "unknown in the URL": ("?writeKey=x", {}, {"writeKey": "dev"}),
    "empty in the URL": ("?writeKey=", {}, {"writeKey": "dev"}),
    "unknown in the body": ("", {}, {"writeKey": "x"}),
    "empty in the body": ("", {}, {"writeKey": ""}),
    "very long in the body": ("", {}, {"writeKey": "x" * 300}),
    "a number in the body": ("", {}, {"writeKey": 5}),
    "a list in the body": ("", {}, {"writeKey": ["dev"]}),
}


@pytest.mark.parametrize(("query", "headers", "fields"), WRONG_KEYS.values(), ids=WRONG_KEYS)
@pytest.mark.parametrize("path", ["/v1/t", "/v1/b"])
async def test_a_wrong_key_is_answered_with_401(
    api: Api, path: str, query: str, headers: dict[str, str], fields: dict[str, Any]
) -> None:
    before = await api.count("event")
    event = {"userId": "u", **EVENT}
    body = {"batch": [{**event, "writeKey": "dev"}]} if path == "/v1/b" else event
    encoded = {name: value.encode() for name, value in headers.items()}
    answer = await api.send("POST", path + query, json={**body, **fields}, headers=encoded)
    assert answer.status_code == 401
    assert await api.count("event") == before


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"batch":5}', b"x" * 5_000_000])
async def test_who_shows_no_key_learns_nothing_else(api: Api, body: bytes) -> None:
    for path in ("/v1/t", "/v1/b"):
        assert (await posted(api, path, body, {})).status_code == 401


async def test_a_key_in_the_url_or_the_body_opens_nothing_but_posting(api: Api) -> None:
    answer = await api.send("GET", "/customers", params={"user_id": "u", "writeKey": "dev"})
    assert answer.status_code == 401


def packed(user: str) -> bytes:
    return orjson.dumps({"batch": [{**EVENT, "userId": user}]})


@pytest.mark.parametrize(
    ("label", "body"),
    [
        ("gzip", gzip.compress(packed("packed"))),
        ("GZIP", gzip.compress(packed("packed"))),
        ("x-gzip", gzip.compress(packed("packed"))),
        ("deflate", zlib.compress(packed("packed"))),
        ("identity", packed("packed")),
        ("", packed("packed")),
        ("gzip", gzip.compress(packed("packed")[:9]) + gzip.compress(packed("packed")[9:])),
    ],
    ids=["gzip", "GZIP", "x-gzip", "deflate", "identity", "empty", "two members"],
)
async def test_a_body_may_be_compressed(api: Api, label: str, body: bytes) -> None:
    before = await api.count("event")
    answer = await posted(api, "/v1/batch", body, {**BASIC, "Content-Encoding": label})
    assert answer.json()["receipts"][0]["status"] == "accepted"
    assert await api.count("event") == before + 1


WHOLE = gzip.compress(packed("never"))
BROKEN: dict[str, tuple[str, bytes, int, str]] = {
    "a bomb": ("gzip", gzip.compress(bytes(50_000_000), 1), 413, "larger than"),
    "a bomb in members": ("gzip", gzip.compress(bytes(3_000_000)) * 2, 413, "larger than"),
    "a deflated bomb": ("deflate", zlib.compress(bytes(50_000_000)), 413, "larger than"),
    "members without end": ("gzip", gzip.compress(b"") * 10_000, 400, "goes on after its end"),
    "cut off": ("gzip", WHOLE[:-9], 400, "broke off"),
    "nothing": ("gzip", b"", 400, "broke off"),
    "no gzip, though it says so": ("gzip", packed("never"), 400, "not gzip"),
    "gzip labelled as deflate": ("deflate", WHOLE, 400, "not deflate"),
    "gzip without a label": ("identity", WHOLE, 400, "not JSON"),
    "twice compressed": ("gzip", gzip.compress(WHOLE), 400, "not JSON"),
    "something after it": ("gzip", WHOLE + b"nonsense", 400, "not gzip"),
    "altered": ("gzip", WHOLE[:-5] + b"!" + WHOLE[-4:], 400, "not gzip"),
    "brotli": ("br", b"\x0b\x02\x80", 415, "not understood"),
    "two codings": ("gzip, gzip", gzip.compress(WHOLE), 415, "not understood"),
}


@pytest.mark.parametrize(("label", "body", "status", "reason"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_a_compressed_body_that_is_wrong_is_answered(
    api: Api, path: str, label: str, body: bytes, status: int, reason: str
) -> None:
    before = await api.count("event")
    answer = await posted(api, path, body, {**BASIC, "Content-Encoding": label})
    assert answer.status_code == status
    assert reason in answer.json()["detail"]
    assert await api.count("event") == before


async def test_a_compressed_body_is_counted_as_it_comes_out(api: Api) -> None:
    bomb = gzip.compress(bytes(50_000_000), 1)
    chunks = [
        {"type": "http.request", "body": bomb[i : i + 10_000], "more_body": True}
        for i in range(0, len(bomb), 10_000)
    ]
    headers = [(b"authorization", BASIC["Authorization"].encode()), (b"content-encoding", b"gzip")]
    sent = await call_raw(api.app, "/v1/batch", chunks, headers)
    assert sent[0]["status"] == 413


ASKED = "authorization,content-type,x-retry-count,anonymousid,sentat"
PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": ASKED,
}


@pytest.mark.parametrize("path", ["/v1/t", "/v1/b", "/v1/track", "/v1/m", "/beacon/v1/batch"])
async def test_a_page_of_any_origin_may_post(api: Api, path: str) -> None:
    answer = await api.http.options(path, headers=PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert set(ASKED.split(",")) <= set(answer.headers["access-control-allow-headers"].split(","))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [({"userId": "u", **EVENT}, BASIC, 200), (b"no", BASIC, 400), ({}, {}, 401)],
)
async def test_a_page_may_read_every_answer(
    api: Api, body: Any, headers: dict[str, str], status: int
) -> None:
    answer = await posted(api, "/v1/t", body, {**headers, "Origin": "https://shop.example"})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("path", ["/customers", "/customers/x/timeline", "/v1/elsewhere"])
async def test_a_page_of_another_origin_may_read_nothing_else(api: Api, path: str) -> None:
    assert (await api.http.options(path, headers=PREFLIGHT)).status_code in {404, 405}
    answer = await api.http.get(path, headers={**BASIC, "Origin": "https://shop.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_stock_libraries_find_an_errors_code_and_message(api: Api) -> None:
    answer = await posted(api, "/v1/batch", b"no")
    check_problem(answer)
    assert answer.json()["code"] == "bad_request"
