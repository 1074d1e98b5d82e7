import base64
import random
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from api.cloudevents import CloudEventReader, from_binary, message_id, named, structured
from api.segment import Post, SegmentReader
from domain.errors import Refused
from infra.database.accept import Incoming
from journeys.catalog import Catalog, discover

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEGMENT = SegmentReader(Catalog(discover()))
READER = CloudEventReader(SEGMENT, ["com.example."])
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1234",
    "source": "/shop",
    "type": "cart_abandoned",
    "subject": "ada",
    "data": {"cart_id": "c1"},
}


def read(**fields: Any) -> Incoming:
    return READER.read({**EVENT, **fields}, Post(7, NOW))


def refused(**fields: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        read(**fields)
    return caught.value


def encoded(data: bytes) -> dict[str, Any]:
    return {"data": None, "data_base64": base64.b64encode(data).decode()}


def test_an_event_says_what_happened_to_whom() -> None:
    event = read(time="2026-02-28T12:00:00.123456789Z")
    assert (event.source_id, event.name, event.user_id) == (7, "cart_abandoned", "ada")
    assert event.occurred_at == datetime(2026, 2, 28, 12, 0, 0, 123_456, tzinfo=UTC)
    assert orjson.loads(event.properties) == {"cart_id": "c1"}
    assert event.effects is not None
    assert event.effects["entries"][0]["journey"] == "abandoned_cart"
    assert read(time=None).occurred_at == NOW


def test_source_and_id_together_are_the_message_id() -> None:
    assert read().message_id == "/shop 1234"
    ids = {
        message_id("/shop", "a b"),
        message_id("/shop/a", "b"),
        message_id("/shop", "a/b"),
        message_id("/s", "hop a b"),
    }
    assert len(ids) == 4


def test_a_long_source_and_id_keep_apart_what_is_different() -> None:
    long = "x" * 300
    first, second = message_id("/" + long, "1"), message_id("/" + long, "2")
    assert first != second
    assert len(first) <= 255
    assert first == message_id("/" + long, "1")


def test_a_source_with_spaces_is_none() -> None:
    assert refused(source="a b").field == "source"


def test_extensions_and_what_else_was_said_stay_in_the_context() -> None:
    event = read(traceparent="00-a", comexample=5, dataschema="https://e.example/1", gone=None)
    assert orjson.loads(event.context or "") == {
        "cloudevent": {
            "specversion": "1.0",
            "id": "1234",
            "source": "/shop",
            "type": "cart_abandoned",
            "traceparent": "00-a",
            "comexample": 5,
            "dataschema": "https://e.example/1",
        }
    }


def test_a_device_may_take_the_subjects_place() -> None:
    event = read(subject=None, anonymousid="d1")
    assert (event.user_id, event.anonymous_id) == (None, "d1")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("com.example.cart_abandoned", "cart_abandoned"),
        ("com.example.Cart Abandoned", "cart_abandoned"),
        ("com.example.", "com.example."),
        ("org.example.cart_abandoned", "org.example.cart_abandoned"),
    ],
)
def test_a_prefix_that_was_set_is_taken_off_a_type(said: str, name: str) -> None:
    assert read(type=said).name == name


@pytest.mark.parametrize(
    "kind", [None, "application/json", "text/json", "application/vnd.shop+json; charset=utf-8"]
)
def test_data_may_be_json_of_any_kind_plain_or_encoded(kind: str | None) -> None:
    assert read(datacontenttype=kind).properties == '{"cart_id":"c1"}'
    again = read(datacontenttype=kind, **encoded(b'{"cart_id":"c1"}'))
    assert again.properties == '{"cart_id":"c1"}'


def test_an_event_without_data_has_no_properties() -> None:
    assert read(type="looked", data=None).properties == "{}"


@pytest.mark.parametrize(
    ("fields", "field", "status"),
    [
        ({"specversion": "0.3"}, "specversion", 400),
        ({"specversion": None}, "specversion", 400),
        ({"id": None}, "id", 400),
        ({"id": " "}, "id", 400),
        ({"id": 5}, "id", 400),
        ({"source": ""}, "source", 400),
        ({"type": None}, "type", 400),
        ({"type": "x" * 256}, "type", 400),
        ({"subject": None}, "subject", 400),
        ({"subject": []}, "subject", 400),
        ({"subject": " ", "anonymousid": "d"}, "subject", 400),
        ({"datacontenttype": ""}, "datacontenttype", 400),
        ({"subject": "x" * 256}, "subject", 400),
        ({"time": "soon"}, "time", 400),
        ({"time": 5}, "time", 400),
        ({"data": "text"}, "data", 400),
        ({"data": [1]}, "data", 400),
        ({"data": {"total": 1}}, "data.cart_id", 400),
        ({"data_base64": "e30="}, "data_base64", 400),
        ({"data": None, "data_base64": "%"}, "data_base64", 400),
        ({"data": None, "data_base64": 5}, "data_base64", 400),
        (encoded(b"not json"), "data_base64", 400),
        (encoded(b"[1]"), "data_base64", 400),
        (encoded(b'{"a":' * 100 + b"1" + b"}" * 100), None, 400),
        (encoded(b'{"a":"\\u0000"}'), None, 400),
        ({"datacontenttype": "application/xml", "data": "<a/>"}, "datacontenttype", 415),
        ({"datacontenttype": "text/plain", "data": "a"}, "datacontenttype", 415),
    ],
)
def test_what_cannot_be_taken_is_named_in_their_words(
    fields: dict[str, Any], field: str | None, status: int
) -> None:
    error = refused(**fields)
    assert (error.field, error.status) == (field, status)
    for ours in ("userId", "properties.", "messageId", "timestamp"):
        assert ours not in error.reason


@pytest.mark.parametrize("event", [None, [], "text", 5, {}])
def test_what_is_no_event_at_all_is_refused(event: Any) -> None:
    with pytest.raises(Refused):
        READER.read(event, Post(7, NOW))
    assert named(event) is None


HEADERS = {
    b"ce-specversion": b"1.0",
    b"ce-id": b"1234",
    b"ce-source": b"/shop",
    b"ce-type": b"cart_abandoned",
}


def headers(**more: bytes) -> list[tuple[bytes, bytes]]:
    extra = {f"ce-{name}".encode(): value for name, value in more.items()}
    return list({**HEADERS, **extra, b"accept": b"*/*"}.items())


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"ada", "ada"),
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        (b"%41da", "Ada"),
        (b'"a \\"quoted\\" name"', 'a "quoted" name'),
        ("ü ada".encode(), "ü ada"),
        ("ü ada".encode("latin-1"), "ü ada"),
        (b"100%25", "100%"),
    ],
)
def test_a_headers_value_is_decoded(raw: bytes, value: str) -> None:
    assert from_binary(headers(subject=raw), "", b"")["subject"] == value


def test_an_overlong_encoding_in_a_header_is_refused() -> None:
    with pytest.raises(Refused, match="UTF-8"):
        from_binary(headers(subject=b"%C0%A0"), "", b"")


@pytest.mark.parametrize("kind", ["application/json", "", "application/x-www-form-urlencoded"])
def test_the_body_of_the_binary_mode_is_the_data(kind: str) -> None:
    event = from_binary(headers(subject=b"ada", traceparent=b"00-a"), kind, b'{"cart_id":"c1"}')
    assert event["data"] == {"cart_id": "c1"}
    assert event["traceparent"] == "00-a"
    assert "accept" not in event
    assert READER.read(event, Post(7, NOW)).message_id == "/shop 1234"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"not json"),
        ("text/plain", b"hello"),
        ("application/octet-stream", b"\xff\x00"),
        ("application/json", b'{"a":' * 300 + b"1" + b"}" * 300),
    ],
)
def test_a_body_that_cannot_be_taken_is_kept_whole(kind: str, body: bytes) -> None:
    event = from_binary(headers(subject=b"ada"), kind, body)
    kept = orjson.loads(structured(event, body))
    assert base64.b64decode(kept["data_base64"]) == body
    with pytest.raises(Refused):
        READER.read(kept, Post(7, NOW))


def test_anything_at_all_is_either_read_or_refused() -> None:
    source = random.Random(20_260_301)
    odd: list[Any] = [None, True, 0, 1.5, 1e30, "", " ", "1.0", "/shop", "é", [], {}, {"a": []}]
    odd += ["e30=", "2026-01-01T00:00:00Z", "application/json", "x" * 300, "cart_abandoned"]
    names = [*EVENT, "time", "data_base64", "datacontenttype", "anonymousid", "ext"]
    outcomes: set[type] = set()
    for _ in range(5_000):
        chosen = source.sample(names, source.randint(0, 6))
        event = {**EVENT, **{name: source.choice(odd) for name in chosen}}
        try:
            outcomes.add(type(READER.read(event, Post(1, NOW))))
        except Refused:
            outcomes.add(Refused)
    assert outcomes == {Incoming, Refused}
