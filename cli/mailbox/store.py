"""The messages that were taken, newest last, kept over restarts."""

import contextlib
import io
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from domain.errors import ConfigurationError

_FIELDS = ("channel", "to", "subject", "text", "received_at", "idempotency_key")


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message as its receiver would see it.

    Attributes:
        received_at: when, ISO 8601 in UTC.
        idempotency_key: the sender's key, or None where it gave none.
        html: the HTML part of an e-mail.
    """

    channel: str
    to: str
    subject: str
    text: str
    received_at: str
    idempotency_key: str | None = None
    html: str | None = None

    @classmethod
    def now(
        cls,
        channel: str,
        to: str,
        subject: str,
        text: str,
        idempotency_key: str | None,
        html: str | None = None,
    ) -> Self:
        """A message received now."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return cls(channel, to, subject, text, at, idempotency_key, html)

    def public(self) -> dict[str, Any]:
        """What `GET /messages` shows of it."""
        return {name: getattr(self, name) for name in _FIELDS}


class MessageStore:
    """Messages in memory and in a file of JSON lines.

    Args:
        path: the file; its folder is made where it is missing.
        keep: how many messages, the newest, are kept.

    Raises:
        ConfigurationError: the file or its folder cannot be written.
    """

    def __init__(self, path: Path, keep: int = 10_000) -> None:
        self._path = path
        self._keep = keep
        self._messages: deque[StoredMessage] = deque(maxlen=keep)
        self._first = 0
        self._changes = 0
        self._born = datetime.now(UTC).timestamp()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lines = self._read()
            self._file = path.open("ab")
            if self._is_torn():
                self._file.write(b"\n")
        except OSError as error:
            raise ConfigurationError(
                f"Cannot write {path} ({error.strerror}): make it writable, "
                "or set SOJOURN_DATA_DIR to a folder that is."
            ) from None

    @property
    def version(self) -> str:
        """Changes whenever the messages do, and with every start."""
        return f"{self._born:.6f}-{self._changes}"

    @property
    def first_number(self) -> int:
        """The number of the oldest message that is kept."""
        return self._first

    def add(self, message: StoredMessage) -> None:
        """Take a message: it is listed from now on, and after a crash too."""
        line = _line(message)
        self._remember(message)
        self._file.write(line)
        self._file.flush()
        self._lines += 1
        if self._lines > 2 * self._keep:
            self._rewrite()

    def messages(self, to: str | None = None, channel: str | None = None) -> list[StoredMessage]:
        """The messages, newest last."""
        return [
            message
            for message in self._messages
            if (to is None or message.to == to) and (channel is None or message.channel == channel)
        ]

    def get(self, number: int) -> StoredMessage | None:
        """One message by its number, or None."""
        index = number - self._first
        return self._messages[index] if 0 <= index < len(self._messages) else None

    def has_key(self, channel: str, to: str, idempotency_key: str) -> bool:
        """Whether a message with this key was taken there."""
        return any(
            message.idempotency_key == idempotency_key
            and message.to == to
            and message.channel == channel
            for message in reversed(self._messages)
        )

    def clear(self) -> None:
        """Forget every message. Numbers are not given out again."""
        self._first += len(self._messages)
        self._messages.clear()
        self._changes += 1
        self._rewrite()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _remember(self, message: StoredMessage) -> None:
        if len(self._messages) == self._keep:
            self._first += 1
        self._messages.append(message)
        self._changes += 1

    def _read(self) -> int:
        lines = 0
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in file:
                lines += 1
                # A line may be torn where an earlier mailbox was killed while writing it.
                with contextlib.suppress(orjson.JSONDecodeError, TypeError):
                    self._remember(StoredMessage(**orjson.loads(line)))
        return lines

    def _is_torn(self) -> bool:
        if self._path.stat().st_size == 0:
            return False
        with self._path.open("rb") as file:
            file.seek(-1, io.SEEK_END)
            return file.read(1) != b"\n"

    def _rewrite(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_bytes(b"".join(map(_line, self._messages)))
        self._file.close()
        new.replace(self._path)
        self._file = self._path.open("ab")
        self._lines = len(self._messages)


def _line(message: StoredMessage) -> bytes:
    return orjson.dumps(asdict(message)) + b"\n"
