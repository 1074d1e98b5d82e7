"""Reading several items at once, each on its own, so that a bad one costs only itself."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from api.body import Doubts, check_event, decode
from api.intake import Rejection
from api.salvage import salvage_array, salvage_batch
from api.segment import Post, SegmentReader
from domain.errors import Refused
from infra.database.accept import Incoming

_MOST_ITEMS = 5_000
_TOGETHER = 8  # events that are looked at together: so many ordinary ones leave no doubt


Taken = tuple[Mapping[str, Any], Sequence[Any]]
"""A body's fields, and a batch's items: raw text each where it did not decode as a whole."""


async def take_apart(body: bytes) -> Taken:
    """A batch's fields and its items.

    Raises:
        Refused: it is no batch, or has too many items.
    """
    fields: Mapping[str, Any]
    items: Any
    try:
        fields = decode(body)
    except Refused:
        # Looking for the end of what is broken takes long: others go on meanwhile.
        salvaged = await asyncio.to_thread(salvage_batch, body)
        if salvaged is None:
            raise
        fields, items = salvaged
    else:
        items = fields.get("batch")
        if not isinstance(items, list):
            raise Refused("batch must be an array of calls", field="batch")
    if len(items) > _MOST_ITEMS:
        raise Refused(f"more than {_MOST_ITEMS} calls in one batch", status=413, field="batch")
    return fields, items


async def take_array_apart(body: bytes) -> Sequence[Any]:
    """An array's items; raw text each where the array as a whole is not JSON.

    Raises:
        Refused: it is no array, or has too many items.
    """
    items: Any
    try:
        items = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        items = await asyncio.to_thread(salvage_array, body)
        if items is None:
            raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(items, list):
        raise Refused("the body must be an array of events")
    if len(items) > _MOST_ITEMS:
        raise Refused(f"more than {_MOST_ITEMS} events in one batch", status=413)
    return items


async def read_items(
    reader: SegmentReader, items: Sequence[Any], doubts: Doubts, post: Post, body: bytes
) -> list[Incoming | Rejection]:
    """Read the items of a batch of Segment's; arguments as `read_each`."""

    def split() -> Sequence[bytes]:
        salvaged = salvage_batch(body)
        return salvaged[1] if salvaged is not None else ()

    def read(item: Any) -> Incoming:
        return reader.read(None, item, post)

    return await read_each(items, doubts, read, split, message_id)


async def read_each(
    items: Sequence[Any],
    doubts: Doubts,
    read: Callable[[Any], Incoming],
    split: Callable[[], Sequence[bytes]],
    named: Callable[[Any], str | None],
) -> list[Incoming | Rejection]:
    """Read items, each on its own.

    Args:
        items: decoded; as raw text where the body did not decode as a whole.
        doubts: what the body leaves possible.
        read: reads one.
        split: the raw text of every item, asked for only where one is rejected.
        named: the source's own id of an item.
    """
    done: list[Incoming | Rejection] = []
    raw: Sequence[bytes] | None = None
    for index, item in enumerate(items):
        if index % _TOGETHER == 0:
            remaining = doubts.within(items[index : index + _TOGETHER])
        decoded = item
        try:
            if isinstance(item, bytes):
                decoded = decode(item, "event")
            check_event(decoded, Doubts.of(item) if isinstance(item, bytes) else remaining)
            done.append(read(decoded))
        except Refused as error:
            if raw is None:  # finding the items in a large text takes long: others go on meanwhile
                raw = await asyncio.to_thread(split)
            text = raw[index].strip() if index < len(raw) else b""
            done.append(Rejection(error, text, named(decoded)))
    return done


def message_id(call: Any) -> str | None:
    """The source's own id of a call of Segment's, where it can be read."""
    found = call.get("messageId") if isinstance(call, Mapping) else None
    return found if isinstance(found, str) else None
