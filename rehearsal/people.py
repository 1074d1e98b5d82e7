"""Customers in memory: what is known of them, their enrollments, and their ledger."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from domain import wording
from domain.enrollments import Entry
from domain.events import TIME_ZONE_CHANGED, Envelope, Event, report_of
from domain.gate import LedgerRow
from domain.messages import Message, Reason, Verdict
from domain.outcomes import Outcome
from rehearsal import reports
from rehearsal.reports import Suppressions

_ORDER = count(1)
_LITTLE = timedelta(minutes=5)

Now = Callable[[], datetime]


def real_time() -> datetime:
    """What time it is."""
    return datetime.now(UTC)


@dataclass
class Row:
    """One message in the ledger; `decided_at` is when it was first decided about."""

    message_id: str
    key: str
    message: Message
    verdict: Verdict
    reason: Reason
    decided_at: datetime
    detail: str = ""
    objective: str | None = None
    address: str | None = None
    in_flight_since: datetime | None = None
    reported_at: datetime | None = None

    def as_read(self) -> LedgerRow:
        """As the gate's rules read it."""
        return LedgerRow(
            self.message_id, self.verdict, self.reason, self.detail, self.in_flight_since
        )

    @property
    def name(self) -> str:
        """The key without the enrollment: `step/channel`."""
        return self.key.partition("/")[2]

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.name} {self.verdict.value}: {self.reason.value}{detail}"


def _nobody(_: Row) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a customer; `order` is over all customers."""

    order: int
    name: str
    event_id: str
    at: datetime
    properties: dict[str, Any]


@dataclass
class Enrollment:
    """One way through one journey.

    Attributes:
        listens: the names of the events that it hears; None for all.
        acknowledged: what was acknowledged for it, in order, numbered from 1.
        began: the order of the event that began it, over all customers.
        several: whether its customer may be in it several times at once.
    """

    enrollment_id: str
    journey: str = ""
    key: str | None = None
    listens: tuple[str, ...] | None = None
    acknowledged: list[Envelope] = field(default_factory=list)
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    began: int = 0
    several: bool = False

    def same_way(self, other: "Enrollment") -> bool:
        """Whether both are through the same journey, with the same key."""
        return (self.journey, self.key) == (other.journey, other.key)

    def hears(self, name: str) -> bool:
        """Whether an event of this name is told to it."""
        return self.outcome is None and (self.listens is None or name in self.listens)

    def acknowledge(self, name: str, event_id: str, at: datetime, told: dict[str, Any]) -> Envelope:
        """Number an event for it."""
        number = len(self.acknowledged) + 1
        envelope = Envelope(number, name, event_id, at.isoformat(), told)
        self.acknowledged.append(envelope)
        return envelope


News = dict[str, list[Envelope]]
"""What enrollments hear, in order, by enrollment."""


@dataclass
class Person:
    """A customer in memory.

    Attributes:
        former_ids: those of the customers who turned out to be this one.
        suppressions: of all customers: they are kept by the address.
        told: called with a row of the ledger that a report has changed.
    """

    customer_id: str
    addresses: dict[str, str] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    holds: list[str] = field(default_factory=list)
    computed: dict[str, Any] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    time_zone: str | None = None
    locale: str | None = None
    now: Now = real_time
    enrollments: dict[str, Enrollment] = field(default_factory=dict)
    ledger: dict[str, Row] = field(default_factory=dict)
    history: list[Happened] = field(default_factory=list)
    closed: dict[str, datetime] = field(default_factory=dict)
    variants: dict[str, str] = field(default_factory=dict)
    former_ids: tuple[str, ...] = ()
    suppressions: Suppressions = field(default_factory=dict)
    told: Callable[[Row], None] = field(default_factory=lambda: _nobody)

    @property
    def ids(self) -> frozenset[str]:
        """All ids that the customer has had."""
        return frozenset((self.customer_id, *self.former_ids))

    def enroll(self, enrollment_id: str, *events: Event, entry: Entry | None = None) -> Enrollment:
        """Begin an enrollment with these events, of which the first has started it."""
        enrollment = Enrollment(
            enrollment_id,
            entry.journey if entry else "",
            entry.key if entry else None,
            entry.listens if entry else None,
            began=next(_ORDER),
            several=entry is not None and entry.re_entry.while_live,
        )
        for event in events:
            # Before it is known here: what is live already hears the event by itself.
            self.acknowledge(event, also=enrollment)
        self.enrollments[enrollment_id] = enrollment
        return enrollment

    def acknowledge(
        self, event: Event, also: Enrollment | None = None, at: datetime | None = None
    ) -> News:
        """As the accepting transaction does: number the event, note what it opens, closes, tells.

        Args:
            event: the event.
            also: an enrollment that hears it though it is not yet among the customer's.
            at: when it happened; None: now.

        Returns:
            What each live enrollment hears of it, by enrollment.
        """
        at = at or self.now()
        name, told = type(event).name, event.model_dump(mode="json", exclude_none=True)
        if event.hold is not None:
            what = f"{event.hold.kind} {getattr(event, event.hold.reference)}"
            self._mark(what, opens=event.hold.action == "open")
        news: News = {}
        if (report := report_of(event)) is not None:
            news = reports.take(self, report, at)
        for enrollment_id, envelope in self.tell(name, told, at, also).items():
            news.setdefault(enrollment_id, []).append(envelope)
        return news

    def tell(
        self, name: str, told: dict[str, Any], at: datetime, also: Enrollment | None = None
    ) -> dict[str, Envelope]:
        """Keep an event, and number it for the enrollments that listen; as `acknowledge`."""
        event_id = f"e{len(self.history) + 1}"
        self.history.append(Happened(next(_ORDER), name, event_id, at, told))
        hear = [each for each in self.enrollments.values() if each.hears(name)]
        if also is not None:
            hear.append(also)
        return {
            each.enrollment_id: each.acknowledge(name, event_id, at, dict(told)) for each in hear
        }

    def moves(self, time_zone: str | None) -> dict[str, Envelope]:
        """Their clock is another's now; what each live enrollment hears of it."""
        self.time_zone = time_zone
        told = {"time_zone": time_zone}
        return {
            each.enrollment_id: each.acknowledge(TIME_ZONE_CHANGED, "zone", self.now(), told)
            for each in self.live()
        }

    def _mark(self, what: str, *, opens: bool) -> None:
        """Open or close a hold; a close covers an open that comes a little later."""
        if opens:
            closed_at = self.closed.pop(what, None)
            if closed_at is None or self.now() > closed_at + _LITTLE:
                self.holds.append(what)
        elif what in self.holds:
            self.holds.remove(what)
        else:
            self.closed[what] = self.now()

    def refusal(self, entry: Entry) -> str | None:
        """Why this entry is refused, or None where it is granted (semantics 13)."""
        before = [
            each
            for each in self.enrollments.values()
            if (each.journey, each.key) == (entry.journey, entry.key)
        ]
        live = any(each.outcome is None for each in before)
        if live and not entry.re_entry.while_live:
            return "already enrolled"
        if before and not entry.re_entry.allowed:
            return "this journey is entered only once"
        ended = max((each.ended_at for each in before if each.ended_at), default=None)
        pause = entry.re_entry.pause
        if pause and ended is not None and ended > self.now() - pause:
            return f"too soon after the exit: the pause is {wording.duration(pause)}"
        return None

    def live(self) -> list[Enrollment]:
        """The enrollments that have not ended."""
        return [each for each in self.enrollments.values() if each.outcome is None]

    def rows(self, enrollment_id: str) -> list[Row]:
        """The ledger of one enrollment."""
        mine = f"{enrollment_id}/"
        return [row for row in self.ledger.values() if row.key.startswith(mine)]

    def said(self) -> list[tuple[str, str, str]]:
        """The ledger as (key without the enrollment, verdict, reason)."""
        return [(row.name, row.verdict.value, row.reason.value) for row in self.ledger.values()]
