"""`/journeys`: what there is, and enrolling by a call."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from domain.enrollments import EndRequest
from domain.local_time import EVERY_DAY
from domain.outcomes import Outcome
from infra.database.enrollments import PostgresEnrollments
from infra.database.keys import create_key
from journeys.catalog import Catalog
from tests.api import Api, door_to, running_api, slow_key
from tests.integration.weekly import Weekly

PATH = "/journeys/abandoned_cart/enrollments"
CART = {"properties": {"cart_id": "c1", "total": 81.5}}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


async def enroll(api: Api, path: str = PATH, **body: Any) -> httpx.Response:
    return await api.post(path, {"event": CART, **({"user_id": "u1"} if not body else {}), **body})


async def entered(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert (said["enrollment"] is None) != (said["refusal"] is None)
    return said


async def end(api: Api) -> None:
    row = await api.pool.fetchrow("select * from enrollment where state = 'live'")
    request = EndRequest(
        enrollment_id=row["id"],
        customer_id=row["customer_id"],
        heard=row["last_number"],
        outcome=Outcome.completed(),
    )
    assert (await PostgresEnrollments(api.pool).end(request)).ended


async def test_a_customer_is_enrolled_and_reads_back_the_same(api: Api) -> None:
    said = await entered(await enroll(api))
    enrollment = said["enrollment"]
    assert enrollment["workflow_id"] == f"journey/abandoned_cart/{said['customer_id']}/c1"
    assert enrollment["state"] == "live"
    assert said["repeated"] is False
    assert await api.about("enrollments") == [enrollment]
    # It is carried as any other: the event is its first delivery, and the relay has it to carry.
    envelopes = await api.pool.fetchval("select envelopes($1, 0, 9)", enrollment["id"])
    assert [(e["number"], e["name"], e["properties"]) for e in envelopes] == [
        (1, "cart_abandoned", CART["properties"])
    ]
    assert await api.count("backlog") == 1


async def test_the_rules_of_entry_are_those_of_every_way_in(api: Api) -> None:
    await api.track("cart_abandoned", {"cart_id": "c1"})
    said = await entered(await enroll(api))
    assert said["refusal"] == {"code": "already_enrolled", "reason": "already enrolled"}
    timeline = await api.about("timeline", kind="refusal")
    assert [item["summary"] for item in timeline] == [
        "did not enter abandoned_cart: already enrolled"
    ]
    await end(api)
    assert (await entered(await enroll(api)))["enrollment"]["workflow_id"].endswith("/c1/2")


async def test_the_same_call_again_is_answered_as_the_first_was(api: Api) -> None:
    calls = [enroll(api, user_id="u1", idempotency_key="k") for _ in range(8)]
    answers = [await entered(answer) for answer in await asyncio.gather(*calls)]
    assert sorted(said.pop("repeated") for said in answers) == [False] + [True] * 7
    assert all(said == answers[0] for said in answers)
    assert answers[0]["enrollment"] is not None
    assert await api.count("enrollment") == 1
    assert await api.count("refusal") == 0
    refused = await entered(await enroll(api, user_id="u1", idempotency_key="k2"))
    await end(api)
    again = await entered(await enroll(api, user_id="u1", idempotency_key="k2"))
    assert again == {**refused, "repeated": True}


async def test_a_repeated_call_finds_its_enrollment_after_a_merge(api: Api) -> None:
    first = await entered(await enroll(api, anonymous_id="d", idempotency_key="k"))
    await api.identify({}, userId="u1")
    await api.identify({}, userId="u1", anonymousId="d")
    again = await entered(await enroll(api, anonymous_id="d", idempotency_key="k"))
    assert again["enrollment"]["id"] == first["enrollment"]["id"]
    assert again["customer_id"] == (await api.customer(user_id="u1"))["id"]


@pytest.mark.parametrize(
    "other",
    [
        {"user_id": "u2"},
        {"user_id": "u1", "event": {"properties": {"cart_id": "c2"}}},
        {"user_id": "u1", "event": {"properties": {"cart_id": "c1"}}},
    ],
)
async def test_a_key_used_for_something_else_is_said(api: Api, other: dict[str, Any]) -> None:
    await enroll(api, user_id="u1", idempotency_key="k")
    answer = await enroll(api, **other, idempotency_key="k")
    assert (answer.status_code, answer.json()["field"]) == (409, "idempotency_key")
    assert await api.count("enrollment") == 1


async def test_a_key_is_the_journeys_own(api: Api) -> None:
    await enroll(api, user_id="u1", idempotency_key="k")
    path = "/journeys/post_purchase_survey/enrollments"
    event = {"properties": {"order_id": "o1"}}
    said = await entered(await enroll(api, path, user_id="u1", event=event, idempotency_key="k"))
    assert said["enrollment"]["journey"] == "post_purchase_survey"
    # Nor is it an event's: whoever posts events has numbers of their own.
    await api.track("cart_abandoned", {"cart_id": "c9"}, messageId="k")
    assert await api.count("enrollment") == 3


async def test_nobody_else_hears_it_and_nothing_is_computed_from_it(api: Api) -> None:
    await api.track("cart_abandoned", {"cart_id": "c1"})
    path = "/journeys/post_purchase_survey/enrollments"
    bought = {"properties": {"order_id": "o1", "cart_id": "c1", "total": 1_000}}
    await entered(await enroll(api, path, user_id="u1", event=bought))
    numbers = await api.pool.fetch("select journey, last_number from enrollment order by 1")
    assert [tuple(row) for row in numbers] == [("abandoned_cart", 1), ("post_purchase_survey", 1)]
    assert (await api.customer(user_id="u1"))["computed"]["orders_90d"] == 0
    (told,) = await api.about("timeline", type="enroll")
    assert told["kind"] == "event"


async def test_a_customer_is_named_in_either_of_three_ways(api: Api) -> None:
    await api.identify({}, userId="u1", anonymousId="d")
    known = (await api.customer(user_id="u1"))["id"]
    for number, name in enumerate(("user_id", "anonymous_id", "customer_id")):
        who = {name: {"user_id": "u1", "anonymous_id": "d", "customer_id": known}[name]}
        event = {"name": "Cart Abandoned", "properties": {"cart_id": f"c{number}"}}
        assert (await entered(await enroll(api, **who, event=event)))["customer_id"] == known
    await api.post("/v1/track", {"anonymousId": "d2", "event": "seen"})
    alone = (await api.customer(anonymous_id="d2"))["id"]
    assert (await entered(await enroll(api, customer_id=alone)))["customer_id"] == alone


async def test_one_who_was_merged_away_is_enrolled_as_who_stays(api: Api) -> None:
    await api.post("/v1/track", {"anonymousId": "d", "event": "seen"})
    gone = (await api.customer(anonymous_id="d"))["id"]
    await api.identify({}, userId="u1")
    await api.identify({}, userId="u1", anonymousId="d")
    stays = (await api.customer(user_id="u1"))["id"]
    assert (await entered(await enroll(api, customer_id=gone)))["customer_id"] == stays != gone


WRONG: dict[str, tuple[Mapping[str, Any], int, str | None]] = {
    "nobody": ({"idempotency_key": "k"}, 400, "user_id"),
    "two": ({"user_id": "u1", "anonymous_id": "d"}, 400, "user_id"),
    "null": ({"user_id": "null"}, 400, "user_id"),
    "no such customer": ({"customer_id": "cus_none"}, 404, None),
    "no event": ({"user_id": "u1", "event": None}, 400, "event"),
    "an event that is a text": ({"user_id": "u1", "event": "cart"}, 400, "event"),
    "another event": ({"user_id": "u1", "event": {"name": "purchase_made"}}, 422, "event.name"),
    "an unknown event": ({"user_id": "u1", "event": {"name": "no such"}}, 422, "event.name"),
    "a cart without an id": (
        {"user_id": "u1", "event": {"properties": {}}},
        400,
        "event.properties.cart_id",
    ),
    "a field of the event too many": ({"user_id": "u1", "event": {"id": "1"}}, 400, "event.id"),
    "a field too many": ({"user_id": "u1", "userId": "u1"}, 400, None),
    "a key that is none": ({"user_id": "u1", "idempotency_key": []}, 400, "idempotency_key"),
    "33 KB": (
        {"user_id": "u1", "event": {"properties": {"cart_id": "c", "x": "x" * 33_000}}},
        413,
        None,
    ),
    "a NUL": ({"user_id": "u\0"}, 400, None),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_said_and_enrolls_nobody(api: Api, case: str) -> None:
    body, status, field = WRONG[case]
    answer = await enroll(api, **body)
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text
    assert await api.count("event") == await api.count("customer") == 0


async def test_it_needs_to_operate_and_a_journey_that_there_is(api: Api) -> None:
    await create_key(api.pool, "shop", ["write", "read"], key="shop")
    assert (await api.post(PATH, {"user_id": "u1", "event": CART}, "shop")).status_code == 403
    assert (await api.post(PATH, {"user_id": "u1", "event": CART}, None)).status_code == 401
    assert (await enroll(api, "/journeys/no_such/enrollments")).status_code == 404
    assert (await api.get("/journeys", key=None)).status_code == 401
    key = await slow_key(api)
    assert (await api.post(PATH, {"user_id": "u1", "event": CART}, key)).status_code == 200
    assert (await api.post(PATH, {"user_id": "u1", "event": CART}, key)).status_code == 429


async def test_every_status_in_the_document_is_one_that_is_answered(database_url: str) -> None:
    async with door_to(database_url) as door, running_api(database_url, door=door.url) as api:
        reader = await create_key(api.pool, "crm", ["read"])
        writer = await create_key(api.pool, "shop", ["write"])
        slow = await slow_key(api)
        await api.get("/journeys", key=slow)
        good = {"user_id": "u1", "event": CART, "idempotency_key": "k"}
        for key in ("dev", None, reader, slow):
            await api.post(PATH, good, key)
        for key in ("dev", None, writer, slow):
            await api.get("/journeys", key=key)
        await api.post(PATH, b"nonsense")
        await api.post(PATH, {**good, "user_id": "u2"})
        await api.post(PATH, {**good, "event": {"name": "seen"}})
        await api.post(PATH, b"x" * 4_400_000)
        await api.post("/journeys/no_such/enrollments", good)
        basic = {"Authorization": "Basic ZGV2Og==", "Content-Encoding": "br"}
        await api.send("POST", PATH, headers=basic)
        await door.shut()
        await api.post(PATH, good)
        await api.get("/journeys", key="not looked up yet")
        told = {
            (method, path, int(status))
            for path, operations in api.app.openapi()["paths"].items()
            if path.startswith("/journeys")
            for method, operation in operations.items()
            for status in operation["responses"]
        }
        assert told - api.seen == set()


async def test_journeys_are_listed_with_what_starts_them(api: Api) -> None:
    answer = await api.get("/journeys")
    assert answer.status_code == 200, answer.text
    by_name = {journey["name"]: journey for journey in answer.json()["journeys"]}
    cart = by_name["abandoned_cart"]
    assert [trigger["name"] for trigger in cart["triggers"]] == ["cart_abandoned"]
    assert cart["keyed"] is True
    assert cart["re_entry"] == {"allowed": True, "pause_seconds": 0, "while_live": False}
    assert cart["entries_per_day"] is None
    assert "purchase_made" in cart["listens"]
    assert cart["parameters"]["patience"] == {"value": "PT1H", "default": "PT1H"}


async def test_parameters_are_shown_as_they_are_and_as_the_code_has_them(
    database_url: str,
) -> None:
    overrides = {"abandoned_cart": {"patience": "PT5S"}}
    async with running_api(database_url, journey_parameters=overrides) as api:
        listed = (await api.get("/journeys")).json()["journeys"]
        cart = next(journey for journey in listed if journey["name"] == "abandoned_cart")
        assert cart["parameters"]["patience"] == {"value": "PT5S", "default": "PT1H"}
        said = await entered(await enroll(api))
        assert said["enrollment"]["parameters"]["patience"] == "PT5S"


async def test_a_schedule_is_listed_and_its_journey_may_also_be_entered_by_a_call(
    database_url: str,
) -> None:
    async with running_api(database_url, catalog=Catalog([Weekly])) as api:
        (weekly,) = (await api.get("/journeys")).json()["journeys"]
        assert weekly["schedule"] == {
            "words": "every day at 00:00 (UTC)",
            "at": "00:00:00",
            "days": [day.name.lower() for day in EVERY_DAY],
            "segment": None,
            "in_customers_zone": False,
            "zone": "UTC",
            "rate": 50,
            "skip_if_late_seconds": 86400,
        }
        event = {"properties": weekly["triggers"][0]["example"]}
        said = await entered(
            await enroll(api, "/journeys/weekly/enrollments", user_id="u1", event=event)
        )
        assert said["enrollment"]["journey"] == "weekly"
        # Nobody may say so of a customer in any other way.
        answer = await api.track("scheduled_entry", event["properties"])
        assert answer.status_code == 400
