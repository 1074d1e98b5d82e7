"""Reading bodies: counted while they stream, decoded without trust."""

import re
from typing import Any

import orjson
from fastapi import Request

from domain.errors import Refused

LARGEST_EVENT = 32 * 1024
"""Bytes of one event, as Segment has it."""

LARGEST_BODY = 500 * 1024
"""Bytes of one request, as Segment has it."""

DEEPEST = 64
"""Levels of nesting in one event."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_STRUCTURE = re.compile(rb'["{}\[\],]|\\.', re.DOTALL)


async def read_body(request: Request) -> bytes:
    """The request's body.

    Raises:
        Refused: larger than `LARGEST_BODY`, whatever its Content-Length says; or compressed.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise Refused(f"content encoding {encoding[:20]!r} is not understood", status=415)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY:
            raise _too_large()
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large() -> Refused:
    return Refused(f"the body is larger than {LARGEST_BODY} bytes", status=413)


def decode(body: bytes) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        Refused: it is not one.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise Refused("the body must be a JSON object")
    return data


def check_item(item: Any, body: bytes) -> None:
    """Check one event's size, depth and characters; cheap where the body rules trouble out.

    Args:
        item: the decoded event.
        body: the request's body, or the event's part of it.

    Raises:
        Refused: it is too large, too deep, or has a NUL, which PostgreSQL cannot store.
    """
    if len(body) > LARGEST_EVENT and len(orjson.dumps(item)) > LARGEST_EVENT:
        raise Refused(f"the event is larger than {LARGEST_EVENT} bytes", status=413)
    if body.count(b"{") + body.count(b"[") > DEEPEST and _depth(item) > DEEPEST:
        raise Refused(f"the event is nested more than {DEEPEST} deep")
    if b"\\u0000" in body and _NUL.search(orjson.dumps(item).decode()):
        raise Refused("the event has a NUL character (U+0000), which cannot be stored")


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        if deepest > DEEPEST:
            break
        following: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                following.extend(part.values())
            elif isinstance(part, list):
                following.extend(part)
        level = [part for part in following if isinstance(part, dict | list)]
    return deepest


def salvage_batch(body: bytes) -> tuple[dict[str, Any], list[bytes]] | None:
    """Take a batch apart that does not decode as a whole, so that one bad item costs only itself.

    Follows strings and brackets only; each part is decoded on its own by the caller.

    Returns:
        The batch's other fields (those that decode), and the raw text of each item; None
        where this is not recognisable as an object with a `batch` array.
    """
    start = re.match(rb"\s*\{", body)
    if start is None:
        return None
    fields = _members(body, start.end(), b"}")
    if fields is None:
        return None
    rest: dict[str, Any] = {}
    items: list[bytes] | None = None
    for member in fields:
        name, _, value = member.partition(b":")
        if name.strip() == b'"batch"':
            opening = re.match(rb"\s*\[", value)
            items = _members(value, opening.end(), b"]") if opening else None
            continue
        try:
            rest[orjson.loads(name)] = orjson.loads(value)
        except (orjson.JSONDecodeError, TypeError):
            continue
    return None if items is None else (rest, items)


def _members(text: bytes, start: int, closing: bytes) -> list[bytes] | None:
    """The members of the object or array that begins before `start`, as raw text."""
    members: list[bytes] = []
    depth, in_string, begin = 0, False, start
    for match in _STRUCTURE.finditer(text, start):
        token = match[0]
        if token == b'"':
            in_string = not in_string
        elif in_string or token[:1] == b"\\":
            continue
        elif token in b"{[":
            depth += 1
        elif token == b"," and depth == 0:
            members.append(text[begin : match.start()])
            begin = match.end()
        elif token in b"}]":
            if depth == 0:
                if token != closing:
                    return None
                last = text[begin : match.start()]
                if last.strip() or members:
                    members.append(last)
                return members
            depth -= 1
    return None
