"""A child process: started in a process group of its own, listened to, ended."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LINES_KEPT = 12
_LOG_LIMIT = 5_000_000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Ask Linux to end this process when the supervisor is killed."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a child.

    Attributes:
        argv: the program and its arguments.
        env: its whole environment.
        cwd: where it starts.
        log: a file for what it says; None: every line goes to `on_line`.
        user: the system user's and group's ids to run as, where not ours.
        outlives: it is not ended with a killed supervisor (it recovers by itself, or has
            its own way to end).
        end_with: the signal that asks it to end.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path | None = None
    user: tuple[int, int] | None = None
    outlives: bool = False
    end_with: signal.Signals = signal.SIGTERM
    patience: float = 10.0
    harder: tuple[signal.Signals, ...] = field(default=())


class Child:
    """One running child process.

    Args:
        command: how it was started.
        process: the process.
        on_line: hears every line that it says, unless that goes to a log file.
    """

    def __init__(
        self,
        command: Command,
        process: asyncio.subprocess.Process,
        on_line: Callable[[str], None],
    ) -> None:
        self._command = command
        self._process = process
        self._on_line = on_line
        self._kept: deque[str] = deque(maxlen=_LINES_KEPT)
        self._reader = asyncio.create_task(self._read()) if process.stdout else None
        self.started = time.time()

    @classmethod
    async def start(cls, command: Command, on_line: Callable[[str], None]) -> "Child":
        """Start a child.

        Raises:
            OSError: the program cannot be run.
        """
        output: int = asyncio.subprocess.PIPE
        if command.log is not None:
            with contextlib.suppress(FileNotFoundError):
                if command.log.stat().st_size > _LOG_LIMIT:
                    command.log.replace(command.log.with_suffix(".old.log"))
            output = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        uid, gid = command.user or (None, None)
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=dict(command.env),
                cwd=command.cwd,
                start_new_session=True,  # so that Ctrl-C reaches the supervisor alone
                preexec_fn=None if command.outlives else _die_with_parent,
                user=uid,
                group=gid,
                extra_groups=[] if command.user else None,
            )
        finally:
            if command.log is not None:
                os.close(output)
        return cls(command, process, on_line)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until it is over and everything that it said was heard."""
        code = await self._process.wait()
        if self._reader is not None:
            # A grandchild may hold the pipe open; what it says no longer matters.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._reader), 0.5)
        return code

    async def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while chunk := await self._process.stdout.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._hear(line)
        if rest:
            self._hear(rest)

    def _hear(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self._kept.append(text)
        self._on_line(text)

    def last_lines(self) -> list[str]:
        """What it said last."""
        if self._command.log is None:
            return list(self._kept)
        return tail(self._command.log)

    async def end(self, hurry: asyncio.Event) -> bool:
        """Ask it to end, then insist; with `hurry` set, insist at once.

        Returns:
            Whether it ended on being asked.
        """
        waiting = asyncio.ensure_future(self.wait())
        hurried = asyncio.ensure_future(hurry.wait())
        try:
            if not hurry.is_set():
                self._signal(self._command.end_with)
                await asyncio.wait(
                    {waiting, hurried},
                    timeout=self._command.patience,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            asked = waiting.done()
            for number in (*self._command.harder, signal.SIGKILL):
                if waiting.done():
                    break
                self._signal(number)
                await asyncio.wait({waiting}, timeout=2)
            await waiting
            return asked
        finally:
            hurried.cancel()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def how_it_ended(self) -> str:
        """In words, e.g. `killed by SIGKILL`."""
        code = self.returncode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"


def tail(log: Path) -> list[str]:
    """The last lines of a log file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16384))
            return file.read().decode(errors="replace").splitlines()[-_LINES_KEPT:]
    except OSError:
        return []
