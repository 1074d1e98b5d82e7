"""The mailbox's SMTP server."""

import asyncio
import socket
import weakref
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from urllib.parse import unquote

from aiosmtpd.smtp import SMTP, Envelope, Session

from cli.mailbox.faults import AT_DATA, AT_RCPT, Faults
from cli.mailbox.store import MessageStore, StoredMessage

_PARSER = BytesParser(policy=policy.default)
_REFUSALS = {
    "550_rcpt": "550 5.1.1 No such mailbox",
    "451_rcpt": "451 4.7.1 Greylisted, try again later",
    "452_data": "452 4.3.1 Insufficient system storage",
    "554_data": "554 5.6.0 Message content rejected",
}


class Handler:
    """Takes every message, for any recipient, unless a fault is due."""

    def __init__(self, store: MessageStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd looks for
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Take or refuse a recipient."""
        if fault := self._faults.take("email", AT_RCPT):
            return _REFUSALS[fault.fault]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd looks for
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take or refuse a message."""
        fault = self._faults.take("email", AT_DATA)
        if fault and fault.fault in _REFUSALS:
            return _REFUSALS[fault.fault]
        for recipient in envelope.rcpt_tos:
            self._store.add(read_message(recipient, envelope.original_content or b""))
        if fault and fault.fault == "slow":
            await asyncio.sleep(fault.seconds)
        elif fault:
            _hang_up(server)
            await asyncio.Event().wait()  # until aiosmtpd notices, and cancels us
        return "250 2.0.0 OK"


class SmtpServer:
    """Listens until it is closed.

    Args:
        handler: takes the messages.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Listen on a bound socket."""
        loop = asyncio.get_running_loop()

        def session() -> SMTP:
            # Without a name, aiosmtpd asks the DNS for ours at every connection.
            smtp = SMTP(self._handler, hostname="localhost", enable_SMTPUTF8=True, loop=loop)
            self._sessions.add(smtp)
            return smtp

        self._server = await loop.create_server(session, sock=listener)

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            _hang_up(session)
        # Hanging up cancels each session's task; give them the turn to end in.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def _hang_up(session: SMTP) -> None:
    if isinstance(session.transport, asyncio.WriteTransport):
        session.transport.abort()


def read_message(recipient: str, content: bytes) -> StoredMessage:
    """What a recipient sees of a raw message; whatever cannot be read is shown raw."""
    to = _unicode_domain(recipient)
    try:
        message = _PARSER.parsebytes(content)
        key = message["X-Sojourn-Key"]
        return StoredMessage.now(
            channel="email",
            to=to,
            subject=_text(message["Subject"]),
            text=_part(message, "plain") or "",
            idempotency_key=unquote(_text(key)) if key else _text(message["Message-ID"]) or None,
            html=_part(message, "html"),
        )
    except Exception:  # noqa: BLE001 - the standard parser fails in many ways; what came counts
        raw = content.decode(errors="replace")
        return StoredMessage.now("email", to, "(a message that cannot be read)", raw, None)


def _part(message: EmailMessage, subtype: str) -> str | None:
    part = message.get_body((subtype,))
    if part is None:
        return None
    text = str(part.get_content()).replace("\r\n", "\n")
    return _text(text.removesuffix("\n"))


def _text(value: object) -> str:
    """Text that JSON can carry: a header or body may hold bytes in no known encoding."""
    return "" if value is None else str(value).encode(errors="replace").decode()


def _unicode_domain(address: str) -> str:
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('ascii').decode('idna')}"
    except UnicodeError:
        return address
