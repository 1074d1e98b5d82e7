"""What the store in memory records beside the gate: tasks, variants, who was sent on where.

`tests/integration/test_records.py` holds the real store and this to one contract.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from typing import Any

from domain.enrollments import EnterAnswer, EnterRequest, Entry
from domain.events import Envelope, JourneyEnded
from domain.experiments import Assignment
from domain.history import LookBack
from domain.tasks import OpenedTask, TaskRequest, TaskSettlement, TaskState
from rehearsal.people import Enrollment, Now, Person


@dataclass
class Asked:
    """A task; `history` has what happened to it, to whom it belonged then, and by whom."""

    id: str
    request: TaskRequest
    role: str
    deadline: datetime | None
    state: TaskState = "open"
    answer: dict[str, Any] | None = None
    by: str | None = None
    settled_at: datetime | None = None
    history: list[tuple[str, str, str | None]] = field(default_factory=list)

    def withdraw(self, now: datetime) -> None:
        """Nobody waits for it any more."""
        self.state, self.settled_at = "withdrawn", now
        self.history.append(("withdrawn", self.role, None))

    def is_withdrawn_before(self, moment: datetime | None) -> bool:
        """Whether it had been withdrawn by then."""
        if self.state != "withdrawn" or self.settled_at is None or moment is None:
            return False
        return self.settled_at < moment

    def reopen(self, request: TaskRequest) -> None:
        """Its step asks again."""
        self.request, self.role, self.deadline = request, request.role, request.deadline
        self.state, self.settled_at = "open", None
        self.history.append(("reopened", self.role, None))


@dataclass
class _Entrance:
    """What became of a step that takes a customer into another journey."""

    answer: EnterAnswer
    waits: bool


class MemoryRecords:
    """Implements the ports `History`, `Experiments` and `Tasks`, and entering by a journey.

    Args:
        people: the customers by every id that they have had.
        now: what time it is.

    Attributes:
        began: called with every enrollment that a journey has begun, and its entry.
        told: called with an enrollment and what it is told by the store itself.
    """

    def __init__(self, people: dict[str, Person], now: Now) -> None:
        self.tasks: dict[tuple[str, str], Asked] = {}
        self.began: Callable[[Person, Enrollment, Entry], None] = lambda *_: None
        self.told: Callable[[Enrollment, Envelope], None] = lambda *_: None
        self._people = people
        self._now = now
        self._entrances: dict[tuple[str, str], _Entrance] = {}
        self._days: Counter[tuple[str, date]] = Counter()
        self._ids = count(1)
        self._ways = count(1)

    def new_enrollment_id(self) -> str:
        """An id that no enrollment has."""
        return f"enr_{next(self._ways)}"

    def find(self, enrollment_id: str) -> tuple[Person, Enrollment]:
        """An enrollment, and whose it is.

        Raises:
            LookupError: there is none.
        """
        for person in self._people.values():
            if enrollment_id in person.enrollments:
                return person, person.enrollments[enrollment_id]
        raise LookupError(f"no enrollment {enrollment_id}")

    # Entering by a journey.

    def enter(self, request: EnterRequest) -> EnterAnswer:
        """As `Enrollments.enter`."""
        return self.hand_over(request, may=self.may_enter(request))

    def may_enter(self, request: EnterRequest) -> bool:
        """Whether the enrollment that asks may: it is live, or the step has its answer."""
        entered = (request.enrollment_id, request.step) in self._entrances
        return entered or self.find(request.enrollment_id)[1].outcome is None

    def hand_over(self, request: EnterRequest, *, may: bool) -> EnterAnswer:
        """Take a customer into another journey, where the enrollment that asks may."""
        if not may:
            return EnterAnswer(refused="the enrollment that asks has ended")
        asked = (request.enrollment_id, request.step)
        if asked not in self._entrances:
            self._entrances[asked] = _Entrance(self._grant(request), request.wait)
        return self._entrances[asked].answer

    def refusal(self, person: Person, entry: Entry) -> str | None:
        """Why this entry is refused; None where it is granted, and has its place in the day."""
        if (refusal := person.refusal(entry)) is not None:
            return refusal
        if (most := entry.per_day) is not None:
            day = most.day(self._now())
            if self._days[entry.journey, day] >= most.entries:
                return (
                    f"this journey takes {most.entries} entries a day, "
                    f"and has taken them for {day} ({most.zone})"
                )
            self._days[entry.journey, day] += 1
        return None

    def _grant(self, request: EnterRequest) -> EnterAnswer:
        person, entry = self._people[request.customer_id], request.entry
        assert entry is not None
        if (refusal := self.refusal(person, entry)) is not None:
            return EnterAnswer(refused=refusal)
        enrollment = person.enroll(self.new_enrollment_id(), entry=entry)
        # Said to that journey alone: nobody looks back at it.
        event_id = f"{request.enrollment_id}/{request.step}"
        enrollment.acknowledge(request.event_name, event_id, self._now(), request.properties)
        self.began(person, enrollment, entry)
        return EnterAnswer(enrollment_id=enrollment.enrollment_id)

    def close(self, over: Enrollment) -> None:
        """An enrollment is over: its tasks are withdrawn, whoever waits for its end is told."""
        for task in self.tasks.values():
            if task.request.enrollment_id == over.enrollment_id and task.state == "open":
                task.withdraw(self._now())
        for (parent_id, step), entrance in self._entrances.items():
            if entrance.waits and entrance.answer.enrollment_id == over.enrollment_id:
                _, parent = self.find(parent_id)
                if parent.outcome is None:
                    self._tell_end(parent, step, over)

    def _tell_end(self, parent: Enrollment, step: str, over: Enrollment) -> None:
        assert over.outcome is not None
        said = JourneyEnded(
            journey=over.journey,
            enrollment_id=over.enrollment_id,
            outcome=over.outcome.kind.value,
            reason=over.outcome.reason,
            step=step,
        )
        event_id, told = f"ended-{over.enrollment_id}", said.model_dump(mode="json")
        self.told(parent, parent.acknowledge(JourneyEnded.name, event_id, self._now(), told))

    # The ports.

    async def look_back(self, request: LookBack) -> list[Envelope]:
        """As `History.look_back`."""
        person, enrollment = self.find(request.enrollment_id)
        found = [
            event
            for event in person.history
            if event.order < enrollment.began
            and event.name in request.names
            and event.at >= request.since
        ]
        return [
            Envelope(0, event.name, event.event_id, event.at.isoformat(), event.properties)
            for event in sorted(found[-request.most :], key=lambda event: (event.at, event.order))
        ]

    async def assign(self, request: Assignment) -> str:
        """As `Experiments.assign`."""
        person = self._people[request.customer_id]
        return person.variants.setdefault(request.name, request.dealt(person.customer_id))

    async def open(self, request: TaskRequest) -> OpenedTask:
        """As `Tasks.open`."""
        opened = self.tasks.get((request.enrollment_id, request.step))
        live = self.find(request.enrollment_id)[1].outcome is None
        if opened is None:
            opened = Asked(f"tsk_{next(self._ids)}", request, request.role, request.deadline)
            opened.history.append(("opened", request.role, None))
            if not live:
                opened.withdraw(self._now())
            self.tasks[request.enrollment_id, request.step] = opened
        elif live and opened.is_withdrawn_before(request.asked_at):
            opened.reopen(request)
        return OpenedTask.of(opened.id, opened.state, opened.answer, opened.by)

    async def settle(self, settlement: TaskSettlement) -> None:
        """As `Tasks.settle`."""
        task = next(t for t in self.tasks.values() if t.id == settlement.task_id)
        answered_late = (task.state, settlement.state) == ("withdrawn", "answered")
        if task.state != "open" and not answered_late:
            return
        if settlement.state != "escalated":
            task.state, task.answer, task.by = settlement.state, settlement.answer, settlement.by
            task.settled_at = self._now()
        elif settlement.role is None or settlement.role == task.role:
            return
        else:
            task.role, task.deadline = settlement.role, settlement.deadline
        task.history.append((settlement.state, task.role, settlement.by))
