"""From a parcel to what is said to an SMTP server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr

from domain.messages import Parcel
from infra.channels.over_http import header_safe

# 7bit: every server can carry it, and nothing on the way has a reason to re-encode.
_ASCII = policy.SMTP.clone(cte_type="7bit")
_UTF8 = _ASCII.clone(utf8=True)

_NOT_IN_LOCAL_PART = re.compile(r'[\s\x00-\x20\x7f"(),:;<>@\[\\\]\ud800-\udfff]')
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,60}")
_OWN_MEANING = (
    "bcc",
    "cc",
    "content-",
    "date",
    "dkim-",
    "from",
    "message-id",
    "mime-",
    "received",
    "resent-",
    "return-path",
    "sender",
    "subject",
    "to",
    "x-sojourn-",
)
_LOCAL_PART_OCTETS = 64
_ADDRESS_OCTETS = 254


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address as SMTP wants it.

    Attributes:
        address: its domain is in ASCII (IDNA); its local part may not be.
        name: the display name, empty where there is none.
    """

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part behind the @."""
        return self.address.rpartition("@")[2]

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can carry it."""
        return not self.address.isascii()


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message on its way to one recipient."""

    sender: str
    recipient: Mailbox
    message_id: str
    content: bytes


def parse_recipient(address: str) -> Mailbox:
    """Read a bare address, such as `zoe@bücher.example`.

    Raises:
        ValueError: it is none; the message says why.
    """
    local, at, domain = address.strip().rpartition("@")
    if not at or not local or not domain:
        raise ValueError("the address is not of the form name@domain")
    if _NOT_IN_LOCAL_PART.search(local) or "" in local.split("."):
        raise ValueError("the part of the address before the @ has characters that it may not have")
    if len(local.encode()) > _LOCAL_PART_OCTETS:
        raise ValueError("the part of the address before the @ is longer than 64 octets")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError("the part of the address behind the @ is no domain name") from None
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise ValueError("the part of the address behind the @ is no domain name")
    mailbox = f"{local}@{domain}"
    if len(mailbox.encode()) > _ADDRESS_OCTETS:
        raise ValueError("the address is longer than 254 octets")
    return Mailbox(mailbox)


def parse_sender(sender: str) -> Mailbox:
    """Read a sender with or without a display name, such as `Shop <hello@shop.example>`.

    Raises:
        ValueError: it has no address, or one that is not plain ASCII.
    """
    name, address = parseaddr(one_line(sender))
    mailbox = parse_recipient(address)
    if mailbox.needs_utf8:
        raise ValueError("the part of the sender's address before the @ must be plain ASCII")
    return Mailbox(mailbox.address, name)


def one_line(text: str) -> str:
    """The text without control characters, so that it cannot begin another header."""
    return " ".join("".join(c if c.isprintable() or c == "\u200d" else " " for c in text).split())


def message_id(parcel: Parcel, sender: Mailbox) -> str:
    """The Message-ID of a message of ours: handed over again, it is the same."""
    return f"<{parcel.message_id}@{sender.domain}>"


def check_headers(headers: Mapping[str, str]) -> None:
    """Check headers for `compose`.

    Raises:
        ValueError: one of them is none, is there twice, or has a meaning of its own.
    """
    names = [name.lower() for name in headers]
    for name, value in headers.items():
        if names.count(name.lower()) > 1:
            raise ValueError(f"{name!r} is set more than once")
        if not _HEADER.fullmatch(name) or name.lower().startswith(_OWN_MEANING):
            raise ValueError(f"{name!r} cannot be set: choose a name such as X-…")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the value of {name} must be printable ASCII")


def compose(parcel: Parcel, sender: Mailbox, headers: Mapping[str, str]) -> Envelope:
    """Write the message.

    Args:
        parcel: what it says, and to whom.
        sender: who says it.
        headers: more of them; `{message_id}` and `{key}` stand for the message's.

    Raises:
        ValueError: the recipient's address is none.
    """
    recipient = parse_recipient(parcel.address)
    message = EmailMessage(policy=_UTF8 if recipient.needs_utf8 else _ASCII)
    try:
        message["From"] = Address(sender.name, addr_spec=sender.address)
        message["To"] = recipient.address
        message["Subject"] = one_line(_encodable(parcel.content.subject))
        message["Date"] = parcel.sent_at
        message["Message-ID"] = message_id(parcel, sender)
        message["X-Sojourn-Message"] = parcel.message_id
        message["X-Sojourn-Key"] = header_safe(parcel.key)
        for name, value in headers.items():
            message[name] = value.replace("{message_id}", parcel.message_id).replace(
                "{key}", header_safe(parcel.key)
            )
        message.set_content(_encodable(parcel.content.text))
        if parcel.content.html is not None:
            message.add_alternative(_encodable(parcel.content.html), subtype="html")
        content = message.as_bytes()
    except MessageError as error:
        raise ValueError(f"no e-mail can be made of it: {error}") from error
    return Envelope(sender.address, recipient, message_id(parcel, sender), content)


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()
