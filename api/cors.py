"""Posting from pages of any origin: to the tracking routes, and to no others."""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_REMEMBERED_SECONDS = 7_200  # no browser remembers a preflight's answer for longer


class TrackingCors:
    """Lets browsers post to `paths` with the headers that their libraries set.

    Credentials are allowed because a library may be told to send its page's cookies; none is
    read here. What these routes answer says nothing about anybody.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._open = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["POST"],
            allow_headers=["*"],
            allow_credentials=True,
            expose_headers=["Retry-After"],
            max_age=_REMEMBERED_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        tracking = scope["type"] == "http" and scope["path"] in self._paths
        await (self._open if tracking else self._app)(scope, receive, send)
