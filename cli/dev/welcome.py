"""What is shown when everything is ready."""

from cli.dev.parts import api_url
from cli.dev.terminal import Terminal
from infra.settings import Settings


def welcome(settings: Settings, terminal: Terminal, *, to_try: bool) -> str:
    """What to open and, with `to_try`, a first thing to try."""
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
        *(_first_try(url) if to_try else []),
        "  Ctrl-C ends everything; the data stays.",
        "",
    ]
    return "\n".join(lines)


def _first_try(url: str) -> list[str]:
    post = f"curl -u dev: {url}/v1/"
    header = "-H 'Content-Type: application/json'"
    person = '{"userId":"ada","traits":{"email":"ada@example.com","first_name":"Ada"}}'
    cart = '{"cart_id":"c1","total":81.5,"currency":"EUR"}'
    event = f'{{"userId":"ada","event":"cart_abandoned","properties":{cart}}}'
    return [
        "  Try: Ada leaves a cart, and an hour later she gets a reminder.",
        "",
        f"{post}identify {header} -d '{person}'",
        f"{post}track {header} -d '{event}'",
        "",
    ]
