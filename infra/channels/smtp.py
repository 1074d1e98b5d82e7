"""Connections to one SMTP server, kept for the next message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import monotonic

import aiosmtplib

_IDLE_SECONDS = 30
_GOODBYE_SECONDS = 2


@dataclass(slots=True)
class Connection:
    """One conversation with the server, and when it was last of use."""

    smtp: aiosmtplib.SMTP
    since: float = field(default_factory=monotonic)

    async def reset(self) -> bool:
        """Forget the message in progress; False where the connection is of no more use."""
        try:
            await self.smtp.rset(timeout=_GOODBYE_SECONDS)
        except (aiosmtplib.SMTPException, OSError):
            return False
        return True


class SmtpPool:
    """At most `size` connections; those that are free are used again, the latest first.

    Args:
        new_client: makes an unconnected client with its host, credentials and timeouts.
        size: how many conversations may be held at once.
    """

    def __init__(self, new_client: Callable[[], aiosmtplib.SMTP], size: int) -> None:
        self._new_client = new_client
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """The right to hold one conversation."""
        async with self._slots:
            yield

    def idle(self) -> Connection | None:
        """A free connection that looks alive, or None. It may be dead all the same."""
        while self._idle:
            connection = self._idle.pop()
            fresh = monotonic() - connection.since < _IDLE_SECONDS
            if fresh and connection.smtp.is_connected:
                return connection
            connection.smtp.close()
        return None

    async def connect(self) -> Connection:
        """A new connection, greeted, secured and logged in as configured.

        Raises:
            SMTPException: the server does not want us now.
            OSError: it cannot be reached, or its certificate is not trusted.
        """
        smtp = self._new_client()
        await smtp.connect()
        try:
            if smtp.is_ehlo_or_helo_needed:
                with contextlib.suppress(aiosmtplib.SMTPHeloError):  # then MAIL will say HELO
                    await smtp.ehlo()
        except BaseException:
            smtp.close()
            raise
        return Connection(smtp)

    def give_back(self, connection: Connection, *, usable: bool) -> None:
        """Keep a connection for the next message, or close it."""
        if usable and not self._closed and connection.smtp.is_connected:
            connection.since = monotonic()
            self._idle.append(connection)
        else:
            connection.smtp.close()

    def drop_idle(self) -> None:
        """Close every free connection: one of them was dead, the others are as old."""
        while self._idle:
            self._idle.pop().smtp.close()

    async def close(self) -> None:
        """Say goodbye on every free connection; the others are closed when given back."""
        self._closed = True
        while self._idle:
            smtp = self._idle.pop().smtp
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await smtp.quit(timeout=_GOODBYE_SECONDS)
            smtp.close()
