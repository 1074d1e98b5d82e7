"""Customers and enrollments in the real store, and the same in memory: for contracts of both."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple, Protocol

import orjson

from domain.enrollments import AFTER_EXIT, EndAnswer, EndRequest, Entry, ReEntry
from domain.experiments import Assignment
from domain.outcomes import Outcome
from domain.ports import Enrollments, Experiments, History, Tasks
from infra.database.accept import Acceptor, Incoming, entry_effect
from infra.database.enrollments import PostgresEnrollments
from infra.database.experiments import PostgresExperiments
from infra.database.history import PostgresHistory
from infra.database.pool import Pool
from infra.database.tasks import PostgresTasks
from rehearsal import MemoryStore, Person

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class TaskNow(NamedTuple):
    """A task as it stands; `history` as (what, role, by)."""

    state: str
    role: str
    by: str | None
    answer: dict[str, Any] | None
    history: list[tuple[str, str, str | None]]


class Records(Protocol):
    """A store with customers, who are known by their user ids."""

    @property
    def enrollments(self) -> Enrollments: ...
    @property
    def history(self) -> History: ...
    @property
    def experiments(self) -> Experiments: ...
    @property
    def tasks(self) -> Tasks: ...

    async def customer(self, user: str) -> str: ...
    async def acknowledge(self, user: str, name: str, at: datetime = NOW, **has: Any) -> None: ...
    async def enroll(self, user: str, journey: str, *, listens: tuple[str, ...] = ()) -> str: ...
    async def merge(self, into: str, other: str) -> None: ...
    async def heard(self, enrollment_id: str) -> list[tuple[int, str, dict[str, Any]]]: ...
    async def gone(self, enrollment_id: str) -> None: ...
    async def task(self, task_id: str) -> TaskNow: ...
    async def owner(self, enrollment_id: str) -> str: ...


def wish(
    journey: str,
    *,
    key: str | None = None,
    listens: tuple[str, ...] = (),
    re_entry: ReEntry = AFTER_EXIT,
) -> Entry:
    """A wish to enter a journey."""
    return Entry(
        journey=journey,
        workflow_type=journey.title(),
        key=key,
        listens=listens,
        task_queue="q",
        re_entry=re_entry,
    )


async def end(
    records: Records,
    enrollment_id: str,
    outcome: Outcome | None = None,
    *,
    heard: int | None = None,
    **more: Any,
) -> EndAnswer:
    """End an enrollment, by default having heard everything."""
    return await records.enrollments.end(
        EndRequest(
            enrollment_id=enrollment_id,
            customer_id=await records.owner(enrollment_id),
            heard=len(await records.heard(enrollment_id)) if heard is None else heard,
            outcome=outcome or Outcome.completed(),
            **more,
        )
    )


class InMemory:
    """In memory."""

    def __init__(self) -> None:
        self.enrollments = self.store = MemoryStore()
        self.history = self.experiments = self.tasks = self.store.records

    def _person(self, user: str) -> Person:
        return self.store.people.setdefault(f"cus_{user}", Person(f"cus_{user}"))

    async def customer(self, user: str) -> str:
        return self._person(user).customer_id

    async def acknowledge(self, user: str, name: str, at: datetime = NOW, **has: Any) -> None:
        self._person(user).tell(name, has, at)

    async def enroll(self, user: str, journey: str, *, listens: tuple[str, ...] = ()) -> str:
        person = self._person(user)
        entry = Entry(journey, journey.title(), None, listens)
        enrollment = person.enroll(self.store.records.new_enrollment_id(), entry=entry)
        person.tell("begin", {}, NOW, also=enrollment)
        return enrollment.enrollment_id

    async def merge(self, into: str, other: str) -> None:
        self.store.merge(self._person(into), self._person(other))

    async def heard(self, enrollment_id: str) -> list[tuple[int, str, dict[str, Any]]]:
        _, enrollment = self.store.records.find(enrollment_id)
        return [(one.number, one.name, one.properties) for one in enrollment.acknowledged]

    async def gone(self, enrollment_id: str) -> None:
        outcome = Outcome.model_validate({"kind": "terminated", "reason": "gone"})
        self.store.end_from_outside(enrollment_id, outcome)

    async def task(self, task_id: str) -> TaskNow:
        task = next(t for t in self.store.records.tasks.values() if t.id == task_id)
        return TaskNow(task.state, task.role, task.by, task.answer, task.history)

    async def owner(self, enrollment_id: str) -> str:
        return self.store.records.find(enrollment_id)[0].customer_id


class OnPostgres:
    """On the real store."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.enrollments = PostgresEnrollments(pool)
        self.history = PostgresHistory(pool)
        self.experiments = PostgresExperiments(pool)
        self.tasks = PostgresTasks(pool)
        self._numbers = count(1)

    async def accept(self, *items: Incoming) -> None:
        acceptor = Acceptor(self.pool, lambda: None)
        try:
            await acceptor.accept(items)
        finally:
            await acceptor.close()

    def event(
        self,
        user: str,
        name: str,
        properties: Mapping[str, Any],
        at: datetime = NOW,
        effects: dict[str, Any] | None = None,
        kind: str = "track",
    ) -> Incoming:
        return Incoming(
            source_id=1,
            message_id=f"m{next(self._numbers)}",
            user_id=user,
            anonymous_id=None,
            type=kind,
            name=name,
            occurred_at=at,
            received_at=max(at, NOW),
            properties=orjson.dumps(properties).decode(),
            effects=effects,
        )

    async def customer(self, user: str) -> str:
        await self.acknowledge(user, "seen")
        found: str = await self.pool.fetchval(
            "select customer_id from identity where kind = 'user_id' and value = $1", user
        )
        return found

    async def acknowledge(self, user: str, name: str, at: datetime = NOW, **has: Any) -> None:
        await self.accept(self.event(user, name, has, at))

    async def enroll(self, user: str, journey: str, *, listens: tuple[str, ...] = ()) -> str:
        await self.pool.execute(
            "insert into heard_name select unnest($1::text[]) on conflict do nothing",
            ["begin", *listens],
        )
        effects = {"entries": [entry_effect(wish(journey, listens=listens))]}
        begin = self.event(user, "begin", {}, effects=effects)
        await self.accept(begin)
        found: str = await self.pool.fetchval(
            "select enrollment_id from delivery where number = 1 and message_id = $1",
            begin.message_id,
        )
        assert found is not None
        return found

    async def merge(self, into: str, other: str) -> None:
        effects = {"alias": {"previous_id": other}}
        await self.accept(self.event(into, "alias", {}, effects=effects, kind="alias"))

    async def heard(self, enrollment_id: str) -> list[tuple[int, str, dict[str, Any]]]:
        """But for what a merge itself says, which the twin does not."""
        rows = await self.pool.fetch(
            "select d.number, e.name, e.properties from delivery d join event e"
            " using (source_id, message_id) where enrollment_id = $1 order by 1",
            enrollment_id,
        )
        return [(row["number"], row["name"], row["properties"]) for row in rows]

    async def gone(self, enrollment_id: str) -> None:
        assert await self.enrollments.ended_outside(enrollment_id, "gone")

    async def task(self, task_id: str) -> TaskNow:
        row = await self.pool.fetchrow("select * from task where id = $1", task_id)
        history = [(h["what"], h["role"], h.get("by")) for h in row["history"]]
        return TaskNow(row["state"], row["role"], row["by"], row["answer"], history)

    async def owner(self, enrollment_id: str) -> str:
        found: str = await self.pool.fetchval(
            "select customer_id from enrollment where id = $1", enrollment_id
        )
        return found


def before(**ago: float) -> datetime:
    """A moment before now."""
    return NOW - timedelta(**ago)


def assignment(customer_id: str, name: str = "subject line", **more: Any) -> Assignment:
    about: dict[str, Any] = {
        "enrollment_id": "enr_1",
        "journey": "tour",
        "weights": {"a": 1, "b": 1, "c": 2},
        "kind": "split",
    }
    return Assignment(customer_id=customer_id, name=name, **(about | more))
