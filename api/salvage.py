"""Taking a batch apart that does not decode as a whole, so that one bad item costs only itself."""

import re
from itertools import islice

import orjson

_MOST_TOKENS = 500_000

# One match a bracket or comma; the engine itself passes over what lies between, strings as a
# whole. It never goes back, and finds something at every start (at last the end, or the quote
# of a string without one), so that no text takes longer than its length.
_TOKEN = re.compile(rb'(?:[^"{}\[\],]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([{}\[\],"]|\Z)', re.DOTALL)


def salvage_batch(body: bytes) -> tuple[dict[str, object], list[bytes]] | None:
    """Take a batch apart by its strings and brackets only; the caller decodes each part.

    Returns:
        The batch's other fields (those that decode), and the raw text of each item; None
        where this is not recognisable as an object with a `batch` array.
    """
    members = _only(body, b"{", b"}")
    if members is None:
        return None
    rest: dict[str, object] = {}
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


def salvage_array(body: bytes) -> list[bytes] | None:
    """As `salvage_batch`, of an array: the raw text of each item, or None where it is none."""
    return _only(body, b"[", b"]")


def _only(text: bytes, opening: bytes, closing: bytes) -> list[bytes] | None:
    """The members of the one object or array that the text is, as raw text, else None."""
    text = text.strip()
    if text[:1] != opening:
        return None
    members: list[bytes] = []
    depth, begin = 0, 1
    for match in islice(_TOKEN.finditer(text, 1), _MOST_TOKENS):
        token = match[1]
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"", b'"'):
            return None
        elif depth:
            depth -= token != b","
        else:
            member = text[begin : match.end() - 1]
            begin = match.end()
            if token == b"," or members or member.strip():
                members.append(member)
            if token != b",":
                # What follows the end would be lost without a word.
                return members if token == closing and begin == len(text) else None
    return None  # made to keep us busy
