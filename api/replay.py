"""Taking quarantined items after all: read again by their door, accepted like any other."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.admission import Admission
from api.batch import read_items, take_apart
from api.body import Doubts, check_event, decode
from api.cloudevents import CloudEventReader, read_batch
from api.hooks import Delivery, Hook, HookReader
from api.intake import Rejection, receipts
from api.segment import Post, SegmentReader, read_post
from domain.errors import Refused
from infra.database.accept import Acceptor, Incoming
from infra.database.grants import Grant
from infra.database.quarantine import Kept, Quarantine

Read = Sequence[Incoming | Rejection]

ReadAgain = Callable[[Kept], Awaitable[Read]]
"""Reads an item as its door did.

Raises:
    Refused: the body as a whole cannot be read.
"""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to: accepted as a whole or not, and a receipt for each event in it."""

    done: bool
    receipts: list[dict[str, Any]]


class Replayer:
    """Replays quarantined items.

    Args:
        doors: how each door reads an item again, by its name up to a colon.
        find: finds whom what was read is about; see `Intake.find`.
        admission: says not now.
        acceptor: takes what was read.
        quarantine: where the items are.
    """

    def __init__(
        self,
        doors: Mapping[str, ReadAgain],
        find: Callable[[Read], Awaitable[Read]],
        admission: Admission,
        acceptor: Acceptor,
        quarantine: Quarantine,
    ) -> None:
        self._doors = doors
        self._find = find
        self._admission = admission
        self._acceptor = acceptor
        self._quarantine = quarantine

    async def read(self, kept: Kept) -> Read:
        """Read an item again, changing nothing."""
        try:
            if kept.truncated:
                raise Refused("only the beginning of the item was kept: put a whole one first")
            door = self._doors.get(kept.door.partition(":")[0])
            if door is None:
                raise Refused(f"nothing here reads what came by {kept.door!r}")
            read = await door(kept)
        except Refused as error:
            read = [Rejection(error, kept.body, kept.message_id)]
        return await self._find(read)

    async def replay(self, kept: Kept, grant: Grant | None = None) -> Replayed:
        """Accept an item after all; what is still wrong with it is noted.

        Its events have the message ids that they would have had at first, so what was
        accepted meanwhile, or by a replay that broke off, counts once. They are acknowledged
        now; when they happened is still judged by when they came. Here too no journey begins
        while too much waits.

        Args:
            kept: the item.
            grant: of the key whose events these count as; None: whoever runs this, without limit.

        Raises:
            NotNow: not at the moment; the item waits as before.
            Unavailable: the database does not answer.
        """
        read = await self.read(kept)
        if grant is not None:
            self._admission.events(grant, len(read))
        now = datetime.now(UTC)
        good = [item._replace(received_at=now) for item in read if isinstance(item, Incoming)]
        given = receipts(read, await self._acceptor.accept(good))
        wrong = next((item.error for item in read if isinstance(item, Rejection)), None)
        if wrong is None:
            await self._quarantine.settle(kept.id)
        elif kept.replayed_at is None:
            await self._quarantine.settle(kept.id, wrong.reason, wrong.field)
        return Replayed(wrong is None, given)


def segment_again(reader: SegmentReader) -> ReadAgain:
    """How `/v1/…` reads an item again."""

    async def again(kept: Kept) -> Read:
        kind = kept.door.partition(":")[2] or None  # an item of a batch says itself what it is
        if kind == "batch":
            fields, items = await take_apart(kept.body)
            doubts = Doubts.of(kept.body)
            post, _ = read_post(kept.source_id, kept.received_at, fields, doubts)
            return await read_items(reader, items, doubts, post, kept.body)
        item = decode(kept.body, "event")
        check_event(item, Doubts.of(kept.body))
        if item.get("messageId") is None:
            item["messageId"] = stable_id(kept)
        post, _ = read_post(kept.source_id, kept.received_at, _fields(kept), Doubts.of(b""))
        return [reader.read(kind, item, post)]

    return again


def webhook_again(hooks: Mapping[str, Hook], reader: HookReader) -> ReadAgain:
    """How `/webhooks/…` reads a payload again, by the file as it is now."""

    async def again(kept: Kept) -> Read:
        hook = hooks.get(kept.door.partition(":")[2])
        if hook is None:
            raise Refused(f"there is no hook any more that reads what came by {kept.door!r}")
        delivery = Delivery(kept.envelope.get("headers", {}), kept.body)
        return await reader.read(hook, delivery, Post(kept.source_id, kept.received_at))

    return again


def cloudevents_again(reader: CloudEventReader) -> ReadAgain:
    """How `/events` reads an item again."""

    async def again(kept: Kept) -> Read:
        post = Post(kept.source_id, kept.received_at)
        if kept.door.endswith(":batch"):
            return await read_batch(reader, kept.body, post)
        event = decode(kept.body, "event")
        check_event(event, Doubts.of(kept.body))
        return [reader.read(event, post)]

    return again


def stable_id(kept: Kept) -> str:
    """The message id of an item that came without one: the same at every replay."""
    return f"quarantine-{kept.id}"


def _fields(kept: Kept) -> dict[str, Any]:
    said = {"sentAt": kept.envelope.get("sent_at"), "context": kept.envelope.get("context")}
    return {name: value for name, value in said.items() if value is not None}
