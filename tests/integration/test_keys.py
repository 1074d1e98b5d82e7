"""Keys from the command line, and what they allow."""

import base64
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from domain.errors import Refused
from domain.limits import Limits
from infra.database.grants import Keys
from infra.database.keys import (
    SCOPES,
    create_key,
    ensure_development_key,
    list_keys,
    revoke_key,
    rotate_key,
    withdraw_development_key,
)
from infra.database.pool import Pool, open_pool
from tests.api import running_api
from tests.parts import Postgres


class Cli:
    """`sojourn keys` over one database, in a thread of its own: it brings its own event loop."""

    def __init__(self, database_url: str | None) -> None:
        self.environment: dict[str, str | None] = {
            **dict.fromkeys(name for name in os.environ if name.startswith("SOJOURN_")),
            "SOJOURN_DATABASE_URL": database_url,
        }

    def __call__(self, *words: str, code: int = 0) -> Result:
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(
                CliRunner().invoke, app, ["keys", *words], env=self.environment
            ).result(60)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    def refused(self, *words: str) -> str:
        done = self(*words, code=2)
        assert done.stdout == ""
        assert done.stderr.startswith("sojourn: ")
        assert done.stderr.count("\n") == 1
        return done.stderr


@pytest.fixture
def cli(database_url: str) -> Cli:
    return Cli(database_url)


def columns(done: Result) -> list[list[str]]:
    return [
        [cell for cell in line.split("  ") if cell.strip()] for line in done.stdout.splitlines()
    ]


async def test_a_key_made_on_the_command_line_allows_what_it_says(cli: Cli, pool: Pool) -> None:
    done = cli("create", "--source", "shop", "--scope", "write", "--scope", "read")
    key = done.stdout.strip()
    assert key.startswith("sk_")
    assert key not in done.stderr
    assert "shop" in done.stderr
    grant = await Keys(pool).grant(key)
    assert grant is not None
    assert grant.source == "shop"
    assert grant.scopes == {"write", "read"}


async def test_no_column_of_the_database_has_the_key(cli: Cli, pool: Pool) -> None:
    key = cli("create", "--source", "shop", "--scope", "write").stdout.strip()
    row = await pool.fetchval("select to_jsonb(k)::text from api_key k")
    assert key not in row
    assert key[3:] not in row


def test_the_list_shows_what_a_key_is_and_not_the_key(cli: Cli) -> None:
    assert "no keys" in cli("list").stderr
    key = cli("create", "--source", "help desk", "--scope", "write").stdout.strip()
    heading, line = columns(cli("list"))
    assert [one.strip() for one in heading] == [
        "SOURCE", "SCOPES", "HINT", "DIGEST", "LIMITS",
        "CREATED (UTC)", "USED (UTC)", "EXPIRES (UTC)", "REVOKED (UTC)",
    ]  # fmt: skip
    assert [one.strip() for one in line[:3]] == ["help desk", "write", key[:6] + "…"]
    assert line[-1].strip() == "-"
    assert key not in str(line)


@pytest.mark.parametrize("column", [2, 3])
async def test_a_revoked_key_opens_nothing(cli: Cli, pool: Pool, column: int) -> None:
    key = cli("create", "--source", "shop", "--scope", "write").stdout.strip()
    other = cli("create", "--source", "shop", "--scope", "write").stdout.strip()
    name = columns(cli("list"))[1][column].strip()
    assert "Revoked" in cli("revoke", name).stdout
    assert await Keys(pool).grant(key) is None
    assert await Keys(pool).grant(other) is not None
    assert columns(cli("list"))[1][-1].startswith("20")
    assert "was revoked" in cli.refused("revoke", name)


def test_a_name_without_a_key_is_one_sentence(cli: Cli) -> None:
    assert "keys list" in cli.refused("revoke", "sk_nil")
    assert "hint" in cli.refused("revoke", " ")


async def test_a_name_for_two_keys_revokes_neither(pool: Pool) -> None:
    await create_key(pool, "shop", ["write"], key="sk_abcdefgh")
    await create_key(pool, "desk", ["read"], key="sk_abcxyz12")
    with pytest.raises(Refused, match=r"2 keys go by 'sk_abc': .* of shop, .* of desk"):
        await revoke_key(pool, "sk_abc")
    assert [row.revoked_at for row in await list_keys(pool)] == [None, None]


async def test_a_name_for_one_live_and_one_revoked_key_is_the_live_one(pool: Pool) -> None:
    for key in ("sk_abcdefgh", "sk_abcxyz12"):
        await create_key(pool, "shop", ["write"], key=key)
    first, second = await list_keys(pool)
    await revoke_key(pool, first.digest[:12])
    assert (await revoke_key(pool, "sk_abc…")).digest == second.digest


@pytest.mark.parametrize(
    ("source", "scopes", "said"),
    [
        ("shop", ["writ"], "no scope 'writ'"),
        ("shop", [], "needs a scope"),
        ("", ["write"], "printable"),
        ("a\nb", ["write"], "printable"),
        ("x" * 101, ["write"], "printable"),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(
    pool: Pool, source: str, scopes: list[str], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        await create_key(pool, source, scopes)
    assert await list_keys(pool) == []


def test_an_unknown_scope_names_those_there_are(cli: Cli) -> None:
    said = cli.refused("create", "--source", "shop", "--scope", "all")
    assert all(scope in said for scope in SCOPES)


def test_a_database_that_is_not_there_is_one_sentence(postgres: Postgres) -> None:
    assert "SOJOURN_DATABASE_URL" in Cli(None).refused("list")
    assert "does not answer" in Cli("postgresql://x:s3cret@127.0.0.1:9/x").refused("list")
    assert "migrate" in Cli(postgres.url("postgres")).refused("list")


async def test_the_development_key_is_withdrawn_again(database_url: str, pool: Pool) -> None:
    await ensure_development_key(database_url)
    assert await Keys(pool).grant("dev") is not None
    await withdraw_development_key(database_url)
    assert await Keys(pool).grant("dev") is None


# Expiry, rotation, limits, and when a key was used.


async def test_a_key_expires(cli: Cli, pool: Pool) -> None:
    key = cli(
        *("create", "--source", "shop", "--scope", "write", "--expires", "2999-01-31")
    ).stdout.strip()
    assert columns(cli("list"))[1][7].strip() == "2999-01-31 00:00"
    assert await Keys(pool).grant(key) is not None
    await pool.execute("update api_key set expires_at = now()")
    assert await Keys(pool).grant(key) is None
    assert "expired" in cli.refused("revoke", key[:6])
    assert "has passed" in cli.refused(
        *("create", "--source", "shop", "--scope", "write", "--expires", "2020-01-31")
    )


async def test_rotating_keeps_both_keys_alive_for_a_while(cli: Cli, pool: Pool) -> None:
    old = cli(*("create", "--source", "shop", "--scope", "write", "--events", "70")).stdout.strip()
    done = cli("rotate", old[:6], "--overlap-days", "2")
    new = done.stdout.strip()
    assert new != old
    assert old not in done.stderr
    first, second = [await Keys(pool).grant(key) for key in (old, new)]
    assert first is not None
    assert second is not None
    assert (second.source_id, second.scopes, second.limits) == (
        *(first.source_id, first.scopes),
        Limits(events=70),
    )
    remaining = await pool.fetch("select expires_at - now() as left from api_key order by 1")
    assert timedelta(hours=47) < remaining[0]["left"] <= timedelta(hours=48)
    assert remaining[1]["left"] is None
    await pool.execute("update api_key set expires_at = now() where expires_at is not null")
    assert await Keys(pool).grant(old) is None
    assert await Keys(pool).grant(new) is not None


async def test_rotating_makes_no_key_live_longer(pool: Pool) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    key = await create_key(pool, "shop", ["write"], expires_at=soon)
    await rotate_key(pool, key[:6], timedelta(days=7))
    assert soon in [row.expires_at for row in await list_keys(pool)]


async def test_a_key_is_given_limits_and_loses_them_again(cli: Cli, pool: Pool) -> None:
    key = cli(
        *("create", "--source", "shop", "--scope", "write", "--requests", "5", "--burst", "2")
    ).stdout.strip()

    async def limits() -> Limits:
        grant = await Keys(pool, Limits(requests=99)).grant(key)
        assert grant is not None
        return grant.limits

    assert await limits() == Limits(requests=5, events=0, burst=2)
    assert columns(cli("list"))[1][4].strip() == "requests 5/s, events any, burst 2 s"
    cli("limit", key[:6], "--events", "1000")
    assert await limits() == Limits(requests=0, events=1000, burst=10)
    cli("limit", key[:6])
    assert await limits() == Limits(requests=99)
    for option in (("--requests", "-1"), ("--burst", "0"), ("--events", "9" * 12)):
        assert "a limit is" in cli.refused("limit", key[:6], *option)
    assert await limits() == Limits(requests=99)


async def test_the_list_says_when_a_key_was_last_used_and_it_is_seldom_written(
    cli: Cli, pool: Pool
) -> None:
    key = await create_key(pool, "shop", ["write"])
    assert columns(cli("list"))[1][6].strip() == "-"
    await Keys(pool).grant(key)
    used = await pool.fetchval("select last_used_at from api_key")
    assert columns(cli("list"))[1][6].strip() == f"{used:%Y-%m-%d %H:%M}"
    await Keys(pool).grant(key)
    assert await pool.fetchval("select last_used_at from api_key") == used
    await pool.execute("update api_key set last_used_at = now() - interval '11 minutes'")
    await Keys(pool).grant(key)
    assert await pool.fetchval("select last_used_at > $1 from api_key", used)


async def test_a_key_is_known_where_nothing_may_be_written(pool: Pool, database_url: str) -> None:
    key = await create_key(pool, "shop", ["read"])
    reader = await open_pool(f"{database_url}&default_transaction_read_only=on")
    assert await Keys(reader).grant(key) is not None
    await reader.close()


async def test_no_answer_and_no_log_line_has_a_key(
    database_url: str, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = await create_key(pool, "shop", ["write"])
    async with running_api(database_url) as api:
        basic = base64.b64encode(f"{key}:".encode()).decode()
        said = []
        for header in (key, f"Bearer {key}", f"Basic {basic}", f"Token {key}", f"{key} x", basic):
            for method, path in (("POST", "/v1/track"), ("GET", "/customers")):
                answer = await api.send(
                    method, path, content=b"nonsense", headers={"Authorization": header}
                )
                assert answer.status_code in {400, 401, 403}
                said.append(f"{answer.headers} {answer.text}")
    # A piece of it, so that a shortened one is found too.
    told = "\n".join([*said, *(record.getMessage() for record in caplog.records)])
    assert key[8:16] not in told
    assert basic[8:16] not in told
    assert "nonsense" not in told
