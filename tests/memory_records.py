"""What the store records beside the gate, in memory, without I/O.

Events and enrollments of several customers, who was taken into which journey from which, tasks,
and variants. `tests/integration/test_records.py` holds the real store and this to one contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from domain.enrollments import EndAnswer, EndRequest, EnterAnswer, EnterRequest, Entry
from domain.events import Envelope, JourneyEnded
from domain.experiments import Assignment
from domain.history import LookBack
from domain.outcomes import Outcome, OutcomeKind
from domain.tasks import TaskRequest, TaskSettlement


@dataclass
class Told:
    """An event as it was acknowledged; `place` is its place in the order of all."""

    place: int
    customer_id: str
    envelope: Envelope


@dataclass
class Way:
    """One enrollment."""

    id: str
    customer_id: str
    journey: str
    key: str | None
    listens: tuple[str, ...]
    began: int
    deliveries: list[Envelope] = field(default_factory=list)
    outcome: Outcome | None = None

    def deliver(self, envelope: Envelope) -> None:
        """Number an event for this enrollment."""
        number = len(self.deliveries) + 1
        name, event_id, at = envelope.name, envelope.event_id, envelope.occurred_at
        self.deliveries.append(Envelope(number, name, event_id, at, envelope.properties))


@dataclass
class Entrance:
    """What became of a step that takes a customer into another journey."""

    answer: EnterAnswer
    wait: bool


@dataclass
class Asked:
    """A task; `history` has what happened to it and by whom."""

    id: str
    request: TaskRequest
    role: str
    deadline: datetime | None
    state: str = "open"
    answer: dict[str, Any] | None = None
    by: str | None = None
    history: list[tuple[str, str, str | None]] = field(default_factory=list)


class MemoryRecords:
    """Implements the ports `Enrollments`, `History`, `Experiments` and `Tasks`."""

    def __init__(self) -> None:
        self.events: list[Told] = []
        self.ways: dict[str, Way] = {}
        self.entrances: dict[tuple[str, str], Entrance] = {}
        self.tasks: dict[tuple[str, str], Asked] = {}
        self.variants: dict[tuple[str, str], str] = {}
        self._into: dict[str, str] = {}
        self._ids = count(1)

    # What the accepting transaction does.

    def acknowledge(
        self, customer_id: str, name: str, properties: Mapping[str, Any], at: datetime
    ) -> Envelope:
        """Keep an event, and number it for the enrollments that listen."""
        envelope = self._keep(self.present(customer_id), name, properties, at)
        for way in self.ways.values():
            if way.customer_id == self.present(customer_id) and self._hears(way, name):
                way.deliver(envelope)
        return envelope

    def enroll(self, customer_id: str, entry: Entry, envelope: Envelope) -> EnterAnswer:
        """Grant an entry, or refuse it with a reason."""
        customer_id = self.present(customer_id)
        journey, key = entry.journey, entry.key
        before = [
            way
            for way in self.ways.values()
            if (way.customer_id, way.journey, way.key) == (customer_id, journey, key)
        ]
        if any(way.outcome is None for way in before):
            return EnterAnswer(refused="already enrolled")
        if before and not entry.re_entry.allowed:
            return EnterAnswer(refused="this journey is entered only once")
        listens = entry.listens
        began = next(t.place for t in self.events if t.envelope is envelope)
        way = Way(f"enr_{next(self._ids)}", customer_id, journey, key, listens, began)
        way.deliver(envelope)
        self.ways[way.id] = way
        return EnterAnswer(enrollment_id=way.id)

    def present(self, customer_id: str) -> str:
        """The customer behind an id that may have been merged away."""
        while customer_id in self._into:
            customer_id = self._into[customer_id]
        return customer_id

    def merge(self, into: str, other: str) -> None:
        """Two customers are one. Of two live enrollments of one journey the older goes on."""
        for way in self.ways.values():
            if way.customer_id == other and way.outcome is None:
                older = next(
                    (
                        w
                        for w in self.ways.values()
                        if (w.customer_id, w.journey, w.key) == (into, way.journey, way.key)
                        and w.outcome is None
                    ),
                    None,
                )
                if older is not None:
                    _, younger = sorted((way, older), key=lambda w: w.began)
                    self.close(younger.id, Outcome(kind=OutcomeKind.MERGED))
        for way in self.ways.values():
            if way.customer_id == other:
                way.customer_id = into
        for (customer_id, name), variant in list(self.variants.items()):
            if customer_id == other:
                self.variants.setdefault((into, name), variant)
        self._into[other] = into

    def close(self, enrollment_id: str, outcome: Outcome) -> None:
        """An enrollment is over: its tasks are withdrawn, whoever waits for its end is told."""
        way = self.ways[enrollment_id]
        way.outcome = outcome
        for task in self.tasks.values():
            if task.request.enrollment_id == enrollment_id and task.state == "open":
                task.state = "withdrawn"
                task.history.append(("withdrawn", task.role, None))
        for (parent_id, step), entrance in self.entrances.items():
            parent = self.ways.get(parent_id)
            waits = entrance.wait and entrance.answer.enrollment_id == enrollment_id
            if waits and parent is not None and parent.outcome is None:
                said = JourneyEnded(
                    journey=way.journey,
                    enrollment_id=way.id,
                    outcome=outcome.kind.value,
                    reason=outcome.reason,
                    step=step,
                )
                at = datetime.now(UTC).isoformat()
                name, event_id = JourneyEnded.name, f"ended-{way.id}"
                parent.deliver(Envelope(0, name, event_id, at, said.model_dump(mode="json")))

    # The ports.

    async def end(self, request: EndRequest) -> EndAnswer:
        """As `Enrollments.end`."""
        way = self.ways[request.enrollment_id]
        if news := way.deliveries[request.heard :]:
            return EndAnswer(ended=False, news=news)
        over = request.hand_over
        may = over is not None and self._may_enter(over)
        if way.outcome is None:
            self.close(way.id, request.outcome)
        handed_over = None if over is None else self._enter(over, may)
        return EndAnswer(ended=True, news=[], handed_over=handed_over)

    async def enter(self, request: EnterRequest) -> EnterAnswer:
        """As `Enrollments.enter`."""
        return self._enter(request, self._may_enter(request))

    async def look_back(self, request: LookBack) -> list[Envelope]:
        """As `History.look_back`."""
        began = self.ways[request.enrollment_id].began
        found = [
            told
            for told in self.events
            if told.place < began
            and self.present(told.customer_id) == self.present(request.customer_id)
            and told.envelope.name in request.names
            and datetime.fromisoformat(told.envelope.occurred_at) >= request.since
        ]
        latest = found[-request.most :]
        latest.sort(key=lambda told: (told.envelope.occurred_at, told.place))
        return [told.envelope for told in latest]

    async def assign(self, request: Assignment) -> str:
        """As `Experiments.assign`."""
        customer_id = self.present(request.customer_id)
        dealt = request.dealt(customer_id)
        return self.variants.setdefault((customer_id, request.name), dealt)

    async def open(self, request: TaskRequest) -> str:
        """As `Tasks.open`."""
        opened = self.tasks.get((request.enrollment_id, request.step))
        if opened is None:
            task_id = f"tsk_{next(self._ids)}"
            opened = Asked(task_id, request, request.role, request.deadline)
            opened.history.append(("opened", request.role, None))
            way = self.ways.get(request.enrollment_id)
            if way is not None and way.outcome is not None:
                opened.state = "withdrawn"
                opened.history.append(("withdrawn", request.role, None))
            self.tasks[request.enrollment_id, request.step] = opened
        return opened.id

    async def settle(self, settlement: TaskSettlement) -> None:
        """As `Tasks.settle`."""
        task = next(t for t in self.tasks.values() if t.id == settlement.task_id)
        answered_late = (task.state, settlement.state) == ("withdrawn", "answered")
        if task.state != "open" and not answered_late:
            return
        if settlement.state != "escalated":
            task.state, task.answer, task.by = settlement.state, settlement.answer, settlement.by
        elif settlement.role is None or settlement.role == task.role:
            return
        else:
            task.role, task.deadline = settlement.role, settlement.deadline
        task.history.append((settlement.state, task.role, settlement.by))

    def _may_enter(self, request: EnterRequest) -> bool:
        parent = self.ways.get(request.enrollment_id)
        entered = (request.enrollment_id, request.step) in self.entrances
        return entered or parent is None or parent.outcome is None

    def _enter(self, request: EnterRequest, may: bool) -> EnterAnswer:
        if not may:
            return EnterAnswer(refused="the enrollment that asks has ended")
        asked = (request.enrollment_id, request.step)
        if asked not in self.entrances:
            at = datetime.now(UTC)
            name, properties = request.event_name, request.properties
            # Said to that journey alone: nobody looks back at it.
            envelope = self._keep("", name, properties, at)
            assert request.entry is not None
            answer = self.enroll(request.customer_id, request.entry, envelope)
            self.entrances[asked] = Entrance(answer, request.wait)
        return self.entrances[asked].answer

    def _keep(
        self, customer_id: str, name: str, properties: Mapping[str, Any], at: datetime
    ) -> Envelope:
        place = next(self._ids)
        stamp = at.astimezone(UTC).isoformat(timespec="microseconds")
        envelope = Envelope(0, name, f"e{place}", stamp, dict(properties))
        self.events.append(Told(place, customer_id, envelope))
        return envelope

    def _hears(self, way: Way, name: str) -> bool:
        return way.outcome is None and name in way.listens
