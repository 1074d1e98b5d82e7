"""Local time: windows and moments where the customer is, right through clock changes.

A window is open when the clock on the wall there shows a time within it. So in the night
in which the clock jumps over an hour, a window that begins within that hour opens at the
jump; one that lies within it altogether does not open that night; and in the night that
has an hour twice, so has the window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import tzdata

# The pinned database, not the machine's: two workers must not disagree about a clock change.
_DATABASE = Path(tzdata.__file__).parent / "zoneinfo"
_LONGEST_NAME = 64
_DAY = timedelta(days=1)
_HALF_DAY = 12 * 60 * 60
_WEEK = 7


class Day(IntEnum):
    """A day of the week."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6

    def to(self, last: "Day") -> "tuple[Day, ...]":
        """This day up to and including `last`, over the weekend where need be."""
        return tuple(Day((self + n) % _WEEK) for n in range((last - self) % _WEEK + 1))


EVERY_DAY = Day.MONDAY.to(Day.SUNDAY)
WEEKDAYS = Day.MONDAY.to(Day.FRIDAY)


@lru_cache(maxsize=1024)
def time_zone(name: str) -> ZoneInfo | None:
    """The IANA time zone of a name, or None where there is none."""
    parts = name.split("/")
    if len(name) > _LONGEST_NAME or not all(_is_plain(part) for part in parts):
        return None
    file = _DATABASE.joinpath(*parts)
    if not file.is_file():
        return None
    with file.open("rb") as data:
        try:
            return ZoneInfo.from_file(data, key=name)
        except ValueError:  # a file of the database that is no zone, such as its list of zones
            return None


def _is_plain(part: str) -> bool:
    return part.isascii() and part.replace("_", "a").replace("-", "a").replace("+", "a").isalnum()


@dataclass(frozen=True, slots=True)
class Zone:
    """The time zone to go by, and whether it is the customer's own.

    Attributes:
        name: an IANA name.
        why: why it is not the customer's own, in words; empty where it is.
    """

    name: str
    why: str = ""

    @classmethod
    def of(cls, told: str | None, fallback: str) -> "Zone":
        """The zone that was told of a customer, or `fallback` where none was, or no such one.

        Raises:
            ValueError: `fallback` is no time zone either.
        """
        if told is not None and time_zone(told) is not None:
            return cls(told)
        if time_zone(fallback) is None:
            raise ValueError(f"{fallback!r} is not an IANA time zone, such as Europe/Berlin")
        return cls(fallback, "time zone unknown" if told is None else f"no time zone {told[:64]!r}")

    @property
    def info(self) -> ZoneInfo:
        """Its rules."""
        found = time_zone(self.name)
        assert found is not None
        return found

    def __str__(self) -> str:
        return f"{self.name} ({self.why})" if self.why else self.name


@dataclass(frozen=True, slots=True)
class Window:
    """Times of the week, by the clock where the customer is.

        Window(time(9), time(11), Day.TUESDAY.to(Day.THURSDAY))

    Attributes:
        opens: from this time on.
        closes: up to and not including this time. Not later than `opens`: on the next day,
            so `Window(time(22), time(6))` is a night and `Window()` always.
        days: the days on which it opens; a night belongs to the day on which it begins.

    Raises:
        ValueError: there is no day, or a time has a zone of its own.
    """

    opens: time = time(0)
    closes: time = time(0)
    days: tuple[Day, ...] = EVERY_DAY

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("a window needs at least one day, or it never opens")
        if self.opens.tzinfo is not None or self.closes.tzinfo is not None:
            raise ValueError("a window's times are those where the customer is: without a zone")

    def __str__(self) -> str:
        days = [day.name.capitalize() for day in sorted(set(self.days))]
        run = Day[days[0].upper()].to(Day[days[-1].upper()])
        if len(days) == _WEEK:
            on = "every day"
        elif len(days) > 2 and len(days) == len(run):  # noqa: PLR2004 - two are a pair, not a run
            on = f"{days[0]} to {days[-1]}"
        else:
            on = ", ".join(days)
        return on if self.opens == self.closes else f"{on} {self.opens:%H:%M}-{self.closes:%H:%M}"

    def is_open(self, at: datetime, zone: Zone) -> bool:
        """Whether the clock there shows a time within the window.

        Args:
            at: with a zone, any.
            zone: where.
        """
        return self._shows(at.astimezone(zone.info))

    def next_opening(self, now: datetime, zone: Zone) -> datetime:
        """The first moment not before `now` at which the window is open, in UTC.

        Args:
            now: with a zone, any; where the window is open, it is the answer.
            zone: where.

        Raises:
            OverflowError: it does not open before the end of time.
        """
        now = now.astimezone(UTC)
        if self.is_open(now, zone):
            return now
        today = now.astimezone(zone.info).date()
        # Two weeks: a clock change may take one of the week's days away.
        for offset in range(-1, 2 * _WEEK + 1):
            begins = [
                at
                for at in self._may_open(today + offset * _DAY, zone.info)
                if at > now and self.is_open(at, zone)
            ]
            if begins:
                return min(begins)
        raise OverflowError(f"{self} does not open in {zone}")

    def _may_open(self, day: date, zone: ZoneInfo) -> Iterator[datetime]:
        """The moments of a local day at which the clock may begin to show a time within it."""
        yield from _moments(datetime.combine(day, self.opens), zone)
        yield from _clock_changes(datetime.combine(day, time(0)), zone)

    def _shows(self, local: datetime) -> bool:
        clock, day = local.time(), Day(local.weekday())
        if self.opens < self.closes:
            return day in self.days and self.opens <= clock < self.closes
        yesterday = Day((day - 1) % _WEEK)
        return (day in self.days and clock >= self.opens) or (
            yesterday in self.days and clock < self.closes
        )


def local_moment(day: date, clock: time, zone: Zone) -> datetime:
    """The first moment at which the clock there shows `clock` or later on that day, in UTC.

    A time that the clock jumps over is the moment of the jump; of a time that comes twice it
    is the first.
    """
    wanted = datetime.combine(day, clock)
    if real := _moments(wanted, zone.info):
        return real[0]
    return next(
        at
        for at in _clock_changes(wanted, zone.info)
        if at.astimezone(zone.info).replace(tzinfo=None) >= wanted
    )


def _moments(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the clock shows this local time, in UTC: once, or at a clock change never or twice."""
    shown = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return sorted({at for at in shown if at.astimezone(zone).replace(tzinfo=None) == local})


def _clock_changes(local: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The change of the clock within a day and a half around a local time, if there is one."""

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, zone).utcoffset()

    middle = int(local.replace(tzinfo=zone).timestamp())
    before, after = middle - _HALF_DAY, middle + 3 * _HALF_DAY
    old = offset(before)
    if offset(after) == old:
        return
    while after - before > 1:
        middle = (before + after) // 2
        if offset(middle) == old:
            before = middle
        else:
            after = middle
    yield datetime.fromtimestamp(after, UTC)
