import time

import orjson
import pytest

from api.body import DEEPEST, LARGEST_EVENT, Doubts, check_event, decode
from api.salvage import salvage_batch
from domain.errors import Refused


def checked(text: bytes) -> object:
    event = decode(text, "event")
    check_event(event, Doubts.of(text))
    return event


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nonsense",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": 1e400}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'{"a": "\x00"}',
        b'{"a": 1} {"b": 2}',
        nested(2_000),
    ],
)
def test_what_is_not_json_is_refused_as_such(text: bytes) -> None:
    with pytest.raises(Refused, match="the event is not JSON"):
        decode(text, "event")


@pytest.mark.parametrize("text", [b"[]", b"1", b'"text"', b"null"])
def test_json_that_is_not_an_object_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match="must be a JSON object"):
        decode(text)


def test_nesting_is_allowed_to_its_limit_and_no_further() -> None:
    assert checked(nested(DEEPEST))
    with pytest.raises(Refused, match="nested more than"):
        checked(nested(DEEPEST + 1))


def test_what_is_too_deep_for_the_encoder_is_too_deep_even_when_it_is_large() -> None:
    text = b'{"pad":"' + b"x" * LARGEST_EVENT + b'","a":' + nested(400) + b"}"
    with pytest.raises(Refused, match="nested more than"):
        checked(text)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert checked(b'{"a":[' + b",".join([b"[]"] * 500) + b"]}")


def test_brackets_inside_strings_are_not_deep() -> None:
    assert checked(b'{"a":"' + b"[{" * 500 + b'"}')


def test_an_event_may_be_as_large_as_segment_allows_and_no_larger() -> None:
    room = LARGEST_EVENT - len(b'{"a":""}')
    assert checked(b'{"a":"' + b"x" * room + b'"}')
    with pytest.raises(Refused, match="larger than 32768") as caught:
        checked(b'{"a":"' + b"x" * (room + 1) + b'"}')
    assert caught.value.status == 413


def test_white_space_between_does_not_count() -> None:
    assert checked(b'{"a":' + b" " * LARGEST_EVENT + b"1}")


@pytest.mark.parametrize(
    "text",
    [rb'{"a":"\u0000"}', rb'{"\u0000":1}', rb'{"a":["x\\\u0000"]}', rb'{"a":{"b":"\u0000\u0000"}}'],
)
def test_a_nul_is_refused_wherever_it_is(text: bytes) -> None:
    with pytest.raises(Refused, match="NUL"):
        checked(text)


@pytest.mark.parametrize("text", [rb'{"a":"\\u0000"}', rb'{"a":"\\\\u0000"}', rb'{"\\u0000":1}'])
def test_a_backslash_and_u0000_in_letters_is_not_a_nul(text: bytes) -> None:
    assert checked(text) == orjson.loads(text)


def test_a_batch_is_taken_apart_around_what_is_bad() -> None:
    body = (
        rb' { "sentAt" : "now", "context": {"a": [1, {"b": "]}"}]}, "bad": NaN, '
        rb'"batch" : [ {"n": "a,\"b\\"} , {"n": NaN}, [1,2], null , {"n":"}]{["} ] } '
    )
    salvaged = salvage_batch(body)
    assert salvaged is not None
    fields, items = salvaged
    assert fields == {"sentAt": "now", "context": {"a": [1, {"b": "]}"}]}}
    assert [item.strip() for item in items] == [
        rb'{"n": "a,\"b\\"}',
        b'{"n": NaN}',
        b"[1,2]",
        b"null",
        b'{"n":"}]{["}',
    ]


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (b'{"batch":[]}', []),
        (b'{"batch":[ ]}', []),
        (b'{"batch":[1,]}', [b"1", b""]),
        (b'{"batch":[,1]}', [b"", b"1"]),
        (b'{"x":1,"batch":[1,2],"y":2}', [b"1", b"2"]),
    ],
)
def test_the_members_of_a_batch_are_counted_right(body: bytes, items: list[bytes]) -> None:
    salvaged = salvage_batch(body)
    assert salvaged is not None
    assert salvaged[1] == items


@pytest.mark.parametrize(
    "filling",
    [b'""', b'\\"', b'"\\', b"[],", b"[", b"]", b"a", b'"a":1,', b'{"a":"', b"\\"],
)
def test_no_text_keeps_the_taking_apart_busy_for_longer_than_its_length(filling: bytes) -> None:
    times = []
    for size in (250_000, 2_000_000):
        body = b'{"batch":[' + filling * (size // len(filling))
        begun = time.process_time()
        salvage_batch(body)
        times.append(time.process_time() - begun)
    assert times[1] < 1
    assert times[1] < 8 * 4 * max(times[0], 0.005)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"batch":',
        b'{"batch":[{"a":1}',
        b'{"batch":[{"a":1}]',
        b'{"batch":{"a":1}}',
        b'{"a":1}',
        b'{"batch":[{"a":"unended]}',
        b'{"batch":[1}]',
        b'{"batch":[1]} {"batch":[2]}',
        b'{"batch":[1] 5}',
    ],
)
def test_what_is_not_recognisably_a_batch_is_not_taken_apart(body: bytes) -> None:
    # Above all nothing that follows its end is left out without a word.
    assert salvage_batch(body) is None


def test_a_batch_is_taken_apart_however_deep_its_events_are() -> None:
    deep = nested(10_000)
    salvaged = salvage_batch(b'{"batch":[' + deep + b',{"a":1}]}')
    assert salvaged is not None
    assert salvaged[1] == [deep, b'{"a":1}']
