"""Keys from the command line, and what they allow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from domain.errors import Refused
from infra.database.keys import (
    SCOPES,
    Keys,
    create_key,
    ensure_development_key,
    list_keys,
    revoke_key,
    withdraw_development_key,
)
from infra.database.pool import Pool
from tests.parts import Postgres

ROOT = Path(__file__).resolve().parents[2]


class Cli:
    """`sojourn keys` over one database."""

    def __init__(self, database_url: str | None) -> None:
        clean = {name: value for name, value in os.environ.items() if "SOJOURN_" not in name}
        self.environment = clean | (
            {"SOJOURN_DATABASE_URL": database_url} if database_url is not None else {}
        )

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "keys", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done
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


def columns(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
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
        "SOURCE", "SCOPES", "HINT", "DIGEST", "CREATED (UTC)", "REVOKED (UTC)",
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
