"""What is checked before anything starts: the data directory, its lock, the ports."""

import errno
import fcntl
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from domain.errors import ConfigurationError
from infra.settings import Settings

_WHY = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOTDIR: "a part of this path is a file",
    errno.EEXIST: "it is a file, not a directory",
    errno.ENAMETOOLONG: "the path is too long",
}


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a part will listen on."""

    number: int
    host: str
    part: str
    variable: str


def wanted_ports(settings: Settings) -> list[Port]:
    """The ports that `sojourn dev` will listen on."""
    ports = [
        Port(settings.api_port, settings.host, "the API", "SOJOURN_API_PORT"),
        Port(settings.mailbox_port, "127.0.0.1", "the mailbox", "SOJOURN_MAILBOX_PORT"),
        Port(settings.smtp_port, "127.0.0.1", "the mailbox's SMTP", "SOJOURN_SMTP_PORT"),
    ]
    if settings.temporal_address is None:
        ports += [
            Port(settings.temporal_port, "127.0.0.1", "Temporal", "SOJOURN_TEMPORAL_PORT"),
            Port(settings.temporal_ui_port, "127.0.0.1", "Temporal UI", "SOJOURN_TEMPORAL_UI_PORT"),
        ]
    return ports


def check_ports(ports: list[Port]) -> None:
    """Check that every port can be listened on.

    Raises:
        ConfigurationError: one cannot; it is named, with what to change and who holds it.
    """
    seen: dict[int, Port] = {}
    for port in ports:
        if other := seen.get(port.number):
            raise ConfigurationError(
                f"{other.variable} and {port.variable} are both {port.number}: "
                f"{other.part} and {port.part} need ports of their own."
            )
        seen[port.number] = port
        try:
            _try_to_listen(port)
        except OSError as error:
            raise ConfigurationError(_port_sentence(port, error)) from None


def _try_to_listen(port: Port) -> None:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((port.host, port.number))
        probe.listen()


def _port_sentence(port: Port, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port.number}, wanted by {port.part}, is in use{_holder(port.number)}: "
            f"end that, or set {port.variable} to a free port."
        )
    why = _WHY.get(error.errno or 0, error.strerror or str(error))
    return (
        f"{port.part} cannot listen on {port.host}:{port.number} ({why}): "
        f"set {port.variable} to another port."
    )


def _holder(number: int) -> str:
    """The process that listens on a port, where we may see it."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr.port == number
                and connection.pid
            ):
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""


def prepare_data_dir(settings: Settings) -> Path:
    """Make the data directory, or use the one that is there.

    Returns:
        Its absolute path.

    Raises:
        ConfigurationError: it cannot be made or written to; one sentence says why.
    """
    path = settings.data_dir.expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "logs").mkdir(exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        try:
            probe.write_bytes(b"\0" * 65536)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(_data_dir_sentence(path, error)) from None
    return path


def _data_dir_sentence(path: Path, error: OSError) -> str:
    why = _WHY.get(error.errno or 0, error.strerror or str(error))
    return f"the data directory {path} cannot be used: {why}. SOJOURN_DATA_DIR names another one."


class Lock:
    """One supervisor a data directory, held until it ends, however it ends.

    Args:
        data_dir: the directory; `lock` in it holds the pid of who has it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._handle: int | None = None

    def take(self) -> None:
        """Take it.

        Raises:
            ConfigurationError: another supervisor has it; its pid is named.
        """
        try:
            handle = os.open(self._data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigurationError(_data_dir_sentence(self._data_dir, error)) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise ConfigurationError(
                f"Sojourn already runs on {self._data_dir} (pid {pid}): "
                "end that one, or give this one its own SOJOURN_DATA_DIR and ports."
            ) from None
        except OSError as error:
            os.close(handle)
            raise ConfigurationError(_data_dir_sentence(self._data_dir, error)) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle

    def release(self) -> None:
        """Give it back. Repeating it does nothing."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None
