"""What a key allows: looked up on every request, so remembered for a moment."""

import asyncio
import contextlib
import hashlib
import math
import time
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg

from domain.limits import Limits
from infra.database.pool import UNREACHABLE, Pool

FRESH = 5.0
"""Seconds for which an answer is remembered, and so within which revoking works everywhere."""

_COARSE = timedelta(minutes=10)
"""How exactly it is noted when a key was last used: so seldom is it written."""

_STRANGERS = 10_000
_STRANGERS_AT_ONCE = 2

_GRANT = """
select k.source_id, s.name as source, k.scopes, k.limit_requests, k.limit_events, k.limit_burst,
    extract(epoch from k.expires_at - now())::float as remaining,
    k.last_used_at is null or k.last_used_at < now() - $2::interval as unnoted
from api_key k join source s on s.id = k.source_id
where k.digest = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key allows, and for which source.

    Attributes:
        digest: tells this key from others of its source.
    """

    source_id: int
    source: str
    scopes: frozenset[str]
    limits: Limits
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Known:
    grant: Grant
    asked_at: float
    ends_at: float


def digest_of(key: str) -> bytes:
    """What is kept of a key."""
    # A key is 192 random bits, so a plain digest cannot be reversed by guessing. It is looked up
    # by equality: how long that takes tells something of digests, and nothing of any key.
    return hashlib.sha256(key.encode()).digest()


class Keys:
    """Looks keys up, and remembers the answer for a moment.

    Args:
        pool: the database.
        limits: for keys that have none of their own.
        fresh: for how many seconds.
    """

    def __init__(self, pool: Pool, limits: Limits | None = None, *, fresh: float = FRESH) -> None:
        self._pool = pool
        self._fresh = fresh
        self._limits = limits or Limits()
        self._known: dict[bytes, _Known] = {}
        self._strangers: dict[bytes, float] = {}
        self._asking: dict[bytes, asyncio.Task[Grant | None]] = {}
        # Made-up keys must not keep those busy who accept events.
        self._room_for_strangers = asyncio.Semaphore(_STRANGERS_AT_ONCE)

    async def grant(self, key: str) -> Grant | None:
        """What this key allows, or None where there is no such key, or no longer.

        While the database is away, what was known last still holds, until the key expires.
        """
        digest = digest_of(key)
        now = time.monotonic()
        known = self._known.get(digest)
        if known is not None and now - known.asked_at < self._fresh:
            return known.grant if now < known.ends_at else None
        if known is None and now - self._strangers.get(digest, -math.inf) < self._fresh:
            return None
        try:
            return await self._ask_once(digest)
        except UNREACHABLE:
            if known is not None:
                return known.grant if now < known.ends_at else None
            raise

    async def _ask_once(self, digest: bytes) -> Grant | None:
        """Ask the database, together with whoever asks the same meanwhile."""
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(digest))
            asking.add_done_callback(lambda _: self._asking.pop(digest))
        return await asyncio.shield(asking)

    async def _ask(self, digest: bytes) -> Grant | None:
        if digest in self._known:
            return await self._look_up(digest)
        async with self._room_for_strangers:
            return await self._look_up(digest)

    async def _look_up(self, digest: bytes) -> Grant | None:
        row = await self._pool.fetchrow(_GRANT, digest, _COARSE)
        now = time.monotonic()
        if row is None:
            self._known.pop(digest, None)
            if len(self._strangers) >= _STRANGERS:
                self._strangers.clear()
            self._strangers[digest] = now
            return None
        own = row["limit_requests"], row["limit_events"], row["limit_burst"]
        limits = self._limits if own[0] is None else Limits(*own)
        grant = Grant(row["source_id"], row["source"], frozenset(row["scopes"]), limits, digest)
        remaining = math.inf if row["remaining"] is None else row["remaining"]
        self._known[digest] = _Known(grant, now, now + remaining)
        if row["unnoted"]:
            # For people only: a database that may be read but not written refuses nobody.
            with contextlib.suppress(asyncpg.PostgresError, *UNREACHABLE):
                await self._pool.execute(
                    "update api_key set last_used_at = now() where digest = $1", digest
                )
        return grant
