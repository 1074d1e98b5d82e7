"""Connections for the hot paths: asyncpg, JSON in and out."""

import asyncio
from typing import Any, TypeAlias

import asyncpg
import orjson
import structlog

from domain.errors import ConfigurationError, Unavailable

_log = structlog.get_logger()

_CLOSING = 3.0

# asyncpg ships no types; the names say what is meant.
Pool: TypeAlias = Any
Connection: TypeAlias = Any

UNREACHABLE: tuple[type[BaseException], ...] = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection cut between the two halves of a call
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""What asyncpg raises when PostgreSQL is down, going down or coming up."""


def _dump(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=_dump, decoder=orjson.loads, schema="pg_catalog"
    )


async def _keep(_: Any) -> None:
    """Nothing to reset: we set nothing beyond a transaction, and asking costs a round trip."""


def session_name(process: str) -> str:
    """What a process calls its sessions, for whoever looks into `pg_stat_activity`."""
    return f"sojourn {process}"


async def open_pool(database_url: str, process: str = "tool", size: int = 10) -> Pool:
    """Open connections to the database.

    JSON columns come back as Python values. A `str` given for one is JSON already.

    Args:
        database_url: where it is.
        process: who asks: api, relay, worker.
        size: how many connections at most.

    Raises:
        ConfigurationError: the database refuses us or the URL is not one.
        Unavailable: nobody answers there.
    """
    try:
        return await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=size,
            init=_prepare,
            reset=_keep,
            command_timeout=30,
            server_settings={"application_name": session_name(process)},
        )
    except UNREACHABLE as error:
        raise Unavailable(f"PostgreSQL does not answer: {error}") from error
    except (ValueError, asyncpg.PostgresError) as error:
        raise ConfigurationError(f"SOJOURN_DATABASE_URL: {error}") from error


async def wait_for_pool(database_url: str, process: str, size: int = 10) -> Pool:
    """Open connections as `open_pool` does, however long the database takes to come up.

    Raises:
        ConfigurationError: the database refuses us or the URL is not one.
    """
    while True:
        try:
            return await open_pool(database_url, process, size)
        except Unavailable as error:
            _log.warning("waiting for PostgreSQL", error=str(error))
            await asyncio.sleep(1)


async def close_pool(pool: Pool) -> None:
    """Close connections; those that a cancelled task has not given back are cut."""
    try:
        await asyncio.wait_for(pool.close(), _CLOSING)
    except TimeoutError:
        pool.terminate()


def sqlalchemy_url(database_url: str) -> str:
    """The same database for SQLAlchemy over asyncpg."""
    scheme, _, rest = database_url.partition("://")
    if scheme.partition("+")[0] not in {"postgres", "postgresql"}:
        raise ConfigurationError(
            f"SOJOURN_DATABASE_URL must begin with postgresql://, not {scheme}://"
        )
    return f"postgresql+asyncpg://{rest}"
