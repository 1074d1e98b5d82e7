"""API keys: random, hashed at rest, each for one source and with its scopes."""

import hashlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.errors import Refused
from infra.database.pool import UNREACHABLE, Pool, open_pool

SCOPES = ("write", "read", "operate", "administer")
"""What a key may allow: post events; read customers; steer journeys; manage keys."""

OURS = "sojourn"
"""The source of the events that the runtime itself writes."""

_LONGEST_SOURCE = 100
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

    Raises:
        Refused: there is no such scope, or the source's name will not do.
    """
    _check(source, scopes)
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


def _check(source: str, scopes: Collection[str]) -> None:
    if source == OURS:
        raise Refused(f"{OURS} is the runtime itself: give the source another name")
    if not source or len(source) > _LONGEST_SOURCE or not source.isprintable():
        raise Refused(
            f"a source is named by 1 to {_LONGEST_SOURCE} printable characters", field="source"
        )
    if not scopes:
        raise Refused(f"a key needs a scope: {', '.join(SCOPES)}", field="scope")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise Refused(f"no scope {unknown[0]!r}: there are {', '.join(SCOPES)}", field="scope")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What is kept of a key.

    Attributes:
        digest: of the key, hexadecimal.
        hint: how the key begins.
    """

    source: str
    scopes: tuple[str, ...]
    hint: str
    digest: str
    created_at: datetime
    revoked_at: datetime | None


_ROWS = """
select s.name as source, k.scopes, k.hint, encode(k.digest, 'hex') as digest,
    k.created_at, k.revoked_at
from api_key k join source s on s.id = k.source_id
"""


async def list_keys(pool: Pool) -> list[KeyRow]:
    """Every key there is or was, oldest first."""
    rows = await pool.fetch(_ROWS + "order by k.created_at, k.digest")
    return [KeyRow(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]


async def revoke_key(pool: Pool, name: str) -> KeyRow:
    """Revoke one key. It is refused by every process within the time an answer is remembered.

    Args:
        pool: the database.
        name: the key's hint, or the beginning of its digest in hexadecimal.

    Raises:
        Refused: no key, or more than one, goes by that name, or it is revoked already.
    """
    wanted = name.strip().removesuffix("…").removesuffix("...")
    if not wanted:
        raise Refused("name a key by its hint or by the beginning of its digest", field="key")
    found = [
        row
        for row in await list_keys(pool)
        if row.hint.removesuffix("…") == wanted or row.digest.startswith(wanted.lower())
    ]
    live = [row for row in found if row.revoked_at is None]
    if len(live) > 1:
        these = ", ".join(f"{row.digest[:12]} of {row.source}" for row in live)
        raise Refused(f"{len(live)} keys go by {name!r}: {these}", field="key")
    if not live and found:
        raise Refused(f"the key {name!r} was revoked {found[-1].revoked_at:%Y-%m-%d}", field="key")
    if not live:
        raise Refused(f"no key goes by {name!r}: `sojourn keys list` shows them", field="key")
    await pool.execute(
        "update api_key set revoked_at = now() where digest = $1 and revoked_at is null",
        bytes.fromhex(live[0].digest),
    )
    return live[0]


async def ensure_development_key(database_url: str) -> None:
    """The key `dev`, which may do everything. Only `make dev` calls this."""
    pool = await open_pool(database_url, size=1)
    try:
        await create_key(pool, "dev", SCOPES, key="dev")
    finally:
        await pool.close()


async def withdraw_development_key(database_url: str) -> None:
    """Revoke the key `dev`, where `make dev` worked on a database that is not its own."""
    pool = await open_pool(database_url, size=1)
    try:
        await pool.execute(
            "update api_key set revoked_at = now() where digest = $1 and revoked_at is null",
            _digest("dev"),
        )
    finally:
        await pool.close()
