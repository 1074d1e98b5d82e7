"""Virtual time: it stands still until it is moved, and then goes from one due thing to the next."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count


@dataclass(order=True)
class Due:
    """Something that is due at a moment; what is due first was also asked for first."""

    at: datetime
    order: int
    do: Callable[[], None] = field(compare=False)
    off: bool = field(default=False, compare=False)


class Clock:
    """A clock that is moved by hand; called, it says what time it is, in UTC."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._due: list[Due] = []
        self._order = count()

    def __call__(self) -> datetime:
        """What time it is."""
        return self._now

    def later(self, after: timedelta, do: Callable[[], None]) -> Due:
        """Have something done after a while; set its `off` for it not to be done."""
        due = Due(self._now + after, next(self._order), do)
        heapq.heappush(self._due, due)
        return due

    def next(self) -> datetime | None:
        """When the next thing is due, or None where nothing is."""
        while self._due and self._due[0].off:
            heapq.heappop(self._due)
        return self._due[0].at if self._due else None

    def ring(self) -> bool:
        """Do all that is due by now. Returns whether anything was."""
        rang = False
        while (at := self.next()) is not None and at <= self._now:
            rang = True
            heapq.heappop(self._due).do()
        return rang

    def move(self, to: datetime) -> None:
        """Make it `to`.

        Raises:
            ValueError: that is in the past.
        """
        if to < self._now:
            raise ValueError(f"it is {self._now:%Y-%m-%d %H:%M:%S} UTC, and time does not go back")
        self._now = to
