"""Entries by the clock, on the real store and with Temporal's own Schedules."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client, ScheduleBackfill, ScheduleDescription
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.messaging import MessagingActivities
from domain.audiences import Audiences
from domain.errors import JourneyError
from domain.events import CartAbandoned, ScheduledEntry
from domain.schedules import EnrollAnswer, EnrollRequest, Moment, Schedule, ScheduledRun
from infra.channels import ConfiguredEndpoints
from infra.database.accept import Incoming
from infra.database.gate import PostgresGate
from infra.database.scheduled import PostgresScheduledEntries
from infra.relay import Relay
from infra.schedules import keep_schedules
from infra.templates import JinjaRenderer
from journeys.catalog import Catalog
from tests.audiences import EVERYTHING, Shop, big_spender, shop
from tests.integration.weekly import Weekly
from tests.parts import free_port, running_temporal
from worker.process import build_workers
from workflows import EVERYBODY, ONCE, Journey, Outcome, PerDay

DAY = date(2026, 3, 2)
NINE = Schedule(at=time(9), segment=EVERYBODY, in_customers_zone=True)


@workflow.defn
class Digest(Journey[ScheduledEntry], schedule=NINE):
    """Says what is new."""

    @workflow.run
    async def run(self, due: ScheduledEntry) -> Outcome:
        """Only when it was due."""
        return Outcome.completed(f"{due.day} {due.segment}")


@workflow.defn
class Reward(
    Journey[ScheduledEntry | CartAbandoned],
    schedule=Schedule(at=time(9), segment=big_spender, rate=100),
    key=lambda event: event.day.isoformat() if isinstance(event, ScheduledEntry) else "cart",
    where=lambda event: not isinstance(event, ScheduledEntry) or event.day != date(2026, 12, 24),
    entries_per_day=PerDay(2),
):
    """Thanks a big spender, two a day."""

    @workflow.run
    async def run(self, event: ScheduledEntry | CartAbandoned) -> Outcome:
        """Says nothing."""
        return Outcome.completed(event.name)


@workflow.defn
class Birthday(Journey[ScheduledEntry], schedule=NINE, re_entry=ONCE):
    """Once in a lifetime."""

    @workflow.run
    async def run(self, due: ScheduledEntry) -> Outcome:
        """Says nothing."""
        return Outcome.completed(due.journey)


CATALOG = Catalog([Digest, Reward, Birthday])


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Shop]:
    async with shop(database_url) as opened:
        await opened.pool.execute("insert into source (name) values ('test')")
        yield opened


def entries_of(store: Shop, schedules: dict[str, Schedule] | None = None) -> Any:
    return PostgresScheduledEntries(
        store.pool, store.audiences, schedules or CATALOG.schedules(), CATALOG.entry
    )


def request(
    journey: str, *, day: date = DAY, zones: list[str | None] | None = None, place: str = ""
) -> EnrollRequest:
    moment = Moment(
        at=datetime(2026, 3, 2, 8, tzinfo=UTC),
        zones=zones,
        words="09:00",
        rate=50,
        skip_if_late=timedelta(hours=1),
    )
    return EnrollRequest(journey=journey, day=day, moment=moment, place=place)


async def all_of(entries: Any, wanted: EnrollRequest, most: int = 100) -> EnrollAnswer:
    entered = refused = 0
    place: str | None = wanted.place
    while place is not None:
        page = await entries.enroll(wanted.model_copy(update={"place": place}), most)
        entered, refused, place = entered + page.entered, refused + page.refused, page.place
    return EnrollAnswer(place=None, entered=entered, refused=refused)


async def people(store: Shop, *zones: str | None) -> list[str]:
    """A customer `u0`, `u1`, … in each time zone."""
    for n, zone in enumerate(zones):
        await store.accept(_identify(store, f"u{n}", zone))
    return [await store.id_of(f"u{n}") for n in range(len(zones))]


def _identify(store: Shop, user: str, zone: str | None) -> Incoming:
    item = store.identify(user, timezone=zone)
    return item._replace(effects={**(item.effects or {}), "time_zone": zone})


async def entered(store: Shop) -> list[str]:
    rows = await store.pool.fetch(
        "select customer_id from enrollment where journey <> 'welcome' order by created_at, id"
    )
    return [row["customer_id"] for row in rows]


async def test_each_enters_once_for_a_day_however_often_and_by_how_many_it_is_asked(
    store: Shop,
) -> None:
    ids = await people(store, *([None] * 25))
    entries = entries_of(store)
    answers = await asyncio.gather(*(all_of(entries, request("digest"), most=7) for _ in range(4)))
    assert sum(answer.entered for answer in answers) == 25
    assert sorted(await entered(store)) == sorted(ids)
    assert (await all_of(entries, request("digest"))).entered == 0
    assert await store.pool.fetchval("select count(*) from refusal") == 0


async def test_the_next_day_is_another_and_its_refusals_are_rows(store: Shop) -> None:
    await people(store, None, None)
    entries = entries_of(store)
    assert (await all_of(entries, request("digest"))).entered == 2
    answer = await all_of(entries, request("digest", day=DAY + timedelta(1)))
    assert (answer.entered, answer.refused) == (0, 2)
    rows = await store.pool.fetch("select code, message_id from refusal")
    assert {row["code"] for row in rows} == {"already_enrolled"}
    assert all(row["message_id"].startswith("schedule/digest/2026-03-03/cus_") for row in rows)


async def test_it_is_time_only_for_those_whose_zone_it_is(store: Shop) -> None:
    told = ("Europe/Berlin", "Pacific/Auckland", None, "Europe/Berlin")
    berlin, auckland, unknown, other = await people(store, *told)
    entries = entries_of(store)
    await all_of(entries, request("digest", zones=["Europe/Berlin", "Europe/Rome"]))
    assert sorted(await entered(store)) == sorted([berlin, other])
    await all_of(entries, request("digest", zones=[None, "UTC"]))
    assert unknown in await entered(store)
    assert auckland not in await entered(store)


async def test_moments_are_those_of_the_zones_that_customers_have(store: Shop) -> None:
    await people(store, "Europe/Berlin", "Pacific/Auckland", None, "America/New_York")
    entries, after, found = entries_of(store), None, []
    while moment := await entries.next_moment("digest", DAY, after):
        found.append((moment.at.isoformat(), moment.zones))
        after = moment.at
    assert found == [
        ("2026-03-01T20:00:00+00:00", ["Pacific/Auckland"]),
        ("2026-03-02T08:00:00+00:00", ["Europe/Berlin"]),
        ("2026-03-02T09:00:00+00:00", [None]),
        ("2026-03-02T14:00:00+00:00", ["America/New_York"]),
    ]


async def test_one_who_travels_enters_once_for_the_day(store: Shop) -> None:
    (traveller,) = await people(store, "Europe/Berlin")
    entries = entries_of(store)
    await all_of(entries, request("digest", zones=["Europe/Berlin"]))
    await store.accept(_identify(store, "u0", "America/New_York"))
    await all_of(entries, request("digest", zones=["America/New_York"]))
    assert await entered(store) == [traveller]
    assert await store.pool.fetchval("select count(*) from refusal") == 0


async def test_two_who_become_one_enter_once_for_the_day(store: Shop) -> None:
    await store.accept(store.identify("u1"))
    anonymous = store.identify("u1")._replace(user_id=None, anonymous_id="d")
    await store.accept(anonymous)
    gone = await store.pool.fetchval("select customer_id from identity where kind = 'anonymous_id'")
    entries = entries_of(store)
    everyone = request("digest")
    await store.pool.fetchrow(
        "select * from enter_due($1, 'schedule/digest/2026-03-02/', 'scheduled_entry', '{}',"
        " now(), $2)",
        [gone],
        _effect("digest"),
    )
    await store.pool.execute("select close_enrollment(id, 'completed', '') from enrollment")
    await store.accept(store.identify("u1")._replace(anonymous_id="d"))
    assert await store.pool.fetchval("select merged_into from customer where id = $1", gone)
    assert (await all_of(entries, everyone)).entered == 0
    assert len(await entered(store)) == 1


def _effect(journey: str) -> dict[str, Any]:
    declared = CATALOG.get(journey)
    assert declared is not None
    return {
        "journey": journey,
        "workflow_type": declared.workflow_type,
        "listens": [],
        "parameters": {},
        "summary": "",
        "task_queue": "q",
        "re_entry": True,
        "pause": "0 seconds",
    }


async def test_only_members_enter_and_the_rules_of_the_journey_hold(store: Shop) -> None:
    for n in range(6):
        await store.accept(store.purchase(200 if n < 4 else 10, user=f"u{n}"))
    entries = entries_of(store)
    answer = await all_of(entries, request("reward"), most=1)
    # Four are big spenders; two a day may enter, and the others are told why not.
    assert (answer.entered, answer.refused) == (2, 2)
    members = {await store.id_of(f"u{n}") for n in range(4)}
    assert set(await entered(store)) < members
    assert len(await entered(store)) == 2
    assert {row["code"] for row in await store.pool.fetch("select code from refusal")} == {
        "entry_cap"
    }
    row = await store.pool.fetchrow(
        "select e.name, e.type, e.occurred_at, e.properties from event e where source_id = 0"
        " and message_id like 'schedule/%' limit 1"
    )
    assert (row["name"], row["type"]) == ("scheduled_entry", "enroll")
    assert row["properties"]["segment"] == "big_spender"
    assert row["occurred_at"] == request("reward").moment.at


async def test_a_predicate_and_a_key_are_asked_about_the_occurrence(store: Shop) -> None:
    await store.accept(store.purchase(200))
    entries = entries_of(store)
    assert (await all_of(entries, request("reward", day=date(2026, 12, 24)))).entered == 0
    await all_of(entries, request("reward"))
    assert await store.pool.fetchval("select key from enrollment where journey = 'reward'") == (
        "2026-03-02"
    )


async def test_once_is_once_whatever_the_day(store: Shop) -> None:
    await people(store, None)
    entries = entries_of(store)
    await all_of(entries, request("birthday"))
    await store.pool.execute("select close_enrollment(id, 'completed', '') from enrollment")
    answer = await all_of(entries, request("birthday", day=DAY + timedelta(365)))
    assert (answer.entered, answer.refused) == (0, 1)


async def test_while_much_waits_for_the_relay_nobody_enters_by_the_clock(store: Shop) -> None:
    await people(store, None)
    await store.pool.execute(
        "insert into backlog (enrollment_id, relayed, last)"
        " select 'enr_' || n, 0, 1 from generate_series(1, 501) n"
    )
    entries = entries_of(store)
    answer = await entries.enroll(request("digest"), 10)
    assert (answer.place, answer.entered) == ("", 0)
    await store.pool.execute("delete from backlog where enrollment_id = 'enr_1'")
    answer = await entries.enroll(request("digest"), 10)
    assert (answer.place, answer.entered) == (None, 1)


async def test_a_journey_that_is_no_longer_scheduled_enrolls_nobody(store: Shop) -> None:
    await people(store, None)
    entries = entries_of(store, {"reward": NINE})
    assert await entries.next_moment("digest", DAY, None) is None
    assert (await entries.enroll(request("digest"), 10)).place is None
    assert await entered(store) == []


async def test_a_schedule_for_a_segment_that_nobody_declared_is_an_error(store: Shop) -> None:
    with pytest.raises(JourneyError, match=r"segment big_spender: declare it .* in audiences/"):
        PostgresScheduledEntries(
            store.pool, Audiences(), {"reward": CATALOG.schedules()["reward"]}, CATALOG.entry
        )


# Temporal's Schedules.


@pytest.fixture
async def client(temporal: WorkflowEnvironment) -> AsyncIterator[Client]:
    yield temporal.client
    await eventually_listed(temporal.client)
    await keep_schedules(temporal.client, {})


async def described(client: Client, journey: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(f"schedule/{journey}").describe()
    except RPCError:
        return None


async def eventually_listed(client: Client, count: int | None = None) -> None:
    """Temporal's list of schedules lags behind."""
    for _ in range(200):
        listed = [s.id async for s in await client.list_schedules()]
        there = [i for i in listed if await described(client, i.removeprefix("schedule/"))]
        if sorted(listed) == sorted(there) and (count is None or len(listed) == count):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(listed)


async def test_schedules_are_made_by_many_workers_at_once_changed_and_removed(
    client: Client,
) -> None:
    both = {"digest": NINE, "birthday": NINE}
    await asyncio.gather(*(keep_schedules(client, both) for _ in range(4)))
    await eventually_listed(client, 2)
    digest = await described(client, "digest")
    assert digest is not None
    assert digest.schedule.spec.calendars[0].comment == (
        "every day at 09:00 where the customer is: everybody enters digest, 50 a second"
    )
    next_time = digest.info.next_action_times[0].astimezone(UTC)
    assert next_time.time() == time(19)  # when it is nine in Kiritimati

    # Nothing has changed: Temporal must not be told anything, or it forgets what it missed.
    await keep_schedules(client, both)
    again = await described(client, "digest")
    assert again is not None
    assert again.info.last_updated_at is None

    # A person has paused it; that stays, whatever else changes.
    await client.get_schedule_handle("schedule/digest").pause(note="until the summer")
    later = {"digest": replace(NINE, at=time(10))}
    await asyncio.gather(*(keep_schedules(client, later) for _ in range(4)))
    changed = await described(client, "digest")
    assert changed is not None
    assert "at 10:00" in (changed.schedule.spec.calendars[0].comment or "")
    assert changed.schedule.state.paused
    assert changed.schedule.state.note == "until the summer"
    assert changed.schedule.policy.catchup_window == NINE.catch_up
    assert await described(client, "birthday") is None


async def test_a_schedule_enrolls_and_what_it_missed_is_skipped(
    store: Shop, client: Client
) -> None:
    today = datetime.now(UTC).date()
    catalog = Catalog([Weekly])
    await people(store, None, None)
    async with _working(store, client, catalog):
        await keep_schedules(client, catalog.schedules())
        handle = client.get_schedule_handle("schedule/weekly")
        await handle.trigger()
        await _until(store, "select count(*) = 2 from enrollment where outcome = 'completed'")
        reasons = await store.pool.fetch("select distinct outcome_reason from enrollment")
        assert [row[0] for row in reasons] == [f"{today}"]
        # As if Temporal had been down for days: what it catches up on comes too late.
        missed = datetime.combine(today - timedelta(days=3), time(0), UTC)
        hour = timedelta(hours=1)
        await handle.backfill(ScheduleBackfill(missed - hour, missed + hour))
        done = await _results(client, 2)
        assert {(run.entered, run.skipped) for run in done} == {(2, 0), (0, 1)}
        assert {run.day for run in done} == {today, missed.date()}
        await handle.trigger()
        assert (await _results(client, 3))[0].day == today
    assert await store.pool.fetchval("select count(*) from enrollment") == 2


async def test_what_came_due_while_temporal_was_down_is_begun_when_it_is_back(
    tmp_path: Path,
) -> None:
    port, file = free_port(), tmp_path / "temporal.db"
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
    schedule = Schedule(at=due.time(), segment=EVERYBODY)
    async with running_temporal(port, file) as temporal:
        client = temporal.client
        await keep_schedules(client, {"weekly": schedule})
        made = await described(client, "weekly")
        assert made is not None
        assert made.info.next_action_times[0] == due
    await asyncio.sleep((due - datetime.now(UTC)).total_seconds() + 1)
    async with running_temporal(port, file) as temporal:
        client = temporal.client
        # A worker that comes up first must not make Temporal forget it.
        await keep_schedules(client, {"weekly": schedule})
        async with asyncio.timeout(30):
            while not (found := [r async for r in client.list_workflows()]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        (begun,) = found
        assert begun.id.startswith("schedule/weekly-")
        assert begun.workflow_type == "EnrollSegment"
        key = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
        assert begun.typed_search_attributes[key] == due


@contextlib.asynccontextmanager
async def _working(store: Shop, client: Client, catalog: Catalog) -> AsyncIterator[None]:
    gate = PostgresGate(store.pool, ConfiguredEndpoints({}), store.audiences)
    messaging = MessagingActivities(gate, JinjaRenderer(), {})
    relay = Relay(store.pool, client)
    async with contextlib.AsyncExitStack() as running:
        for worker in build_workers(client, catalog, messaging, store.pool, Audiences(EVERYTHING)):
            await running.enter_async_context(worker)
        carrying = asyncio.create_task(relay.run())
        yield
        carrying.cancel()
        await asyncio.wait([carrying])


async def _until(store: Shop, query: str) -> None:
    async with asyncio.timeout(30):
        while not await store.pool.fetchval(query):  # noqa: ASYNC110 - the world outside is asked
            await asyncio.sleep(0.05)


async def _results(client: Client, count: int) -> list[ScheduledRun]:
    """What the runs came to, newest first."""
    query = "WorkflowType = 'EnrollSegment' AND ExecutionStatus = 'Completed'"
    async with asyncio.timeout(30):
        while True:
            found = [run async for run in client.list_workflows(query)]
            if len(found) >= count:
                break
            await asyncio.sleep(0.1)
    handles = [client.get_workflow_handle(run.id, result_type=ScheduledRun) for run in found]
    return [await handle.result() for handle in handles]
