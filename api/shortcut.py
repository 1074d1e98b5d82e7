"""The hottest routes beneath the framework, which costs as much as all that they do.

What goes past: looking the route up, dependencies, the body and the answer as the framework
would have them, which these routes read and write themselves. What stays: the same endpoints,
documented as before, and the same answers to errors.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """Serves POST requests to some paths directly, all else by the application.

    Args:
        app: the application.
        endpoints: by path; they read the request and answer it themselves.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._endpoints.get(scope["path"])
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except Exception as error:  # noqa: BLE001 - raised again where nobody has an answer to it
            response = await _answer(request, error)
        await response(scope, receive, send)


async def _answer(request: Request, error: Exception) -> Response:
    """What the application answers to an error; a bug is the server's to see, and goes on."""
    app: Starlette = request.app
    for kind in type(error).__mro__:
        if kind is Exception:
            break
        if handler := app.exception_handlers.get(kind):
            response: Response = await handler(request, error)
            return response
    raise error
