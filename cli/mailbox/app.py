"""The mailbox over HTTP: its page, its messages as JSON, the faults, and the providers."""

from pathlib import Path

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from cli.mailbox.faults import Fault, Faults
from cli.mailbox.providers import create_providers
from cli.mailbox.store import MessageStore

_PAGE = Path(__file__).with_name("page.html")
_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none'"
)
# An e-mail's HTML is somebody else's: it may look like something, and do nothing.
_MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def create_app(store: MessageStore, faults: Faults | None = None) -> FastAPI:
    """The application.

    Args:
        store: where messages are kept.
        faults: shared with the SMTP server; own ones where not given.
    """
    planned = faults if faults is not None else Faults()
    app = FastAPI(title="Sojourn development mailbox", docs_url=None, redoc_url=None)

    @app.get("/", response_class=HTMLResponse)
    async def page() -> Response:
        """All messages on one page."""
        return HTMLResponse(
            _PAGE.read_bytes(), headers={"content-security-policy": _PAGE_POLICY, **_nosniff()}
        )

    _add_messages(app, store)
    _add_faults(app, planned)
    app.include_router(create_providers(store, planned))
    return app


def _add_messages(app: FastAPI, store: MessageStore) -> None:
    @app.get("/messages")
    async def messages(
        request: Request, to: str | None = None, channel: str | None = None
    ) -> Response:
        """The messages, newest last."""
        # The page asks every second, and mostly there is nothing new.
        tag = f'"{store.version}"'
        headers = {"etag": tag, "cache-control": "no-cache", **_nosniff()}
        if to is None and channel is None:
            headers["x-first-number"] = str(store.first_number)
        if request.headers.get("if-none-match") == tag:
            return Response(None, 304, headers)
        found = [message.public() for message in store.messages(to, channel)]
        return Response(orjson.dumps(found), 200, headers, "application/json")

    @app.delete("/messages", status_code=204)
    async def clear() -> None:
        """Forget every message."""
        store.clear()

    @app.get("/messages/{number}/html")
    async def html(number: int) -> Response:
        """The HTML part of an e-mail, by the message's number."""
        headers = {"content-security-policy": _MAIL_POLICY, **_nosniff()}
        message = store.get(number)
        if message is None or message.html is None:
            return Response("This message has no HTML part.", 404, headers, "text/plain")
        return HTMLResponse(message.html, 200, headers)


def _add_faults(app: FastAPI, planned: Faults) -> None:
    @app.get("/faults")
    async def pending() -> list[Fault]:
        """The faults to come."""
        return planned.pending()

    @app.post("/faults", status_code=201)
    async def plan(fault: Fault) -> list[Fault]:
        """Ask for a fault."""
        planned.add(fault)
        return planned.pending()

    @app.delete("/faults", status_code=204)
    async def forgive() -> None:
        """Nothing goes wrong any more."""
        planned.clear()


def _nosniff() -> dict[str, str]:
    return {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
