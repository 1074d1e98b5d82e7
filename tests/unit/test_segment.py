import random
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from api.body import Doubts
from api.segment import Post, SegmentReader, read_post
from domain.errors import Refused
from infra.database.accept import Incoming
from journeys.catalog import Catalog, discover

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
READER = SegmentReader(Catalog(discover()))


def read(kind: str | None = "track", /, *, post: Post | None = None, **item: Any) -> Incoming:
    if kind == "track":
        item = {"event": "looked_around", **item}
    return READER.read(kind, {"userId": "u1", **item}, post or Post(7, NOW))


def refused(kind: str | None = "track", /, **item: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        read(kind, **item)
    return caught.value


@pytest.mark.parametrize("name", ["cart_abandoned", "Cart Abandoned", "cart-abandoned"])
def test_a_cart_abandoned_wishes_to_start_its_journey(name: str) -> None:
    event = read(event=name, properties={"cart_id": "c1", "total": 5})
    assert event.name == "cart_abandoned"
    assert event.effects is not None
    (entry,) = event.effects["entries"]
    assert (entry["journey"], entry["key"], entry["key_in_id"]) == ("abandoned_cart", "c1", "c1")
    assert "purchase_made" in entry["listens"]
    assert entry["parameters"]["patience"] == "PT1H"


def test_order_completed_is_a_purchase_made() -> None:
    event = read(event="Order Completed", properties={"order_id": "o1"})
    assert event.name == "purchase_made"


def test_an_event_that_nobody_declared_keeps_its_name_and_has_no_effect() -> None:
    event = read(event=" Looked Around ", properties={"page": 1})
    assert (event.name, event.effects) == ("Looked Around", None)
    assert orjson.loads(event.properties) == {"page": 1}


def test_a_ticket_has_the_effect_of_a_hold() -> None:
    event = read(event="ticket_opened", properties={"ticket_id": 5})
    assert event.effects is not None
    assert event.effects["hold"] == {"kind": "ticket", "reference": "5", "action": "open"}


def test_the_time_is_corrected_by_the_clients_clock() -> None:
    # The client is an hour ahead; it waited ten minutes before it sent.
    event = read(timestamp="2026-03-01T12:50:00Z", sentAt="2026-03-01T13:00:00Z", messageId="m")
    assert event.occurred_at == NOW - timedelta(minutes=10)


def test_an_original_timestamp_is_corrected_like_a_timestamp() -> None:
    event = read(originalTimestamp="2026-03-01T12:50:00Z", sentAt="2026-03-01T13:00:00Z")
    assert event.occurred_at == NOW - timedelta(minutes=10)


def test_a_timestamp_beside_an_original_one_is_the_callers_and_left_as_it_is() -> None:
    # RudderStack's libraries stamp every call; what the caller knows of the past counts.
    event = read(
        timestamp="2020-01-01T00:00:00Z",
        originalTimestamp="2026-03-01T13:00:00Z",
        sentAt="2026-03-01T13:00:01Z",
    )
    assert event.occurred_at == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "sent", "kept"),
    [
        # A clock that starts in 1970 at every boot, two hours of work offline.
        ("1970-01-01T00:00:05Z", "1970-01-01T02:00:05Z", NOW - timedelta(hours=2)),
        # A clock in the far future, right about how long it took.
        ("2099-01-01T00:00:00Z", "2099-01-01T00:00:30Z", NOW - timedelta(seconds=30)),
        # Sent years before it happened: the clock was set in between.
        ("2026-03-01T11:00:00Z", "1999-12-31T23:00:00Z", NOW),
        # Sent years after: as long as the queue of that device was, for all we know.
        ("2024-03-01T12:00:00Z", "2026-03-01T12:00:00Z", NOW - timedelta(days=730)),
    ],
)
def test_a_clock_that_is_wrong_by_years_still_tells_how_long_ago(
    said: str, sent: str, kept: datetime
) -> None:
    assert read(timestamp=said, sentAt=sent).occurred_at == kept


def test_a_batch_says_for_all_when_it_was_sent() -> None:
    post = Post(7, NOW, sent_at=NOW + timedelta(hours=2))
    event = read(timestamp="2026-03-01T13:00:00Z", post=post)
    assert event.occurred_at == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-02-03T04:05:06.789Z", datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)),
        ("2026-02-03T04:05:06+02:00", datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC)),
        ("2026-02-03T04:05:06", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
        ("2099-01-01T00:00:00Z", NOW),
        (None, NOW),
    ],
)
def test_a_time_is_kept_unless_it_lies_ahead(said: str | None, kept: datetime) -> None:
    assert read(timestamp=said).occurred_at == kept


def test_times_at_the_ends_of_the_calendar_are_taken() -> None:
    event = read(timestamp="0001-01-01T00:00:00Z", sentAt="9999-12-31T00:00:00Z")
    assert event.occurred_at == datetime(1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    ["soon", 17, True, "", "0001-01-01T00:00:00+14:00", "0000-01-01T00:00:00Z", "99999-01-01", {}],
)
def test_what_is_not_a_time_is_refused(said: Any) -> None:
    assert refused(timestamp=said).field == "timestamp"
    assert refused(sentAt=said).field == "sentAt"


def test_a_batchs_context_is_under_each_events_own() -> None:
    post, wrong = read_post(7, NOW, {"context": {"ip": "a", "app": 1}}, Doubts.of(b""))
    assert not wrong
    assert orjson.loads(read(post=post).context or "") == {"ip": "a", "app": 1}
    own = read(post=post, context={"ip": "b"}).context
    assert orjson.loads(own or "") == {"ip": "b", "app": 1}
    assert read().context is None


def test_integrations_are_kept_with_the_context_and_an_items_own_win() -> None:
    batch = {"context": {"ip": "a"}, "integrations": {"All": False, "Mail": True}}
    post, wrong = read_post(7, NOW, batch, Doubts.of(b""))
    assert not wrong
    kept = {"ip": "a", "integrations": {"All": False, "Mail": True}}
    assert orjson.loads(read(post=post).context or "") == kept
    own = orjson.loads(read(post=post, integrations={"All": True}).context or "")
    assert own == {"ip": "a", "integrations": {"All": True, "Mail": True}}
    assert orjson.loads(read(integrations={"All": True}).context or "") == {
        "integrations": {"All": True}
    }
    assert read(integrations={}).context is None
    assert read(integrations=None, context={}).context is None


@pytest.mark.parametrize("under", [True, [1], "All", None])
def test_integrations_win_over_what_an_old_context_has_in_their_place(under: Any) -> None:
    event = read(context={"integrations": under}, integrations={"All": True})
    assert orjson.loads(event.context or "") == {"integrations": {"All": True}}


def test_what_a_client_says_of_itself_is_left_alone() -> None:
    said: dict[str, Any] = {
        "_metadata": {"nodeVersion": "20", "bundled": []},
        "channel": "server",
        "writeKey": "k",
    }
    event = read(**said)
    assert (event.context, event.properties, event.effects) == (None, "{}", None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"integrations": "All"}, "integrations"),
        ({"integrations": {"a": "\0"}}, "integrations"),
        ({"sentAt": "soon"}, "sentAt"),
        ({"context": "none"}, "context"),
        ({"context": {"a": "\0"}}, "context"),
        ({"context": {"a": "x" * 40_000}}, "context"),
    ],
)
def test_a_batchs_own_mistake_is_left_out_and_told(fields: dict[str, Any], field: str) -> None:
    good = {"sentAt": "2026-03-01T12:00:00Z", "context": {"a": 1}}
    envelope = {**good, **fields}
    post, wrong = read_post(7, NOW, envelope, Doubts.of(orjson.dumps(envelope)))
    assert [error.field for error in wrong] == [field]
    assert (post.sent_at is None) is (field == "sentAt")
    assert (post.context_json is None) is (field == "context")


def test_an_event_without_an_id_gets_one_of_its_own() -> None:
    first, second = read().message_id, read().message_id
    assert first.startswith("sojourn-")
    assert first != second


@pytest.mark.parametrize("field", ["userId", "anonymousId", "messageId"])
def test_ids_may_be_numbers_and_are_stripped(field: str) -> None:
    attribute = {"userId": "user_id", "anonymousId": "anonymous_id", "messageId": "message_id"}
    for value, kept in ((17, "17"), (17.0, "17"), (2**64 - 1, f"{2**64 - 1}"), (" x ", "x")):
        item: dict[str, Any] = {field: value}
        assert getattr(read(**item), attribute[field]) == kept


@pytest.mark.parametrize("field", ["userId", "anonymousId", "messageId"])
@pytest.mark.parametrize("value", [[], {}, True, 1.5, 1e40, float(2**64), -float(2**63), "x" * 256])
def test_ids_of_a_wrong_type_or_length_are_refused(field: str, value: Any) -> None:
    assert refused(**{field: value}).field == field


@pytest.mark.parametrize("value", [None, "", "  "])
def test_somebody_must_be_meant(value: Any) -> None:
    assert refused(userId=value).field == "userId"
    assert read(userId=value, anonymousId="a").user_id is None


@pytest.mark.parametrize("value", [None, "", 42, [], {}, True, "x" * 256])
def test_an_events_name_must_be_a_text(value: Any) -> None:
    assert refused(event=value).field == "event"


@pytest.mark.parametrize("field", ["properties", "context", "integrations"])
@pytest.mark.parametrize("value", ["text", 1, [], True])
def test_objects_must_be_objects(field: str, value: Any) -> None:
    assert refused(**{field: value}).field == field


@pytest.mark.parametrize("value", [None, 5, "merge", "", "nonsense", []])
def test_a_batchs_item_must_say_what_it_is(value: Any) -> None:
    assert refused(None, type=value).field == "type"


def test_an_alias_names_who_becomes_whom() -> None:
    event = read("alias", previousId="old", userId="new")
    assert (event.type, event.user_id, event.anonymous_id) == ("alias", "new", None)
    assert event.effects == {"alias": {"previous_id": "old"}}
    assert refused("alias", userId="new").field == "previousId"
    assert refused("alias", userId=None, anonymousId="d", previousId="old").field == "userId"
    assert refused("alias", previousId="undefined").field == "previousId"


@pytest.mark.parametrize(
    "nobody",
    [
        "null",
        " NULL ",
        "undefined",
        "None",
        "0",
        0,
        "-1",
        "unknown",
        "Anonymous",
        "guest",
        "[object Object]",
        "NaN",
        "00000000-0000-0000-0000-000000000000",
        "{00000000-0000-0000-0000-000000000000}",
        "0000",
    ],
)
def test_an_id_that_names_nobody_is_no_identity(nobody: Any) -> None:
    refusal = refused(userId=nobody, anonymousId="d")
    assert refusal.field == "userId"
    assert "names nobody" in refusal.reason
    assert read(anonymousId=nobody).anonymous_id is None
    assert refused(userId=None, anonymousId=nobody).field == "anonymousId"


@pytest.mark.parametrize("somebody", ["nullable", "100", "u-0", "anonymous-4711", "Noll", "0x1"])
def test_an_id_that_only_looks_like_nobodys_is_one(somebody: str) -> None:
    assert read(userId=somebody, anonymousId=somebody).user_id == somebody


@pytest.mark.parametrize("kind", ["page", "screen", "group"])
def test_other_calls_are_recorded_without_effect(kind: str) -> None:
    event = read(None, type=kind, name="Home", properties={"a": 1}, traits={"b": 2})
    assert (event.type, event.name, event.effects) == (kind, "Home", None)
    assert orjson.loads(event.properties) == {"a": 1, "b": 2}
    assert read(None, type=kind).name == kind


def test_what_stands_beside_a_recorded_calls_properties_is_kept_with_them() -> None:
    page = read("page", name="Home", category="Docs", properties={"category": "x", "a": 1})
    assert orjson.loads(page.properties) == {"category": "Docs", "a": 1}
    group = read("group", groupId=17, traits={"plan": "pro"})
    assert orjson.loads(group.properties) == {"groupId": "17", "plan": "pro"}


@pytest.mark.parametrize(("kind", "field"), [("page", "category"), ("group", "groupId")])
@pytest.mark.parametrize("value", [[], {}, True, "x" * 256])
def test_what_stands_beside_is_checked_too(kind: str, field: str, value: Any) -> None:
    assert refused(kind, **{field: value}).field == field


def test_an_alias_says_who_the_customer_was_before() -> None:
    event = read("alias", userId="ada", previousId=" device-1 ", anonymousId="device-2")
    assert (event.type, event.name) == ("alias", "alias")
    assert (event.user_id, event.anonymous_id) == ("ada", "device-2")
    assert event.effects == {"alias": {"previous_id": "device-1"}}
    assert orjson.loads(event.properties) == {"previousId": "device-1"}
    assert read("alias", previousId=17).effects == {"alias": {"previous_id": "17"}}


@pytest.mark.parametrize("field", ["previousId", "userId"])
@pytest.mark.parametrize("value", [None, "", " ", [], {}, True, "x" * 256])
def test_an_alias_without_one_of_its_two_ids_is_refused(field: str, value: Any) -> None:
    known = {"anonymousId": "a", "previousId": "b", "userId": "c"}
    assert refused("alias", **{**known, field: value}).field == field


def test_traits_make_a_customer_reachable() -> None:
    traits = {
        "email": " a@example.com ",
        "phone": "+491",
        "push_token": "t",
        "first_name": "Ada",
        "timezone": "Europe/Berlin",
        "locale": "de-DE",
    }
    event = read("identify", traits=traits)
    assert event.effects == {
        "traits": traits,
        "addresses": {"email": "a@example.com", "sms": "+491", "push": "t"},
        "time_zone": "Europe/Berlin",
        "locale": "de-DE",
    }


def test_a_customers_name_may_be_spelt_as_segment_does() -> None:
    event = read("identify", traits={"firstName": "Eve", "lastName": None, "plan": "pro"})
    assert event.effects == {"traits": {"first_name": "Eve", "last_name": None, "plan": "pro"}}
    assert orjson.loads(event.properties)["firstName"] == "Eve"
    for traits in (
        {"firstName": "Eve", "first_name": "Evelyn"},
        {"first_name": "Evelyn", "firstName": "Eve"},
    ):
        event = read("identify", traits=traits)
        assert event.effects == {"traits": {"first_name": "Evelyn"}}


def test_traits_in_the_context_of_an_identify_count_beneath_its_own() -> None:
    # RudderStack's libraries put them there; elsewhere they are what the device remembers.
    context = {"traits": {"email": "old@example.com", "plan": "pro"}}
    event = read("identify", context=context, traits={"email": "a@example.com"})
    assert event.effects is not None
    assert event.effects["traits"] == {"email": "a@example.com", "plan": "pro"}
    assert event.effects["addresses"] == {"email": "a@example.com"}
    assert orjson.loads(event.properties) == event.effects["traits"]
    assert read(context=context).effects is None
    assert refused("identify", context={"traits": [1]}).field == "context.traits"


def test_where_a_device_is_how_its_user_reads_and_its_token_count_beneath_all_traits() -> None:
    context: dict[str, Any] = {
        "timezone": "Europe/Lisbon",
        "locale": "pt-PT",
        "device": {"token": "t0k3n", "type": "ios"},
    }
    event = read("identify", context=context, traits={"plan": "pro"})
    assert event.effects == {
        "traits": {
            "timezone": "Europe/Lisbon",
            "locale": "pt-PT",
            "push_token": "t0k3n",
            "plan": "pro",
        },
        "addresses": {"push": "t0k3n"},
        "time_zone": "Europe/Lisbon",
        "locale": "pt-PT",
    }
    told = {"timezone": "Asia/Tokyo", "locale": None}
    event = read("identify", context={**context, "traits": {"locale": "ja"}}, traits=told)
    assert event.effects is not None
    assert (event.effects["time_zone"], event.effects["locale"]) == ("Asia/Tokyo", None)
    event = read("identify", context={**context, "traits": {"locale": "ja"}})
    assert event.effects is not None
    assert event.effects["locale"] == "ja"


@pytest.mark.parametrize(
    "context",
    [
        {"timezone": "Mars/Base", "locale": " ", "device": {"token": ""}},
        {"timezone": 5, "locale": {}, "device": "phone"},
        {"timezone": None, "locale": "x" * 256, "device": {"token": "é" * 1_001}},
        {"device": {"token": 7}},
        {"device": None},
    ],
)
def test_what_makes_no_sense_of_a_device_is_passed_over(context: dict[str, Any]) -> None:
    event = read("identify", context=context, traits={"plan": "pro"})
    assert event.effects == {"traits": {"plan": "pro"}}
    assert event.context is not None
    assert orjson.loads(event.context) == context


def test_a_batch_says_for_all_of_its_calls_where_the_device_is_and_a_call_knows_better() -> None:
    device = {"timezone": "Europe/Lisbon", "device": {"token": "t0k3n"}}
    # Who one customer is, is nothing to say of all.
    post = Post(7, NOW, context={**device, "traits": {"email": "ada@shop.example"}})
    event = read("identify", post=post, context={"timezone": "Asia/Tokyo", "locale": "ja"})
    assert event.effects is not None
    assert event.effects["time_zone"] == "Asia/Tokyo"
    assert event.effects["addresses"] == {"push": "t0k3n"}


def test_only_an_identify_says_where_the_customer_is() -> None:
    assert read(context={"timezone": "Europe/Lisbon"}).effects is None


def test_a_null_trait_forgets_what_was_read_from_it() -> None:
    event = read("identify", traits={"email": None, "phone": "", "timezone": None, "locale": None})
    assert event.effects is not None
    assert event.effects["addresses"] == {"email": None, "sms": None}
    assert event.effects["time_zone"] is None
    assert event.effects["locale"] is None


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "", "../../etc/passwd", "Europe", 5, [], "x" * 30_000, "/etc/localtime"]
)
def test_what_is_no_time_zone_changes_nothing_but_the_trait(zone: Any) -> None:
    event = read("identify", traits={"timezone": zone})
    assert event.effects == {"traits": {"timezone": zone}}


@pytest.mark.parametrize(
    ("traits", "field"),
    [
        ({"email": 5}, "traits.email"),
        ({"phone": ["+49"]}, "traits.phone"),
        ({"push_token": "x" * 2_001}, "traits.push_token"),
        ({"push_token": "🛒" * 501}, "traits.push_token"),
        ({"n" * 256: 1}, "traits"),
        ("text", "traits"),
    ],
)
def test_traits_that_cannot_be_addresses_are_refused(traits: Any, field: str) -> None:
    assert refused("identify", traits=traits).field == field


@pytest.mark.parametrize(
    ("event", "properties", "field"),
    [
        ("ticket_opened", {"ticket_id": "x" * 256}, "properties.ticket_id"),
        ("cart_abandoned", {"total": 3}, "properties.cart_id"),
    ],
)
def test_keys_that_no_index_can_hold_are_refused(
    event: str, properties: dict[str, Any], field: str
) -> None:
    assert refused(event=event, properties=properties).field == field


def test_a_long_key_is_shortened_and_costs_nobody_the_event() -> None:
    effects = read(event="purchase_made", properties={"order_id": "x" * 300}).effects
    assert effects is not None
    (entry,) = effects["entries"]
    assert entry["key"].startswith("~")
    assert len(entry["key"]) < 64


def test_anything_at_all_is_either_read_or_refused() -> None:
    random.seed(20_260_301)
    odd: list[Any] = [
        None, True, 0, -1, 1.5, 10**18, 1e300, "", " ", "🛒", "\\u0000", "track", "u", [], {},
        [1], {"a": None}, "2026-01-01", "x" * 300, "Cart Abandoned", "ticket_opened", "identify",
        {"cart_id": "c"}, {"ticket_id": "t"}, {"email": "e"}, {"timezone": "UTC"}, {"": {}},
    ]  # fmt: skip
    fields = ["type", "userId", "anonymousId", "messageId", "event", "properties", "traits"]
    fields += ["context", "timestamp", "sentAt", "name", "originalTimestamp", "integrations"]
    fields += ["previousId", "groupId", "category"]
    outcomes = set()
    for _ in range(5_000):
        item: Any = {f: random.choice(odd) for f in random.sample(fields, random.randint(0, 9))}
        kind = random.choice([None, "track", "identify", "page", "group", "alias"])
        try:
            event = READER.read(kind, random.choice([item] * 20 + odd), Post(1, NOW))
        except Refused:
            outcomes.add("refused")
        else:
            assert orjson.loads(event.properties) is not None
            outcomes.add("read")
    assert outcomes == {"read", "refused"}
