"""What is let in now: limits by key, room in the queue, and how far journeys are behind."""

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from domain.errors import NotNow
from domain.limits import Bucket, Limits
from infra.database.accept import Incoming
from infra.database.figures import Figures
from infra.database.grants import Grant

_RETRY_AFTER = 30.0
"""Seconds until another look at a backlog of hours is worth it."""


class Admission:
    """Says not now. Each process counts for itself: `n` of them let a key do `n` times its limits.

    Args:
        figures: what is known of the backlog.
        heard: the names of events that a journey may be waiting for.
        oldest: the age of the backlog above which no journey begins; zero: none.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        figures: Figures,
        heard: AbstractSet[str],
        oldest: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._figures = figures
        self._heard = heard
        self._oldest = oldest.total_seconds()
        self._clock = clock
        self._buckets: dict[bytes, _Buckets] = {}

    def request(self, grant: Grant) -> None:
        """Count a request of a key.

        Raises:
            NotNow: it has made too many.
        """
        if grant.limits.requests:
            self._take(self._of(grant).requests, 1, "requests", grant.limits.requests)

    def events(self, grant: Grant, count: int) -> None:
        """Count events that a request of a key has brought, whatever becomes of them.

        Raises:
            NotNow: it has brought too many; none of these is taken.
        """
        if grant.limits.events:
            self._take(self._of(grant).events, count, "events", grant.limits.events)

    def beginnings(self, items: Sequence[Incoming]) -> None:
        """Check whether journeys may begin. What a running one may wait for always passes.

        Raises:
            NotNow: an event among them is there only to begin one, and the backlog is too old.
        """
        if not self._oldest or self._figures.backlog_age <= self._oldest:
            return
        for item in items:
            if item.effects is not None and "entries" in item.effects:
                if item.type == "track" and item.name in self._heard:
                    continue  # a purchase may begin a survey, and must end the reminders
                raise NotNow(
                    f"{item.name} begins a journey, and journeys are hours behind;"
                    " nothing was accepted, try again",
                    why="backlog",
                    retry_after=_RETRY_AFTER,
                )

    def _of(self, grant: Grant) -> "_Buckets":
        buckets = self._buckets.get(grant.digest)
        if buckets is None or buckets.limits != grant.limits:
            buckets = self._buckets[grant.digest] = _Buckets(grant.limits, self._clock())
        return buckets

    def _take(self, bucket: Bucket, wanted: int, what: str, rate: int) -> None:
        seconds = bucket.take(wanted, self._clock())
        if seconds:
            raise NotNow(
                f"this key may do {rate} {what} a second; nothing was accepted, try again",
                why="limit",
                retry_after=seconds,
                status=429,
            )


class _Buckets:
    """A key's buckets, while its limits are these."""

    __slots__ = ("events", "limits", "requests")

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.requests = Bucket(limits.requests, limits.burst, now)
        self.events = Bucket(limits.events, limits.burst, now)
