"""What is kept of events instead of the events: a summary a span of time, and windows over them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.events.base import EPOCH

FOREVER = datetime.max.replace(tzinfo=UTC)
"""When what has no window stops counting."""

_GRAINS = (
    (timedelta(days=30), timedelta(days=1)),
    (timedelta(days=1), timedelta(hours=1)),
    (timedelta(0), timedelta(minutes=1)),
)


def grain(within: timedelta) -> timedelta:
    """How long the spans are that make up a window: days, hours or minutes.

    A window of thirty days or more is made of days, of a day or more of hours, so a customer
    has at most some hundreds of them, however many events there were.
    """
    return next(span for least, span in _GRAINS if within >= least)


def counts_until(at: datetime, within: timedelta | None) -> datetime:
    """When an event of this time leaves a window: never too early, at most a grain too late."""
    if within is None:
        return FOREVER
    span = grain(within)
    return at - (at - EPOCH) % span + span + within


@dataclass(frozen=True, slots=True)
class Summary:
    """What is kept of some events. Summaries add up, in the order of acknowledgement.

    Attributes:
        count: how many there were.
        total: the sum of what they amount to.
        first_at: when the first of them happened, whatever the order they came in.
        first: the value that it carried, as JSON.
        last_at: when the last of them happened.
        last: the value that it carried, as JSON.
    """

    count: int = 0
    total: Decimal = Decimal(0)
    first_at: datetime | None = None
    first: Any = None
    last_at: datetime | None = None
    last: Any = None

    @classmethod
    def of(cls, at: datetime, value: Any = None, amount: Decimal = Decimal(0)) -> "Summary":
        """The summary of one event."""
        return cls(1, amount, at, value, at, value)

    def __add__(self, later: "Summary") -> "Summary":
        """Both together. Of events at the same moment the one acknowledged later is the last."""
        if self.first_at is None or self.last_at is None:
            return later
        if later.first_at is None or later.last_at is None:
            return self
        first = later if later.first_at < self.first_at else self
        last = self if later.last_at < self.last_at else later
        return Summary(
            self.count + later.count,
            self.total + later.total,
            first.first_at,
            first.first,
            last.last_at,
            last.last,
        )


@dataclass(frozen=True, slots=True)
class Bucket:
    """The summary of a span's events, and when they leave the window, all at once."""

    until: datetime
    summary: Summary


def summed(buckets: Iterable[Bucket], now: datetime) -> Summary:
    """All that is in the window at a moment."""
    count, total = 0, Decimal(0)
    first = last = Summary()
    # Not by adding up summaries: looking ahead asks this for many moments.
    for bucket in buckets:
        if bucket.until > now:
            one = bucket.summary
            count += one.count
            total += one.total
            if first.first_at is None or (one.first_at or FOREVER) < first.first_at:
                first = one
            if last.last_at is None or (one.last_at or EPOCH) > last.last_at:
                last = one
    return Summary(count, total, first.first_at, first.first, last.last_at, last.last)
