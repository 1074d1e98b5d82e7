"""The backfill: computes traits and segments from the history, while events go on coming in.

A customer at a time counts as done, in the order of ids, and is done by *replacing* what was
kept. The history is read first without any lock, however long it is; then, under the
customer's lock, only what was accepted since, and both are written. Whoever adds to a computed
trait holds that lock from before its event is stored until it is committed, so an event is
either in what was read or added afterwards: never neither, never both.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import structlog

from domain.audiences import Summary
from domain.errors import ConfigurationError, Refused
from domain.events import Occurrence, event_type
from infra.database.audiences import AudienceKeeper, register
from infra.database.pool import Connection, Pool

_log = structlog.get_logger()

_AT_ONCE = 200
_FETCH = 2_000
_TRIES = 5
_LONGEST_WAIT = 600  # looks, for a transaction that somebody left open
_MARGIN = timedelta(days=1)
_ONE_AT_A_TIME = 0x50_4A_41_46

_NEXT = "select id from customer where id > $1 order by id limit $2"

_REFILL = "select customer_id from refill order by customer_id limit $1"

_LOCK = "select id from customer where id = any ($1) order by id for no key update"

_STILL = "select distinct customer_id from history_ids($1)"

_MERGED = "delete from refill where customer_id = any ($1) returning customer_id"

# Names as `canonical_name` has them: what was stored before its type was declared has the name
# that its sender gave it. One look-up a customer, whatever the planner thinks of the table.
_EVENTS = r"""
select e.id, c.id as customer_id, e.name, e.message_id, e.occurred_at, e.properties
from unnest($1::text[], $2::bigint[], $4::timestamptz[]) c (id, after, since)
join history_ids($1) h on h.customer_id = c.id
cross join lateral (
    select * from event
    where customer_id = h.id and id > c.after and received_at > c.since and type = 'track'
        and btrim(lower(regexp_replace(name, '[\s._-]+', '_', 'g')), '_') = any ($3)
    offset 0) e
order by e.id
"""

_CLEAR = """
delete from computed where customer_id = any ($1) and (key = any ($2) or key <> all ($3))
"""

_WRITE = """
insert into computed (customer_id, key, until, count, total, first_at, first, last_at, last)
select * from unnest(
    $1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::numeric[],
    $6::timestamptz[], $7::text[]::jsonb[], $8::timestamptz[], $9::text[]::jsonb[])
"""

_FORGET = "delete from membership where customer_id = any ($1) and segment <> all ($2)"

_FILLED_TO = "update audience set filled_to = $2 where key = any ($1)"

_FINISH = """
update audience set filled_at = now() where key = any ($1) returning pg_current_xact_id()::text
"""

_OTHERS_ARE_THROUGH = "select pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8"

_LATECOMERS = """
insert into assessment
select id, clock_timestamp() from history_ids(array(select id from customer where id > $1))
on conflict (customer_id) do update set due_at = excluded.due_at
"""


_LONG_AGO = datetime(1000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        done: customers computed.
        of: about how many there are.
        events: events that were counted.
    """

    done: int
    of: int
    events: int


@dataclass(slots=True)
class _History:
    """What was read of some customers' history."""

    summaries: dict[tuple[str, str, datetime], Summary] = field(
        default_factory=lambda: defaultdict(Summary)
    )
    read_to: dict[str, int] = field(default_factory=dict)
    read_at: dict[str, datetime] = field(default_factory=dict)
    events: int = 0

    def forget(self, customers: Iterable[str]) -> None:
        """Begin anew with these."""
        gone = set(customers)
        for place in [place for place in self.summaries if place[0] in gone]:
            del self.summaries[place]
        for customer in gone:
            self.read_to.pop(customer, None)
            self.read_at.pop(customer, None)


class Backfill:
    """Computes what is new, from the history of every customer.

    Args:
        pool: the database; two connections are used.
        keeper: computes.
        announce: customers who are found in a new segment enter it with an event; by default
            they are in it, and nothing happens.
        at_once: customers in one transaction.
    """

    def __init__(
        self,
        pool: Pool,
        keeper: AudienceKeeper,
        *,
        announce: bool = False,
        at_once: int = _AT_ONCE,
    ) -> None:
        self._pool = pool
        self._keeper = keeper
        self._audiences = keeper.audiences
        self._announce = announce
        self._at_once = at_once

    async def run(self, on_progress: Callable[[Progress], None], *, again: bool = False) -> int:
        """Compute what waits for it. It may be stopped, and goes on where it was.

        Args:
            on_progress: called after every batch.
            again: compute everything anew, even what is there.

        Returns:
            How many computed traits and segments there were to compute.

        Raises:
            ConfigurationError: another one is running, or the database is not migrated.
        """
        await register(self._pool, self._audiences)
        async with self._alone():
            rows = await self._pool.fetch(
                "select key, filled_to, filled_at, retired_at from audience"
            )
            waiting = {
                row["key"]: "" if again else row["filled_to"]
                for row in rows
                if row["retired_at"] is None and (again or row["filled_at"] is None)
            }
            if waiting or any(row["retired_at"] is not None for row in rows):
                await self._compute(waiting, on_progress)
            await self._pool.execute("delete from audience where retired_at is not null")
            return len(waiting)

    async def _compute(
        self, waiting: dict[str, str], on_progress: Callable[[Progress], None]
    ) -> None:
        new = frozenset(waiting)
        place = min(waiting.values(), default="")
        await self._pool.execute("delete from refill")  # merges before now are before all reading
        total = await self._pool.fetchval("select count(*) from customer")
        done = await self._pool.fetchval("select count(*) from customer where id <= $1", place)
        events = 0
        while customers := await self._ids(_NEXT, place, self._at_once):
            place = customers[-1]
            events += await self._fill(customers, new, place)
            done += len(customers)
            on_progress(Progress(done, total, events))
        finished = await self._pool.fetchval(_FINISH, list(new))
        # Who came while the last ones were done has been counted, but nobody looked at the
        # segments: they were not computed yet.
        for _ in range(_LONGEST_WAIT):
            if finished is None or await self._pool.fetchval(_OTHERS_ARE_THROUGH, finished):
                break
            await asyncio.sleep(0.05)
        await self._pool.execute(_LATECOMERS, place)
        while customers := await self._ids(_REFILL, self._at_once):
            await self._fill(customers, new, None)

    async def _ids(self, query: str, *args: Any) -> list[str]:
        return [row[0] for row in await self._pool.fetch(query, *args)]

    async def _fill(self, customers: list[str], new: frozenset[str], filled_to: str | None) -> int:
        """Compute some customers' anew. Returns how many events were counted."""
        for remaining in reversed(range(_TRIES)):
            history = _History()
            async with self._pool.acquire() as connection, connection.transaction():
                await self._read(connection, customers, new, history)
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    still = await self._replace(connection, customers, new, history)
                    if filled_to is not None:
                        await connection.execute(_FILLED_TO, list(new), filled_to)
                    await self._keeper.assess(connection, still, new=new, announce=self._announce)
            except asyncpg.DeadlockDetectedError:
                if not remaining:
                    raise
                _log.debug("a backfill's batch yields and is tried again")
            else:
                return history.events
        raise AssertionError("unreachable")

    async def _read(
        self, connection: Connection, customers: list[str], new: frozenset[str], history: _History
    ) -> None:
        """Read what has been stored of these customers since it was read last."""
        kinds = self._audiences.events(new)
        names = [name for kind in kinds for name in kind.names]
        if not names:
            return
        after = [history.read_to.get(customer, 0) for customer in customers]
        now = datetime.now(UTC)
        # The id tells what is new; the time, by a wide margin, keeps a long history from being
        # gone through again under the lock.
        since = [history.read_at.get(customer, _LONG_AGO) - _MARGIN for customer in customers]
        history.read_at |= dict.fromkeys(customers, now)
        async for row in connection.cursor(
            _EVENTS, customers, after, names, since, prefetch=_FETCH
        ):
            kind = event_type(row["name"])
            assert kind is not None
            try:
                event = kind.of(
                    row["properties"], Occurrence(row["message_id"], row["occurred_at"])
                )
            except Refused:
                continue  # from before its type was declared, or was declared like this
            added = [c for c in self._audiences.contributions(event, now) if c.key in new]
            for one in added:
                at = (row["customer_id"], one.key, one.until)
                history.summaries[at] += Summary.of(event.occurred_at, one.value, one.amount)
            if added:
                # Those that add were stored under the lock, so in the order of their ids.
                history.read_to[row["customer_id"]] = row["id"]
                history.events += 1

    async def _replace(
        self, connection: Connection, customers: list[str], new: frozenset[str], history: _History
    ) -> list[str]:
        """Under the customers' locks: read the rest, and write. Returns who is still somebody."""
        await connection.execute(_LOCK, customers)
        still = [row["customer_id"] for row in await connection.fetch(_STILL, customers)]
        # A merge has brought events whose ids may be smaller than those that were read.
        merged = [row["customer_id"] for row in await connection.fetch(_MERGED, customers)]
        history.forget({*customers} - {*still} | {*merged})
        await self._read(connection, still, new, history)
        await connection.execute(_CLEAR, customers, list(new), self._audiences.keys)
        segments = [segment.name for segment in self._audiences.segments]
        await connection.execute(_FORGET, customers, segments)
        rows = [
            (*place, s.count, s.total, s.first_at, _json(s.first), s.last_at, _json(s.last))
            for place, s in sorted(history.summaries.items())
        ]
        if rows:
            await connection.execute(_WRITE, *map(list, zip(*rows, strict=True)))
        return still

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._pool.acquire() as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", _ONE_AT_A_TIME):
                raise ConfigurationError("another backfill is running: let it end, or end it")
            try:
                yield
            finally:
                await connection.execute("select pg_advisory_unlock($1)", _ONE_AT_A_TIME)


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
