"""`sojourn journeys replay`: whether the code at hand can take over the journeys under way."""

import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.keys import in_database
from domain.errors import ConfigurationError, JourneyError, Unavailable
from infra.settings import Settings, load_settings

if TYPE_CHECKING:
    from infra.database.pool import Pool
    from journeys.catalog import Catalog

_WRONG = 1
_SAID_EVERY = 1_000
_CONNECTIONS = 2


def replay(
    journeys: Annotated[
        list[str] | None,
        typer.Argument(metavar="JOURNEY", help="Only these, such as abandoned_cart."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="So many of each journey at most, chosen at random; else all."),
    ] = None,
) -> None:
    """Play open journeys again with this code, before a worker does. Changes nothing.

    Each that could not go on is a line: its enrollment, its journey, and why. Ends with 1 then.
    """
    from cli.main import refuse  # noqa: PLC0415 -- which imports this module

    # What would be logged of a replay that fails is a line of its own here.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    try:
        settings = load_settings()
        catalog = _catalog(settings, journeys)
    except (ConfigurationError, JourneyError) as error:
        refuse(error)

    async def work(pool: "Pool") -> tuple[int, int, int]:
        return await _replay(settings, catalog, pool, journeys, limit)

    played, wrong, untried = in_database(work, _CONNECTIONS)
    typer.echo(f"{played:,} played again, {wrong:,} of which could not go on.")
    if untried:
        typer.echo(
            f"{untried:,} could not be played: nothing has been done yet in their present run, "
            "because it has just begun or is parked."
        )
    if wrong:
        raise typer.Exit(_WRONG)


def _catalog(settings: Settings, wanted: list[str] | None) -> "Catalog":
    from journeys.catalog import Catalog, discover  # noqa: PLC0415 -- `--help` should not wait

    catalog = Catalog(discover(), settings.journey_parameters)
    known = [cls.declaration.name for cls in catalog.workflows]
    for name in wanted or ():
        if name not in known:
            raise ConfigurationError(f"there is no journey {name!r}; there are {', '.join(known)}")
    return catalog


async def _replay(
    settings: Settings,
    catalog: "Catalog",
    pool: "Pool",
    journeys: list[str] | None,
    limit: int | None,
) -> tuple[int, int, int]:
    """Play them, and say what is wrong. Returns how many were played, wrong, and not played."""
    from temporalio.service import RPCError  # noqa: PLC0415

    from infra.database.live import LiveEnrollments  # noqa: PLC0415
    from infra.temporal import connect  # noqa: PLC0415
    from worker.replay import replay  # noqa: PLC0415

    enrollments = LiveEnrollments(pool, journeys or None, limit)
    done, wrong, untried, count = 0, 0, 0, await enrollments.count()
    nobody = f"Temporal does not answer at {settings.temporal_target}"
    try:
        client = await connect(settings)
    except RuntimeError as error:
        raise Unavailable(f"{nobody}: {error}") from error
    try:
        async for played in replay(client, catalog, enrollments):
            done += 1
            untried += played.untried
            if played.why_not is not None:
                wrong += 1
                _clear()
                one = played.enrollment
                typer.echo(f"{one.id}  {one.journey}  {played.why_not}")
            _show(done, count)
    except RPCError as error:
        raise Unavailable(f"{nobody}: {error}") from error
    _clear()
    return done - untried, wrong, untried


def _show(done: int, count: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} of {count:,}")
        sys.stderr.flush()
    elif done % _SAID_EVERY == 0:
        typer.echo(f"{done:,} of {count:,}", err=True)


def _clear() -> None:
    """Take the line away in which the progress stands."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()
