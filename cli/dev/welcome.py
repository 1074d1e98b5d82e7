"""What is shown when everything is ready."""

import os
import sys
from pathlib import Path

from cli.dev.parts import api_url
from cli.dev.terminal import Terminal
from infra.settings import Settings


def welcome(settings: Settings, terminal: Terminal, database_url: str, *, to_try: bool) -> str:
    """What to open, with `to_try` a first thing to try, and the URL of an embedded database."""
    url = api_url(settings)
    rows = (
        ("API, with its documentation", f"{url}/docs"),
        ("Temporal UI: where each journey stands", settings.temporal_ui),
        ("Mailbox: what customers received", settings.mailbox_url),
    )
    width = max(len(what) for what, _ in rows)
    lines = [
        "",
        terminal.paint("green", f"  Ready after {terminal.seconds():.1f} s."),
        "",
        *(f"  {what:<{width}}  {terminal.paint('bold', where)}" for what, where in rows),
        "",
        *(_first_try(settings) if to_try else []),
        *([] if settings.database_url else _other_commands(database_url)),
        "  Ctrl-C ends everything; the data stays.",
        "",
    ]
    return "\n".join(lines)


def _first_try(settings: Settings) -> list[str]:
    when = "later" if "abandoned_cart" in settings.journey_parameters else "an hour later"
    post = f"curl -u dev: {api_url(settings)}/v1/"
    header = "-H 'Content-Type: application/json'"
    person = '{"userId":"ada","traits":{"email":"ada@example.com","first_name":"Ada"}}'
    cart = '{"cart_id":"c1","total":81.5,"currency":"EUR"}'
    event = f'{{"userId":"ada","event":"cart_abandoned","properties":{cart}}}'
    return [
        f"  Try: Ada leaves a cart, and {when} she gets a reminder.",
        "",
        f"{post}identify {header} -d '{person}'",
        f"{post}track {header} -d '{event}'",
        "",
    ]


def _other_commands(database_url: str) -> list[str]:
    command = os.path.relpath(Path(sys.executable).with_name("sojourn"))
    return [
        f"  For `{command} keys` and other commands beside it:",
        "",
        f"export SOJOURN_DATABASE_URL='{database_url}'",
        "",
    ]
