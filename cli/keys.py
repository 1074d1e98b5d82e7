"""`sojourn keys`: the keys with which sources post events and people read customers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from domain.errors import ConfigurationError, Refused, Unavailable
from infra.settings import Settings, load_settings

if TYPE_CHECKING:
    from infra.database.keys import KeyRow
    from infra.database.pool import Pool

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@app.command("create")
def create(
    source: Annotated[str, typer.Option(help="Who posts with it: shop, app, helpdesk.")],
    scope: Annotated[
        list[str], typer.Option(help="write, read, operate or administer; may be repeated.")
    ],
) -> None:
    """Make a key and print it, this once: only its digest is kept."""
    from infra.database.keys import create_key  # noqa: PLC0415 -- `--help` should not wait for it

    key = in_database(lambda pool: create_key(pool, source.strip(), scope))
    typer.echo(key)
    typer.echo(
        f"A key of {source.strip()} to {', '.join(scope)}. Keep it now: it cannot be shown again.",
        err=True,
    )


@app.command("list")
def list_() -> None:
    """Show what keys there are, oldest first. The keys themselves are not kept."""
    from infra.database.keys import list_keys  # noqa: PLC0415

    found = in_database(list_keys)
    for line in _table(found):
        typer.echo(line)
    if not found:
        typer.echo("There are no keys. Make one: sojourn keys create --help", err=True)


@app.command("revoke")
def revoke(
    key: Annotated[
        str, typer.Argument(help="Its hint, or the beginning of its digest; `keys list` has both.")
    ],
) -> None:
    """Make a key worthless, within five seconds and for good."""
    from infra.database.keys import revoke_key  # noqa: PLC0415

    gone = in_database(lambda pool: revoke_key(pool, key))
    typer.echo(f"Revoked: the key {gone.hint} ({gone.digest[:12]}) of {gone.source}.")


def _table(rows: "Sequence[KeyRow]") -> list[str]:
    cells = [("SOURCE", "SCOPES", "HINT", "DIGEST", "CREATED (UTC)", "REVOKED (UTC)")]
    for row in rows:
        revoked = f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else "-"
        created = f"{row.created_at:%Y-%m-%d %H:%M}"
        scopes = ",".join(row.scopes)
        cells.append((row.source, scopes, row.hint, row.digest[:12], created, revoked))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def in_database(work: "Callable[[Pool], Awaitable[T]]", connections: int = 1) -> T:
    """Do something with the database; one sentence and exit code 2 where that is impossible."""
    from cli.main import refuse  # noqa: PLC0415 -- which imports this module

    async def run() -> T:
        async with _pool(load_settings(), connections) as pool:
            return await work(pool)

    try:
        return asyncio.run(run())
    except ConfigurationError as error:
        refuse(error)
    except (Refused, Unavailable) as error:
        refuse(ConfigurationError(str(error)))


@contextlib.asynccontextmanager
async def _pool(settings: Settings, connections: int) -> "AsyncIterator[Pool]":
    import asyncpg  # noqa: PLC0415

    from infra.database.pool import UNREACHABLE, open_pool  # noqa: PLC0415

    pool = await open_pool(settings.required_database_url(), size=connections)
    try:
        yield pool
    except UNREACHABLE as error:
        raise Unavailable(f"PostgreSQL does not answer: {error}") from error
    except asyncpg.UndefinedTableError:
        raise ConfigurationError("the database has no tables yet: run `sojourn migrate`") from None
    except asyncpg.PostgresError as error:
        raise ConfigurationError(f"the database refuses: {error}") from error
    finally:
        await pool.close()
