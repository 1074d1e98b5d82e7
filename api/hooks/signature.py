"""Whether a webhook comes from whom it should: signatures, and secrets for tools that cannot sign.

Every comparison takes the same time whatever it compares. Several secrets may hold at once,
so that one can be changed without losing a delivery.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.problems import Unauthorized

Headers = Mapping[str, str]
"""A request's headers, by name in lower case."""

_MILLISECONDS = 100_000_000_000
_PLACES = re.compile(r"\{(\w*)\}")
_STRICT = ConfigDict(extra="forbid", frozen=True)

Tolerance = Annotated[int, Field(ge=1, le=86_400)]


class Standard(BaseModel):
    """Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

    `headers = "svix"` for senders that still use the names from before the standard.
    """

    model_config = _STRICT

    scheme: Literal["standard"]
    headers: Literal["webhook", "svix"] = "webhook"
    tolerance: Tolerance = 300

    @property
    def secret_headers(self) -> frozenset[str]:
        """Headers that no mapping may see."""
        return frozenset({f"{self.headers}-signature"})

    def key(self, secret: str) -> bytes:
        """The key that a secret stands for.

        Raises:
            ValueError: it is none.
        """
        return _base64(secret.removeprefix("whsec_"))

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: datetime) -> None:
        """Check one delivery.

        Raises:
            Unauthorized: it is not signed with any of the keys, or too long ago.
        """
        said, sent, signatures = (
            _header(headers, f"{self.headers}-{part}") for part in ("id", "timestamp", "signature")
        )
        _check_time(sent, now, self.tolerance)
        signed = f"{said}.{sent}.".encode() + body
        given = [
            signature.removeprefix("v1,")
            for signature in signatures.split(" ")
            if signature.startswith("v1,")
        ]
        wanted = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
        _check(given, wanted)


class Hmac(BaseModel):
    """An HMAC in a header.

    Attributes:
        header: where the signature is.
        parameter: its name, where the header is a list such as `t=…,v1=…`.
        prefix: what stands before it, such as `sha256=`.
        signed: what is signed: `{body}`, with `{timestamp}` where there is one.
        timestamp_header: where the time of sending is.
        timestamp_parameter: its name, where it stands in the signature's list.
        tolerance: seconds that the time of sending may be away.
        key_encoding: how the secret is written.
    """

    model_config = _STRICT

    scheme: Literal["hmac"]
    header: str
    parameter: str | None = None
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: str | None = None
    timestamp_parameter: str | None = None
    tolerance: Tolerance = 300
    key_encoding: Literal["text", "hex", "base64"] = "text"

    @model_validator(mode="after")
    def _makes_sense(self) -> "Hmac":
        places = _PLACES.findall(self.signed)
        timed = self.timestamp_header is not None or self.timestamp_parameter is not None
        if places.count("body") != 1 or set(places) - {"body", "timestamp"}:
            raise ValueError("`signed` has {body} once, and may have {timestamp}")
        if ("timestamp" in places) != timed:
            raise ValueError(
                "a timestamp is signed and has a header or a parameter, or there is none"
            )
        if self.timestamp_parameter is not None and self.parameter is None:
            raise ValueError("`timestamp_parameter` needs `parameter`")
        return self

    @property
    def secret_headers(self) -> frozenset[str]:
        """Headers that no mapping may see."""
        return frozenset({self.header.lower()})

    def key(self, secret: str) -> bytes:
        """The key that a secret stands for.

        Raises:
            ValueError: it is none.
        """
        if self.key_encoding == "hex":
            return bytes.fromhex(secret)
        return _base64(secret) if self.key_encoding == "base64" else secret.encode()

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: datetime) -> None:
        """Check one delivery.

        Raises:
            Unauthorized: it is not signed with any of the keys, or too long ago.
        """
        whole = _header(headers, self.header)
        given = [whole] if self.parameter is None else _parameters(whole, self.parameter)
        sent = ""
        if self.timestamp_header is not None:
            sent = _header(headers, self.timestamp_header)
        elif self.timestamp_parameter is not None:
            sent = next(iter(_parameters(whole, self.timestamp_parameter)), "")
        if self.timestamp_header is not None or self.timestamp_parameter is not None:
            _check_time(sent, now, self.tolerance)
        before, after = self.signed.replace("{timestamp}", sent).split("{body}", 1)
        signed = before.encode() + body + after.encode()
        digests = [hmac.digest(key, signed, self.algorithm) for key in keys]
        if self.encoding == "hex":
            wanted = [self.prefix + digest.hex() for digest in digests]
            given = [self.prefix + g[len(self.prefix) :].lower() for g in given if self._ours(g)]
        else:
            wanted = [self.prefix + base64.b64encode(digest).decode() for digest in digests]
        _check(given, wanted)

    def _ours(self, signature: str) -> bool:
        return signature.startswith(self.prefix)


class Bearer(BaseModel):
    """For tools that cannot sign: a secret in a header."""

    model_config = _STRICT

    scheme: Literal["bearer"]
    header: str = "Authorization"
    prefix: str = "Bearer "

    @property
    def secret_headers(self) -> frozenset[str]:
        """Headers that no mapping may see."""
        return frozenset({self.header.lower()})

    def key(self, secret: str) -> bytes:
        """The secret itself."""
        return secret.encode()

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: datetime) -> None:
        """Check one delivery.

        Raises:
            Unauthorized: it brings none of the secrets.
        """
        del body, now
        given = _header(headers, self.header)
        _check([given], [self.prefix + key.decode() for key in keys])


class Basic(BaseModel):
    """For tools that cannot sign: HTTP Basic. The secret is `user:password`."""

    model_config = _STRICT

    scheme: Literal["basic"]

    @property
    def secret_headers(self) -> frozenset[str]:
        """Headers that no mapping may see."""
        return frozenset({"authorization"})

    def key(self, secret: str) -> bytes:
        """The user name and the password.

        Raises:
            ValueError: the secret is not `user:password`.
        """
        if ":" not in secret:
            raise ValueError("it is user:password")
        return secret.encode()

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: datetime) -> None:
        """Check one delivery.

        Raises:
            Unauthorized: it brings none of the secrets.
        """
        del body, now
        scheme, _, given = _header(headers, "Authorization").partition(" ")
        if scheme.lower() != "basic":
            raise Unauthorized("use HTTP Basic")
        _check([given.strip()], [base64.b64encode(key).decode() for key in keys])


Signature = Annotated[Standard | Hmac | Bearer | Basic, Field(discriminator="scheme")]


def _header(headers: Headers, name: str) -> str:
    value = headers.get(name.lower(), "").strip()
    if not value:
        raise Unauthorized(f"the header {name} is missing")
    return value


def _parameters(text: str, name: str) -> list[str]:
    pairs = (part.strip().partition("=") for part in text.split(","))
    return [value for key, _, value in pairs if key == name]


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not Base64: {error}") from None


def _check_time(said: str, now: datetime, tolerance: int) -> None:
    try:
        if said.isascii() and said.isdigit():
            number = int(said)
            sent = datetime.fromtimestamp(number / (1_000 if number > _MILLISECONDS else 1), UTC)
        else:
            sent = datetime.fromisoformat(said)
            sent = sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise Unauthorized("the timestamp cannot be read") from None
    if abs((now - sent).total_seconds()) > tolerance:
        raise Unauthorized(f"the timestamp is more than {tolerance} seconds away from our clock")


def _check(given: Sequence[str], wanted: Sequence[str]) -> None:
    matches = [
        hmac.compare_digest(signature.encode(), right.encode())
        for signature in given
        for right in wanted
    ]
    if not any(matches):
        raise Unauthorized("the signature does not match")
