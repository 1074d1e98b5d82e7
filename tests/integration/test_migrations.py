import asyncio

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from domain.enrollments import ALWAYS
from domain.events import EmailBounced, EmailDelivered, Unsubscribed
from domain.messages import Go, Reason, Verdict
from infra.database import tables
from infra.database.accept import Acceptor
from infra.database.migrate import config, upgrade
from infra.database.pool import Pool, sqlalchemy_url
from tests.integration.test_accept import entry
from tests.parts import Postgres
from tests.worlds import ask, by_email, postgres_world


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


async def test_going_back_and_forth_keeps_what_both_know(pool: Pool, database_url: str) -> None:
    acceptor = Acceptor(pool, lambda: None)
    await acceptor.accept([entry(key=None, re_entry=ALWAYS), entry(key=None, re_entry=ALWAYS)])
    await acceptor.accept([entry(key="k"), entry(key="k")])
    await asyncio.to_thread(command.downgrade, config(database_url), "0001")
    assert [
        tuple(row)
        for row in await pool.fetch("select key, ordinal, state from enrollment order by 1, 2")
    ] == [("", 1, "ended"), ("", 2, "live"), ("k", 1, "live")]
    body = await pool.fetchval("select prosrc from pg_proc where proname = 'enter'")
    assert "several" not in body
    await pool.expire_connections()
    await acceptor.accept([entry(key="k"), entry(key="l")])
    assert await pool.fetchval("select count(*) from refusal") == 2
    await asyncio.to_thread(upgrade, database_url)
    codes = await pool.fetch("select code from refusal order by id")
    assert [row["code"] for row in codes] == ["already_enrolled", "already_enrolled"]
    await acceptor.close()


async def test_what_the_version_before_cannot_read_is_in_its_words(
    pool: Pool, database_url: str
) -> None:
    world = await postgres_world(pool)
    await world.arrives(email="ada@shop.example")
    for number, told in enumerate((EmailDelivered, EmailBounced, EmailBounced)):
        decision = await world.gate.decide(ask(world, heard=99, step=f"{number}"), by_email())
        assert isinstance(decision, Go)
        if number < 2:
            await world.gate.complete(decision.message_id, Verdict.SENT, Reason.SENT)
        await world.acknowledge(told(email_id=decision.message_id))
    await world.acknowledge(Unsubscribed())
    await world.gate.decide(ask(world, heard=99, step="3"), by_email())
    reasons = "select step, verdict, reason from message order by step"
    assert [row["reason"] for row in await pool.fetch(reasons)] == [
        "delivered",
        "bounced",
        "bounced",
        "unsubscribed",
    ]
    await asyncio.to_thread(command.downgrade, config(database_url), "0005")
    await pool.expire_connections()
    assert [(row["verdict"], row["reason"]) for row in await pool.fetch(reasons)] == [
        ("sent", "accepted_by_provider"),
        ("sent", "accepted_by_provider"),
        ("rejected", "rejected_by_provider"),
        ("suppressed", "no_address"),
    ]


async def test_every_migration_can_be_taken_back(postgres: Postgres) -> None:
    async with postgres.empty_database() as url:
        alembic = config(url)
        scripts = list(ScriptDirectory.from_config(alembic).walk_revisions())[::-1]
        made: dict[str | None, set[str]] = {}
        for script in scripts:
            await asyncio.to_thread(command.upgrade, alembic, script.revision)
            made[script.revision] = await _functions(url)
        for script in scripts[:0:-1]:
            before = script.down_revision
            assert isinstance(before, str)
            await asyncio.to_thread(command.downgrade, alembic, before)
            assert await _functions(url) == made[before]
        await asyncio.to_thread(command.upgrade, alembic, "head")
        assert await _functions(url) == made[scripts[-1].revision]


async def _functions(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select pg_get_functiondef(oid) as made from pg_proc"
            " where pronamespace = 'public'::regnamespace"
        )
        return {row["made"] for row in rows}
    finally:
        await connection.close()
