"""Accepting events: one transaction deduplicates, identifies, numbers and routes.

Requests that arrive while a transaction is under way share the next one (group commit), so
that the cost of a commit is paid once for all of them.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import asyncpg
import orjson

from domain.enrollments import Entry, key_in_id
from domain.errors import NotNow, Unavailable
from domain.events import Report
from infra.database.columns import arrays, moments, parameters
from infra.database.pool import UNREACHABLE, Connection, Pool

_TYPES = ("bigint", *["text"] * 5, *["timestamptz"] * 2, *["jsonb"] * 3)
_ACCEPT = f"select accepted, routed from accept({arrays(_TYPES)})"  # noqa: S608 - only constants
_MOST = 2_000
_TRIES = 10
_PAUSE = 0.1

MOST_BYTES = 64 * 1024 * 1024
_EVENT_BYTES = 1024  # what an event takes beside its texts
LONGEST_WAIT = 8.0
"""Seconds after which the first in the queue has waited too long for more to join it: clients
give up after ten or so, and what they give up on is worked off for nothing."""
_RETRY_AFTER = 2.0

# The disk is full, an operator stops it, a failover has made it read-only: not the event's fault.
_TRY_LATER = (
    *UNREACHABLE,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Incoming(NamedTuple):
    """One event, read and checked, on its way into the store: its fields are `accept`'s, in order.

    Attributes:
        properties: JSON text.
        context: JSON text, or None.
        effects: what it changes beside the record, as `accept` in the database wants it.
    """

    source_id: int
    message_id: str
    user_id: str | None
    anonymous_id: str | None
    type: str
    name: str
    occurred_at: datetime
    received_at: datetime
    properties: str
    context: str | None = None
    effects: dict[str, Any] | None = None


def entry_effect(entry: Entry) -> dict[str, Any]:
    """An entry as the database's `enter` wants it."""
    effect: dict[str, Any] = {
        "journey": entry.journey,
        "workflow_type": entry.workflow_type,
        "key": entry.key,
        "key_in_id": key_in_id(entry.key),
        "listens": entry.listens,
        "parameters": entry.parameters,
        "summary": entry.summary,
        "task_queue": entry.task_queue,
        "re_entry": entry.re_entry.allowed,
        "pause": f"{entry.re_entry.pause.total_seconds()} seconds",
        "several": entry.re_entry.while_live,
    }
    if entry.per_day is not None:
        effect["per_day"] = {
            "entries": entry.per_day.entries,
            "day": entry.per_day.day(datetime.now(UTC)).isoformat(),
            "zone": entry.per_day.zone,
        }
    return effect


def report_effect(report: Report) -> dict[str, Any]:
    """What is told of a message as the database's `report` wants it."""
    return asdict(report)


@dataclass(slots=True)
class _Request:
    items: Sequence[Incoming]
    size: int
    since: float
    done: "asyncio.Future[list[bool]]"


class Keeper(Protocol):
    """What else must be kept up to date in the accepting transaction."""

    async def add(self, connection: Connection, accepted: Sequence[Incoming]) -> bool:
        """Add newly accepted events; returns whether that left the relay something to carry."""
        ...


def _nothing(_: Sequence[Incoming]) -> None:
    """Admit everything."""


class Acceptor:
    """Accepts events into the database.

    Args:
        pool: where to.
        on_routed: called after a commit that left the relay something to carry.
        lanes: how many transactions may be under way at once.
        keeper: keeps what is computed from events; gets those whose effects are `computed`.
        most_bytes: about how much memory may wait for one of them or be in it.
        longest_wait: seconds that the first in the queue may have waited when another joins it.
        admit: called with events before they wait; raises where they are not wanted now.
    """

    def __init__(
        self,
        pool: Pool,
        on_routed: Callable[[], None],
        lanes: int = 2,
        *,
        keeper: Keeper | None = None,
        most_bytes: int = MOST_BYTES,
        longest_wait: float = LONGEST_WAIT,
        admit: Callable[[Sequence[Incoming]], None] = _nothing,
    ) -> None:
        self._pool = pool
        self._on_routed = on_routed
        self._keeper = keeper
        self._admit = admit
        self._most_bytes = most_bytes
        self._longest_wait = longest_wait
        self._held_bytes = 0
        self._waiting: deque[_Request] = deque()
        self._idle = lanes
        self._lanes: set[asyncio.Task[None]] = set()

    async def accept(self, items: Sequence[Incoming]) -> list[bool]:
        """Accept events, in order; returns when they are committed.

        Returns:
            For each item, True if it is new and False if it had been accepted before.

        Raises:
            NotNow: too much is waiting already, or they are not admitted.
            Unavailable: the database does not answer; nothing is acknowledged.
        """
        if not items:
            return []
        self.check(items)
        loop = asyncio.get_running_loop()
        size = sum(_EVENT_BYTES + len(i.properties) + len(i.context or "") for i in items)
        request = _Request(items, size, loop.time(), loop.create_future())
        self._waiting.append(request)
        self._held_bytes += size
        if self._idle:
            self._idle -= 1
            lane = asyncio.create_task(self._work())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await request.done

    def check(self, items: Sequence[Incoming]) -> None:
        """Check that these would be taken now.

        Raises:
            NotNow: too much is waiting already, or they are not admitted.
        """
        self._admit(items)
        self.check_room()

    def check_room(self) -> None:
        """Check that one more may wait.

        Raises:
            NotNow: enough is waiting, or has waited long enough.
        """
        waited = 0.0
        if self._waiting:
            waited = asyncio.get_running_loop().time() - self._waiting[0].since
        if self._held_bytes >= self._most_bytes or waited > self._longest_wait:
            raise NotNow(
                "more is waiting for the database than it takes; nothing was accepted, try again",
                why="busy",
                retry_after=_RETRY_AFTER,
            )

    async def close(self) -> None:
        """Finish what has begun."""
        await asyncio.gather(*self._lanes)

    async def _work(self) -> None:
        try:
            while self._waiting:
                group = self._take()
                await self._commit(group)
                self._held_bytes -= sum(request.size for request in group)
        finally:
            self._idle += 1

    def _take(self) -> list[_Request]:
        group = [self._waiting.popleft()]
        size = len(group[0].items)
        while self._waiting and size + len(self._waiting[0].items) <= _MOST:
            size += len(self._waiting[0].items)
            group.append(self._waiting.popleft())
        return group

    async def _commit(self, group: list[_Request]) -> None:
        try:
            new = await self._call([item for request in group for item in request.items])
        except Exception as error:  # noqa: BLE001 - whoever asked gets to know it
            if len(group) > 1 and not isinstance(error, Unavailable):
                # One request's fault must not be the others': each on its own.
                for request in group:
                    await self._commit([request])
                return
            for request in group:
                if not request.done.done():
                    request.done.set_exception(error)
            return
        start = 0
        for request in group:
            end = start + len(request.items)
            if not request.done.done():
                request.done.set_result(new[start:end])
            start = end

    async def _call(self, items: Sequence[Incoming]) -> list[bool]:
        arguments = _arguments(items)
        for remaining in reversed(range(_TRIES)):
            try:
                accepted, routed = await self._transaction(items, arguments)
                break
            except asyncpg.DeadlockDetectedError:
                # Two groups held what the other wanted; the database chose this one to yield.
                if not remaining:
                    raise
                # Not both again at the same moment.
                await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
            except _TRY_LATER as error:
                raise Unavailable("PostgreSQL does not answer") from error
        new = [False] * len(items)
        for ordinal in accepted:
            new[ordinal - 1] = True
        if routed:
            self._on_routed()
        return new

    async def _transaction(
        self, items: Sequence[Incoming], arguments: Sequence[str | None]
    ) -> tuple[list[int], bool]:
        if self._keeper is None or not any(_is_computed(item) for item in items):
            return tuple(await self._pool.fetchrow(_ACCEPT, *arguments))
        async with self._pool.acquire() as connection, connection.transaction():
            accepted, routed = await connection.fetchrow(_ACCEPT, *arguments)
            new = [item for n in accepted if _is_computed(item := items[n - 1])]
            return accepted, (bool(new) and await self._keeper.add(connection, new)) or routed


def _arguments(items: Sequence[Incoming]) -> list[str | None]:
    source, *texts, occurred, received, properties, context, effects = zip(*items, strict=True)
    return parameters(
        [
            [str(source_id) for source_id in source],
            *texts,
            moments(occurred),
            moments(received),
            properties,
            context,
            [None if e is None else orjson.dumps(e).decode() for e in effects],
        ]
    )


def _is_computed(item: Incoming) -> bool:
    return item.effects is not None and "computed" in item.effects
