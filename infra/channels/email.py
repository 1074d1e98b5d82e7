"""E-mail over SMTP. What an answer means depends on the step at which it came."""

import re
import socket
from collections.abc import Mapping
from datetime import timedelta

import aiosmtplib

from domain.errors import ConfigurationError
from domain.messages import (
    Accepted,
    Ambiguous,
    Parcel,
    ProviderAnswer,
    RejectedForGood,
    RejectedForNow,
)
from infra.channels.envelope import Envelope, check_headers, compose, parse_sender
from infra.channels.smtp import Connection, SmtpPool

_NO_SUCH_MAILBOX = {550, 551, 553}
# The server wants credentials or TLS of us: an operator can put that right.
_CONFIGURATION = {530, 534, 535, 538}
_ENHANCED = re.compile(r"5\.(\d{1,3}\.\d{1,3})\b")
# RFC 3463: 1.x is about addresses, but 1.7 and 1.8 about the sender's; 2.1 is a disabled mailbox.
_ABOUT_THE_MAILBOX = re.compile(r"1\.(?![78]\b)\d+|2\.1")


class EmailChannel:
    """Sends multipart e-mail (text and HTML) through one SMTP server.

    Args:
        host: the server.
        port: its port.
        sender: the From, with or without a display name.
        headers: more headers, such as the one whose value the provider gives back when it tells
            what became of a message; `{message_id}` and `{key}` stand for the message's.
        username: logs in where given.
        password: the password to it.
        starttls: True: insist; False: never; None: where offered.
        timeout: seconds for each step of the conversation.
        connections: how many conversations are held at once, at most.

    Raises:
        ConfigurationError: the sender is not an address, or a header cannot be set.
    """

    name: str = "email"
    idempotency_life: timedelta | None = None

    def __init__(
        self,
        host: str,
        port: int,
        sender: str,
        *,
        headers: Mapping[str, str] | None = None,
        username: str | None = None,
        password: str | None = None,
        starttls: bool | None = None,
        timeout: float = 10,
        connections: int = 8,
    ) -> None:
        try:
            self._sender = parse_sender(sender)
        except ValueError as error:
            raise ConfigurationError(f"SOJOURN_EMAIL_FROM: {error}.") from None
        self._headers = dict(headers or {})
        try:
            check_headers(self._headers)
        except ValueError as error:
            raise ConfigurationError(f"SOJOURN_EMAIL_HEADERS: {error}.") from None

        def new_client() -> aiosmtplib.SMTP:
            return aiosmtplib.SMTP(
                hostname=host,
                port=port,
                username=username,
                password=password,
                start_tls=starttls,
                timeout=timeout,
                # Looking our own name up may ask the DNS, and wait for it.
                local_hostname=socket.gethostname() or "localhost",
            )

        self._pool = SmtpPool(new_client, connections)

    async def deliver(self, parcel: Parcel) -> ProviderAnswer:
        """Hand an e-mail to the server."""
        try:
            envelope = compose(parcel, self._sender, self._headers)
        except ValueError as error:
            return RejectedForGood(str(error), address_is_dead=True)
        async with self._pool.slot():
            connection = self._pool.idle()
            if connection is not None:
                answer = await self._converse(connection, envelope, reused=True)
                if answer is not None:
                    return answer
                self._pool.drop_idle()
            try:
                connection = await self._pool.connect()
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                return RejectedForNow(f"no connection to the mail server: {error}")
            answer = await self._converse(connection, envelope, reused=False)
            assert answer is not None
            return answer

    async def close(self) -> None:
        """Let go of connections."""
        await self._pool.close()

    async def _converse(
        self, connection: Connection, envelope: Envelope, *, reused: bool
    ) -> ProviderAnswer | None:
        """Hold one conversation; None: a reused connection was of no use, take a new one."""
        smtp, step, keep = connection.smtp, "MAIL", False
        utf8 = envelope.recipient.needs_utf8
        try:
            if utf8 and not smtp.supports_extension("smtputf8"):
                keep = True
                return RejectedForGood("the mail server does not carry non-ASCII addresses")
            await smtp.mail(
                envelope.sender, options=["BODY=8BITMIME", "SMTPUTF8"] if utf8 else None
            )
            step = "RCPT"
            await smtp.rcpt(envelope.recipient.address, encoding="utf-8" if utf8 else "ascii")
            if smtp.is_connected:
                step = "DATA"
            await smtp.data(envelope.content)
            keep = True
        except (aiosmtplib.SMTPException, OSError, ValueError, RuntimeError) as error:
            answer = _meaning(step, error)
            if reused and step == "MAIL" and isinstance(answer, RejectedForNow):
                return None  # servers end an idle connection, with 421 or without a word
            keep = isinstance(answer, RejectedForGood) and await connection.reset()
            return answer
        finally:
            # Also when cancelled: half a conversation must not be continued by another message.
            self._pool.give_back(connection, usable=keep)
        return Accepted(envelope.message_id)


def _meaning(step: str, error: Exception) -> ProviderAnswer:
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        detail = f"the conversation with the mail server broke off at {step}: {error}"
        return Ambiguous(detail) if step == "DATA" else RejectedForNow(detail)
    code, message = error.code, " ".join(error.message.split())[:200]
    detail = f"the mail server answered {step} with {code} {message}"
    if 500 <= code < 600 and code not in _CONFIGURATION:  # noqa: PLR2004
        return RejectedForGood(detail, step == "RCPT" and _names_the_mailbox(code, message))
    if step == "DATA" and not 400 <= code < 600:  # noqa: PLR2004
        return Ambiguous(detail)  # neither yes nor no: not an answer that the standard knows
    return RejectedForNow(detail)


def _names_the_mailbox(code: int, message: str) -> bool:
    """Whether the refused recipient is the reason, and not a policy or a full disk."""
    if enhanced := _ENHANCED.match(message):
        return _ABOUT_THE_MAILBOX.fullmatch(enhanced[1]) is not None
    return code in _NO_SUCH_MAILBOX
