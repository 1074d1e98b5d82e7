"""Who may post: every scheme takes what is right, and nothing that was changed."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from standardwebhooks.webhooks import Webhook

from api.hooks.signature import Signature
from api.problems import Unauthorized

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = b'{"a":1}'
NEW, OLD = "whsec_" + base64.b64encode(b"n" * 24).decode(), base64.b64encode(b"o" * 24).decode()


def scheme(**fields: Any) -> Signature:
    made: Signature = TypeAdapter(Signature).validate_python(fields)
    return made


def verify(
    signature: Signature,
    headers: dict[str, str],
    *secrets: str,
    body: bytes = BODY,
    now: datetime = NOW,
) -> None:
    lower = {name.lower(): value for name, value in headers.items()}
    signature.verify(lower, body, [signature.key(secret) for secret in secrets], now)


def refused(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(Unauthorized) as caught:
        verify(*args, **kwargs)
    assert caught.value.status == 401
    return caught.value.detail


def signed(secret: str, at: datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    """As the stock library signs."""
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode()),
    }


STANDARD = scheme(scheme="standard")


def test_what_the_stock_library_signs_is_taken() -> None:
    verify(STANDARD, signed(NEW), NEW)
    verify(STANDARD, signed(NEW), NEW.removeprefix("whsec_"))


def test_while_a_secret_changes_either_side_may_be_first() -> None:
    both = signed(NEW)
    both["webhook-signature"] += " " + signed(OLD)["webhook-signature"]
    verify(STANDARD, signed(OLD), NEW, OLD)
    verify(STANDARD, both, OLD)
    verify(STANDARD, {**both, "webhook-signature": "v1a,xyz " + both["webhook-signature"]}, NEW)
    assert "does not match" in refused(STANDARD, signed(OLD), NEW)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "nonsense"},
        {"webhook-signature": signed(NEW)["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": "v1,ümlaut"},
    ],
)
def test_what_was_changed_is_refused(change: dict[str, str]) -> None:
    assert refused(STANDARD, {**signed(NEW), **change}, NEW) == "the signature does not match"


def test_another_body_is_refused() -> None:
    assert "does not match" in refused(STANDARD, signed(NEW), NEW, body=BODY + b" ")


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(header: str) -> None:
    headers = signed(NEW)
    del headers[header]
    assert header in refused(STANDARD, headers, NEW)
    assert header in refused(STANDARD, {**headers, header: " "}, NEW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_delivery_of_another_time_is_refused(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    assert "300 seconds" in refused(STANDARD, signed(NEW, at), NEW)
    verify(scheme(scheme="standard", tolerance=400), signed(NEW, at), NEW)
    verify(STANDARD, signed(NEW, NOW - timedelta(seconds=300)), NEW)


@pytest.mark.parametrize("said", ["soon", "", "-1", "1e400", "9" * 400, "²"])
def test_a_timestamp_that_is_none_is_refused(said: str) -> None:
    assert refused(STANDARD, {**signed(NEW), "webhook-timestamp": said}, NEW)


def test_the_names_from_before_the_standard_are_taken_where_the_file_says_so() -> None:
    old = {name.replace("webhook", "svix"): value for name, value in signed(NEW).items()}
    verify(scheme(scheme="standard", headers="svix"), old, NEW)
    assert "webhook-id" in refused(STANDARD, old, NEW)


def digest(text: bytes, algorithm: str = "sha256", secret: bytes = b"s3cret") -> bytes:
    return hmac.new(secret, text, algorithm).digest()


HEX = digest(BODY).hex()
UNIX = str(int(NOW.timestamp()))


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {"X-Sig": HEX}),
        ({}, {"X-Sig": HEX.upper()}),
        ({"prefix": "sha256="}, {"X-Sig": "sha256=" + HEX}),
        (
            {"algorithm": "sha1", "encoding": "base64"},
            {"X-Sig": base64.b64encode(digest(BODY, "sha1")).decode()},
        ),
        ({"algorithm": "sha512"}, {"X-Sig": digest(BODY, "sha512").hex()}),
        (
            {"signed": "{timestamp}.{body}", "timestamp_header": "X-Time"},
            {"X-Sig": digest(f"{UNIX}.".encode() + BODY).hex(), "X-Time": UNIX},
        ),
        (
            {"signed": "{timestamp}{body}", "timestamp_header": "X-Time", "encoding": "base64"},
            {
                "X-Sig": base64.b64encode(digest(b"2026-03-01T12:00:00Z" + BODY)).decode(),
                "X-Time": "2026-03-01T12:00:00Z",
            },
        ),
        (
            {"signed": "v0:{timestamp}:{body}", "timestamp_header": "X-Time", "prefix": "v0="},
            {"X-Sig": "v0=" + digest(f"v0:{UNIX}:".encode() + BODY).hex(), "X-Time": UNIX},
        ),
        (
            {"parameter": "v1", "timestamp_parameter": "t", "signed": "{timestamp}.{body}"},
            {"X-Sig": f"t={UNIX},v1=00,v1={digest(f'{UNIX}.'.encode() + BODY).hex()},v0=x"},
        ),
        (
            {"signed": "{timestamp}.{body}", "timestamp_header": "X-Time"},
            {"X-Sig": digest(f"{UNIX}000.".encode() + BODY).hex(), "X-Time": f"{UNIX}000"},
        ),
    ],
)
def test_every_usual_way_to_sign_can_be_described(
    fields: dict[str, Any], headers: dict[str, str]
) -> None:
    signature = scheme(scheme="hmac", header="X-Sig", **fields)
    verify(signature, headers, "s3cret")
    verify(signature, headers, "another", "s3cret")
    assert "does not match" in refused(signature, headers, "another")
    assert "does not match" in refused(signature, headers, "s3cret", body=BODY + b"\n")
    assert "missing" in refused(signature, {}, "s3cret")
    late = NOW + timedelta(minutes=6)
    if "timestamp" in fields.get("signed", ""):
        assert "seconds away" in refused(signature, headers, "s3cret", now=late)
    else:
        verify(signature, headers, "s3cret", now=late)


def test_a_list_without_its_parameters_is_refused() -> None:
    fields = {"parameter": "v1", "timestamp_parameter": "t", "signed": "{timestamp}.{body}"}
    signature = scheme(scheme="hmac", header="X-Sig", **fields)
    assert refused(signature, {"X-Sig": HEX}, "s3cret")
    assert refused(signature, {"X-Sig": f"t={UNIX}"}, "s3cret")


@pytest.mark.parametrize(
    ("encoding", "secret"), [("text", "s3cret"), ("hex", b"s3cret".hex()), ("base64", "czNjcmV0")]
)
def test_a_secret_may_be_written_in_several_ways(encoding: str, secret: str) -> None:
    verify(scheme(scheme="hmac", header="X-Sig", key_encoding=encoding), {"X-Sig": HEX}, secret)


def test_a_tool_that_cannot_sign_brings_a_secret() -> None:
    bearer = scheme(scheme="bearer")
    verify(bearer, {"Authorization": "Bearer one"}, "two", "one")
    assert refused(bearer, {"Authorization": "Bearer on"}, "one")
    assert refused(bearer, {"Authorization": "Basic one"}, "one")
    own = scheme(scheme="bearer", header="X-Api-Key", prefix="")
    verify(own, {"X-Api-Key": "one"}, "one")
    assert "X-Api-Key" in refused(own, {}, "one")
    basic = scheme(scheme="basic")
    token = base64.b64encode(b"shop:p:w").decode()
    verify(basic, {"Authorization": f"Basic {token}"}, "shop:p:w")
    verify(basic, {"Authorization": f"basic {token}"}, "x:y", "shop:p:w")
    assert refused(basic, {"Authorization": f"Basic {token}x"}, "shop:p:w")
    assert "Basic" in refused(basic, {"Authorization": "Bearer x"}, "shop:p:w")


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({"scheme": "standard"}, "whsec_%%%"),
        ({"scheme": "basic"}, "nocolon"),
        ({"scheme": "hmac", "header": "X", "key_encoding": "hex"}, "zz"),
        ({"scheme": "hmac", "header": "X", "key_encoding": "base64"}, "%"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_at_the_start(
    fields: dict[str, Any], secret: str
) -> None:
    with pytest.raises(ValueError, match=r"."):
        scheme(**fields).key(secret)


@pytest.mark.parametrize(
    "fields",
    [
        {"scheme": "none"},
        {"scheme": "standard", "tolerance": 0},
        {"scheme": "hmac"},
        {"scheme": "hmac", "header": "X", "signed": "{timestamp}.{body}"},
        {"scheme": "hmac", "header": "X", "timestamp_header": "T"},
        {"scheme": "hmac", "header": "X", "signed": "nothing"},
        {"scheme": "hmac", "header": "X", "signed": "{body}{body}"},
        {"scheme": "hmac", "header": "X", "signed": "{url}{body}"},
        {"scheme": "hmac", "header": "X", "algorithm": "md5"},
        {"scheme": "hmac", "header": "X", "secret": "in the file"},
        {
            "scheme": "hmac",
            "header": "X",
            "timestamp_parameter": "t",
            "signed": "{timestamp}{body}",
        },
    ],
)
def test_a_signature_that_protects_nothing_is_none(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        scheme(**fields)


def test_a_secret_is_compared_as_a_whole() -> None:
    # `compare_digest` of texts refuses letters beyond ASCII; bytes it takes as they are.
    bearer = scheme(scheme="bearer")
    verify(bearer, {"Authorization": "Bearer schlüssel"}, "schlüssel")
