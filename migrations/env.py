"""Alembic's environment: one connection over asyncpg, one lock, one transaction."""

import asyncio

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from infra.database import tables

assert tables.NAMING  # imported for its tables

_ONE_AT_A_TIME = 0x50_4A_52_4E


def _migrate(connection: Connection) -> None:
    connection.execute(text(f"select pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
    context.configure(connection=connection, target_metadata=SQLModel.metadata)
    context.run_migrations()


async def _run() -> None:
    engine = create_async_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


asyncio.run(_run())
