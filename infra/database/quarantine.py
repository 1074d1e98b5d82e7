"""Quarantine: what could not be taken, kept until somebody has looked at it.

Nothing here is on the way of a good event. An item that is sent again and rejected again is
one row, so that a client that never gives up fills nothing.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import asyncpg
import orjson
import structlog

from domain.errors import Unavailable
from infra.database.pool import UNREACHABLE, Pool

_log = structlog.get_logger()

LONGEST = 5_000_000
"""Bytes kept of one item, more than a door reads; of a longer one the beginning, marked as cut."""

_LONGEST_TEXT = 1_000
_TIDY_EVERY = 3_600.0
_OFTEN = 10
"""Tidied up whenever this part of a source's share has come in since."""
_ROW = 512
"""About what a row takes beside its body, in bytes."""

State = Literal["waiting", "replayed"]


@dataclass(frozen=True, slots=True)
class Rejected:
    """One item on its way into quarantine.

    Attributes:
        source_id: whose key it came with.
        door: what read it, such as `segment:track`.
        envelope: what else the door needs to read it again.
        body: the item as it came.
        reason: why it was rejected.
        field: the offending field, where there is one.
        message_id: the source's own id of it, where it could be read.
        received_at: when it came.
    """

    source_id: int
    door: str
    envelope: Mapping[str, Any]
    body: bytes
    reason: str
    field: str | None
    message_id: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """One item in quarantine.

    Attributes:
        truncated: the body is only the beginning of what came.
        times: how often the very same was sent and rejected.
        received_at: when it came first.
        last_at: when it came last.
        edited_at: when somebody changed the body.
        replayed_at: when it was accepted after all.
    """

    id: int
    source_id: int
    source: str
    door: str
    envelope: dict[str, Any] = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool
    size: int
    reason: str
    field: str | None
    message_id: str | None
    times: int
    received_at: datetime
    last_at: datetime
    edited_at: datetime | None
    replayed_at: datetime | None

    @property
    def state(self) -> State:
        """Whether it still waits for somebody."""
        return "waiting" if self.replayed_at is None else "replayed"


_KEEP = """
insert into quarantine as q (
    source_id, digest, door, envelope, body, truncated, reason, field, message_id, times,
    received_at, last_at)
select source_id, digest, door, envelope::jsonb, body, truncated, reason, field, message_id,
    times, received_at, received_at
from unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::boolean[],
        $7::text[], $8::text[], $9::text[], $10::bigint[], $11::timestamptz[])
    x (source_id, digest, door, envelope, body, truncated, reason, field, message_id, times,
        received_at)
order by source_id, digest
on conflict (source_id, digest) do update
    set times = q.times + excluded.times, last_at = excluded.last_at
"""

_ALL = """
select q.id, q.source_id, s.name as source, q.door, q.envelope, {body} as body, q.truncated,
    octet_length(q.body) as size, q.reason, q.field, q.message_id, q.times, q.received_at,
    q.last_at, q.edited_at, q.replayed_at
from quarantine q join source s on s.id = q.source_id
"""
_ONE = _ALL.format(body="q.body") + "where q.id = $1"
_PAGE = (
    _ALL.format(body="''::bytea")
    + """
where ($1::text is null or s.name = $1)
    and ($2::text is null or $2 in (q.door, split_part(q.door, ':', 1)))
    and ($3::text is null or ($3 = 'waiting') = (q.replayed_at is null))
    and ($4::bigint is null or q.id < $4)
order by q.id desc limit $5
"""
)
_WAITING = """
select q.id from quarantine q join source s on s.id = q.source_id
where q.replayed_at is null and ($1::text is null or s.name = $1)
    and ($2::text is null or $2 in (q.door, split_part(q.door, ':', 1))) and q.id > $3
order by q.id limit $4
"""

_TIDY = """
delete from quarantine where received_at < now() - $1::interval or id in (
    select id from (
        select id, sum(octet_length(body) + $3::bigint)
            over (partition by source_id order by id desc) as size
        from quarantine) sized
    where size > $2)
"""


class Quarantine:
    """Where rejected items are kept.

    Args:
        pool: the database.
        keep_for: how long an item is kept, replayed or not.
        most_bytes: how much is kept of one source; the oldest items go first.
    """

    def __init__(self, pool: Pool, keep_for: timedelta, most_bytes: int) -> None:
        self._pool = pool
        self._keep_for = keep_for
        self._most_bytes = most_bytes
        self._since_tidied = 0

    async def keep(self, items: Sequence[Rejected]) -> None:
        """Keep rejected items; the same item again only counts.

        Raises:
            Unavailable: the database does not take them now.
        """
        once: dict[tuple[int, bytes], list[Any]] = {}
        for item in items:
            digest = hashlib.sha256(item.door.encode() + b"\0" + item.body).digest()
            row = once.setdefault((item.source_id, digest), [*_row(item, digest)])
            row[9] += 1
        if not once:
            return
        try:
            await self._pool.execute(_KEEP, *map(list, zip(*once.values(), strict=True)))
        except (*UNREACHABLE, asyncpg.InsufficientResourcesError) as error:
            raise Unavailable("PostgreSQL does not answer") from error
        except (asyncpg.OperatorInterventionError, asyncpg.ReadOnlySQLTransactionError) as error:
            raise Unavailable("PostgreSQL does not take anything now") from error
        self._since_tidied += sum(len(row[4]) + _ROW for row in once.values())
        if self._since_tidied >= self._most_bytes // _OFTEN:
            await self.tidy()

    async def run(self) -> None:
        """Tidy up every hour, until cancelled."""
        while True:
            await asyncio.sleep(_TIDY_EVERY)
            try:
                await self.tidy()
            except UNREACHABLE as error:
                _log.warning("could not tidy the quarantine", error=str(error))

    async def tidy(self) -> int:
        """Forget what is too old, and the oldest of a source that has too much."""
        self._since_tidied = 0
        done: str = await self._pool.execute(_TIDY, self._keep_for, self._most_bytes, _ROW)
        gone = int(done.rpartition(" ")[2])
        if gone:
            _log.info("forgot quarantined items", count=gone)
        return gone

    async def page(
        self,
        *,
        source: str | None = None,
        door: str | None = None,
        state: State | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Kept]:
        """Items, newest first, without their bodies."""
        rows = await self._pool.fetch(_PAGE, source, door, state, before, limit)
        return [Kept(**row) for row in rows]

    async def waiting(
        self, *, source: str | None = None, door: str | None = None, after: int = 0, limit: int
    ) -> list[int]:
        """The ids of items that wait, oldest first."""
        rows = await self._pool.fetch(_WAITING, source, door, after, limit)
        return [row["id"] for row in rows]

    async def get(self, item_id: int) -> Kept | None:
        """One item with its body, or None."""
        row = await self._pool.fetchrow(_ONE, item_id)
        return None if row is None else Kept(**row)

    async def edit(self, item_id: int, body: bytes) -> bool:
        """Replace an item's body. Returns whether there is such an item that waits."""
        done: str = await self._pool.execute(
            "update quarantine set body = $2, truncated = false, edited_at = now()"
            " where id = $1 and replayed_at is null",
            item_id,
            body,
        )
        return done == "UPDATE 1"

    async def settle(
        self, item_id: int, reason: str | None = None, field: str | None = None
    ) -> None:
        """Note what a replay came to: accepted after all, or rejected again for a reason."""
        if reason is None:
            await self._pool.execute(
                "update quarantine set replayed_at = coalesce(replayed_at, now()) where id = $1",
                item_id,
            )
        else:
            await self._pool.execute(
                "update quarantine set reason = $2, field = $3 where id = $1",
                item_id,
                _storable(reason),
                field and _storable(field),
            )

    async def delete(self, item_id: int) -> bool:
        """Forget an item. Returns whether there was one."""
        done: str = await self._pool.execute("delete from quarantine where id = $1", item_id)
        return done == "DELETE 1"


def _row(item: Rejected, digest: bytes) -> tuple[Any, ...]:
    return (
        item.source_id,
        digest,
        item.door,
        orjson.dumps(item.envelope).replace(b"\\u0000", b"\\ufffd").decode(),
        item.body[:LONGEST],
        len(item.body) > LONGEST,
        _storable(item.reason),
        item.field and _storable(item.field),
        item.message_id and _storable(item.message_id),
        0,
        item.received_at,
    )


def _storable(text: str) -> str:
    """A text about bad input may quote it: no NUL, nothing endless."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST_TEXT]
