"""What Prometheus reads."""

import math
from collections.abc import Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from domain.errors import Why
from infra.database.figures import Figures


class Metrics:
    """Counters of this process, and gauges of the database as last looked up."""

    def __init__(self) -> None:
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
        self._not_now = Counter(
            "sojourn_not_now",
            "Requests to this process refused for the moment, by why.",
            ["why"],
            registry=self._registry,
        )
        for why in get_args(Why):
            self._not_now.labels(why)
        self._backlog = Gauge(
            "sojourn_relay_backlog_enrollments",
            "Enrollments with events that have not reached Temporal yet.",
            registry=self._registry,
        )
        self._age = Gauge(
            "sojourn_relay_backlog_age_seconds",
            "How long the oldest of them has been waiting, but for the failing ones.",
            registry=self._registry,
        )
        self._failing = Gauge(
            "sojourn_relay_failing_enrollments",
            "Those of them that Temporal does not take, each for a reason of its own.",
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

    def not_now(self, why: Why) -> None:
        """Count a request that was refused for the moment."""
        self._not_now.labels(why).inc()

    def render(self, figures: Figures) -> bytes:
        """The metrics in Prometheus's text format; NaN for what the database did not say."""
        backlog, quarantined = figures.backlog, figures.quarantined
        self._backlog.set(math.nan if backlog is None else backlog.waiting)
        self._failing.set(math.nan if backlog is None else backlog.failing)
        self._age.set(math.nan if backlog is None else backlog.age)
        self._quarantined.set(math.nan if quarantined is None else quarantined)
        self._messages.clear()
        for (verdict, channel), count in (figures.messages or {}).items():
            self._messages.labels(verdict, channel).set(count)
        return generate_latest(self._registry)
