"""Keys, health, metrics, the database away, and whether the documentation is true."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from temporalio.testing import WorkflowEnvironment

from domain.limits import Limits
from infra.database.keys import create_key
from tests.api import Api, Door, door_to, running_api
from tests.parts import Postgres

EVENT = {"type": "track", "userId": "u1", "event": "seen", "previousId": "u0"}
CALLS = ["track", "identify", "page", "screen", "group", "alias"]
BATCHES = ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"]


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture(scope="module")
async def shared(postgres: Postgres) -> AsyncIterator[Api]:
    """For tests that leave nothing behind."""
    async with postgres.database() as url, running_api(url) as running:
        yield running


# Keys.


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic ZGV2",  # `dev` without a colon is a key, but `Basic` must be base64 of it
        "Basic /w==",
        _basic(":dev"),
        _basic("wrong:"),
        _basic("dev\0:"),
        _basic("x" * 257 + ":"),
        _basic("😀:"),
        "Bearer",
        "Bearer wrong",
        "Digest dev",
        "dev",
        "\x7f" * 5_000,
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/track"), ("GET", "/customers")])
async def test_without_a_known_key_nothing_goes(
    shared: Api, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    before = await shared.count("event")
    answer = await shared.send(method, path, headers=headers)
    if header == "Basic ZGV2":
        assert answer.status_code in {200, 400}  # let in
        return
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert await shared.count("event") == before


@pytest.mark.parametrize(
    "header", [_basic("dev:"), _basic("dev:ignored"), "Bearer dev", "bearer  dev "]
)
async def test_a_key_may_come_as_basic_or_bearer(shared: Api, header: str) -> None:
    answer = await shared.send("POST", "/v1/track", json=EVENT, headers={"Authorization": header})
    assert answer.json() == {"success": True}


async def test_a_revoked_key_no_longer_goes(api: Api) -> None:
    key = await create_key(api.pool, "old", ["write"])
    await api.pool.execute("update api_key set revoked_at = now() where hint <> 'dev…'")
    assert (await api.post("/v1/track", EVENT, key=key)).status_code == 401


# Health and metrics.


async def test_the_process_is_alive_and_ready_without_temporal(api: Api) -> None:
    assert (await api.get("/health/live", key=None)).json() == {"status": "ok"}
    began = time.monotonic()
    answer = await api.get("/health/ready", key=None)
    assert answer.json() == {"status": "ok", "postgres": "ok", "temporal": "away"}
    assert time.monotonic() - began < 30  # it waits for two seconds at most


async def test_the_process_is_ready_with_temporal(
    database_url: str, temporal: WorkflowEnvironment
) -> None:
    address = temporal.client.service_client.config.target_host
    async with running_api(database_url, temporal_address=address) as api:
        assert (await api.get("/health/ready", key=None)).json()["temporal"] == "ok"


async def _metrics(api: Api) -> dict[str, float]:
    answer = await api.get("/metrics", key=None)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_metrics_count_what_became_of_events(api: Api) -> None:
    await api.track("seen", messageId="m1")
    await api.receipts(
        [{"type": "track", **EVENT, "messageId": m} for m in ("m1", "m2", "m2", "m3")] + [1, {}]
    )
    await api.post("/v1/track", b"nonsense")
    await api.post("/v1/batch", {"batch": 1})
    await api.post("/v1/batch", b"x" * 600_000)
    metrics = await _metrics(api)
    assert metrics['sojourn_events_total{result="accepted"}'] == 3
    assert metrics['sojourn_events_total{result="duplicate"}'] == 2
    assert metrics['sojourn_events_total{result="rejected"}'] == 5


async def test_metrics_show_the_backlog_its_age_and_the_messages(api: Api) -> None:
    empty = await _metrics(api)
    assert empty["sojourn_relay_backlog_enrollments"] == 0
    assert empty["sojourn_relay_backlog_age_seconds"] == 0
    for cart in ("c1", "c2"):
        await api.track("cart_abandoned", {"cart_id": cart})
    await api.pool.execute("update backlog set oldest_at = now() - interval '100 seconds'")
    found = await api.customer(user_id="u1")
    for number, verdict in enumerate(("sent", "sent", "held")):
        await api.pool.execute(
            "insert into message (id, key, customer_id, enrollment_id, journey, step, channel,"
            " template, topic, verdict, reason) values ($1, $1, $2, 'e', 'j', 's', 'email', 't',"
            " 'promotional', $3, 'r')",
            f"m{number}",
            found["id"],
            verdict,
        )
    await api.parts.figures.refresh()
    metrics = await _metrics(api)
    assert metrics["sojourn_relay_backlog_enrollments"] == 2
    assert 100 <= metrics["sojourn_relay_backlog_age_seconds"] < 110
    assert metrics['sojourn_messages{channel="email",verdict="sent"}'] == 2
    assert metrics['sojourn_messages{channel="email",verdict="held"}'] == 1


# The database away.


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    async with door_to(database_url) as opened:
        yield opened


async def _is_away(api: Api, method: str, path: str, **kwargs: Any) -> None:
    headers = {"Authorization": _basic("dev:")}
    answer = await api.send(method, path, headers=headers, **kwargs)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1


async def test_while_the_database_is_away_nothing_is_acknowledged(
    database_url: str, door: Door
) -> None:
    async with running_api(database_url, door=door.url) as api:
        assert (await api.track("seen", messageId="before")).status_code == 200
        found = await api.customer(user_id="u1")
        await door.shut()
        for _ in range(2):
            await _is_away(api, "POST", "/v1/track", json={**EVENT, "messageId": "while"})
            await _is_away(api, "POST", "/v1/identify", json={"userId": "u1"})
            batch = {"batch": [{"type": "track", **EVENT}]}
            await _is_away(api, "POST", "/v1/batch", json=batch)
            await _is_away(api, "GET", "/customers", params={"user_id": "u1"})
            for what in ("", "/enrollments", "/messages", "/timeline"):
                await _is_away(api, "GET", f"/customers/{found['id']}{what}")
            await _is_away(api, "GET", "/health/ready")
        assert (await api.get("/health/live", key=None)).status_code == 200
        await api.parts.figures.refresh()
        metrics = await _metrics(api)
        assert metrics['sojourn_events_total{result="accepted"}'] == 1
        assert metrics["sojourn_relay_backlog_enrollments"] != 0  # not a number, so no alarm ends
        await door.open()
        assert (await api.track("seen", messageId="while")).status_code == 200
        assert len(await api.about("timeline")) == 2
        assert (await api.get("/health/ready", key=None)).status_code == 200


async def test_a_broken_connection_costs_no_event(database_url: str, door: Door) -> None:
    # Whatever is not acknowledged is sent again, as a client does.
    async with running_api(database_url, door=door.url) as api:

        async def post(number: int) -> None:
            while (await api.track("seen", messageId=f"m{number}")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        async def disturb() -> None:
            for _ in range(5):
                await asyncio.sleep(0.03)
                await door.shut()
                await asyncio.sleep(0.03)
                await door.open()

        await asyncio.gather(disturb(), *(post(number) for number in range(200)))
        assert await api.count("event") == 200


async def test_a_database_that_may_only_be_read_is_away_for_events(api: Api) -> None:
    # So it is for a while after a failover, for connections to what was the primary.
    name = await api.pool.fetchval("select current_database()")
    await api.pool.execute(f"alter database {name} set default_transaction_read_only = on")
    await api.parts.pool.expire_connections()
    await _is_away(api, "POST", "/v1/track", json=EVENT)
    await api.pool.execute("set default_transaction_read_only = off")
    async with api.pool.acquire() as connection:
        await connection.execute("set default_transaction_read_only = off")
        await connection.execute(f"alter database {name} reset default_transaction_read_only")
    await api.parts.pool.expire_connections()
    assert (await api.track("seen")).status_code == 200


# The documentation.


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        found = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return found + [ref for value in node.values() for ref in _references(value)]
    if isinstance(node, list):
        return [ref for value in node for ref in _references(value)]
    return []


async def test_the_document_is_valid_and_complete(api: Api) -> None:
    answer = await api.http.get("/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    OpenAPI.model_validate(document)
    for reference in _references(document):
        assert reference.startswith("#/components/schemas/")
        assert reference.rpartition("/")[2] in document["components"]["schemas"]
    assert set(document["paths"]) == {
        *(f"/v1/{call}" for call in CALLS),
        *(f"/v1/{call[0]}" for call in CALLS),
        *BATCHES,
        "/v1/m",
        "/customers",
        "/customers/{customer_id}",
        "/customers/{customer_id}/enrollments",
        "/customers/{customer_id}/messages",
        "/customers/{customer_id}/timeline",
        "/customers/{customer_id}/trait-changes",
        "/events",
        "/journeys",
        "/journeys/{journey}/enrollments",
        "/webhooks/{name}",
        "/tasks",
        "/tasks/{task_id}",
        "/tasks/{task_id}/answer",
        "/quarantine",
        "/quarantine/replay",
        "/quarantine/{item_id}",
        "/quarantine/{item_id}/replay",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            ways: list[dict[str, list[str]]] = []
            if path.startswith(("/customers", "/events", "/journeys", "/quarantine", "/tasks")):
                ways = [{"key": []}]
            elif path.startswith(("/v1", "/beacon")) and path != "/v1/m":
                ways = [{"key": []}, {"writeKey": []}]
            assert operation.get("security", []) == ways
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "basic"


async def test_the_page_of_the_document_needs_nothing_from_elsewhere(api: Api) -> None:
    root = await api.http.get("/")
    page = await api.http.get(root.headers["location"])
    assert page.status_code == 200
    assert "url: '/openapi.json'" in page.text
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(wanted) == 3
    for path in wanted:
        assert path.startswith("/")
        assert (await api.http.get(path)).status_code == 200


ELSEWHERE = ("/events", "/journeys", "/webhooks", "/quarantine", "/tasks")
"""Their statuses are gone through in the tests of these doors."""


async def test_every_status_in_the_document_is_one_that_is_answered(
    database_url: str, door: Door
) -> None:
    # The other way round is checked at every answer of every test here.
    async with running_api(database_url, door=door.url) as api:
        reader = await create_key(api.pool, "crm", ["read"])
        writer = await create_key(api.pool, "shop", ["write"])
        slow = await create_key(api.pool, "slow", ["write", "read"], limits=Limits(1, 0, 1))
        api.parts.admission._clock = lambda: 0.0
        await api.post("/v1/track", EVENT, key=slow)
        await api.track("seen")
        found = (await api.customer(user_id="u1"))["id"]
        parts = ("", "/enrollments", "/messages", "/timeline", "/trait-changes")
        customers = ["", *(f"/{found}{part}" for part in parts)]
        posts: list[tuple[str, Any]] = [
            ("/v1/m", {}),
            *((path, {"batch": [EVENT]}) for path in BATCHES),
        ]
        for call in CALLS:
            posts += [(f"/v1/{call}", EVENT), (f"/v1/{call[0]}", EVENT)]
        for path, body in posts:
            await api.post(path, body)
            await api.post(path, b"nonsense")
            await api.post(path, body, key=None)
            await api.post(path, body, key=reader)
            await api.post(path, body, key=slow)
            await api.post(path, b"x" * 4_400_000)
            headers = {"Content-Encoding": "br", "Authorization": _basic("dev:")}
            await api.send("POST", path, headers=headers)
        for path in customers:
            await api.get(f"/customers{path}", user_id="u1")
            await api.get(f"/customers{path}", key=None)
            await api.get(f"/customers{path}", key=writer)
            await api.get(f"/customers{path}", key=slow)
            await api.get(f"/customers{path}", limit=0)
            await api.get(f"/customers{path}".replace(found, "nobody"))
        for path in ("/health/live", "/health/ready", "/metrics"):
            await api.get(path)
        await door.shut()
        await api.get("/health/ready")
        for path, body in posts:
            await api.post(path, body)
        for path in customers:
            await api.get(f"/customers{path}", user_id="u1")
        told = {
            (method, path, int(status))
            for path, operations in api.app.openapi()["paths"].items()
            if not path.startswith(ELSEWHERE)
            for method, operation in operations.items()
            for status in operation["responses"]
        }
        assert told - api.seen == set()


async def test_what_is_not_there_is_a_problem_too(shared: Api) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/v1/track", 405),
        ("POST", "/customers", 405),
    ):
        answer = await shared.send(method, path)
        assert answer.status_code == status
