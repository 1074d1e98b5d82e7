"""Who a customer is, and reading back what is known and what became of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from infra.database.enrollments import PostgresEnrollments
from infra.database.keys import create_key
from infra.database.tables import MessageRow
from tests.api import Api, running_api
from tests.parts import Postgres

CART = {"cart_id": "c1", "total": 81.5, "currency": "EUR"}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture(scope="module")
async def shared(postgres: Postgres) -> AsyncIterator[Api]:
    """For tests that leave nothing behind."""
    async with postgres.database() as url, running_api(url) as running:
        yield running


# Who is who.


async def test_traits_are_told_and_the_latest_word_wins(api: Api) -> None:
    await api.identify({"first_name": "Ada", "plan": {"name": "pro"}, "age": 36})
    await api.identify({"first_name": "Augusta", "age": None})
    found = await api.customer(user_id="u1")
    assert found["traits"] == {"first_name": "Augusta", "plan": {"name": "pro"}}


async def test_addresses_time_zone_and_locale_are_read_from_traits(api: Api) -> None:
    await api.identify(
        {
            "email": "a@example.com",
            "phone": "+491",
            "push_token": "t",
            "timezone": "Europe/Berlin",
            "locale": "de-DE",
        }
    )
    found = await api.customer(user_id="u1")
    assert {a["channel"]: a["value"] for a in found["addresses"]} == {
        "email": "a@example.com",
        "sms": "+491",
        "push": "t",
    }
    assert (found["time_zone"], found["locale"]) == ("Europe/Berlin", "de-DE")
    assert found["id"].startswith("cus_")


async def test_a_null_forgets_the_trait_and_what_was_read_from_it(api: Api) -> None:
    await api.identify({"email": "a@example.com", "timezone": "Europe/Berlin", "locale": "de"})
    await api.identify({"email": None, "timezone": None, "locale": None})
    found = await api.customer(user_id="u1")
    assert (found["traits"], found["addresses"]) == ({}, [])
    assert (found["time_zone"], found["locale"]) == (None, None)


async def test_a_device_is_its_last_users_alone(api: Api) -> None:
    for user in ("first", "second"):
        context = {"device": {"token": "the phone"}}
        await api.identify({"email": f"{user}@example.com"}, userId=user, context=context)
    first, second = [await api.customer(user_id=user) for user in ("first", "second")]
    assert {a["channel"] for a in first["addresses"]} == {"email"}
    assert {a["channel"] for a in second["addresses"]} == {"email", "push"}


async def test_what_an_identify_does_not_mention_stays(api: Api) -> None:
    await api.identify({"email": "a@example.com", "timezone": "Europe/Berlin", "locale": "de"})
    await api.identify({"timezone": "Mars/Base"})
    found = await api.customer(user_id="u1")
    assert len(found["addresses"]) == 1
    assert (found["time_zone"], found["locale"]) == ("Europe/Berlin", "de")


async def _dead(api: Api) -> list[bool]:
    found = await api.customer(user_id="u1")
    return [address["dead_since"] is not None for address in found["addresses"]]


async def test_a_dead_push_token_lives_again_when_the_device_tells_it_again(api: Api) -> None:
    await api.identify({"push_token": "t1"})
    await api.pool.execute("update address set dead_since = now()")
    await api.identify({"first_name": "Ada"})
    assert await _dead(api) == [True]
    await api.identify({"push_token": "t1"})
    assert await _dead(api) == [False]


async def test_a_dead_e_mail_address_is_replaced_by_another_and_not_by_itself(api: Api) -> None:
    await api.identify({"email": "a@example.com"})
    await api.pool.execute("update address set dead_since = now()")
    await api.identify({"email": "a@example.com"})
    assert await _dead(api) == [True]
    await api.identify({"email": "b@example.com"})
    assert await _dead(api) == [False]


async def test_an_old_e_mail_address_is_never_fallen_back_to(api: Api) -> None:
    for address in ("old@example.com", "new@example.com"):
        await api.identify({"email": address, "push_token": address})
    found = await api.customer(user_id="u1")
    assert [a["value"] for a in found["addresses"] if a["channel"] == "email"] == [
        "new@example.com"
    ]
    assert len([a for a in found["addresses"] if a["channel"] == "push"]) == 2


async def test_the_newest_push_token_is_the_one_to_use(api: Api) -> None:
    for token in ("a", "b", "a"):
        await api.identify({"push_token": token})
    newest = await api.pool.fetchval("select value from address order by updated_at desc limit 1")
    assert newest == "a"
    assert await api.count("address") == 2


async def test_a_customer_is_found_by_each_name_and_address(api: Api) -> None:
    traits = {"email": "a@example.com", "phone": "+491"}
    await api.identify(traits, userId="u1", anonymousId="a1")
    found = await api.customer(user_id="u1")
    assert {(i["kind"], i["value"]) for i in found["identities"]} == {
        ("user_id", "u1"),
        ("anonymous_id", "a1"),
    }
    for by in ({"anonymous_id": "a1"}, {"email": "a@example.com"}, {"phone": "+491"}):
        assert await api.customer(**by) == found
    answer = await api.get(f"/customers/{found['id']}")
    assert answer.json() == found


async def test_who_is_not_known_is_not_found(shared: Api) -> None:
    await shared.identify({"email": "a@example.com"})
    for by in ("user_id", "anonymous_id", "email", "phone"):
        for value in ("nobody", "", "\0", "😀", "x" * 5_000, "' or 1=1 --"):
            assert await shared.customers(**{by: value}) == []


async def test_an_address_may_be_shared(api: Api) -> None:
    for user in ("u1", "u2"):
        await api.identify({"email": "family@example.com"}, userId=user)
    assert len(await api.customers(email="family@example.com")) == 2


async def test_an_anonymous_customer_is_adopted_by_the_first_who_identifies(api: Api) -> None:
    await api.post(
        "/v1/track", {"anonymousId": "a1", "event": "cart_abandoned", "properties": CART}
    )
    before = await api.customer(anonymous_id="a1")
    await api.identify({"email": "a@example.com"}, userId="u1", anonymousId="a1")
    assert (await api.customer(user_id="u1"))["id"] == before["id"]
    assert len(await api.about("enrollments")) == 1
    assert await api.count("customer") == 1


async def test_the_next_user_of_a_device_is_somebody_else(api: Api) -> None:
    await api.identify({"n": 1}, userId="u1", anonymousId="a1")
    await api.identify({"n": 2}, userId="u2", anonymousId="a1")
    one, two = await api.customer(user_id="u1"), await api.customer(user_id="u2")
    assert one["id"] != two["id"]
    assert (await api.customer(anonymous_id="a1"))["id"] == one["id"]
    assert (one["traits"], two["traits"]) == ({"n": 1}, {"n": 2})


@pytest.mark.parametrize("users", [("u1", "u2"), ("u2", "u1")])
async def test_of_two_users_in_one_batch_the_first_has_been_the_anonymous_one(
    api: Api, users: tuple[str, str]
) -> None:
    await api.post("/v1/track", {"anonymousId": "a1", "event": "seen"})
    await api.receipts(
        [{"type": "identify", "userId": user, "anonymousId": "a1"} for user in users]
    )
    device = (await api.customer(anonymous_id="a1"))["id"]
    assert (await api.customer(user_id=users[0]))["id"] == device
    assert (await api.customer(user_id=users[1]))["id"] != device


@pytest.mark.parametrize("users", [("u1", "u2"), ("u2", "u1")])
async def test_of_two_users_in_one_batch_the_first_has_the_new_device(
    api: Api, users: tuple[str, str]
) -> None:
    await api.receipts(
        [{"type": "identify", "userId": user, "anonymousId": "new"} for user in users]
    )
    assert (await api.customer(user_id=users[0]))["id"] == (await api.customer(anonymous_id="new"))[
        "id"
    ]
    assert await api.count("customer") == 2


async def test_two_customers_who_both_have_a_name_stay_two(api: Api) -> None:
    await api.identify({"n": 1}, userId="u1", anonymousId="a1")
    await api.track("seen", user="u2", anonymousId="a2")
    for user, device in (("u1", "a2"), ("u2", "a1")):
        await api.identify({"n": 2}, userId=user, anonymousId=device)
    one, two = await api.customer(user_id="u1"), await api.customer(user_id="u2")
    assert one["id"] != two["id"]
    assert (await api.customer(anonymous_id="a1"))["id"] == one["id"]
    assert (await api.customer(anonymous_id="a2"))["id"] == two["id"]
    assert await api.count("customer_merge") == 0


async def test_another_device_of_a_known_user_is_the_same_customer(api: Api) -> None:
    await api.identify({}, userId="u1", anonymousId="a1")
    await api.post("/v1/track", {"userId": "u1", "anonymousId": "a2", "event": "seen"})
    assert (await api.customer(anonymous_id="a2"))["id"] == (await api.customer(user_id="u1"))["id"]


async def test_a_customer_is_found_by_every_id_that_they_have_had(api: Api) -> None:
    for number in (1, 2):
        await api.post("/v1/track", {"anonymousId": f"a{number}", "event": f"seen {number}"})
    ids = [(await api.customer(anonymous_id=f"a{number}"))["id"] for number in (1, 2)]
    await api.identify({"plan": "free"}, userId="u1", anonymousId="a1")
    await api.identify({"plan": "pro"}, userId="u1", anonymousId="a2")
    await api.track("cart_abandoned", CART)
    found = await api.customer(user_id="u1")
    assert (found["id"], found["former_ids"]) == (ids[0], [ids[1]])
    assert len(found["identities"]) == 3
    for what in ("", "/enrollments", "/messages", "/timeline", "/trait-changes"):
        one, two = [(await api.get(f"/customers/{i}{what}")).json() for i in ids]
        assert one == two
    timeline = await api.about("timeline")
    seen = [item["summary"] for item in timeline if item["summary"].startswith("seen")]
    assert seen == ["seen 2", "seen 1"]
    (merge,) = [item for item in timeline if item["kind"] == "merge"]
    assert merge["summary"] == f"{ids[1]} is the same customer"
    assert merge["details"]["cause"] == "identify"
    assert merge["details"]["source"] == "dev"
    assert merge["details"]["moved"]["identities"] == 1


async def test_who_was_not_merged_is_told_with_the_reason(api: Api) -> None:
    await api.identify({}, userId="u1", anonymousId="a1")
    await api.receipts([{"type": "alias", "userId": "u2", "previousId": "a1"}])
    (merge,) = await api.about("timeline", user="u2", kind="merge")
    assert "was not merged: a device of a customer with a name" in merge["summary"]
    assert (await api.customer(user_id="u2"))["former_ids"] == []


async def test_the_history_of_traits_is_read_newest_first(api: Api) -> None:
    await api.identify({"plan": "free", "city": "Rome"}, userId="u1", messageId="m1")
    await api.identify({"plan": "pro", "city": "Rome"}, userId="u1", messageId="m2")
    await api.identify({"plan": None}, userId="u1", messageId="m3")
    found = (await api.customer(user_id="u1"))["id"]
    told = (await api.get(f"/customers/{found}/trait-changes", name="plan")).json()["changes"]
    assert [(c["old_value"], c["new_value"], c["message_id"]) for c in told] == [
        ("pro", None, "m3"),
        ("free", "pro", "m2"),
        (None, "free", "m1"),
    ]
    assert {c["source"] for c in told} == {"dev"}
    whole = (await api.get(f"/customers/{found}/trait-changes")).json()["changes"]
    assert [c["name"] for c in whole].count("city") == 1
    assert (await api.get(f"/customers/{found}/trait-changes", name="\0")).json()["changes"] == []


async def test_of_each_trait_the_last_fifty_changes_are_kept(api: Api) -> None:
    for number in range(60):
        await api.identify({"n": number, "m": number // 10}, userId="u1")
    found = (await api.customer(user_id="u1"))["id"]
    told = (await api.get(f"/customers/{found}/trait-changes", name="n", limit=500)).json()
    assert [c["new_value"] for c in told["changes"]] == list(range(59, 9, -1))
    assert await api.count("trait_change") == 50 + 6


# Reading back.


async def test_an_enrollment_is_read_with_the_page_that_shows_it(api: Api) -> None:
    await api.track("Cart Abandoned", CART)
    (enrollment,) = await api.about("enrollments")
    found = await api.customer(user_id="u1")
    assert enrollment["journey"] == "abandoned_cart"
    assert (enrollment["key"], enrollment["state"]) == ("c1", "live")
    assert (enrollment["outcome"], enrollment["ended_at"]) == (None, None)
    assert enrollment["workflow_id"] == f"journey/abandoned_cart/{found['id']}/c1"
    assert enrollment["parameters"]["patience"] == "PT1H"
    url = enrollment["temporal_url"]
    assert url.startswith("http://127.0.0.1:8233/namespaces/default/workflows/journey%2Fabandoned")


async def test_an_ended_enrollment_says_how(api: Api) -> None:
    await api.track("cart_abandoned", CART)
    (enrollment,) = await api.about("enrollments")
    await PostgresEnrollments(api.pool).ended_outside(enrollment["id"], "somebody did it")
    (enrollment,) = await api.about("enrollments")
    assert enrollment["state"] == "ended"
    assert (enrollment["outcome"], enrollment["outcome_reason"]) == (
        "terminated",
        "somebody did it",
    )
    assert enrollment["ended_at"] > enrollment["created_at"]


async def _message(api: Api, number: int, at: datetime) -> None:
    found = await api.customer(user_id="u1")
    row = MessageRow(
        id=f"msg_{number}",
        key=f"key {number}",
        customer_id=found["id"],
        enrollment_id="enr_1",
        journey="abandoned_cart",
        step="reminder",
        channel="email",
        template="abandoned_cart/reminder",
        topic="promotional",
        verdict="held",
        reason="ticket_open",
        detail="ticket t1",
        decided_at=at,
        decisions=[
            {"at": at.isoformat(), "verdict": "held", "reason": "ticket_open", "detail": "t1"}
        ],
    )
    values = row.model_dump(exclude_none=True)
    names = ", ".join(values)
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await api.pool.execute(f"insert into message ({names}) values ({places})", *values.values())


async def test_messages_are_read_with_every_reason_newest_first(api: Api) -> None:
    await api.identify({})
    now = datetime.now(UTC)
    for number in range(3):
        await _message(api, number, now + timedelta(seconds=number))
    messages = await api.about("messages")
    assert [m["id"] for m in messages] == ["msg_2", "msg_1", "msg_0"]
    (decision,) = messages[0]["decisions"]
    assert decision == {
        "at": messages[0]["decided_at"],
        "verdict": "held",
        "reason": "ticket_open",
        "detail": "t1",
    }
    assert messages[0] | {"decided_at": ""} == {
        "id": "msg_2",
        "journey": "abandoned_cart",
        "enrollment_id": "enr_1",
        "step": "reminder",
        "channel": "email",
        "template": "abandoned_cart/reminder",
        "topic": "promotional",
        "objective": None,
        "verdict": "held",
        "reason": "ticket_open",
        "detail": "ticket t1",
        "address": None,
        "idempotency_key": "key 2",
        "provider_id": None,
        "decided_at": "",
        "completed_at": None,
        "reported_at": None,
        "decisions": [decision],
    }
    assert [m["id"] for m in await api.about("messages", limit=1)] == ["msg_2"]


@pytest.mark.parametrize("what", ["", "/enrollments", "/messages", "/timeline", "/trait-changes"])
@pytest.mark.parametrize("who", ["cus_nobody", "%00", "😀", "x" * 3_000])
async def test_a_customer_whom_nobody_knows_is_not_found(shared: Api, what: str, who: str) -> None:
    answer = await shared.get(f"/customers/{who}{what}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no such customer"


@pytest.mark.parametrize("limit", ["0", "501", "-1", "many", "1e3"])
@pytest.mark.parametrize("what", ["enrollments", "messages", "timeline", "trait-changes"])
async def test_a_limit_has_limits(shared: Api, what: str, limit: str) -> None:
    await shared.identify({})
    found = await shared.customer(user_id="u1")
    answer = await shared.get(f"/customers/{found['id']}/{what}", limit=limit)
    assert answer.status_code == 422
    assert answer.json()["field"] == "query.limit"


async def test_customers_are_found_by_any_of_their_names_and_each_once(api: Api) -> None:
    await api.identify({"email": "ada@example.com"}, userId="ada")
    await api.identify({}, userId="bob")
    ada, bob = [await api.customer(user_id=name) for name in ("ada", "bob")]
    assert await api.customers(user_id="ada", email="ada@example.com") == [ada]
    assert await api.customers(user_id="bob", email="ada@example.com") == [bob, ada]
    assert await api.customers() == []


async def test_a_misspelt_name_does_not_find_nobody(shared: Api) -> None:
    answer = await shared.get("/customers", userid="a")
    assert answer.status_code == 422
    assert answer.json()["field"] == "query.userid"


async def test_reading_and_writing_each_ask_for_their_key(api: Api) -> None:
    reader = await create_key(api.pool, "crm", ["read"])
    writer = await create_key(api.pool, "shop", ["write"])
    event = {"userId": "u1", "event": "seen"}
    for path in ("/v1/track", "/v1/identify", "/v1/batch"):
        answer = await api.post(path, event, key=reader)
        assert answer.status_code == 403
        assert "'write'" in answer.json()["detail"]
    assert await api.count("event") == 0
    assert (await api.post("/v1/track", event, key=writer)).status_code == 200
    found = (await api.get("/customers", key=reader, user_id="u1")).json()["customers"][0]["id"]
    for path in (f"/customers/{found}{what}" for what in ("", "/timeline", "/messages")):
        assert (await api.get(path, key=reader)).status_code == 200
        assert (await api.get(path, key=writer)).status_code == 403
        assert (await api.get(path, key=None)).status_code == 401


async def test_each_source_has_its_own_message_ids(api: Api) -> None:
    other = await create_key(api.pool, "till", ["write"])
    event = {"userId": "u1", "event": "seen", "messageId": "m1"}
    for key in ("dev", other, "dev", other):
        assert (await api.post("/v1/track", event, key=key)).status_code == 200
    sources = [item["details"]["source"] for item in await api.about("timeline")]
    assert sorted(sources) == ["dev", "till"]
