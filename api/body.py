"""Reading bodies: counted while they stream, decoded without trust."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from api.encoding import Inflater
from domain.errors import Refused

LARGEST_EVENT = 32 * 1024
"""Bytes of one event, as Segment and RudderStack have it."""

LARGEST_BODY = 4 * 1024 * 1024 + 64 * 1024
"""Bytes of one request, inflated: RudderStack's libraries close a batch with the event that
passes 4 MB (Segment's stop at 500 KB), and what surrounds the events is counted here too."""

DEEPEST = 64
"""Levels of nesting in one event."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


async def read_body(request: Request) -> bytes:
    """The request's body, inflated where it is compressed.

    Raises:
        Refused: larger than `LARGEST_BODY`, whatever its Content-Length says; compressed in a
            way that is not understood, or not as it says; or broken off.
    """
    headers = dict(request.scope["headers"])  # to ask `request.headers` costs as much as decoding
    coding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    inflater = None if coding in {"", "identity"} else Inflater(coding, LARGEST_BODY)
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > LARGEST_BODY:
                raise _too_large()
            chunks.append(chunk if inflater is None else inflater.feed(chunk))
    except ClientDisconnect:
        raise Refused("the body broke off") from None
    if inflater is not None:
        inflater.finish()
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return body.removeprefix(_BYTE_ORDER_MARK)


def _too_large() -> Refused:
    return Refused(f"the body is larger than {LARGEST_BODY} bytes", status=413)


def decode(text: bytes, what: str = "body") -> dict[str, Any]:
    """A JSON object.

    Args:
        text: the JSON.
        what: what it is, for the error.

    Raises:
        Refused: it is not one.
    """
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the {what} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise Refused(f"the {what} must be a JSON object")
    return data


@dataclass(frozen=True, slots=True)
class Doubts:
    """Whether anything in a body may be too large, too deep or not storable: looked at once.

    What the body rules out need not be looked for in each of its events.
    """

    any: bool

    def within(self, events: Sequence[Any]) -> Self:
        """What remains of them for a few of the body's events, decoded or not."""
        if not self.any:
            return self
        try:
            return self.of(orjson.dumps(events))
        except TypeError:  # not decoded, or deeper than it goes
            return self

    @classmethod
    def of(cls, body: bytes) -> Self:
        """What the raw text leaves possible."""
        return cls(
            len(body) > LARGEST_EVENT
            or body.count(b"{") + body.count(b"[") > DEEPEST
            or b"\\u0000" in body
        )


def check_event(event: Any, doubts: Doubts, what: str = "event") -> None:
    """Check one decoded event's size, depth and characters.

    Raises:
        Refused: it is too large, too deep, or has a NUL, which PostgreSQL cannot store.
    """
    if not doubts.any:
        return
    try:
        text = orjson.dumps(event)
    except TypeError:  # it gives up at 254 levels
        raise _too_deep(what) from None
    if len(text) > LARGEST_EVENT:
        raise Refused(f"the {what} is larger than {LARGEST_EVENT} bytes", status=413)
    if text.count(b"{") + text.count(b"[") > DEEPEST and _depth(event) > DEEPEST:
        raise _too_deep(what)
    if b"\\u0000" in text and _NUL.search(text):
        raise Refused(f"the {what} has a NUL character (U+0000), which cannot be stored")


def check_depth(value: Any, what: str) -> None:
    """Check how deep something decoded is nested.

    Raises:
        Refused: deeper than `DEEPEST`.
    """
    if isinstance(value, dict | list) and _depth(value) > DEEPEST:
        raise _too_deep(what)


def _too_deep(what: str) -> Refused:
    return Refused(f"the {what} is nested more than {DEEPEST} deep")


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        following: list[Any] = []
        for part in level:
            following.extend(part.values() if isinstance(part, dict) else part)
        level = [part for part in following if isinstance(part, dict | list)]
    return deepest
