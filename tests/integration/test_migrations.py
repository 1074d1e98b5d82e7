from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from infra.database import tables
from infra.database.migrate import upgrade
from infra.database.pool import sqlalchemy_url
from tests.parts import Postgres


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))


async def test_the_migrations_make_what_the_models_say(database_url: str) -> None:
    assert tables.NAMING
    engine = create_async_engine(sqlalchemy_url(database_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()


def test_migrating_twice_changes_nothing(postgres: Postgres) -> None:
    upgrade(postgres.url("sojourn_template"))
