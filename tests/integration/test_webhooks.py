"""Tools that know nothing of us post what they post, and it counts once."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from api.body import LARGEST_BODY
from domain.limits import Limits
from tests.api import Api, door_to, running_api
from tests.unit.test_cli import assert_one_sentence, sojourn

ROOT = Path(__file__).resolve().parents[2]
HOOKS = ROOT / "webhooks"
SECRETS = {
    "helpdesk": ["new", "old"],
    "mail": ["postmark:mail-secret"],
    "shop": ["shop-secret"],
    "survey": ["survey-secret"],
}
SETTINGS: dict[str, Any] = {"hooks_dir": HOOKS, "hook_secrets": SECRETS}
DEV = {"Authorization": "Bearer dev"}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url, **SETTINGS) as running:
        yield running


def sample(name: str, **change: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((HOOKS / "samples" / f"{name}.json").read_text())
    for path, value in change.items():
        part = body
        *above, last = path.split("__")
        for step in above:
            part = part[step]
        part[last] = value
    return body


async def ticket(api: Api, secret: str = "new", **change: Any) -> httpx.Response:
    body = orjson.dumps(sample("helpdesk", **change))
    at = datetime.now(UTC).isoformat()
    digest = hmac.digest(secret.encode(), at.encode() + body, "sha256")
    headers = {
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
        "X-Zendesk-Webhook-Signature-Timestamp": at,
    }
    return await api.send("POST", "/webhooks/helpdesk", content=body, headers=headers)


async def order(api: Api, topic: str = "orders/create", **change: Any) -> httpx.Response:
    body = orjson.dumps(sample("shop", **change))
    digest = hmac.new(b"shop-secret", body, hashlib.sha256).digest()
    headers = {
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        "X-Shopify-Topic": topic,
    }
    return await api.send("POST", "/webhooks/shop", content=body, headers=headers)


async def answer(api: Api, content: bytes | None = None, **change: Any) -> httpx.Response:
    body = orjson.dumps(sample("survey", **change)) if content is None else content
    headers = {"Authorization": "Bearer survey-secret"}
    return await api.send("POST", "/webhooks/survey", content=body, headers=headers)


def statuses(done: httpx.Response) -> list[str]:
    assert done.status_code == 200, done.text
    return [receipt["status"] for receipt in done.json()["receipts"]]


async def events(api: Api, user: str = "ada") -> list[dict[str, Any]]:
    return [e for e in await api.about("timeline", user=user) if e["kind"] == "event"]


async def test_a_ticket_system_opens_and_closes_a_hold(api: Api) -> None:
    await api.identify({"email": "Ada@Example.com"}, userId="ada")
    assert statuses(await ticket(api)) == ["accepted"]
    assert statuses(await ticket(api, secret="old")) == ["duplicate"]
    assert (await api.customer(user_id="ada"))["open_holds"] == ["ticket 35436"]
    pending = {"ticket__status": "Pending", "ticket__updated_at": "2026-03-01T10:00:00Z"}
    assert statuses(await ticket(api, **pending)) == []
    solved = {"ticket__status": "Solved", "ticket__updated_at": "2026-03-01T11:00:00Z"}
    assert statuses(await ticket(api, **solved)) == ["accepted"]
    assert (await api.customer(user_id="ada"))["open_holds"] == []
    kinds = [e["summary"] for e in await events(api)]
    assert kinds == ["ticket_closed", "ticket_opened", "identify"]
    assert (await events(api))[0]["details"]["source"] == "helpdesk"


async def test_a_requester_without_an_id_is_known_by_the_address(api: Api) -> None:
    await api.identify({"email": "Ada@Example.com"}, userId="ada")
    assert statuses(await ticket(api, requester__external_id="")) == ["accepted"]
    assert (await api.customer(user_id="ada"))["open_holds"] == ["ticket 35436"]
    assert await api.count("customer") == 1


async def test_an_address_that_nobody_has_is_somebody_new_and_the_same_next_time(api: Api) -> None:
    new: dict[str, Any] = {"requester__external_id": None, "requester__email": "Bob@Example.com"}
    assert statuses(await ticket(api, **new)) == ["accepted"]
    other = {"requester__email": "bob@example.com ", "ticket__id": "2"}
    assert statuses(await ticket(api, **{**new, **other})) == ["accepted"]
    found = await api.customer(email="Bob@Example.com")
    assert found["open_holds"] == ["ticket 35436", "ticket 2"]
    assert found["identities"] == [{"kind": "anonymous_id", "value": "email:bob@example.com"}]
    assert await api.count("customer") == 1


async def test_of_two_at_one_address_the_one_with_a_user_id_is_meant(api: Api) -> None:
    new: dict[str, Any] = {"requester__external_id": None, "requester__email": "bob@example.com"}
    await ticket(api, **new)
    await api.identify({"email": "bob@example.com"}, userId="bob")
    await ticket(api, **new, ticket__id="2")
    assert (await api.customer(user_id="bob"))["open_holds"] == ["ticket 2"]


async def test_a_shops_order_ends_the_abandoned_cart(api: Api) -> None:
    await api.track("cart_abandoned", {"cart_id": "c1-8a1f"}, user="ada")
    assert statuses(await order(api)) == ["accepted"]
    assert statuses(await order(api)) == ["duplicate"]
    assert statuses(await order(api, topic="orders/updated")) == []
    assert statuses(await order(api, test=True)) == []
    cancelled = {"cancelled_at": "2026-03-02T10:30:00+01:00", "cancel_reason": "customer"}
    assert statuses(await order(api, topic="orders/cancelled", **cancelled)) == ["accepted"]
    enrollments = {e["journey"]: e["key"] for e in await api.about("enrollments", user="ada")}
    assert enrollments == {"abandoned_cart": "c1-8a1f", "post_purchase_survey": "5940139491234"}
    heard = await api.pool.fetch(
        "select message_id from delivery d join enrollment e on e.id = d.enrollment_id"
        " where e.journey = 'abandoned_cart' order by number"
    )
    assert [row["message_id"] for row in heard][1:] == ["order-5940139491234/purchase_made"]


async def test_a_surveys_answer_reaches_the_journey_that_asked(api: Api) -> None:
    await api.track("purchase_made", {"order_id": "o1"}, user="ada", messageId="bought")
    assert statuses(await answer(api)) == ["accepted"]
    assert statuses(await answer(api, responseStatus="Started", responseID=2)) == []
    (event, _) = await events(api)
    assert event["details"]["properties"]["comment"] == "The lamp came broken."
    assert event["details"]["occurred_at"].startswith("2026-03-01T10:00:53")
    delivered = "select message_id from delivery where number = 2"
    assert await api.pool.fetchval(delivered) == "13383722/202881004/survey_answered"


@pytest.mark.parametrize(
    "change",
    [
        {"externalReference": ""},
        {"responseSet": []},
        {"responseSet": [{"questionCode": "Q1", "answerValues": [{"answerText": "very"}]}]},
    ],
)
async def test_what_a_payload_lacks_is_kept_and_the_tool_is_content(
    api: Api, change: dict[str, Any]
) -> None:
    assert statuses(await answer(api, **change)) == ["rejected"]
    (item,) = (await api.get("/quarantine", door="webhook:survey")).json()["items"]
    assert item["field"] in {"customer", "properties.score"}
    path = f"/quarantine/{item['id']}"
    right = orjson.dumps(sample("survey"))
    edited = await api.send("PUT", path, content=right, headers=DEV)
    assert edited.json()["still_wrong"] is None
    assert (await api.post(f"{path}/replay", b"")).json()["receipts"][0]["status"] == "accepted"
    assert statuses(await answer(api)) == ["duplicate"]


async def test_a_payload_that_a_better_file_understands_is_replayed(
    tmp_path: Path, database_url: str
) -> None:
    text = '[signature]\nscheme = "bearer"\n[customer]\nuser_id = "{}"\n[[events]]\nname = "e"\n'
    headers = {"Authorization": "Bearer s", "X-Kind": "k"}
    secrets: dict[str, Any] = {"hooks_dir": tmp_path, "hook_secrets": {"tool": ["s"]}}
    file = tmp_path / "tool.toml"
    file.write_text(text.format("body.usr"))
    async with running_api(database_url, **secrets) as api:
        sent = await api.send("POST", "/webhooks/tool", content=b'{"user":"u1"}', headers=headers)
        assert statuses(sent) == ["rejected"]
        envelope = await api.pool.fetchval("select envelope from quarantine")
        assert envelope["headers"]["x-kind"] == "k"
        assert "authorization" not in envelope["headers"]
    file.write_text(text.format("body.user"))
    async with running_api(database_url, **secrets) as api:
        assert (await api.post("/quarantine/replay", b"")).json()["replayed"] == 1
        assert await api.count("event") == 1


async def test_nobody_else_posts_in_a_tools_name(api: Api) -> None:
    assert (await ticket(api, secret="wrong")).status_code == 401
    for name in SECRETS:
        for headers in ({}, DEV, {"X-Shopify-Hmac-Sha256": "x", "Authorization": "Bearer x"}):
            refused = await api.send("POST", f"/webhooks/{name}", content=b"{}", headers=headers)
            assert refused.status_code == 401
    assert await api.count("event") == 0
    assert await api.count("quarantine") == 0


async def test_the_stock_library_of_standard_webhooks_posts(
    tmp_path: Path, database_url: str
) -> None:
    (tmp_path / "tool.toml").write_text(
        '[signature]\nscheme = "standard"\n[delivery]\nid = "headers[\'webhook-id\']"\n'
        '[customer]\nuser_id = "body.user"\n[[events]]\nname = "looked"\n'
    )
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    settings: dict[str, Any] = {
        "hooks_dir": tmp_path,
        "hook_secrets": {"tool": ["whsec_bmV4dA==", secret]},
    }
    async with running_api(database_url, **settings) as api:
        now, body = datetime.now(UTC), '{"user":"u1"}'
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign("msg_1", now, body),
        }
        for expected in ("accepted", "duplicate"):
            sent = await api.send("POST", "/webhooks/tool", content=body.encode(), headers=headers)
            assert statuses(sent) == [expected]
        (event,) = await events(api, "u1")
        assert event["details"]["message_id"] == "msg_1/looked"


async def test_every_status_in_the_document_is_answered(database_url: str) -> None:
    async with (
        door_to(database_url) as door,
        running_api(database_url, door=door.url, **SETTINGS) as api,
    ):
        await answer(api)
        await answer(api, b"not json")
        await answer(api, b"x" * (LARGEST_BODY + 1))
        parts = api.parts
        grants = parts.hook_grants
        slow = {hook: replace(grant, limits=Limits(1, 0, 1)) for hook, grant in grants.items()}
        api.app.state.parts = replace(parts, hook_grants=slow)
        api.parts.admission._clock = lambda: 0.0
        for _ in range(2):
            await answer(api)
        api.app.state.parts = parts
        await api.send("POST", "/webhooks/survey", content=b"{}")
        await api.send("POST", "/webhooks/nobody", content=b"{}")
        encoded = {"Authorization": "Bearer survey-secret", "Content-Encoding": "br"}
        await api.send("POST", "/webhooks/survey", content=b"{}", headers=encoded)
        await door.shut()
        await answer(api)
        told = api.app.openapi()["paths"]["/webhooks/{name}"]["post"]["responses"]
        assert {("post", "/webhooks/{name}", int(s)) for s in told} - api.seen == set()
        (kept,) = await api.pool.fetch("select reason, door from quarantine")
        assert kept["reason"].startswith("the payload is not JSON")


def check(*words: str, **environment: object) -> tuple[int, list[dict[str, Any]]]:
    done = sojourn("hooks", "check", *words, **environment)
    assert "Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_mapping_is_checked_against_a_sample(tmp_path: Path) -> None:
    samples = HOOKS / "samples"
    code, (event,) = check(str(HOOKS / "helpdesk.toml"), str(samples / "helpdesk.json"))
    assert code == 0
    assert (event["event"], event["user_id"]) == ("ticket_opened", "ada")
    topic = ("--header", "X-Shopify-Topic: orders/create")
    code, (event,) = check("shop", str(samples / "shop.json"), *topic, SOJOURN_HOOKS_DIR=HOOKS)
    assert (code, event["messageId"]) == (0, "order-5940139491234/purchase_made")
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(sample("survey", responseSet=[])))
    code, (event,) = check(str(HOOKS / "survey.toml"), str(bad))
    assert (code, event["field"]) == (1, "properties.score")
    bad.write_text("not json")
    code, (event,) = check(str(HOOKS / "survey.toml"), str(bad))
    assert code == 1
    assert "not JSON" in event["rejected"]
    assert check(str(HOOKS / "shop.toml"), str(samples / "shop.json")) == (0, [])


def test_a_wrong_file_or_a_missing_secret_is_one_sentence_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "tool.toml").write_text('[signature]\nscheme = "guess"\n')
    database = {"SOJOURN_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    for command in (("api",), ("hooks", "list")):
        assert_one_sentence(
            sojourn(*command, SOJOURN_HOOKS_DIR=tmp_path, **database), "tool.toml", "signature"
        )
    assert_one_sentence(sojourn("hooks", "list", SOJOURN_HOOKS_DIR=HOOKS), "has no secret")
    assert_one_sentence(sojourn("hooks", "check", str(tmp_path / "none.toml"), "-"), "none.toml")
    listed = sojourn(
        "hooks", "list", SOJOURN_HOOKS_DIR=HOOKS, SOJOURN_HOOK_SECRETS=json.dumps(SECRETS)
    )
    assert listed.returncode == 0
    assert "/webhooks/helpdesk  hmac, secrets: 2  -> ticket_opened, ticket_closed" in listed.stdout
    assert "new" not in listed.stdout
