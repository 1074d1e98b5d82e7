"""What becomes of our messages is told by every door, also by who knows nothing but the message."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from domain.messages import Reason, Verdict
from tests.api import Api, running_api
from tests.integration.test_outcomes import sent, unknown
from tests.integration.test_webhooks import SETTINGS, sample, statuses
from tests.worlds import PostgresWorld, ask, by_email, by_push, postgres_world

AUTHORIZATION = "Basic " + base64.b64encode(b"postmark:mail-secret").decode()
DELIVERED = {
    "RecordType": "Delivery",
    "ServerID": 23,
    "MessageStream": "broadcast",
    "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
    "Recipient": "ada@shop.example",
    "Tag": "",
    "DeliveredAt": "2026-03-01T09:30:12.2735393-05:00",
    "Details": "smtp;250 2.0.0 OK",
    "Metadata": {},
}
READ = {
    "MessageID": "f4830d10-9c35-4f0c-bca3-3d9b459821f8",
    "Recipient": "ada@shop.example",
    "ReceivedAt": "2026-03-01T10:00:00Z",
    "UserAgent": "Mozilla/5.0",
    "Platform": "Desktop",
    "Geo": {},
    "Tag": "",
    "Metadata": {},
}
CHANGED = {
    "RecordType": "SubscriptionChange",
    "MessageID": "a4909a96-73d7-4c49-b148-a54522d3f7ac",
    "ServerID": 23,
    "MessageStream": "broadcast",
    "ChangedAt": "2026-03-01T11:00:00Z",
    "Recipient": "ada@shop.example",
    "Origin": "Recipient",
    "SuppressSending": True,
    "SuppressionReason": "ManualSuppression",
    "Tag": "",
    "Metadata": {},
}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def world(api: Api) -> PostgresWorld:
    """A customer whom e-mail reaches, in one journey."""
    world = await postgres_world(api.pool)
    await world.arrives(email="ada@shop.example")
    return world


async def told(api: Api, payload: dict[str, Any], message: str | None) -> list[str]:
    """Post as Postmark does; the statuses."""
    metadata = {} if message is None else {"sojourn": message}
    body = orjson.dumps(payload | {"Metadata": metadata})
    headers = {"Authorization": AUTHORIZATION}
    return statuses(await api.send("POST", "/webhooks/mail", content=body, headers=headers))


async def test_21_a_providers_webhook_completes_the_row(api: Api, world: PostgresWorld) -> None:
    message = await unknown(world)
    assert await told(api, DELIVERED, message) == ["accepted"]
    assert await told(api, DELIVERED, message) == ["duplicate"]
    (row,) = await api.about("messages", user=world.user_id)
    assert (row["verdict"], row["reason"]) == ("sent", "delivered")
    assert row["provider_id"] == DELIVERED["MessageID"]
    assert row["reported_at"] == "2026-03-01T14:30:12.273539Z"
    assert row["decisions"][-1]["detail"] == "email_delivered: smtp;250 2.0.0 OK"
    lines = [item["summary"] for item in await api.about("timeline", user=world.user_id)]
    assert lines[:4] == [
        "message_settled",
        "reminder by email: sent, delivered",
        "email_delivered",
        "reminder by email: unknown, provider_did_not_say",
    ]
    # It says at which address: nobody else was made for that.
    assert await api.count("customer") == 1


async def test_a_hard_bounce_is_seen_at_the_address(api: Api, world: PostgresWorld) -> None:
    message = await sent(world)
    assert await told(api, sample("mail"), message) == ["accepted"]
    assert await world.verdicts() == [("sent", "bounced")]
    found = await api.customer(user_id=world.user_id)
    dead = {a["channel"]: a["dead_since"] is not None for a in found["addresses"]}
    assert dead == {"email": True, "push": False}
    (line,) = await api.about("timeline", user=world.user_id, kind="message")
    assert line["summary"] == "reminder by email: sent, bounced"


async def test_each_record_that_the_provider_posts_is_understood(
    api: Api, world: PostgresWorld
) -> None:
    message = await sent(world)
    complaint = sample("mail") | {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "ID": 7}
    for payload in (
        DELIVERED,
        READ | {"RecordType": "Open", "FirstOpen": True},
        READ | {"RecordType": "Click", "OriginalLink": "https://shop.example/lamps"},
        sample("mail") | {"Type": "SoftBounce", "ID": 6},
        complaint,
        CHANGED,
        CHANGED | {"SuppressSending": False, "SuppressionReason": None, "MessageID": None},
    ):
        assert await told(api, payload, message) == ["accepted"], payload
    for payload in (
        sample("mail") | {"Type": "Transient", "ID": 8},
        sample("mail") | {"Type": "AutoResponder", "ID": 9},
        CHANGED | {"SuppressionReason": "HardBounce"},
    ):
        assert await told(api, payload, message) == []
    names = [e["summary"] for e in await api.about("timeline", user=world.user_id, kind="event")]
    assert [name for name in names if name not in {"identify", "cart_abandoned"}] == [
        "resubscribed",
        "unsubscribed",
        "message_settled",
        "email_marked_as_spam",
        "message_settled",
        "email_bounced",
        "email_link_clicked",
        "email_opened",
        "email_delivered",
    ]


async def test_who_unsubscribed_is_seen_at_the_address(api: Api, world: PostgresWorld) -> None:
    await told(api, CHANGED, await sent(world))
    found = await api.customer(user_id=world.user_id)
    since = {a["channel"]: a["unsubscribed_since"] for a in found["addresses"]}
    assert since == {"email": "2026-03-01T11:00:00Z", "push": None}


async def test_another_systems_mails_are_not_ours_but_who_unsubscribes_is(
    api: Api, world: PostgresWorld
) -> None:
    for payload in (DELIVERED, sample("mail"), READ | {"RecordType": "Open", "FirstOpen": True}):
        assert await told(api, payload, None) == []
    assert await told(api, CHANGED | {"MessageID": None}, None) == ["accepted"]
    assert await api.count("customer") == 1
    refused = await world.gate.decide(ask(world), by_email())
    assert getattr(refused, "reason", None) is Reason.UNSUBSCRIBED


async def test_a_message_that_nobody_knows_has_a_clear_answer_and_is_kept(
    api: Api, world: PostgresWorld
) -> None:
    message = "msg_0f8fad5bd9cb469fa16570867728950e"
    assert await told(api, DELIVERED, message) == ["rejected"]
    properties = {"email_id": message}
    alone = {"event": "Email Delivered", "properties": properties}
    refused = await api.post("/v1/track", alone)
    assert refused.status_code == 400
    why = f"there is no message {message}, and the event names nobody else"
    assert refused.json()["detail"] == why
    assert refused.json()["field"] == "properties.email_id"
    (receipt,) = await api.receipts([{"type": "track", **alone}])
    assert (receipt["status"], receipt["reason"]) == ("rejected", why)
    cloud = await api.send("POST", "/events", content=_cloud(message), headers=CLOUD)
    assert (cloud.status_code, cloud.json()["field"]) == (400, "data.email_id")
    doors = {item["door"] for item in (await api.get("/quarantine")).json()["items"]}
    assert doors == {"webhook:mail", "segment:track", "segment", "cloudevents"}
    # The message turns up: what was kept is taken, each once.
    await unknown(world)
    await api.pool.execute("update message set id = $1", message)
    replayed = (await api.post("/quarantine/replay", b"")).json()
    assert (replayed["replayed"], replayed["still_wrong"]) == (4, 0)
    assert await world.verdicts() == [("sent", "delivered")]


CLOUD = {"Authorization": "Bearer dev", "Content-Type": "application/cloudevents+json"}


def _cloud(message: str, **more: Any) -> bytes:
    event = {"specversion": "1.0", "id": "1", "source": "/mail", "type": "email_delivered"}
    return orjson.dumps(event | {"data": {"email_id": message}} | more)


async def test_an_event_that_names_nobody_but_our_message_is_its_customers(
    api: Api, world: PostgresWorld
) -> None:
    message = await unknown(world)
    opened = {"event": "email_opened", "properties": {"email_id": f"<{message}@shop.example>"}}
    assert (await api.post("/v1/track", opened)).status_code == 200
    items = [
        {"type": "track", **opened},
        {"type": "track", "event": "email_opened", "properties": {"email_id": "theirs"}},
        {"type": "identify", "traits": {"email": "x"}},
        {"type": "track", "userId": "u1", "event": "looked"},
    ]
    receipts = await api.receipts(items)
    assert [r["status"] for r in receipts] == ["accepted", "rejected", "rejected", "accepted"]
    assert receipts[1]["field"] == "userId"
    cloud = await api.send("POST", "/events", content=_cloud(message), headers=CLOUD)
    assert cloud.json()["receipts"][0]["status"] == "accepted"
    nobody = await api.send("POST", "/events", content=_cloud("theirs"), headers=CLOUD)
    assert (nobody.status_code, nobody.json()["field"]) == (400, "subject")
    batch = {**CLOUD, "Content-Type": "application/cloudevents-batch+json"}
    several = b"[" + _cloud(message, id="2") + b"," + _cloud("msg_0", id="3") + b"]"
    both = await api.send("POST", "/events", content=several, headers=batch)
    assert [r["status"] for r in both.json()["receipts"]] == ["accepted", "rejected"]
    names = [e["summary"] for e in await api.about("timeline", user=world.user_id, kind="event")]
    assert names.count("email_opened") == 2
    assert names.count("email_delivered") == 2
    assert await world.verdicts() == [("sent", "delivered")]


async def test_an_app_says_what_became_of_a_notification(api: Api, world: PostgresWorld) -> None:
    message = await sent(world, by_push())
    tapped = await api.track(
        "Push Notification Tapped", {"message_id": message, "action": "Open"}, user=world.user_id
    )
    assert tapped.status_code == 200
    assert await world.verdicts() == [("sent", "delivered")]


async def test_who_is_meant_by_a_message_stays_right_when_customers_merge(
    api: Api, world: PostgresWorld
) -> None:
    message = await unknown(world)
    await api.identify({"first_name": "Ada"}, userId="stays")
    await api.post("/v1/alias", {"userId": "stays", "previousId": world.user_id})
    assert await told(api, DELIVERED, message) == ["accepted"]
    (row,) = await api.about("messages", user="stays")
    assert (row["id"], row["verdict"]) == (message, Verdict.SENT.value)


async def test_a_message_may_be_that_of_a_device_that_nobody_has_named(
    api: Api, world: PostgresWorld
) -> None:
    message = await unknown(world)
    await api.identify({"email": "somebody@shop.example"}, anonymousId="d1")
    found = await api.customer(anonymous_id="d1")
    await api.pool.execute("update message set customer_id = $1", found["id"])
    opened = {"event": "email_opened", "properties": {"email_id": message}}
    assert (await api.post("/v1/track", opened)).status_code == 200
    assert await told(api, DELIVERED, message) == ["accepted"]
    items = (await api.get(f"/customers/{found['id']}/timeline", kind="event")).json()["timeline"]
    names = [item["summary"] for item in items]
    assert names == ["email_delivered", "message_settled", "email_opened", "identify"]
