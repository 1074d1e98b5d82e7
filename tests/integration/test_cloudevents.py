"""CloudEvents over HTTP, from the stock SDKs of two languages and from wrong ones."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from api.body import LARGEST_BODY
from api.process import serve_app
from infra.web import listen
from tests.api import Api, door_to, running_api, slow_key
from tests.patience import PATIENCE

CLIENT = Path(__file__).parents[1] / "clients_cloudevents"
DEV = {"Authorization": "Bearer dev"}
BATCH = {"Content-Type": "application/cloudevents-batch+json", **DEV}
STRUCTURED = {"Content-Type": "application/cloudevents+json", **DEV}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "fine",
    "subject": "u1",
}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


async def post(api: Api, content: Any, headers: dict[str, str]) -> httpx.Response:
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    return await api.send("POST", "/events", content=raw, headers=headers)


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return [receipt["status"] for receipt in answer.json()["receipts"]]


async def events(api: Api, user: str = "u1") -> list[dict[str, Any]]:
    return [e["details"] for e in await api.about("timeline", user=user) if e["kind"] == "event"]


def python_event(number: int, **more: Any) -> CloudEvent:
    attributes = {"type": "cart_abandoned", "source": "/till/ö", "id": str(number)}
    return CloudEvent(
        attributes={**attributes, "specversion": "1.0", "subject": "Ädä 😀", **more},
        data={"cart_id": f"c{number}"},
    )


async def test_the_stock_sdk_for_python_posts_in_every_mode(api: Api) -> None:
    async def sent(message: HTTPMessage) -> list[str]:
        return statuses(await post(api, message.body, {**message.headers, **DEV}))

    first, second = python_event(1, traceparent="00-ab cd"), python_event(2)
    assert await sent(to_binary_event(first)) == ["accepted"]
    assert await sent(to_structured_event(first)) == ["duplicate"]
    assert await sent(to_structured_event(second)) == ["accepted"]
    batch = b"[" + b",".join(JSONFormat().write(python_event(n)) for n in (2, 3)) + b"]"
    assert statuses(await post(api, batch, BATCH)) == ["duplicate", "accepted"]
    keys = {e["key"] for e in await api.about("enrollments", user="Ädä 😀")}
    assert keys == {"c1", "c2", "c3"}
    context = await api.pool.fetchval("select context from event where message_id = '/till/ö 1'")
    assert context["cloudevent"]["traceparent"] == "00-ab cd"


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stock SDK for JavaScript, installed as its lock says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node with npm on this machine")
    folder = tmp_path_factory.mktemp("cloudevents") / "client"
    shutil.copytree(CLIENT, folder, ignore=shutil.ignore_patterns("node_modules"))
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        install, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def served(api: Api) -> AsyncIterator[int]:
    """The API behind a real socket, on a port of its own."""
    with listen("127.0.0.1", 0, "SOJOURN_API_PORT") as listener:
        serving = asyncio.create_task(serve_app(api.app, listener, relay=False))
        yield listener.getsockname()[1]
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def test_the_stock_sdk_for_javascript_posts_in_every_mode(
    api: Api, node_client: Path
) -> None:
    event = {"source": "/web", "type": "cart_abandoned", "subject": "ünal"}
    first = {**event, "id": "1", "data": {"cart_id": "c1"}, "comexample": "a b", "count": 5}
    second = {**event, "id": "2", "datacontenttype": "application/json", "bytes": '{"cart_id":"2"}'}
    bad = {**event, "id": "3", "data": {"total": 1}}

    async with served(api) as port:

        async def posted(mode: str, *given: dict[str, Any]) -> list[dict[str, Any]]:
            process = await asyncio.create_subprocess_exec(
                *("node", "post.js", f"http://dev:@127.0.0.1:{port}/events", mode),
                cwd=node_client,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await asyncio.wait_for(process.communicate(orjson.dumps(given)), PATIENCE)
            assert process.returncode == 0
            return [orjson.loads(line) for line in output.splitlines()]

        binary = await posted("binary", first, second)
        structured = await posted("structured", first, second, bad)
        batch = await posted("batch", second, bad)

    assert [a["receipts"][0]["status"] for a in binary] == ["accepted", "accepted"]
    assert [a["receipts"][0]["status"] for a in structured[:2]] == ["duplicate", "duplicate"]
    assert (structured[2]["status"], structured[2]["field"]) == (400, "data.cart_id")
    assert [r["status"] for r in batch[0]["receipts"]] == ["duplicate", "rejected"]
    assert batch[0]["receipts"][1]["messageId"] == "/web 3"
    assert {e["key"] for e in await api.about("enrollments", user="ünal")} == {"c1", "2"}
    context = await api.pool.fetchval("select context from event where message_id = '/web 1'")
    assert context["cloudevent"]["comexample"] == "a b"


async def test_a_bad_event_in_a_batch_costs_only_itself(api: Api) -> None:
    body = b",".join(
        [
            orjson.dumps({**EVENT, "id": "good 1"}),
            orjson.dumps({**EVENT, "type": "cart_abandoned", "id": "bad"}),
            b'{"specversion":"1.0",oops}',
            b"null",
            orjson.dumps({**EVENT, "id": "good 2"}),
            orjson.dumps({**EVENT, "data": {"a": "x" * 40_000}}),
        ]
    )
    answer = await post(api, b"[" + body + b"]", BATCH)
    assert statuses(answer) == [
        "accepted",
        "rejected",
        "rejected",
        "rejected",
        "accepted",
        "rejected",
    ]
    assert answer.json()["receipts"][1]["field"] == "data.cart_id"
    assert await api.count("event") == 2
    assert await api.count("quarantine") == 4


async def test_an_empty_batch_is_taken(api: Api) -> None:
    assert statuses(await post(api, b"[]", BATCH)) == []


@pytest.mark.parametrize(
    ("content", "headers", "status", "field"),
    [
        (b"{}", {}, 400, "specversion"),
        (b'{"type":"track"}', {"Content-Type": "application/json"}, 400, "specversion"),
        (b"not json", {"Content-Type": "application/cloudevents+json"}, 400, None),
        (b"{}", {"Content-Type": "application/cloudevents-batch+json"}, 400, None),
        (b"[", {"Content-Type": "application/cloudevents-batch+json"}, 400, None),
        (b"[{}]", {"Content-Type": "application/cloudevents+json"}, 400, None),
        (b"", {"Content-Type": "application/cloudevents+avro"}, 415, None),
        (b"", {"Content-Type": "application/cloudevents-batch+protobuf"}, 415, None),
        (b"x" * (LARGEST_BODY + 1), {"Content-Type": "application/cloudevents+json"}, 413, None),
        (b"[" + b"1," * 6_000 + b"1]", {"Content-Type": BATCH["Content-Type"]}, 413, None),
    ],
)
async def test_what_is_no_cloudevent_is_answered_with_what_is_wrong(
    api: Api, content: bytes, headers: dict[str, str], status: int, field: str | None
) -> None:
    answer = await post(api, content, {**headers, **DEV})
    assert answer.status_code == status
    assert answer.json().get("field") == field


async def test_a_binary_event_is_put_right_in_the_json_format(api: Api) -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    headers |= {"ce-type": "cart_abandoned", "Content-Type": "application/json", **DEV}
    assert (await post(api, {"total": 1}, headers)).json()["field"] == "data.cart_id"
    (item,) = (await api.get("/quarantine", door="cloudevents")).json()["items"]
    assert item["message_id"] == "/shop 1"
    path = f"/quarantine/{item['id']}"
    kept = orjson.loads((await api.get(path)).json()["body"])
    right = orjson.dumps({**kept, "data": {"cart_id": "c1"}})
    await api.send("PUT", path, content=right, headers=DEV)
    replayed = (await api.post(f"{path}/replay", b"")).json()
    assert replayed["receipts"][0]["status"] == "accepted"
    assert statuses(await post(api, {"cart_id": "c1"}, headers)) == ["duplicate"]


async def test_a_batch_that_was_no_array_is_put_right_as_a_batch(api: Api) -> None:
    assert (await post(api, EVENT, BATCH)).status_code == 400
    (item,) = (await api.get("/quarantine", door="cloudevents:batch")).json()["items"]
    path = f"/quarantine/{item['id']}"
    await api.send("PUT", path, content=orjson.dumps([EVENT]), headers=DEV)
    assert (await api.post(f"{path}/replay", b"")).json()["replayed"] is True


async def test_a_type_may_have_a_prefix_that_was_set(database_url: str) -> None:
    async with running_api(database_url, cloudevents_prefixes=["com.shop."]) as api:
        event = {**EVENT, "type": "com.shop.cart_abandoned", "data": {"cart_id": "c1"}}
        assert statuses(await post(api, event, STRUCTURED)) == ["accepted"]
        assert [e["key"] for e in await api.about("enrollments")] == ["c1"]


async def test_every_status_in_the_document_is_answered(database_url: str) -> None:
    async with door_to(database_url) as door, running_api(database_url, door=door.url) as api:
        await post(api, EVENT, STRUCTURED)
        await post(api, b"", STRUCTURED)
        await post(api, EVENT, {"Content-Type": "application/cloudevents+json"})
        await post(api, b"x" * (LARGEST_BODY + 1), STRUCTURED)
        slow = await slow_key(api)
        for _ in range(2):
            await post(api, EVENT, {**STRUCTURED, "Authorization": f"Bearer {slow}"})
        await post(api, EVENT, {**STRUCTURED, "Content-Type": "application/cloudevents+xml"})
        await api.pool.execute("update api_key set scopes = '{read}'")
        api.parts.keys._known.clear()
        await post(api, EVENT, STRUCTURED)
        await api.pool.execute("update api_key set scopes = '{write}'")
        api.parts.keys._known.clear()
        await post(api, EVENT, STRUCTURED)
        await door.shut()
        await post(api, EVENT, STRUCTURED)
        told = api.app.openapi()["paths"]["/events"]["post"]["responses"]
        assert {("post", "/events", int(status)) for status in told} - api.seen == set()
