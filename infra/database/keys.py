"""API keys: making, listing, limiting, rotating and revoking them. `grants` looks them up.

A key is random and kept as its digest, belongs to one source, and has its scopes and limits.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.errors import Refused
from domain.limits import Limits
from infra.database.grants import digest_of
from infra.database.pool import Pool, open_pool

SCOPES = ("write", "read", "operate", "administer")
"""What a key may allow: post events; read customers; steer journeys; manage keys."""

OURS = "sojourn"
"""The source of the events that the runtime itself writes."""

_LONGEST_SOURCE = 100
_MOST = 1_000_000_000


async def create_key(
    pool: Pool,
    source: str,
    scopes: Collection[str],
    key: str | None = None,
    *,
    limits: Limits | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make a key for a source, and the source where there is none. Making one twice is fine.

    Args:
        pool: the database.
        source: the source's name.
        scopes: some of `SCOPES`.
        key: the key itself; by default a random one.
        limits: how much it may do; None: what the settings say.
        expires_at: from when on it is worthless; None: never.

    Returns:
        The key, which is nowhere else to be found.

    Raises:
        Refused: there is no such scope, or the source's name, a limit or the time will not do.
    """
    _check(source, scopes, limits)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise Refused(f"{expires_at:%Y-%m-%d %H:%M} (UTC) has passed", field="expires")
    key = key or "sk_" + secrets.token_urlsafe(24)
    async with pool.acquire() as connection, connection.transaction():
        source_id = await connection.fetchval(
            "insert into source (name) values ($1)"
            " on conflict (name) do update set name = excluded.name returning id",
            source,
        )
        await connection.execute(
            "insert into api_key (digest, source_id, scopes, hint, limit_requests,"
            " limit_events, limit_burst, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)"
            " on conflict (digest) do update set scopes = excluded.scopes,"
            " limit_requests = excluded.limit_requests, limit_events = excluded.limit_events,"
            " limit_burst = excluded.limit_burst, expires_at = excluded.expires_at,"
            " revoked_at = null",
            digest_of(key),
            source_id,
            list(scopes),
            key[:6] + "…",
            *_columns(limits),
            expires_at,
        )
    return key


def _columns(limits: Limits | None) -> tuple[int | None, ...]:
    return (None,) * 3 if limits is None else (limits.requests, limits.events, limits.burst)


def _check(source: str, scopes: Collection[str], limits: Limits | None) -> None:
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
    _check_limits(limits)


def _check_limits(limits: Limits | None) -> None:
    if limits is not None and not (
        0 <= limits.requests <= _MOST and 0 <= limits.events <= _MOST and 1 <= limits.burst <= _MOST
    ):
        raise Refused(
            f"a limit is 0 (none) to {_MOST:,} a second, a burst at least one second of it",
            field="limits",
        )


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What is kept of a key.

    Attributes:
        digest: of the key, hexadecimal.
        hint: how the key begins.
        limits: its own; None: what the settings say.
        last_used_at: to ten minutes or so.
    """

    source: str
    scopes: tuple[str, ...]
    hint: str
    digest: str
    limits: Limits | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def live(self) -> bool:
        """Whether it still opens anything."""
        expired = self.expires_at is not None and self.expires_at <= datetime.now(UTC)
        return self.revoked_at is None and not expired


_ROWS = """
select s.name as source, k.scopes, k.hint, encode(k.digest, 'hex') as digest,
    k.limit_requests, k.limit_events, k.limit_burst,
    k.created_at, k.last_used_at, k.expires_at, k.revoked_at
from api_key k join source s on s.id = k.source_id
order by k.created_at, k.digest
"""


async def list_keys(pool: Pool) -> list[KeyRow]:
    """Every key there is or was, oldest first."""
    found: list[KeyRow] = []
    for row in await pool.fetch(_ROWS):
        values = dict(row)
        limits = [values.pop(f"limit_{name}") for name in ("requests", "events", "burst")]
        values["limits"] = None if limits[0] is None else Limits(*limits)
        found.append(KeyRow(**{**values, "scopes": tuple(row["scopes"])}))
    return found


async def find_key(pool: Pool, name: str) -> KeyRow:
    """The one live key of that name.

    Args:
        pool: the database.
        name: the key's hint, or the beginning of its digest in hexadecimal.

    Raises:
        Refused: no key, or more than one, goes by that name, or it is no longer alive.
    """
    wanted = name.strip().removesuffix("…").removesuffix("...")
    if not wanted:
        raise Refused("name a key by its hint or by the beginning of its digest", field="key")
    found = [
        row
        for row in await list_keys(pool)
        if row.hint.removesuffix("…") == wanted or row.digest.startswith(wanted.lower())
    ]
    live = [row for row in found if row.live]
    if len(live) > 1:
        these = ", ".join(f"{row.digest[:12]} of {row.source}" for row in live)
        raise Refused(f"{len(live)} keys go by {name!r}: {these}", field="key")
    if not live and found:
        last = found[-1]
        ended = f"was revoked {last.revoked_at:%Y-%m-%d}" if last.revoked_at else "has expired"
        raise Refused(f"the key {name!r} {ended}", field="key")
    if not live:
        raise Refused(f"no key goes by {name!r}: `sojourn keys list` shows them", field="key")
    return live[0]


async def revoke_key(pool: Pool, name: str) -> KeyRow:
    """Revoke one key. Every process refuses it within `grants.FRESH` seconds.

    Raises:
        Refused: as `find_key`.
    """
    row = await find_key(pool, name)
    await pool.execute(
        "update api_key set revoked_at = now() where digest = $1 and revoked_at is null",
        bytes.fromhex(row.digest),
    )
    return row


async def limit_key(pool: Pool, name: str, limits: Limits | None) -> KeyRow:
    """Give one key limits of its own, or none of its own. They hold as soon as a revocation.

    Raises:
        Refused: as `find_key`, or the limits make no sense.
    """
    _check_limits(limits)
    row = await find_key(pool, name)
    await pool.execute(
        "update api_key set limit_requests = $2, limit_events = $3, limit_burst = $4"
        " where digest = $1",
        bytes.fromhex(row.digest),
        *_columns(limits),
    )
    return row


async def rotate_key(pool: Pool, name: str, overlap: timedelta) -> tuple[str, KeyRow]:
    """Make a second key like one that is alive, which expires after an overlap.

    Returns:
        The new key, and what is kept of the old one.

    Raises:
        Refused: as `find_key`.
    """
    old = await find_key(pool, name)
    key = await create_key(pool, old.source, old.scopes, limits=old.limits)
    await pool.execute(
        "update api_key set expires_at = least(expires_at, now() + $2::interval) where digest = $1",
        bytes.fromhex(old.digest),
        overlap,
    )
    return key, old


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
            digest_of("dev"),
        )
    finally:
        await pool.close()
