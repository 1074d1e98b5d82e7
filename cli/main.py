"""The `sojourn` command."""

import os
import sys
from collections.abc import Callable, Coroutine
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer

from cli import audiences, health, hooks, journeys, keys, quarantine, tasks
from cli.leaving import leave_after
from cli.signals import until_signalled
from domain.errors import AudienceError, ConfigurationError, JourneyError, SojournError
from infra.settings import Settings, load_settings, not_settings

Serve = Callable[[Settings], Coroutine[Any, Any, object]]

CANNOT_START = 2
"""Exit code when a setting, a port or a permission stands in the way."""

app = typer.Typer(
    name="sojourn",
    help="Sojourn, a durable customer-journey runtime. Settings come from the environment, "
    "prefix SOJOURN_.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def refuse(error: SojournError) -> NoReturn:
    """Say in one sentence what stands in the way, and end with exit code 2."""
    sys.stderr.write(f"sojourn: {error}\n")
    raise typer.Exit(CANNOT_START)


def _run(process: str, serve: Callable[[], Serve]) -> None:
    """Run a process until SIGTERM or Ctrl-C.

    Args:
        process: its name in logs.
        serve: finds its entry, so that a command imports only what it runs. The entry runs
            until it is cancelled and tidies up then.
    """
    try:
        settings = load_settings()
        from infra import logs  # noqa: PLC0415 -- `sojourn --help` should not wait for it

        logs.configure(settings, process)
        until_signalled(serve()(settings))
    except (AudienceError, ConfigurationError, JourneyError) as error:
        refuse(error)


def _version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[  # noqa: ARG001 - its callback does what it says
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""
    for sentence in not_settings(os.environ).values():
        sys.stderr.write(f"sojourn: {sentence}\n")


@app.command()
def dev() -> None:
    """Start everything in this terminal, on embedded parts. Ctrl-C ends it."""
    from cli.dev import run  # noqa: PLC0415

    _supervise(run)


@app.command()
def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the story: exit code 0 if it went well.")
    ] = False,
) -> None:
    """Start everything with short waits and play three customers."""
    from cli.dev import run_demo  # noqa: PLC0415

    _supervise(lambda settings: run_demo(settings, leave=leave))


def _supervise(run: Callable[[Settings], int]) -> None:
    try:
        code = run(load_settings())
    except ConfigurationError as error:
        refuse(error)
    raise typer.Exit(code)


@app.command()
def api() -> None:
    """Run the HTTP API. The relay runs in it, unless SOJOURN_RELAY_IN_API=false."""

    def entry() -> Serve:
        from api.process import serve  # noqa: PLC0415

        return serve

    _run("api", entry)


@app.command()
def relay() -> None:
    """Run a relay: it carries accepted events to Temporal."""

    def entry() -> Serve:
        from infra.relay import serve  # noqa: PLC0415

        return serve

    _run("relay", entry)


@app.command()
def worker() -> None:
    """Run a worker: journeys and what they send."""

    def entry() -> Serve:
        from worker.process import serve  # noqa: PLC0415

        return serve

    _run("worker", entry)


@app.command()
def mailbox() -> None:
    """Run the development mailbox. It is an SMTP server and a provider simulator."""

    def entry() -> Serve:
        try:
            from cli.mailbox.process import serve  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name and error.name.partition(".")[0] == "aiosmtpd":
                raise ConfigurationError(
                    "the mailbox is for development and needs the extra `dev`: "
                    "use `make dev`, or install it with `pip install -e .[dev]`."
                ) from None
            raise
        return serve

    _run("mailbox", entry)


@app.command()
def migrate() -> None:
    """Bring the database of SOJOURN_DATABASE_URL up to this version."""
    try:
        settings = load_settings()
        from infra import logs  # noqa: PLC0415
        from infra.database.migrate import upgrade  # noqa: PLC0415

        logs.configure(settings, "migrate")
        upgrade(settings.required_database_url())
    except ConfigurationError as error:
        refuse(error)


@app.command("version")
def version() -> None:
    """Show the version."""
    try:
        typer.echo(f"sojourn {metadata.version('sojourn')}")
    except metadata.PackageNotFoundError:  # run from the source tree, not installed
        typer.echo("sojourn (not installed)")


app.add_typer(keys.app, name="keys")
app.add_typer(audiences.app, name="audiences")
app.add_typer(hooks.app, name="hooks")
app.add_typer(journeys.app, name="journeys")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(tasks.app, name="tasks")
app.command("health")(health.health)


def command() -> NoReturn:
    """Be the `sojourn` command."""
    leave_after(app)


if __name__ == "__main__":
    command()
