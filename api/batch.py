"""Reading a batch of Segment's, each of its items on its own."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from api.body import Doubts, check_event, decode
from api.intake import Rejection
from api.salvage import salvage_batch
from api.segment import Post, SegmentReader
from domain.errors import Refused
from infra.database.accept import Incoming

_MOST_ITEMS = 5_000


Taken = tuple[Mapping[str, Any], Sequence[Any]]
"""A body's fields, and a batch's items: raw text each where it did not decode as a whole."""


async def take_apart(body: bytes) -> Taken:
    """A batch's fields and its items.

    Raises:
        Refused: it is not a batch, or too long a one.
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


def read_items(
    reader: SegmentReader, items: Sequence[Any], doubts: Doubts, post: Post, body: bytes
) -> list[Incoming | Rejection]:
    """Read a batch's items, each on its own.

    Args:
        reader: reads one.
        items: decoded; as raw text where the batch did not decode as a whole.
        doubts: what the body leaves possible.
        post: the circumstances.
        body: the batch as it came.
    """
    read: list[Incoming | Rejection] = []
    raw: Sequence[bytes] | None = None
    for index, item in enumerate(items):
        call = item
        try:
            if isinstance(item, bytes):
                doubts = Doubts.of(item)
                call = decode(item, "event")
            check_event(call, doubts)
            read.append(reader.read(None, call, post))
        except Refused as error:
            if raw is None:
                salvaged = salvage_batch(body)
                raw = salvaged[1] if salvaged is not None else ()
            text = raw[index].strip() if index < len(raw) else b""
            read.append(Rejection(error, text, message_id(call)))
    return read


def message_id(call: Any) -> str | None:
    """The source's own id of a call, where it can be read."""
    found = call.get("messageId") if isinstance(call, Mapping) else None
    return found if isinstance(found, str) else None
