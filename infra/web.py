"""Serving an ASGI application in a process that is ended by cancellation."""

import asyncio
import errno
import socket

import uvicorn

from domain.errors import ConfigurationError


def listen(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket.

    Args:
        host: the address to bind.
        port: the port to bind.
        variable: the environment variable that changes the port, for the error.

    Raises:
        ConfigurationError: the port is in use or may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's delay off for the connections.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"is not ours: {error.strerror}"
        raise ConfigurationError(
            f"Port {port} {why}. Free it, or set {variable} to another port."
        ) from None
    listener.setblocking(False)
    return listener


async def run_server(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until cancelled; then finish the requests under way."""
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        # Cancelled itself, uvicorn would leave its connections open.
        server.should_exit = True
        await serving
        raise
