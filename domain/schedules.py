"""Schedules: a journey takes in a segment by the clock, everybody once an occurrence.

An occurrence is a day by the clock that the schedule goes by. Where that is the customer's own
clock, one day comes round at many moments: it begins where the sun rises first, 14 hours before
UTC, and ends 26 hours later. Temporal starts an occurrence at its first possible moment, in UTC,
which knows no clock changes; the rest is reckoned from the day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from domain.audiences import Segment
from domain.local_time import EVERY_DAY, Day, Window, Zone, local_moment

EVERYBODY: Literal["everybody"] = "everybody"

_DAY = timedelta(days=1)
_WEEK = 7
_FARTHEST_AHEAD = timedelta(hours=14)
_FARTHEST_BEHIND = timedelta(hours=12)
_CHANGE = timedelta(hours=2)
_FASTEST = 1_000
_NAMED = 2


class Moment(BaseModel):
    """A moment at which it is time for some of a schedule's customers.

    Attributes:
        at: when.
        zones: the time zones for which it is time, as they were told of customers (None: told
            none); no list: all of them.
        words: the same for people.
        rate: enrollments a second.
        skip_if_late: not begun any more when it is later than this.
    """

    at: datetime
    zones: list[str | None] | None
    words: str
    rate: int
    skip_if_late: timedelta


class EnrollRequest(BaseModel):
    """Some customers of a moment are to be enrolled: those after a place."""

    journey: str
    day: date
    moment: Moment
    place: str = ""


class EnrollAnswer(BaseModel):
    """Where to go on, or None at the end; and how many entered or were refused."""

    place: str | None
    entered: int = 0
    refused: int = 0


class ScheduledRun(BaseModel):
    """An occurrence, as its workflow starts with it and carries it on.

    Attributes:
        ahead: how long before the day begins in UTC it is started.
        day: the day, once it is known.
        after: the moment that was dealt with last.
        moment: the one that is being dealt with.
        place: how far.
        story: what happened, in lines for people.
        pages: after how many steps the workflow continues as new.
    """

    journey: str
    ahead: timedelta
    day: date | None = None
    after: datetime | None = None
    moment: Moment | None = None
    place: str = ""
    entered: int = 0
    refused: int = 0
    skipped: int = 0
    story: list[str] = Field(default_factory=list)
    pages: int = 500


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a journey takes in a segment by the clock.

        Schedule(at=time(9), days=WEEKDAYS, segment=lapsing, in_customers_zone=True)

    Attributes:
        at: the time on the clock.
        segment: whom, at that moment: a segment, or `EVERYBODY`.
        days: the days of the week.
        in_customers_zone: each customer when it is that time where the customer is.
        zone: else, and for customers of whom no time zone is known: the zone that counts.
        rate: how many enter in a second at most.
        skip_if_late: after a time in which the runtime was down, what was due longer ago than
            this is not made up for.

    Raises:
        ValueError: one of them makes no sense.
    """

    at: time
    segment: Segment | Literal["everybody"]
    days: tuple[Day, ...] = EVERY_DAY
    in_customers_zone: bool = False
    zone: str = "UTC"
    rate: int = 50
    skip_if_late: timedelta = timedelta(hours=4)

    def __post_init__(self) -> None:
        Window(self.at, self.at, self.days)  # a day at least, and a time without a zone
        Zone.of(None, self.zone)
        if self.at.microsecond:
            raise ValueError("a schedule's time is exact to the second")
        if not 1 <= self.rate <= _FASTEST:
            raise ValueError(f"a schedule's rate is 1 to {_FASTEST} entries a second")
        if not timedelta(minutes=1) <= self.skip_if_late <= _DAY:
            raise ValueError("skip_if_late is from a minute to a day")

    def __str__(self) -> str:
        where = " where the customer is" if self.in_customers_zone else f" ({self.zone})"
        return f"{Window(days=self.days)} at {self.at:%H:%M}{where}"

    @property
    def segment_name(self) -> str | None:
        """The segment's name, or None for everybody."""
        return None if isinstance(self.segment, str) else self.segment.name

    @property
    def ahead(self) -> timedelta:
        """How long before it is `at` in UTC it may be `at` by the clock that counts."""
        if self.in_customers_zone:
            return _FARTHEST_AHEAD
        rules = Zone(self.zone).info
        year = (datetime(2026, 1, 1, tzinfo=UTC) + n * 5 * _DAY for n in range(73))
        return max(at.astimezone(rules).utcoffset() or timedelta(0) for at in year)

    @property
    def begins(self) -> tuple[time, tuple[Day, ...]]:
        """The time in UTC, and the days there, at which an occurrence may begin."""
        midnight = datetime(2026, 1, 1, tzinfo=UTC)
        first = datetime.combine(midnight, self.at, UTC) - self.ahead
        shift = (first.date() - midnight.date()).days
        return first.time(), tuple(Day((day + shift) % _WEEK) for day in sorted(set(self.days)))

    @property
    def catch_up(self) -> timedelta:
        """How long after its beginning an occurrence may still have something to do."""
        span = _FARTHEST_AHEAD + _FARTHEST_BEHIND if self.in_customers_zone else timedelta(0)
        return span + _CHANGE + self.skip_if_late

    def next_moment(
        self, day: date, told: Iterable[str | None], after: datetime | None
    ) -> Moment | None:
        """The first moment of a day's occurrence after another one.

        Args:
            day: which day.
            told: the time zones that customers have, as they were told.
            after: the moment before; None: the first one.
        """
        zones: dict[datetime, list[str | None]] = {}
        for name in told if self.in_customers_zone else [self.zone]:
            at = local_moment(day, self.at, Zone.of(name, self.zone))
            zones.setdefault(at, []).append(name)
        coming = [at for at in zones if after is None or at > after]
        if not coming:
            return None
        at = min(coming)
        names = sorted({Zone.of(name, self.zone).name for name in zones[at]})
        return Moment(
            at=at,
            zones=zones[at] if self.in_customers_zone else None,
            words=f"{self.at:%H:%M} in {_listed(names)}",
            rate=self.rate,
            skip_if_late=self.skip_if_late,
        )


def _listed(names: list[str]) -> str:
    if len(names) <= _NAMED:
        return " and ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more zones"
