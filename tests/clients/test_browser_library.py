"""Segment's stock library for the browser, unchanged, on a page of another origin."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.front import Server
from tests.clients.pages import LOCALE, TIME_ZONE, chromium, page_in_chromium, page_in_jsdom

Open = Callable[..., AbstractAsyncContextManager[None]]
NO_BROWSER = pytest.mark.skipif(chromium() is None, reason="Chromium is not on this machine")
BATCHES = {"strategy": "batching", "config": {"size": 50, "timeout": 300}}
UNTIL_IT_LEAVES = {"strategy": "batching", "config": {"size": 50, "timeout": 60_000}}


@pytest.fixture(params=["jsdom", pytest.param("chromium", marks=NO_BROWSER)])
def open_page(request: pytest.FixtureRequest, server: Server, node_packages: Path) -> Open:
    """Opens a page on which these calls are made."""
    opening = {"jsdom": page_in_jsdom, "chromium": page_in_chromium}[request.param]

    def open_one(
        *calls: list[Any], strategy: Any = None, key: str = "dev", leaves: bool = False
    ) -> AbstractAsyncContextManager[None]:
        job = {
            "key": key,
            "host": f"127.0.0.1:{server.port}/v1",
            "device": f"device of {request.node.name}",
            "calls": calls,
            "settings": {} if strategy is None else {"deliveryStrategy": strategy},
            "leaves": leaves,
        }
        return opening(job, node_packages)

    return open_one


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    name: str = request.node.name
    return name


def story(user: str) -> list[list[Any]]:
    return [
        ["track", "Looked Around", {"before": "login"}],
        ["identify", user, {"email": "zoe@example.com", "plan": "pro"}],
        [
            "track",
            "Looked Around",
            {"a": [1, {"b": None}], "c": "🛒"},
            {"integrations": {"M": False}},
        ],
        ["page", "Shop", "Home", {"a": 1}],
        ["screen", "Shop", "Basket", {"a": 1}],
        ["group", "g1", {"employees": 5}],
        ["alias", user, f"before {user}"],
    ]


NAMES = ["Looked Around", "identify", "Looked Around", "Home", "Basket", "group", "alias"]
SHORT = ["/v1/t", "/v1/i", "/v1/t", "/v1/p", "/v1/s", "/v1/g", "/v1/a"]


def _place(event: dict[str, Any]) -> int:
    """Where in the story an event belongs."""
    if event["type"] == "track":
        return 0 if "before" in event["properties"] else 2
    return ["", "identify", "", "page", "screen", "group", "alias"].index(event["type"])


async def _check_story(server: Server, user: str) -> None:
    # The library has several requests under way at once: they may overtake each other.
    events = sorted(await server.events(user, len(NAMES)), key=_place)
    assert [event["name"] for event in events] == NAMES
    found = await server.api.customer(user_id=user)
    of_the_device = {"timezone": TIME_ZONE, "locale": LOCALE}
    assert found["traits"] == {"email": "zoe@example.com", "plan": "pro", **of_the_device}
    assert found["time_zone"] == TIME_ZONE
    assert {identity["kind"] for identity in found["identities"]} == {"user_id", "anonymous_id"}
    first, _, track, page, screen, group, alias = events
    assert first["properties"] == {"before": "login"}
    assert track["properties"] == {"a": [1, {"b": None}], "c": "🛒"}
    assert track["context"]["integrations"]["M"] is False
    assert page["properties"]["category"] == screen["properties"]["category"] == "Shop"
    assert page["properties"]["search"] == "?from=mail"
    assert group["properties"] == {"groupId": "g1", "employees": 5}
    assert alias["properties"] == {"previousId": f"before {user}"}
    for event in events:
        assert event["context"]["library"]["name"] == "analytics.js"
        assert event["context"]["page"]["title"] == "Shop"


async def test_every_call_arrives_by_its_short_route(
    open_page: Open, server: Server, user: str
) -> None:
    async with open_page(*story(user)):
        await _check_story(server, user)
        await server.answered("/v1/m", 200)
    assert server.front.posts == [(path, 200) for path in SHORT]
    assert "OPTIONS" in {seen.method for seen in server.front.seen}
    assert {
        seen.headers["content-type"] for seen in server.front.seen if seen.method == "POST"
    } == {"text/plain"}


async def test_calls_come_in_batches_where_the_page_wants_it(
    open_page: Open, server: Server, user: str
) -> None:
    async with open_page(*story(user), strategy=BATCHES):
        await _check_story(server, user)
    assert {path for path, _ in server.front.posts} == {"/v1/b"}


async def test_what_waits_when_the_page_is_left_arrives(
    open_page: Open, server: Server, user: str
) -> None:
    async with open_page(*story(user), strategy=UNTIL_IT_LEAVES, leaves=True):
        await _check_story(server, user)


@pytest.mark.parametrize(
    ("status", "strategy"), [(429, None), (503, BATCHES)], ids=["429, one by one", "503, a batch"]
)
async def test_it_tries_again_later_and_the_event_counts_once(
    open_page: Open, server: Server, user: str, status: int, strategy: Any
) -> None:
    server.front.answers.append(status)
    async with open_page(["identify", user, {}], strategy=strategy):
        assert len(await server.events(user, 1)) == 1
    assert [given for _, given in server.front.posts] == [status, 200]


async def test_a_wrong_key_is_given_up(open_page: Open, server: Server, user: str) -> None:
    async with open_page(["identify", user, {}], key="wrong"):
        await server.answered("/v1/i", 401)
        await asyncio.sleep(1.5)  # a second try would come within a second
    assert server.front.posts == [("/v1/i", 401)]
