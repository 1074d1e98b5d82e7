"""What a file says of a payload becomes events, and what is wrong with a file is one sentence."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from api.hooks import Delivery, Mapped, load_hooks, read_hook
from domain.errors import ConfigurationError, Refused

ROOT = Path(__file__).resolve().parents[2]
SIGNED = '[signature]\nscheme = "bearer"\n'
WHO = '[customer]\nuser_id = "body.user"\n'
EVENT = '[[events]]\nname = "looked"\n'


def write(folder: Path, text: str, name: str = "tool") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def events(folder: Path, text: str, body: Any, **headers: str) -> list[Mapped | Refused]:
    hook = read_hook(write(folder, text))
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return hook.mapper.events(Delivery(headers, raw))


def one(folder: Path, text: str, body: Any, **headers: str) -> Mapped:
    (event,) = events(folder, SIGNED + WHO + text, body, **headers)
    assert isinstance(event, Mapped), event
    return event


def wrong(folder: Path, text: str, body: Any) -> Refused:
    (event,) = events(folder, SIGNED + WHO + text, body)
    assert isinstance(event, Refused), event
    return event


def test_a_payload_is_one_event(tmp_path: Path) -> None:
    text = EVENT + 'properties = { page = "body.page", constant = "\'shop\'", n = "body.n + 1" }\n'
    event = one(tmp_path, text, {"user": 7, "page": "/", "n": 1})
    assert event.user_id == "7"
    assert event.properties == {"page": "/", "constant": "shop", "n": 2}
    assert event.time is None
    assert event.message_id.endswith("/looked")


def test_what_is_missing_or_null_is_left_out(tmp_path: Path) -> None:
    text = (
        EVENT
        + """
[events.properties]
a = "body.none"
b = "body.gone"
c = "body.deep.er.still"
d = "body.list[5]"
e = "body.list.map(i, {'x': i, 'y': body.gone})"
f = "body.gone.er"
g = "string(body.gone.er) + 'x'"
"""
    )
    event = one(tmp_path, text, {"user": "u", "gone": None, "list": [1]})
    assert event.properties == {"e": [{"x": 1}]}


def test_properties_may_be_one_expression(tmp_path: Path) -> None:
    body = {"user": "u", "data": {"a": None, "b": {"c": [1.5, True]}}}
    assert one(tmp_path, EVENT + 'properties = "body.data"\n', body).properties == {
        "b": {"c": [1.5, True]}
    }
    assert one(tmp_path, EVENT + 'properties = "body.none"\n', body).properties == {}
    error = wrong(tmp_path, EVENT + 'properties = "body.user"\n', body)
    assert error.field == "properties"


def test_a_payload_may_be_several_events_or_none(tmp_path: Path) -> None:
    text = SIGNED + '[customer]\nuser_id = "item.who"\n[delivery]\nid = "body.id"\n'
    text += '[[events]]\nname = "clicked"\neach = "body.list"\nwhen = "item.kind == \'click\'"\n'
    text += '[[events]]\nname = "opened"\neach = "body.list"\nwhen = "item.kind == \'open\'"\n'
    text += 'id = "item.id"\n'
    kinds = ["click", "open", "click", "other", "click"]
    body = {"id": "d", "list": [{"who": n, "kind": k, "id": f"i{n}"} for n, k in enumerate(kinds)]}
    found = events(tmp_path, text, body)
    assert [(e.message_id, e.user_id) for e in found if isinstance(e, Mapped)] == [
        ("d/clicked", "0"),
        ("d/clicked/2", "2"),
        ("d/clicked/3", "4"),
        ("i1", "1"),
    ]
    assert events(tmp_path, text, {"id": "d"}) == []
    assert events(tmp_path, text, {"id": "d", "list": []}) == []


def test_a_bad_element_costs_no_good_one(tmp_path: Path) -> None:
    text = SIGNED + WHO + '[[events]]\nname = "e"\neach = "body.list"\nwhen = "item.n > 0"\n'
    text += 'properties = { double = "item.n * 2" }\n'
    body = {"user": "u", "list": [{"n": 1}, {"n": "x"}, {"n": 3}]}
    first, second, third = events(tmp_path, text, body)
    assert isinstance(first, Mapped)
    assert isinstance(third, Mapped)
    assert isinstance(second, Refused)
    assert second.field == "events.1.when"


def test_the_same_payload_has_the_same_ids(tmp_path: Path) -> None:
    again = one(tmp_path, EVENT, {"user": "u"}), one(tmp_path, EVENT, {"user": "u"})
    assert again[0].message_id == again[1].message_id
    assert one(tmp_path, EVENT, {"user": "v"}).message_id != again[0].message_id


@pytest.mark.parametrize("said", ["x" * 5_000, 2**63, "é"])
def test_an_id_of_any_length_is_one(tmp_path: Path, said: Any) -> None:
    text = '[delivery]\nid = "body.id"\n' + EVENT
    ids = {one(tmp_path, text, {"user": "u", "id": s}).message_id for s in (said, f"{said}1")}
    assert len(ids) == 2
    assert all(len(name) <= 255 for name in ids)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        (1_772_359_253, "2026-03-01T10:00:53+00:00"),
        (1_772_359_253_000, "2026-03-01T10:00:53+00:00"),
        (None, None),
        ("", None),
    ],
)
def test_a_time_may_be_written_in_several_ways(tmp_path: Path, said: Any, kept: Any) -> None:
    text = '[delivery]\ntime = "body.at"\n' + EVENT
    assert one(tmp_path, text, {"user": "u", "at": said}).time == kept


def test_the_customer_is_known_by_what_is_there(tmp_path: Path) -> None:
    who = '[customer]\nemail = "body.mail"\nuser_id = "body.id"\n'
    for body, expected in (
        ({"id": "u", "mail": "m"}, ("u", "m")),
        ({"id": "", "mail": "m"}, (None, "m")),
        ({"id": None, "mail": "m"}, (None, "m")),
    ):
        (event,) = events(tmp_path, SIGNED + who + EVENT, body)
        assert isinstance(event, Mapped)
        assert (event.user_id, event.email) == expected
    (nobody,) = events(tmp_path, SIGNED + who + EVENT, {})
    assert isinstance(nobody, Refused)
    assert nobody.field == "customer"
    (odd,) = events(tmp_path, SIGNED + who + EVENT, {"id": {"a": 1}})
    assert isinstance(odd, Refused)
    assert odd.field == "customer.user_id"


def test_what_cannot_be_worked_out_is_named(tmp_path: Path) -> None:
    for expression in ("body.user + 1", "int(body.user)", "1 / 0", "timestamp(body.user)"):
        error = wrong(tmp_path, f'{EVENT}properties = {{ a = "{expression}" }}\n', {"user": "u"})
        assert error.field == "properties.a", expression
        assert error.reason.startswith("looked: properties.a: ")
    assert wrong(tmp_path, EVENT + 'each = "body.user"\n', {"user": "u"}).field == "events.1.each"
    assert wrong(tmp_path, EVENT + 'when = "body.user"\n', {"user": "u"}).field == "events.1.when"
    error = wrong(tmp_path, '[delivery]\ntime = "body.t"\n' + EVENT, {"user": "u", "t": [1]})
    assert error.field == "time"


def test_long_numbers_are_not_rounded(tmp_path: Path) -> None:
    text = EVENT + 'properties = { id = "string(body.id)" }\n'
    for number in (2**63 - 1, 2**63, 2**64 - 1):
        event = one(tmp_path, text, {"user": "u", "id": number})
        assert event.properties == {"id": str(number)}


@pytest.mark.parametrize(
    "body",
    [b"not json", b"", b'{"a":' * 100 + b"1" + b"}" * 100, b"[" * 5_000, b'{"a":"\xff"}'],
)
def test_what_is_no_payload_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(Refused):
        events(tmp_path, SIGNED + WHO + EVENT, body)


@pytest.mark.parametrize("body", [[], "text", 5, None, [{"user": "u"}]])
def test_a_payload_of_another_shape_is_nobodys(tmp_path: Path, body: Any) -> None:
    (found,) = events(tmp_path, SIGNED + WHO + EVENT, body)
    assert isinstance(found, Refused)


def test_a_payload_does_not_become_endless_events(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="1000"):
        events(
            tmp_path,
            SIGNED + WHO + EVENT + 'each = "body.list"\n',
            {"user": "u", "list": [1] * 1_001},
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "signature"),
        ("not toml", "line 1"),
        (SIGNED + WHO, "events"),
        (SIGNED + EVENT, "customer"),
        (SIGNED + "[customer]\n" + EVENT, "customer: it names user_id"),
        (SIGNED + '[customer]\nname = "body.x"\n' + EVENT, "customer: it names user_id"),
        (SIGNED + WHO + '[[events]]\nwhen = "true"\n', "events.1.name"),
        (SIGNED + WHO + EVENT + "nmae = 1\n", "events.1.nmae"),
        (SIGNED + WHO + EVENT + 'when = "body."\n', "events.1.when: not an expression"),
        (SIGNED + WHO + EVENT + 'when = "boody.x"\n', "there is no 'boody'"),
        (SIGNED + WHO + EVENT + 'when = "nonsense(body)"\n', "no function 'nonsense'"),
        (SIGNED + WHO + EVENT + "when = true\n", "events.1.when: an expression is a text"),
        (
            SIGNED + WHO + EVENT + 'properties = { total = "body.((" }\n',
            "events.1.properties: total: not an expression",
        ),
        ('[signature]\nscheme = "hmac"\n' + WHO + EVENT, "signature.header: Field required"),
        ('[signature]\nscheme = "guess"\n' + WHO + EVENT, "signature"),
        (SIGNED + 'secret = "s"\n' + WHO + EVENT, "signature.secret"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_hook(write(tmp_path, text))
    sentence = str(caught.value)
    assert said in sentence
    assert "tool.toml" in sentence
    assert "\n" not in sentence


def test_hooks_and_secrets_must_go_together(tmp_path: Path) -> None:
    write(tmp_path, SIGNED + WHO + EVENT)
    secret = {"tool": [SecretStr("one"), SecretStr("two")]}
    hooks = load_hooks(tmp_path, secret)
    assert hooks["tool"].keys == (b"one", b"two")
    assert hooks["tool"].source == "tool"
    assert load_hooks(None, {}) == {}
    for folder, secrets, said in (
        (tmp_path, {}, "'tool' has no secret"),
        (tmp_path, {"tool": []}, "'tool' has no secret"),
        (tmp_path, {"tool": [SecretStr("")]}, "is empty"),
        (tmp_path, {**secret, "other": [SecretStr("x")]}, "no other.toml"),
        (tmp_path / "none", {}, "is not a folder"),
        (None, secret, "SOJOURN_HOOKS_DIR is not"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            load_hooks(folder, secrets)
    write(tmp_path, SIGNED + WHO + EVENT, "Bad Name")
    with pytest.raises(ConfigurationError, match="small letters"):
        load_hooks(tmp_path, secret)


def test_no_mapping_sees_a_secret(tmp_path: Path) -> None:
    signature = '[signature]\nscheme = "hmac"\nheader = "X-Sig"\n'
    hook = read_hook(write(tmp_path, signature + WHO + EVENT))
    given = {"x-sig": "s", "authorization": "s", "cookie": "s", "x-topic": "t"}
    assert hook.visible(given) == {"x-topic": "t"}


SHIPPED: dict[str, tuple[dict[str, str], str, dict[str, str]]] = {
    "mail": (
        {},
        "email_bounced",
        {
            "email_id": "msg_0f8fad5bd9cb469fa16570867728950e",
            "bounce_type": "hard",
            "reason": "smtp;550 5.1.1 no such mailbox",
        },
    ),
    "helpdesk": ({}, "ticket_opened", {"ticket_id": "35436", "subject": "Where is my lamp?"}),
    "shop": (
        {"x-shopify-topic": "orders/create"},
        "purchase_made",
        {"order_id": "5940139491234", "cart_id": "c1-8a1f", "total": "86.40", "currency": "EUR"},
    ),
    "survey": (
        {},
        "survey_answered",
        {
            "survey": "post_purchase",
            "score": "2",
            "order_id": "o1",
            "comment": "The lamp came broken.",
        },
    ),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_examples_read_their_samples(name: str) -> None:
    headers, event_name, properties = SHIPPED[name]
    hook = read_hook(ROOT / "webhooks" / f"{name}.toml")
    sample = (ROOT / "webhooks" / "samples" / f"{name}.json").read_bytes()
    (event,) = hook.mapper.events(Delivery(headers, sample))
    assert isinstance(event, Mapped)
    assert event.name == event_name
    assert event.user_id == "ada" or event.message == properties["email_id"]
    assert properties.items() <= event.properties.items()
    assert {path.stem for path in (ROOT / "webhooks").glob("*.toml")} == set(SHIPPED)
