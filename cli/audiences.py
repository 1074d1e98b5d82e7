"""`sojourn audiences`: computed traits and segments, and computing new ones from the history."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.keys import in_database
from domain.errors import AudienceError, ConfigurationError, JourneyError
from infra.settings import load_settings

if TYPE_CHECKING:
    from infra.database.audiences import AudienceKeeper
    from infra.database.backfill import Progress
    from infra.database.pool import Pool

_CONNECTIONS = 3

app = typer.Typer(no_args_is_help=True, help="Computed traits and segments.")


@app.command("list")
def list_() -> None:
    """Show what is declared, and whether the history is in it."""
    from infra.database.audiences import filled  # noqa: PLC0415 -- `--help` should not wait for it

    audiences = _keeper().audiences
    known = in_database(filled)
    states = {
        True: "computed",
        False: "waits for a backfill",
        None: "no API of this version has been started yet",
    }
    for one in (*audiences.computed, *audiences.segments):
        kind = type(one).__name__.lower()
        typer.echo(f"{one.name:24}  {kind:12}  {states[known.get(one.key)]}")


@app.command("backfill")
def backfill(
    announce: Annotated[
        bool,
        typer.Option(
            "--announce",
            help="Customers found in a new segment enter it with an event, which starts journeys.",
        ),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Compute everything anew, even what is there.")
    ] = False,
) -> None:
    """Compute what is new from the history of every customer.

    Events go on coming in meanwhile. Run it when the last API of the version before has ended.
    It may be stopped and goes on where it was.
    """
    from infra.database.backfill import Backfill  # noqa: PLC0415

    keeper = _keeper()

    async def work(pool: "Pool") -> int:
        return await Backfill(pool, keeper, announce=announce).run(_show, again=again)

    computed = in_database(work, _CONNECTIONS)
    if sys.stderr.isatty():
        typer.echo(err=True)
    if computed:
        typer.echo(f"Computed: {computed} traits and segments.")
    else:
        typer.echo("Nothing waits for a backfill.")


def _keeper() -> "AudienceKeeper":
    from audiences.catalog import discover  # noqa: PLC0415
    from cli.main import refuse  # noqa: PLC0415 -- which imports this module
    from infra.database.audiences import AudienceKeeper  # noqa: PLC0415
    from journeys.catalog import Catalog  # noqa: PLC0415
    from journeys.catalog import discover as discover_journeys  # noqa: PLC0415

    try:
        catalog = Catalog(discover_journeys(), load_settings().journey_parameters)
        return AudienceKeeper(discover(), catalog.entries)
    except (AudienceError, ConfigurationError, JourneyError) as error:
        refuse(error)


def _show(progress: "Progress") -> None:
    said = f"{progress.done:,} of {progress.of:,} customers, {progress.events:,} events"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{said}")
        sys.stderr.flush()
    else:
        typer.echo(said, err=True)
