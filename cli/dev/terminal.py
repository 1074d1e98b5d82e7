"""What the supervisor says on the terminal."""

import asyncio
import contextlib
import re
import select
import sys
import time
from datetime import UTC, datetime

import psutil

from infra.logs import colours_wanted

_CODES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "part": "36"}
_HANGUP_EVERY = 1.0
_OWN_STAMP = re.compile(r"^(\x1b\[[0-9;]*m)*\d\d:\d\d:\d\d")


class Terminal:
    """Lines on standard output; a terminal that went away is no reason to fail."""

    def __init__(self) -> None:
        self.colours = colours_wanted(sys.stdout)
        self._started = psutil.Process().create_time()

    def seconds(self) -> float:
        """Seconds since this process began, its imports included."""
        return float(time.time() - self._started)

    async def gone(self) -> None:
        """Wait until the terminal that we were started in hangs up; for ever without one.

        The hangup's signal goes to the first process of the terminal alone, and where that is
        `make` (`ssh -t host make dev`) it waits for us instead of passing it on.
        """
        poll = select.poll()
        if sys.stdin is not None and sys.stdin.isatty():
            poll.register(sys.stdin.fileno(), 0)
        while True:
            if poll.poll(0):
                return
            await asyncio.sleep(_HANGUP_EVERY)

    def paint(self, style: str, text: str) -> str:
        """`text` in a colour, where the terminal shows colours."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colours else text

    def write(self, text: str = "") -> None:
        """One line, as it is."""
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def say(self, part: str, text: str, style: str | None = None) -> None:
        """One line about a part: time, name, text."""
        stamp = self.paint("dim", f"{datetime.now(UTC).astimezone():%H:%M:%S}")
        shown = self.paint(style, text) if style else text
        self.write(f"{stamp} {self.paint('part', f'{part:<8}')} {shown}")

    def relay(self, part: str, line: str) -> None:
        """A child's own line; one that does not say who speaks gets its part's name."""
        if _OWN_STAMP.match(line) or line.startswith("{"):
            self.write(line)
        else:
            self.write(f"{'':8} {self.paint('part', f'{part:<8}')} {line}")

    def quote(self, part: str, lines: list[str]) -> None:
        """The last lines of a part that died."""
        for line in lines:
            self.write(f"{'':8} {self.paint('part', f'{part:<8}')} {self.paint('dim', '│')} {line}")
