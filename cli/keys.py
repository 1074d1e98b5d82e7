"""`sojourn keys`: the keys with which sources post events and people read customers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from domain.errors import ConfigurationError, Refused, Unavailable
from domain.limits import Limits
from infra.settings import Settings, load_settings

if TYPE_CHECKING:
    from infra.database.keys import KeyRow
    from infra.database.pool import Pool

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Make, list, limit, rotate and revoke API keys.")

_NAME = "Its hint, or the beginning of its digest; `keys list` has both."

Name = Annotated[str, typer.Argument(help=_NAME)]
Requests = Annotated[int | None, typer.Option(help="Requests a second; 0: no limit.")]
Events = Annotated[int | None, typer.Option(help="Events a second; 0: no limit.")]
Burst = Annotated[int | None, typer.Option(help="Seconds' worth that may come at once.")]


@app.command("create")
def create(
    source: Annotated[str, typer.Option(help="Who posts with it: shop, app, helpdesk.")],
    scope: Annotated[
        list[str], typer.Option(help="write, read, operate or administer; may be repeated.")
    ],
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Worthless from then, UTC."),
    ] = None,
    requests: Requests = None,
    events: Events = None,
    burst: Burst = None,
) -> None:
    """Make a key and print it, this once: only its digest is kept."""
    from infra.database.keys import create_key  # noqa: PLC0415 -- `--help` should not wait for it

    key = in_database(
        lambda pool: create_key(
            pool,
            source.strip(),
            scope,
            limits=_limits(requests, events, burst),
            expires_at=expires and expires.replace(tzinfo=UTC),
        )
    )
    _show_once(key, f"A key of {source.strip()} to {', '.join(scope)}.")


@app.command("list")
def list_() -> None:
    """Show what keys there are, oldest first. The keys themselves are not kept."""
    from infra.database.keys import list_keys  # noqa: PLC0415

    found = in_database(list_keys)
    for line in _table(found):
        typer.echo(line)
    if not found:
        typer.echo("There are no keys. Make one: sojourn keys create --help", err=True)


@app.command("limit")
def limit(key: Name, requests: Requests = None, events: Events = None, burst: Burst = None) -> None:
    """Give a key limits of its own. Without options, those of the settings again."""
    from infra.database.keys import limit_key  # noqa: PLC0415

    limits = _limits(requests, events, burst)
    row = in_database(lambda pool: limit_key(pool, key, limits))
    typer.echo(f"{row.hint} ({row.digest[:12]}) of {row.source}: {_limits_text(limits)}.")


@app.command("rotate")
def rotate(
    key: Name,
    overlap_days: Annotated[
        float, typer.Option(min=0, max=3650, help="How long the old key goes on working.")
    ] = 7,
) -> None:
    """Make and print a second key like this one. The old one expires after the overlap."""
    from infra.database.keys import rotate_key  # noqa: PLC0415

    overlap = timedelta(days=overlap_days)
    new, old = in_database(lambda pool: rotate_key(pool, key, overlap))
    _show_once(
        new,
        f"A key of {old.source} to {', '.join(old.scopes)}; {old.hint} ({old.digest[:12]}) goes on "
        f"until {datetime.now(UTC) + overlap:%Y-%m-%d %H:%M} UTC at most.",
    )


@app.command("revoke")
def revoke(key: Name) -> None:
    """Make a key worthless, within five seconds and for good."""
    from infra.database.keys import revoke_key  # noqa: PLC0415

    gone = in_database(lambda pool: revoke_key(pool, key))
    typer.echo(f"Revoked: the key {gone.hint} ({gone.digest[:12]}) of {gone.source}.")


def _show_once(key: str, what: str) -> None:
    typer.echo(key)
    typer.echo(f"{what} Keep it now: it cannot be shown again.", err=True)


def _limits(requests: int | None, events: int | None, burst: int | None) -> Limits | None:
    """What was asked for, without a limit for the rest; None where nothing was."""
    asked = {"requests": requests, "events": events, "burst": burst}
    given = {name: value for name, value in asked.items() if value is not None}
    return Limits(**given) if given else None


def _limits_text(limits: Limits | None) -> str:
    if limits is None:
        return "as set"
    requests, events = (f"{n}/s" if n else "any" for n in (limits.requests, limits.events))
    return f"requests {requests}, events {events}, burst {limits.burst} s"


def _table(rows: "Sequence[KeyRow]") -> list[str]:
    cells: list[tuple[str, ...]] = [
        (
            *("SOURCE", "SCOPES", "HINT", "DIGEST", "LIMITS"),
            *("CREATED (UTC)", "USED (UTC)", "EXPIRES (UTC)", "REVOKED (UTC)"),
        )
    ]
    for row in rows:
        times = (row.created_at, row.last_used_at, row.expires_at, row.revoked_at)
        cells.append(
            (
                row.source,
                ",".join(row.scopes),
                row.hint,
                row.digest[:12],
                _limits_text(row.limits),
                *(f"{at:%Y-%m-%d %H:%M}" if at else "-" for at in times),
            )
        )
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
