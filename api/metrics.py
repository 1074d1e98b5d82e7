"""What Prometheus reads."""

import asyncio
import math
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from infra.database.pool import UNREACHABLE, Pool

_ASK = 5.0
_BACKLOG = """
select count(*) as waiting,
    coalesce(extract(epoch from now() - min(oldest_at)), 0)::float as age
from backlog
"""

_QUARANTINED = "select count(*) from quarantine where replayed_at is null"
_MESSAGES = "select verdict, channel, count(*) as messages from message group by 1, 2"


class Metrics:
    """Counters of this process, and gauges read from the database when asked."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._registry = CollectorRegistry()
        events = Counter(
            "sojourn_events",
            "Events posted to this process, by what became of them.",
            ["result"],
            registry=self._registry,
        )
        self._accepted, self._duplicate, self._rejected = (
            events.labels(result) for result in ("accepted", "duplicate", "rejected")
        )
        self._backlog = Gauge(
            "sojourn_relay_backlog_enrollments",
            "Enrollments with events that have not reached Temporal yet.",
            registry=self._registry,
        )
        self._age = Gauge(
            "sojourn_relay_backlog_age_seconds",
            "How long the oldest of them has been waiting.",
            registry=self._registry,
        )
        self._quarantined = Gauge(
            "sojourn_quarantine_items",
            "Rejected items that wait in quarantine.",
            registry=self._registry,
        )
        self._messages = Gauge(
            "sojourn_messages",
            "Messages in the ledger, by verdict and channel.",
            ["verdict", "channel"],
            registry=self._registry,
        )

    def accepted(self, new: Sequence[bool]) -> None:
        """Count receipts: new events and repeated ones."""
        fresh = sum(new)
        if fresh:
            self._accepted.inc(fresh)
        if fresh != len(new):
            self._duplicate.inc(len(new) - fresh)

    def rejected(self, count: int = 1) -> None:
        """Count events that could not be taken."""
        if count:
            self._rejected.inc(count)

    async def render(self) -> bytes:
        """The metrics in Prometheus's text format; NaN for what the database would have said."""
        try:
            await asyncio.wait_for(self._ask(), _ASK)
        except UNREACHABLE:
            self._backlog.set(math.nan)
            self._age.set(math.nan)
            self._quarantined.set(math.nan)
            self._messages.clear()
        return generate_latest(self._registry)

    async def _ask(self) -> None:
        backlog = await self._pool.fetchrow(_BACKLOG)
        quarantined = await self._pool.fetchval(_QUARANTINED)
        messages = await self._pool.fetch(_MESSAGES)
        self._backlog.set(backlog["waiting"])
        self._age.set(backlog["age"])
        self._quarantined.set(quarantined)
        self._messages.clear()
        for row in messages:
            self._messages.labels(row["verdict"], row["channel"]).set(row["messages"])
