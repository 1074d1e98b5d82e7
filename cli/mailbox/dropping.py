"""Closing a connection without an answer, which ASGI has no word for."""

from fastapi import Request, Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "sojourn.drop"


class DroppableHttp(HttpToolsProtocol):
    """uvicorn's HTTP, which also offers the app to drop the connection."""

    def on_message_begin(self) -> None:
        """Offer it with each request, as an ASGI extension."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"abort": self.transport.abort}}


async def drop(request: Request) -> Response:
    """Close the connection. The response is for nobody.

    Raises:
        RuntimeError: the server does not offer it.
    """
    try:
        request.scope["extensions"][_EXTENSION]["abort"]()
    except KeyError:
        raise RuntimeError("faults that drop a connection need the mailbox's own server") from None
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()
