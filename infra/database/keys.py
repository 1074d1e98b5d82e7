"""API keys: random, hashed at rest, each for one source and with its scopes."""

import hashlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass

from infra.database.pool import UNREACHABLE, Pool, open_pool

SCOPES = ("write", "read", "operate", "administer")
"""What a key may allow: post events; read customers; steer journeys; manage keys."""

_FRESH = 5.0
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key allows, and for which source."""

    source_id: int
    source: str
    scopes: frozenset[str]


def _digest(key: str) -> bytes:
    # A key is 192 random bits, so a plain digest cannot be reversed by guessing.
    return hashlib.sha256(key.encode()).digest()


class Keys:
    """Looks keys up; an answer is remembered for five seconds, so revoking takes that long."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: dict[bytes, tuple[float, Grant | None]] = {}

    async def grant(self, key: str) -> Grant | None:
        """What this key allows, or None where there is no such key.

        While the database is away, what was known last still holds.
        """
        digest = _digest(key)
        now = time.monotonic()
        known = self._known.get(digest)
        if known is not None and now - known[0] < _FRESH:
            return known[1]
        try:
            row = await self._pool.fetchrow(
                "select k.source_id, s.name, k.scopes from api_key k"
                " join source s on s.id = k.source_id"
                " where k.digest = $1 and k.revoked_at is null",
                digest,
            )
        except UNREACHABLE:
            if known is not None:
                return known[1]
            raise
        grant = None
        if row is not None:
            grant = Grant(row["source_id"], row["name"], frozenset(row["scopes"]))
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = (now, grant)
        return grant


async def create_key(
    pool: Pool, source: str, scopes: Collection[str], key: str | None = None
) -> str:
    """Make a key for a source, and the source where there is none. Making one twice is fine.

    Args:
        pool: the database.
        source: the source's name.
        scopes: some of `SCOPES`.
        key: the key itself; by default a random one.

    Returns:
        The key, which is nowhere else to be found.
    """
    key = key or "sk_" + secrets.token_urlsafe(24)
    async with pool.acquire() as connection, connection.transaction():
        source_id = await connection.fetchval(
            "insert into source (name) values ($1)"
            " on conflict (name) do update set name = excluded.name returning id",
            source,
        )
        await connection.execute(
            "insert into api_key (digest, source_id, scopes, hint) values ($1, $2, $3, $4)"
            " on conflict (digest) do update set scopes = excluded.scopes, revoked_at = null",
            _digest(key),
            source_id,
            list(scopes),
            key[:6] + "…",
        )
    return key


async def ensure_development_key(database_url: str) -> None:
    """The key `dev`, which may do everything. Only `make dev` calls this."""
    pool = await open_pool(database_url, size=1)
    try:
        await create_key(pool, "dev", SCOPES, key="dev")
    finally:
        await pool.close()
