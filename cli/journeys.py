"""`sojourn journeys`: which journeys there are, and what each of them is made of."""

import ast
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.replay import replay
from domain.errors import ConfigurationError, JourneyError
from infra.settings import load_settings

if TYPE_CHECKING:
    from journeys.catalog import Catalog
    from workflows import Journey

_WIDTH = 76

app = typer.Typer(no_args_is_help=True, help="The journeys that there are.")
app.command("replay")(replay)


@app.command("list")
def list_() -> None:
    """Show every journey with its summary."""
    for cls in _catalog().workflows:
        typer.echo(f"{cls.declaration.name:24}  {cls.declaration.summary}")


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="The journey, such as abandoned_cart.")]) -> None:
    """Show what starts a journey, and what it is made of."""
    catalog = _catalog()
    known = {cls.declaration.name: cls for cls in catalog.workflows}
    if name not in known:
        sys.stderr.write(f"sojourn: there is no journey {name!r}; there are {', '.join(known)}\n")
        raise typer.Exit(1)
    cls = known[name]
    declared = cls.declaration
    typer.echo(f"{name}: {declared.summary}\n")
    for title, value in (
        ("starts by", ", ".join(kind.name for kind in declared.triggers)),
        ("if", "its `where` says so" if declared.where else "always"),
        ("key", "one enrollment for each key" if declared.key else "none: once at a time"),
        ("again", _again(cls)),
        ("waits for", ", ".join(kind.name for kind in declared.keeps) or "no event"),
        ("by the clock", str(declared.schedule or "never")),
        ("code", sys.modules[cls.__module__].__file__ or ""),
    ):
        typer.echo(f"  {title:14}{value}")
    _section("awaits, by line", _awaited(cls))
    values = catalog.parameters(name).model_dump(mode="json")
    _section("parameters", (f"{key} = {value}" for key, value in values.items()))
    _section("templates", _templates(cls))


def _section(title: str, lines: Iterator[str]) -> None:
    found = list(lines)
    if found:
        typer.echo(f"\n  {title}")
    for line in found:
        typer.echo(f"    {line}")


def _again(cls: "type[Journey[Any, Any]]") -> str:
    policy = cls.declaration.re_entry
    if not policy.allowed:
        return "never: once in a lifetime"
    if policy.while_live:
        return "at any time"
    return f"{policy.pause} after its end" if policy.pause else "after its end"


def _awaited(cls: "type[Journey[Any, Any]]") -> Iterator[str]:
    from workflows import Journey  # noqa: PLC0415 -- `--help` should not wait for it
    from workflows.source import code_of  # noqa: PLC0415

    for code in code_of(cls, Journey):
        for node in sorted(ast.walk(code.function), key=code.line):
            verb = code.verb(node)
            if verb is not None and hasattr(Journey, verb) and verb != "note":
                text = ast.unparse(node)
                short = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
                yield f"{code.line(node):>4}  {short}"


def _templates(cls: "type[Journey[Any, Any]]") -> Iterator[str]:
    from workflows import Template  # noqa: PLC0415

    for value in vars(sys.modules[cls.__module__]).values():
        if isinstance(value, Template):
            yield f"{value.name}  {value.topic}, with the data of {value.data.__name__}"


def _catalog() -> "Catalog":
    from cli.main import refuse  # noqa: PLC0415 -- which imports this module
    from journeys.catalog import Catalog, discover  # noqa: PLC0415

    try:
        return Catalog(discover(), load_settings().journey_parameters)
    except (ConfigurationError, JourneyError) as error:
        refuse(error)
