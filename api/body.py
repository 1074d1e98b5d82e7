"""Reading bodies: counted while they stream, decoded without trust."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from domain.errors import Refused

LARGEST_EVENT = 32 * 1024
"""Bytes of one event, as Segment has it."""

LARGEST_BODY = 500 * 1024
"""Bytes of one request, as Segment has it."""

DEEPEST = 64
"""Levels of nesting in one event."""

_MOST_BRACKETS = 100_000

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STRUCTURE = re.compile(rb'["{}\[\],]|\\.', re.DOTALL)


async def read_body(request: Request) -> bytes:
    """The request's body.

    Raises:
        Refused: larger than `LARGEST_BODY`, whatever its Content-Length says; or compressed;
            or broken off.
    """
    headers = dict(request.scope["headers"])  # to ask `request.headers` costs as much as decoding
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").lower()
    if encoding != "identity":
        raise Refused(f"content encoding {encoding[:20]!r} is not understood", status=415)
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
            chunks.append(chunk)
    except ClientDisconnect:
        raise Refused("the body broke off") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


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


def salvage_batch(body: bytes) -> tuple[dict[str, Any], list[bytes]] | None:
    """Take a batch apart that does not decode as a whole, so that one bad item costs only itself.

    Follows strings and brackets only; each part is decoded on its own by the caller.

    Returns:
        The batch's other fields (those that decode), and the raw text of each item; None
        where this is not recognisable as an object with a `batch` array.
    """
    members = _only(body, b"{", b"}")
    if members is None:
        return None
    rest: dict[str, Any] = {}
    items: list[bytes] | None = None
    for member in members:
        name, _, value = member.partition(b":")
        if name.strip() == b'"batch"':
            items = _only(value, b"[", b"]")
            continue
        try:
            rest[orjson.loads(name)] = orjson.loads(value)
        except (orjson.JSONDecodeError, TypeError):
            continue
    return None if items is None else (rest, items)


def _only(text: bytes, opening: bytes, closing: bytes) -> list[bytes] | None:
    """The members of the one object or array that the text is, as raw text, else None."""
    text = text.strip()
    if text[:1] != opening:
        return None
    members: list[bytes] = []
    depth, begin = 0, 1
    for count, match in enumerate(_brackets(text, 1)):
        if count > _MOST_BRACKETS:
            return None  # made to keep us busy
        token = match[0]
        if token in b"{[":
            depth += 1
        elif token in b"}]" and depth:
            depth -= 1
        elif depth == 0:
            member = text[begin : match.start()]
            begin = match.end()
            if token == b"," or members or member.strip():
                members.append(member)
            if token != b",":
                # What follows the end would be lost without a word.
                return members if token == closing and begin == len(text) else None
    return None


def _brackets(text: bytes, start: int) -> Iterator[re.Match[bytes]]:
    """Brackets and commas outside strings."""
    in_string = False
    for match in _STRUCTURE.finditer(text, start):
        if match[0] == b'"':
            in_string = not in_string
        elif not in_string and not match[0].startswith(b"\\"):
            yield match
