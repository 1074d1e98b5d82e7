"""An occurrence of a schedule, in skipped time: who enters when, and who does not any more."""

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.entries import EntryActivities
from domain.local_time import Zone, local_moment
from domain.schedules import (
    EVERYBODY,
    EnrollAnswer,
    EnrollRequest,
    Moment,
    Schedule,
    ScheduledRun,
)
from worker.sandbox import sandbox
from workflows.enrolling import EnrollSegment

QUEUE = "scheduled-entries"
ZONES = ("Pacific/Auckland", "Europe/Berlin", "Europe/Rome", "America/New_York")
SCHEDULE = Schedule(at=time(9), segment=EVERYBODY, in_customers_zone=True, rate=1_000)


@dataclass
class Entries:
    """Implements the port `ScheduledEntries`: customers by id, with their time zones."""

    zones: Mapping[str, str | None]
    now: "Clock"
    schedule: Schedule = SCHEDULE
    entered: dict[str, datetime] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    stumbles_at: int = 0
    waits_at: int = 0

    async def next_moment(self, journey: str, day: date, after: datetime | None) -> Moment | None:
        assert journey == "newsletter"
        return self.schedule.next_moment(day, sorted({z or "" for z in self.zones.values()}), after)

    async def enroll(self, request: EnrollRequest, most: int) -> EnrollAnswer:
        self.asked.append((request.place, most))
        if len(self.asked) == self.waits_at:
            return EnrollAnswer(place=request.place)
        due = [
            customer
            for customer, zone in sorted(self.zones.items())
            if request.moment.zones is None or (zone or "") in request.moment.zones
            if customer > request.place
        ]
        now = await self.now()
        for customer in due[:most]:
            self.entered.setdefault(customer, now)
        if len(self.asked) == self.stumbles_at:
            raise OSError("the database is away")
        more = len(due) > most
        return EnrollAnswer(
            place=due[most - 1] if more else None, entered=len(due[:most]), refused=0
        )


@dataclass
class Clock:
    environment: WorkflowEnvironment

    async def __call__(self) -> datetime:
        return await self.environment.get_current_time()


@dataclass
class Runs:
    environment: WorkflowEnvironment
    entries: Entries

    async def start(self, run: ScheduledRun) -> WorkflowHandle[EnrollSegment, ScheduledRun]:
        return await self.environment.client.start_workflow(
            EnrollSegment.run, run, id=f"schedule/{uuid.uuid4()}", task_queue=QUEUE
        )

    async def tomorrow(self) -> date:
        """A day that begins nowhere yet."""
        return (await self.environment.get_current_time()).astimezone(UTC).date() + timedelta(2)


@pytest.fixture
async def runs(skipping: WorkflowEnvironment) -> AsyncIterator[Runs]:
    zones = {f"c{n}": zone for n, zone in enumerate((*ZONES, None))}
    entries = Entries(zones, Clock(skipping))
    activities = EntryActivities(entries)
    async with Worker(
        skipping.client,
        task_queue=QUEUE,
        workflows=[EnrollSegment],
        activities=[activities.next_moment, activities.enroll],
        workflow_runner=sandbox(),
    ):
        yield Runs(skipping, entries)


def run_of(day: date, **more: object) -> ScheduledRun:
    return ScheduledRun.model_validate(
        {"journey": "newsletter", "ahead": SCHEDULE.ahead, "day": day, **more}
    )


async def test_each_customer_enters_when_it_is_nine_where_the_customer_is(runs: Runs) -> None:
    day = await runs.tomorrow()
    done = await (await runs.start(run_of(day))).result()
    assert (done.entered, done.skipped) == (5, 0)
    for customer, zone in runs.entries.zones.items():
        due = local_moment(day, time(9), Zone(zone or "UTC"))
        late = runs.entries.entered[customer] - due
        assert timedelta(0) <= late < timedelta(minutes=2), (customer, zone)
    assert any("Europe/Berlin and Europe/Rome: done" in line for line in done.story)


async def test_the_day_is_that_of_the_start_where_nobody_says_another(runs: Runs) -> None:
    started = await runs.environment.get_current_time()
    done = await (
        await runs.start(ScheduledRun(journey="newsletter", ahead=SCHEDULE.ahead))
    ).result()
    assert done.day == (started + SCHEDULE.ahead).astimezone(UTC).date()


async def test_what_came_due_while_all_was_down_is_made_up_for_or_skipped(runs: Runs) -> None:
    # Nobody ran this for a while: since before it was nine in Auckland.
    day = await runs.tomorrow()
    berlin = local_moment(day, time(9), Zone("Europe/Berlin"))
    now = await runs.environment.get_current_time()
    await runs.environment.sleep(berlin + SCHEDULE.skip_if_late - timedelta(minutes=30) - now)
    done = await (await runs.start(run_of(day))).result()
    # Auckland's nine is more than four hours ago, Berlin's is not; New York's is still to come.
    assert sorted(runs.entries.entered) == ["c1", "c2", "c3", "c4"]
    assert (done.entered, done.skipped) == (4, 1)
    (skipped,) = [line for line in done.story if "skipped" in line]
    assert "Pacific/Auckland" in skipped
    assert "late" in skipped


async def test_what_is_later_than_that_is_not_made_up_for(runs: Runs) -> None:
    day = (await runs.environment.get_current_time()).astimezone(UTC).date() - timedelta(3)
    done = await (await runs.start(run_of(day))).result()
    assert runs.entries.entered == {}
    assert done.skipped == 4


async def test_a_large_segment_goes_through_several_runs_and_misses_nobody(runs: Runs) -> None:
    runs.entries.schedule = Schedule(at=time(9), segment=EVERYBODY, rate=10)
    runs.entries.zones = {f"c{n:03}": None for n in range(35)}
    now = await runs.environment.get_current_time()
    handle = await runs.start(_at_once(now, 10, pages=1))
    done = await handle.result()
    assert sorted(runs.entries.entered) == sorted(runs.entries.zones)
    assert done.entered == 35
    assert (await handle.describe()).run_id != handle.first_execution_run_id


async def test_a_rate_is_kept(runs: Runs) -> None:
    runs.entries.zones = {f"c{n:03}": None for n in range(30)}
    now = await runs.environment.get_current_time()
    began = datetime.now(UTC)
    done = await (await runs.start(_at_once(now, 20))).result()
    assert done.entered == 30
    # Real seconds: 30 at 20 a second, whatever time the server skips.
    assert datetime.now(UTC) - began >= timedelta(seconds=1.4)
    assert [most for _, most in runs.entries.asked] == [20, 20]


async def test_an_attempt_that_stumbles_goes_on_where_it_was(runs: Runs) -> None:
    runs.entries.zones = {f"c{n:03}": None for n in range(45)}
    runs.entries.stumbles_at = 2
    now = await runs.environment.get_current_time()
    done = await (await runs.start(_at_once(now, 20))).result()
    assert sorted(runs.entries.entered) == sorted(runs.entries.zones)
    assert done.entered == 45
    assert [place for place, _ in runs.entries.asked] == ["", "c019", "c019", "c039"]


async def test_while_others_go_first_it_waits_and_then_goes_on(runs: Runs) -> None:
    runs.entries.zones = {f"c{n:03}": None for n in range(25)}
    runs.entries.waits_at = 2
    now = await runs.environment.get_current_time()
    done = await (await runs.start(_at_once(now, 20))).result()
    assert done.entered == 25
    assert [place for place, _ in runs.entries.asked] == ["", "c019", "c019"]


def _at_once(now: datetime, rate: int, **more: object) -> ScheduledRun:
    """In the middle of its last moment."""
    moment = Moment(at=now, zones=None, words="now", rate=rate, skip_if_late=timedelta(hours=1))
    return run_of(now.date(), after=now + timedelta(days=2), moment=moment, **more)
