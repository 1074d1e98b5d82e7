"""`run.json`: the children of this supervisor, and what an earlier one left behind."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAME_START = 2.0
"""Seconds by which two readings of one process's start may differ (the clock was set)."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process of an earlier run that is still alive."""

    name: str
    process: psutil.Process


class RunFile:
    """Who runs now: `{"worker": {"pid": 12, "started": 1700000000.0}, …}`.

    Args:
        data_dir: the directory in which `run.json` is kept up to date.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "run.json"
        self._running: dict[str, dict[str, float | int]] = {}

    def begun(self, name: str, pid: int) -> None:
        """Note a child that was started."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.Error:  # it is already over; whoever waits for it will say so
            return
        self._running[name] = {"pid": pid, "started": started}
        self._write()

    def ended(self, name: str) -> None:
        """Note that a child is over."""
        if self._running.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._running, indent=2) + "\n")
        new.replace(self._path)

    def leftovers(self) -> list[Leftover]:
        """The processes that an earlier, killed supervisor left, in the order to end them."""
        try:
            noted = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []
        found = []
        for name in _end_order(noted if isinstance(noted, dict) else {}):
            process = _alive(name, noted[name])
            if process is not None:
                found.append(Leftover(name, process))
        return found


def _end_order(names: dict[str, object]) -> list[str]:
    order = ["worker", "api", "mailbox", "temporal", "postgres"]
    return sorted(names, key=lambda name: order.index(name) if name in order else -1)


def _alive(name: str, noted: object) -> psutil.Process | None:
    """The noted process, if it is still the same one: a pid alone may be somebody else's."""
    try:
        assert isinstance(noted, dict)
        process = psutil.Process(int(noted["pid"]))
        if abs(process.create_time() - float(noted["started"])) > _SAME_START:
            return None
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        command = " ".join(process.cmdline())
    except (psutil.Error, AssertionError, KeyError, TypeError, ValueError):
        return None
    expected = name if name in {"postgres", "temporal"} else "cli.main"
    return process if expected in command else None


def postmaster(cluster: Path) -> tuple[psutil.Process | None, bool]:
    """Who `postmaster.pid` in a PostgreSQL cluster names.

    Returns:
        The server that runs on this cluster, or None; and whether the file is stale: it
        names nobody, or a process that is something else by now.
    """
    path = cluster / "postmaster.pid"
    try:
        pid = int(path.read_text().split("\n", 1)[0])
    except FileNotFoundError:
        return None, False
    except (OSError, ValueError):
        return None, True
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE and str(cluster) in process.cmdline():
            return process, False
    except psutil.Error:
        pass
    return None, True


def end_process(name: str, process: psutil.Process, seconds: float = 10.0) -> None:
    """End a process of an earlier run: asked first, killed after `seconds`.

    PostgreSQL gets SIGINT, its fast shutdown; on SIGTERM it would wait for its clients.
    """
    try:
        process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        process.wait(seconds)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
    except psutil.NoSuchProcess:
        pass
