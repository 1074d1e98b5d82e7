"""Stock libraries for Python and Node, unchanged, against the real server."""

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clients.front import Server, run_client

_HERE = Path(__file__).parent
PYTHON = ["segment-analytics-python", "rudder-sdk-python"]
NODE = ["@segment/analytics-node", "@rudderstack/rudder-sdk-node"]
LIBRARIES = PYTHON + NODE
RUDDER = {"rudder-sdk-python", "@rudderstack/rudder-sdk-node"}


class Library:
    """A stock library, and how to have it post."""

    def __init__(self, name: str, server: Server, packages: Path | None) -> None:
        self.name = name
        self._server = server
        self._packages = packages

    async def post(
        self, calls: list[dict[str, Any]], *, key: str = "dev", **options: Any
    ) -> list[str]:
        """Post calls and wait until the library is done; returns what it reported."""
        job = {"library": self.name, "host": self._server.url, "key": key, "calls": calls}
        command = [sys.executable, str(_HERE / "python_client.py")]
        if self._packages is not None:
            command = ["node", str(_HERE / "node_client.cjs")]
        said = await run_client(command, {**job, "options": options}, self._packages)
        errors: list[str] = said["errors"]
        return errors


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, server: Server) -> Library:
    node = request.param in NODE
    return Library(
        request.param, server, request.getfixturevalue("node_packages") if node else None
    )


@pytest.fixture
def user(library: Library, request: pytest.FixtureRequest) -> str:
    return f"{library.name} {request.node.name}"[:200]


BEGIN = datetime.fromisoformat("2026-01-02T03:04:05.678+00:00")
CONTEXT = {"ip": "203.0.113.7", "app": {"name": "shop"}}
STORY: list[dict[str, Any]] = [
    {
        "type": "identify",
        "traits": {"email": "zoe@example.com", "plan": "pro", "first_name": "Zoë"},
    },
    {"type": "track", "event": "Looked Around", "properties": {"a": [1, {"b": None}], "c": "🛒"}},
    {"type": "page", "name": "Home", "properties": {"url": "/"}},
    {"type": "screen", "name": "Basket", "properties": {"items": 2}},
    {"type": "group", "groupId": "g1", "traits": {"employees": 5}},
    {"type": "alias"},
    {"type": "track", "event": "cart_abandoned", "properties": {"cart_id": "c1", "total": 81.5}},
]
NAMES = ["identify", "Looked Around", "Home", "Basket", "group", "alias", "cart_abandoned"]


def story(user: str) -> list[dict[str, Any]]:
    """One call of every kind, a minute apart, all of them months ago."""
    common = {"userId": user, "context": CONTEXT, "integrations": {"All": True, "Mail": False}}
    calls = [
        {**call, **common, "timestamp": (BEGIN + timedelta(minutes=n)).isoformat()}
        for n, call in enumerate(STORY)
    ]
    calls[NAMES.index("alias")]["previousId"] = f"before {user}"
    return calls


async def test_every_call_arrives_as_it_was_meant(
    library: Library, server: Server, user: str
) -> None:
    options: dict[str, Any] = {"gzip": True} if library.name in PYTHON else {}
    assert await library.post(story(user), **options) == []
    for seen in server.front.seen:
        assert (seen.path, seen.status) == ("/v1/batch", 200)
        assert seen.headers["authorization"] == "Basic ZGV2Og=="
        packed = library.name != "@segment/analytics-node"  # it has no such option
        assert (seen.headers.get("content-encoding") == "gzip") is packed
    found = await server.api.customer(user_id=user)
    assert found["traits"] == STORY[0]["traits"]
    assert found["addresses"][0]["value"] == "zoe@example.com"
    events = await server.events(user, len(STORY))
    assert [event["name"] for event in events] == NAMES
    assert len(await server.api.about("enrollments", user=user)) == 1
    for number, (call, event) in enumerate(zip(STORY, events, strict=True)):
        assert event["type"] == call["type"]
        told = call.get("properties", call.get("traits", {}))
        assert told.items() <= event["properties"].items()
        assert CONTEXT.items() <= event["context"].items()
        assert event["context"]["integrations"] == {"All": True, "Mail": False}
        assert "library" in event["context"]
        happened = datetime.fromisoformat(event["occurred_at"])
        assert abs(happened - BEGIN - timedelta(minutes=number)) < timedelta(seconds=5)
    assert events[4]["properties"]["groupId"] == "g1"
    assert events[5]["properties"] == {"previousId": f"before {user}"}
    assert await server.api.customer(user_id=f"before {user}") == found


async def test_what_was_done_without_a_name_belongs_to_who_is_named_later(
    library: Library, server: Server, user: str
) -> None:
    device = f"device of {user}"
    before = {"type": "track", "anonymousId": device, "event": "Looked Around"}
    await library.post([before, {"type": "identify", "anonymousId": device, "userId": user}])
    assert len(await server.events(user, 2)) == 2


async def test_many_events_come_in_batches_and_each_once(
    library: Library, server: Server, user: str
) -> None:
    calls = [
        {"type": "track", "userId": user, "event": f"e{n}", "properties": {"n": n}}
        for n in range(40)
    ]
    options: dict[str, Any] = {"flushAt": 50} if library.name in NODE else {}
    assert await library.post(calls, **options) == []
    events = await server.events(user, 40)
    assert sorted(event["properties"]["n"] for event in events) == list(range(40))
    assert len(server.front.posts) <= 3


@pytest.mark.parametrize("status", [429, 503])
async def test_it_tries_again_later_and_the_event_counts_once(
    library: Library, server: Server, user: str, status: int
) -> None:
    server.front.answers.append(status)
    assert await library.post([{"type": "track", "userId": user, "event": "seen"}]) == []
    assert server.front.posts == [("/v1/batch", status), ("/v1/batch", 200)]
    assert len(await server.events(user, 1)) == 1


@pytest.mark.parametrize("status", [400, 413])
async def test_it_gives_up_what_will_never_be_taken(
    library: Library, server: Server, user: str, status: int
) -> None:
    server.front.answers += [status] * 3
    errors = await library.post([{"type": "track", "userId": user, "event": "seen"}])
    assert server.front.posts == [("/v1/batch", status)]
    assert errors


async def test_a_wrong_key_is_given_up(library: Library, server: Server, user: str) -> None:
    errors = await library.post([{"type": "track", "userId": user, "event": "seen"}], key="wrong")
    assert server.front.posts == [("/v1/batch", 401)]
    assert errors


async def test_a_bad_event_costs_no_good_one(library: Library, server: Server, user: str) -> None:
    good = {"type": "track", "userId": user, "event": "seen", "properties": {"a": 1}}
    bad: list[dict[str, Any]] = [{"event": " "}, {"event": "x" * 300}, {"userId": "x" * 300}]
    bad += [{"properties": {"a": value}} for value in ("\0", "\ud83d")]
    if library.name in PYTHON:  # which take for JSON what is none
        bad += [{"properties": {"a": value}} for value in (float("nan"), float("-inf"))]
    options: dict[str, Any] = {"flushAt": 50} if library.name in NODE else {}
    assert await library.post([good, *({**good, **b} for b in bad), good], **options) == []
    assert len(await server.events(user, 2)) == 2
    assert {status for _, status in server.front.posts} == {200}
