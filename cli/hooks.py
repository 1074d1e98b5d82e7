"""`sojourn hooks`: the tools that post webhooks to us, and what their payloads stand for."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from domain.errors import ConfigurationError, Refused
from infra.settings import load_settings

if TYPE_CHECKING:
    from api.hooks import Delivery, Hook, Mapped

app = typer.Typer(no_args_is_help=True, help="Look at the webhooks that tools post to us.")

_WRONG = 1


@app.command("list")
def list_() -> None:
    """Show and check the hooks of SOJOURN_HOOKS_DIR, and their secrets."""
    from api.hooks import load_hooks  # noqa: PLC0415 -- `--help` should not wait for it
    from cli.main import refuse  # noqa: PLC0415 -- which imports this module

    try:
        settings = load_settings()
        hooks = load_hooks(settings.hooks_dir, settings.hook_secrets)
    except ConfigurationError as error:
        refuse(error)
    for hook in hooks.values():
        names = ", ".join(dict.fromkeys(rule.name for rule in hook.mapper.rules))
        typer.echo(
            f"/webhooks/{hook.name}  {hook.signature.scheme}, secrets: {len(hook.keys)}  -> {names}"
        )
    if not hooks:
        typer.echo("There are no hooks. SOJOURN_HOOKS_DIR names their folder.", err=True)


@app.command("check")
def check(
    hook: Annotated[Path, typer.Argument(help="Its file, or its name in SOJOURN_HOOKS_DIR.")],
    sample: Annotated[Path, typer.Argument(help="A payload of the tool; - reads it here.")],
    header: Annotated[
        list[str] | None,
        typer.Option(help="A header of it, NAME: VALUE; may be repeated."),
    ] = None,
) -> None:
    """Show the events that a payload stands for, one JSON line each.

    Nothing is accepted. Ends with 1 where one of them could not be taken.
    """
    from api.hooks import Delivery, read_hook  # noqa: PLC0415
    from cli.main import refuse  # noqa: PLC0415

    try:
        read = read_hook(_file(hook))
        try:
            body = sys.stdin.buffer.read() if str(sample) == "-" else sample.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{sample}: {error.strerror}") from None
        lines = _lines(read, Delivery(_headers(header or []), body))
    except ConfigurationError as error:
        refuse(error)
    for line in lines:
        typer.echo(orjson.dumps(line).decode())
    if not lines:
        typer.echo("It stands for no event.", err=True)
    if any("rejected" in line for line in lines):
        raise typer.Exit(_WRONG)


def _file(hook: Path) -> Path:
    folder = load_settings().hooks_dir
    if hook.suffix == ".toml" or folder is None:
        return hook
    return folder / f"{hook}.toml"


def _headers(said: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in said)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _lines(hook: "Hook", delivery: "Delivery") -> list[dict[str, object]]:
    """What becomes of a payload, as far as that can be said without the store."""
    from api.hooks import Mapped  # noqa: PLC0415

    mapped: list[Mapped | Refused]
    try:
        mapped = hook.mapper.events(delivery)
    except Refused as error:
        mapped = [error]
    return [_event(one) if isinstance(one, Mapped) else _rejected(one) for one in mapped]


def _event(event: "Mapped") -> dict[str, object]:
    from domain.events import Occurrence, event_type  # noqa: PLC0415

    shown: dict[str, object] = {
        name: getattr(event, name)
        for name in ("user_id", "anonymous_id", "message", "email", "time", "properties")
        if getattr(event, name)
    }
    declared = event_type(event.name)
    line = {"event": event.name, "messageId": event.message_id, **shown}
    if declared is None:
        return {**line, "note": "nobody declared an event of this name: it will wake nobody"}
    try:
        declared.of(event.properties, Occurrence(event.message_id, datetime.now(UTC)))
    except Refused as error:
        return {**line, **_rejected(error)}
    return {**line, "event": declared.name}


def _rejected(error: Refused) -> dict[str, object]:
    return {"rejected": error.reason, "field": error.field}
