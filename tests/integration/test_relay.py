"""The relay between the real database and the real Temporal."""

import asyncio
import contextlib
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.messaging import MessagingActivities
from api.segment import Post, SegmentReader
from domain.enrollments import Entry, Start
from domain.events import Envelope
from infra.channels import ConfiguredEndpoints
from infra.database.accept import Acceptor, Incoming, entry_effect
from infra.database.backlog import Backlog
from infra.database.gate import PostgresGate
from infra.database.pool import Pool, close_pool, open_pool
from infra.relay import Relay, run_relay
from infra.settings import Settings
from infra.templates import JinjaRenderer
from infra.temporal import connect
from infra.watch import Watch
from journeys.catalog import Catalog, discover
from tests.api import NOBODY, door_to, running_api
from tests.parts import free_port, running_temporal
from tests.patience import PATIENCE, eventually
from worker.process import build_workers

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CATALOG = Catalog(discover())
_numbers = itertools.count(1)


def event(name: str = "heard", user: str = "u1", **fields: Any) -> Incoming:
    return Incoming(
        source_id=1,
        message_id=f"m{next(_numbers)}",
        user_id=user,
        anonymous_id=None,
        type="track",
        name=name,
        occurred_at=NOW,
        received_at=NOW,
        properties='{"a":"🛒"}',
        **fields,
    )


def entry(user: str = "u1", key: str = "k", task_queue: str = "nobody-works-here") -> Incoming:
    """An entry into a journey whose workflow no worker runs: only its history is looked at."""
    wish = Entry(
        journey="tour",
        workflow_type="Tour",
        key=key,
        listens=("heard", "other"),
        parameters={"pace": "slow"},
        summary="A tour",
        task_queue=task_queue,
    )
    return event("begin", user, effects={"entries": [entry_effect(wish)]})


def cart(name: str, user: str = "u1", **properties: Any) -> Incoming:
    """A call as a stock client posts it, for the journeys that there are."""
    item = {"userId": user, "event": name, "messageId": f"m{next(_numbers)}"}
    return SegmentReader(CATALOG).read("track", {**item, "properties": properties}, Post(1, NOW))


class Stage:
    """A database, an acceptor, and Temporal."""

    def __init__(self, pool: Pool, client: Client) -> None:
        self.pool = pool
        self.client = client
        self.acceptor = Acceptor(pool, lambda: None)

    async def accept(self, *events: Incoming) -> None:
        assert all(await self.acceptor.accept(events))

    async def workflow_id(self, user: str = "u1", ordinal: int = 1) -> str:
        found: str = await self.pool.fetchval(
            "select workflow_id from enrollment e join identity i using (customer_id)"
            " where i.value = $1 and ordinal = $2",
            user,
            ordinal,
        )
        return found

    async def carried(self, workflow_id: str, client: Client | None = None) -> list[list[int]]:
        """The numbers that its workflow was given: by its start, then by each signal."""
        handle = (client or self.client).get_workflow_handle(workflow_id)
        calls: list[list[int]] = []
        async for happened in handle.fetch_history_events():
            if happened.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                payloads = happened.workflow_execution_started_event_attributes.input.payloads
                (start,) = await pydantic_data_converter.decode(payloads, [Start])
                calls.append([envelope.number for envelope in start.events])
            elif happened.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                payloads = happened.workflow_execution_signaled_event_attributes.input.payloads
                (envelopes,) = await pydantic_data_converter.decode(payloads, [list[Envelope]])
                calls.append([envelope.number for envelope in envelopes])
        return calls

    async def backlog(self) -> int:
        count: int = await self.pool.fetchval("select count(*) from backlog")
        return count

    async def is_carried(self) -> bool:
        return await self.backlog() == 0

    async def carry(self, *relays: Relay) -> None:
        """Run relays until there is nothing left to carry."""
        async with running(*(relays or (Relay(self.pool, self.client),))):
            await eventually(self.is_carried)


@contextlib.asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield tasks
        assert not any(task.done() for task in tasks)
    finally:
        await stop(*tasks)


async def stop(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def stage(pool: Pool, temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    await pool.execute(
        "insert into heard_name select unnest($1::text[])",
        sorted({"begin", "heard", "other", *CATALOG.heard_names()}),
    )
    made = Stage(pool, temporal.client)
    yield made
    await made.acceptor.close()
    for row in await pool.fetch("select workflow_id from enrollment"):
        with contextlib.suppress(Exception):
            await temporal.client.get_workflow_handle(row["workflow_id"]).terminate()


# Carrying.


async def test_a_start_carries_all_that_was_acknowledged_so_far(stage: Stage) -> None:
    await stage.accept(entry(), *(event() for _ in range(29)))
    await stage.carry()
    assert await stage.carried(await stage.workflow_id()) == [list(range(1, 31))]


async def test_a_long_backlog_travels_in_few_signals_and_in_order(stage: Stage) -> None:
    await stage.accept(entry(), *(event() for _ in range(199)))
    await stage.carry()
    calls = await stage.carried(await stage.workflow_id())
    assert [len(call) for call in calls] == [50, 50, 50, 50]
    assert list(itertools.chain(*calls)) == list(range(1, 201))


async def test_fifty_of_the_largest_events_fit_into_a_signal(stage: Stage) -> None:
    await stage.accept(entry())
    await stage.carry()
    large = '{"a":"' + "x" * 32_000 + '"}'
    events = [event()._replace(properties=large) for _ in range(50)]
    await stage.accept(*events)
    await stage.carry()
    assert await stage.carried(await stage.workflow_id()) == [[1], list(range(2, 52))]


async def test_what_is_started_can_be_found_and_read_in_temporal(stage: Stage) -> None:
    await stage.accept(entry())
    await stage.carry()
    workflow_id = await stage.workflow_id()
    description = await stage.client.get_workflow_handle(workflow_id).describe()
    row = await stage.pool.fetchrow("select id, customer_id, run_id from enrollment")
    assert description.run_id == row["run_id"]
    assert description.workflow_type == "Tour"
    assert await description.static_summary() == "A tour"
    found = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert found == {
        "SojournCustomer": row["customer_id"],
        "SojournJourney": "tour",
        "SojournState": "active",
    }


async def test_a_signal_is_named_after_its_events(stage: Stage) -> None:
    await stage.accept(entry())
    await stage.carry()
    for together in ([event("heard"), event("heard")], [event("other"), event("heard")]):
        await stage.accept(*together)
        await stage.carry()
    handle = stage.client.get_workflow_handle(await stage.workflow_id())
    names = [
        happened.workflow_execution_signaled_event_attributes.signal_name
        async for happened in handle.fetch_history_events()
        if happened.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert names == ["heard", "events"]


async def test_an_envelope_says_what_the_source_said(stage: Stage) -> None:
    posted = event()
    await stage.accept(entry(), posted)
    await stage.carry()
    handle = stage.client.get_workflow_handle(await stage.workflow_id())
    async for happened in handle.fetch_history_events():
        payloads = happened.workflow_execution_started_event_attributes.input.payloads
        (start,) = await pydantic_data_converter.decode(payloads, [Start])
        break
    assert (start.journey, start.key, start.parameters) == ("tour", "k", {"pace": "slow"})
    assert start.events[1] == Envelope(
        2, "heard", posted.message_id, "2026-03-01T12:00:00.000000+00:00", {"a": "🛒"}
    )


async def test_over_http_an_event_reaches_temporal_at_once(
    database_url: str, temporal: WorkflowEnvironment
) -> None:
    address = temporal.client.service_client.config.target_host
    async with running_api(database_url, temporal_address=address, relay=True) as api:
        await api.track("cart_abandoned", {"cart_id": "c1"})
        (enrollment,) = await api.about("enrollments")
        handle = temporal.client.get_workflow_handle(enrollment["workflow_id"])

        async def runs() -> bool:
            (found,) = await api.about("enrollments")
            return "/user-metadata" in found["temporal_url"]

        await eventually(runs)
        description = await handle.describe()
        assert description.status is WorkflowExecutionStatus.RUNNING
        await handle.terminate()


# Several relays, and relays that die.


async def test_two_relays_carry_each_number_once_and_in_order(
    stage: Stage, database_url: str
) -> None:
    other = await open_pool(database_url)
    users = [f"u{n}" for n in range(15)]
    await stage.accept(*(entry(user) for user in users))
    source = random.Random(1)
    try:
        async with running(Relay(stage.pool, stage.client), Relay(other, stage.client)) as tasks:
            for _ in range(25):
                await stage.accept(*(event(user=user) for user in users if source.random() < 0.8))
                await asyncio.sleep(source.random() * 0.05)
            await eventually(stage.is_carried)
            assert not any(task.done() for task in tasks)
    finally:
        await close_pool(other)
    for user in users:
        calls = await stage.carried(await stage.workflow_id(user))
        last = await stage.pool.fetchval(
            "select last_number from enrollment join identity using (customer_id) where value = $1",
            user,
        )
        assert list(itertools.chain(*calls)) == list(range(1, last + 1))


@contextlib.asynccontextmanager
async def working(stage: Stage) -> AsyncIterator[None]:
    """A worker for the journeys there are; nothing is sent within their hour of patience."""
    gate = PostgresGate(stage.pool, ConfiguredEndpoints({}))
    messaging = MessagingActivities(gate, JinjaRenderer(), {})
    async with contextlib.AsyncExitStack() as stack:
        for worker in build_workers(stage.client, CATALOG, messaging, stage.pool):
            await stack.enter_async_context(worker)
        yield


async def test_what_is_carried_twice_is_heard_once_and_in_order(
    stage: Stage, database_url: str
) -> None:
    # With next to no lease both relays carry everything, again and again.
    other = await open_pool(database_url)
    await stage.accept(cart("cart_abandoned", cart_id="c1"))
    posted = [cart("purchase_made", order_id=f"o{n}", cart_id="c2") for n in range(25)]
    relays = (
        Relay(stage.pool, stage.client, lease=timedelta(milliseconds=5)),
        Relay(other, stage.client, lease=timedelta(milliseconds=5)),
    )
    workflow_id = await stage.workflow_id()
    handle = stage.client.get_workflow_handle(workflow_id)

    async def heard_all() -> bool:
        status = await handle.query("status")
        return bool(status["heard"] == 26)

    async with working(stage):
        async with running(*relays):
            for one in posted:
                await stage.accept(one)
                for relay in relays:
                    relay.wake()
                await asyncio.sleep(0.01)
            await eventually(stage.is_carried)
        await eventually(heard_all)
        status = await handle.query("status")
    await close_pool(other)
    calls = list(itertools.chain(*await stage.carried(workflow_id)))
    assert len(calls) > 26
    assert status["missing"] is None
    assert [name.split()[1] for name in status["untaken"]] == [one.message_id for one in posted]


async def test_a_start_repeated_after_a_crash_is_harmless(stage: Stage) -> None:
    await stage.accept(entry(), event())
    lost = Relay(stage.pool, stage.client)
    (claim,) = await Backlog(stage.pool, timedelta(0)).claim(1)
    await lost._deliver(claim)  # started, and then the power fails
    await stage.pool.execute("update enrollment set run_id = null")
    await stage.accept(event(), event())
    await stage.carry()
    calls = await stage.carried(await stage.workflow_id())
    assert calls == [[1, 2], [2, 3, 4]]
    handle = stage.client.get_workflow_handle(await stage.workflow_id())
    run_id = await stage.pool.fetchval("select run_id from enrollment")
    assert run_id == (await handle.describe()).run_id


async def test_a_relay_that_slept_with_a_claim_in_its_hand_does_no_harm(stage: Stage) -> None:
    await stage.accept(entry())
    await stage.carry()
    await stage.accept(event())
    (old,) = await Backlog(stage.pool, timedelta(0)).claim(1)
    await stage.accept(event())
    await stage.carry()
    late = Relay(stage.pool, stage.client)
    await late._hand_over(old)
    await late._acknowledge()
    await stage.accept(event())
    await stage.carry()
    calls = await stage.carried(await stage.workflow_id())
    assert calls == [[1], [2, 3], [2], [4]]


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """A server that takes connections and never says a word."""
    writers: list[asyncio.StreamWriter] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError):
            await reader.read()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


async def test_what_a_cancelled_relay_had_claimed_is_carried_by_another(stage: Stage) -> None:
    await stage.accept(entry())
    lease = timedelta(seconds=1)
    async with black_hole() as address:
        hanging = Relay(stage.pool, await _client(address), lease=lease)
        task = asyncio.create_task(hanging.run())

        async def claimed() -> bool:
            return bool(await stage.pool.fetchval("select due_at > now() from backlog"))

        await eventually(claimed)
        await stop(task)
    due = await stage.pool.fetchval("select due_at from backlog")
    await stage.carry(Relay(stage.pool, stage.client, lease=lease))
    late = await stage.pool.fetchval("select clock_timestamp() - $1::timestamptz", due)
    assert late > timedelta(0)  # and not before
    assert await stage.carried(await stage.workflow_id()) == [[1]]


async def test_a_claim_keeps_others_away_until_its_lease_is_over(stage: Stage) -> None:
    await stage.accept(entry())
    lease = timedelta(minutes=5)
    backlog = Backlog(stage.pool, lease)
    assert len(await backlog.claim(5)) == 1
    assert await backlog.claim(5) == []
    # As if the five minutes were over.
    await stage.pool.execute("update backlog set due_at = due_at - $1::interval", lease)
    assert len(await backlog.claim(5)) == 1


async def test_an_event_that_arrives_while_others_are_acknowledged_is_not_left_lying(
    stage: Stage,
) -> None:
    await stage.accept(entry())
    backlog = Backlog(stage.pool)
    (claim,) = await backlog.claim(1)
    async with stage.pool.acquire() as accepting:
        transaction = accepting.transaction()
        await transaction.start()
        await accepting.execute("update backlog set last = 2")
        # It does not wait for the accepting transaction, which might be waiting for it.
        left = await asyncio.wait_for(backlog.done([(claim.enrollment_id, 1)]), PATIENCE)
        assert left == [(claim.enrollment_id, 1)]
        await transaction.commit()
    assert await backlog.done(left) == []
    row = await stage.pool.fetchrow("select relayed, last, due_at <= now() as due from backlog")
    assert tuple(row) == (1, 2, True)


async def test_accepting_and_relaying_at_once_never_lock_each_other_out(
    stage: Stage, database_url: str
) -> None:
    users = [f"u{n}" for n in range(20)]
    await stage.accept(*(entry(user, key) for user in users for key in "ab"))
    other = await open_pool(database_url)
    acceptors = [stage.acceptor, Acceptor(other, lambda: None)]
    is_over = False

    async def relay(seed: int) -> None:
        source = random.Random(seed)
        backlog = Backlog(other, timedelta(seconds=0.05))
        done: list[tuple[str, int]] = []
        while not is_over or done or await stage.backlog():
            claims = await backlog.claim(12)
            done += [(c.enrollment_id, c.events[-1].number) for c in claims if c.events]
            await asyncio.sleep(source.random() * 0.01)
            source.shuffle(done)
            done = await backlog.done(done)

    async def accept(seed: int) -> None:
        source = random.Random(seed)
        for _ in range(40):
            crowd = source.choices(users, k=20)
            await acceptors[seed % 2].accept([event(user=user) for user in crowd])

    relaying = [asyncio.create_task(relay(seed)) for seed in range(3)]
    await asyncio.gather(*(accept(seed) for seed in range(4)))
    is_over = True
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*relaying)
    await acceptors[1].close()
    await close_pool(other)
    assert await stage.pool.fetchval("select sum(last_number) from enrollment") == 40 + 6_400
    await stage.pool.execute("select pg_stat_force_next_flush()")
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    assert await stage.pool.fetchval(deadlocks) == 0


# Temporal or the database away.


async def _client(address: str) -> Client:
    return await connect(Settings(temporal_address=address), lazy=True)


async def test_while_temporal_is_away_events_are_kept_and_then_arrive(
    stage: Stage, tmp_path: Path
) -> None:
    port = free_port()
    relay = Relay(stage.pool, await _client(f"127.0.0.1:{port}"))
    task = asyncio.create_task(run_relay(relay))
    try:
        await stage.accept(entry(), event())

        async def tried() -> bool:
            return bool(await stage.pool.fetchval("select error from backlog"))

        await eventually(tried)
        await asyncio.sleep(2)
        assert not task.done()
        row = await stage.pool.fetchrow("select relayed, last, attempts, error from backlog")
        assert (row["relayed"], row["last"], row["attempts"]) == (0, 2, 0)
        assert row["error"].startswith("Temporal: ")
        workflow_id = await stage.workflow_id()
        async with running_temporal(port, tmp_path / "temporal.db") as temporal:
            await eventually(stage.is_carried)
            assert await stage.carried(workflow_id, temporal.client) == [[1, 2]]
        await stage.accept(event(), event())
        await asyncio.sleep(3)
        await stage.accept(event())
        assert await stage.backlog() == 1
        assert await stage.pool.fetchval("select state from enrollment") == "live"
        async with running_temporal(port, tmp_path / "temporal.db") as temporal:
            await eventually(stage.is_carried)
            calls = await stage.carried(workflow_id, temporal.client)
            assert list(itertools.chain(*calls)) == [1, 2, 3, 4, 5]
        assert not task.done()
    finally:
        await stop(task)


async def test_a_relay_outlives_the_database_going_away(stage: Stage, database_url: str) -> None:
    await stage.accept(entry())
    async with door_to(database_url) as door:
        pool = await open_pool(door.url)
        task = asyncio.create_task(run_relay(Relay(pool, stage.client)))
        try:
            await eventually(stage.is_carried)
            await door.shut()
            await stage.accept(event())
            await asyncio.sleep(1.5)
            assert not task.done()
            await door.open()
            await eventually(stage.is_carried)
        finally:
            await stop(task)
            await close_pool(pool)
    calls = await stage.carried(await stage.workflow_id())
    assert sorted(set(itertools.chain(*calls))) == [1, 2]


async def test_one_enrollment_in_trouble_does_not_stop_the_others(stage: Stage) -> None:
    await stage.accept(entry("bad", task_queue=""), entry("good"))
    async with running(Relay(stage.pool, stage.client)):

        async def only_the_bad_one_is_left() -> bool:
            row = await stage.pool.fetchrow("select count(*), max(error) from backlog")
            return bool(row[0] == 1 and row[1])

        await eventually(only_the_bad_one_is_left)
        for _ in range(3):
            await stage.accept(event(user="good"))
        await eventually(only_the_bad_one_is_left)
    row = await stage.pool.fetchrow("select attempts, error, due_at > now() from backlog")
    assert row["attempts"] >= 1
    assert "task queue" in row["error"]
    assert list(itertools.chain(*await stage.carried(await stage.workflow_id("good"))))[-1] == 4


async def test_a_namespace_that_is_not_there_ends_nobody(stage: Stage) -> None:
    await stage.accept(entry())
    await stage.carry()
    await stage.accept(event())
    elsewhere = await Client.connect(
        stage.client.service_client.config.target_host,
        namespace="nowhere",
        data_converter=pydantic_data_converter,
    )
    async with running(Relay(stage.pool, elsewhere)):

        async def failed() -> bool:
            return bool(await stage.pool.fetchval("select attempts from backlog"))

        await eventually(failed)
    watch = Watch(stage.pool, elsewhere)
    row = await stage.pool.fetchrow("select id, workflow_id, state from enrollment")
    assert row["state"] == "live"
    with pytest.raises(Exception, match="nowhere"):
        await watch._check(row["id"], row["workflow_id"])
    assert await stage.pool.fetchval("select state from enrollment") == "live"
    await stage.pool.execute("update backlog set due_at = now()")
    await stage.carry()
    assert await stage.carried(await stage.workflow_id()) == [[1], [2]]


# Ended from outside (semantics 16).


async def _delete(client: Client, workflow_id: str) -> None:
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace)
    request.workflow_execution.workflow_id = workflow_id
    await client.workflow_service.delete_workflow_execution(request)

    async def gone() -> bool:
        try:
            await client.get_workflow_handle(workflow_id).describe()
        except Exception:  # noqa: BLE001 - not found
            return True
        return False

    await eventually(gone)


async def _terminate(client: Client, workflow_id: str) -> None:
    await client.get_workflow_handle(workflow_id).terminate("by support")


Remove = Callable[[Client, str], Awaitable[None]]


def _found(stage: Stage, watch: Watch) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        # As if a minute had passed since it was looked at.
        await stage.pool.execute("update enrollment set verified_at = now() - interval '2 minutes'")
        return await watch.look() == 1

    return found


@pytest.mark.parametrize(
    ("remove", "reason"),
    [
        pytest.param(_terminate, "its workflow was terminated in Temporal", id="terminated"),
        pytest.param(_delete, "its workflow was deleted in Temporal", id="deleted"),
    ],
)
async def test_a_workflow_removed_in_temporal_is_noticed_and_makes_room(
    stage: Stage, remove: Remove, reason: str
) -> None:
    await stage.accept(entry())
    await stage.carry()
    watch = Watch(stage.pool, stage.client)
    assert not await _found(stage, watch)()
    await remove(stage.client, await stage.workflow_id())
    await eventually(_found(stage, watch))
    row = await stage.pool.fetchrow("select state, outcome, outcome_reason from enrollment")
    assert tuple(row) == ("ended", "terminated", reason)
    assert await watch.look() == 0
    await stage.accept(entry())
    await stage.carry()
    assert await stage.carried(await stage.workflow_id(ordinal=2)) == [[1]]
    assert await stage.pool.fetchval("select count(*) from refusal") == 0


async def test_a_termination_is_noticed_by_the_list_without_waiting_for_a_round(
    stage: Stage,
) -> None:
    await stage.accept(entry())
    await stage.carry()
    watch = Watch(stage.pool, stage.client)
    await _terminate(stage.client, await stage.workflow_id())

    async def found() -> bool:
        return await watch.look() == 1

    await eventually(found)


@pytest.mark.parametrize("remove", [_terminate, _delete])
async def test_a_signal_that_finds_no_workflow_notices_too(stage: Stage, remove: Remove) -> None:
    await stage.accept(entry())
    await stage.carry()
    await remove(stage.client, await stage.workflow_id())
    await stage.accept(event(), event())
    await stage.carry()
    assert await stage.pool.fetchval("select outcome from enrollment") == "terminated"
    await stage.accept(event())
    assert await stage.backlog() == 0
    await stage.accept(entry())
    assert await stage.pool.fetchval("select count(*) from enrollment where state = 'live'") == 1


async def test_what_runs_or_is_not_started_yet_is_left_alone(stage: Stage) -> None:
    await stage.accept(entry("u1"))
    await stage.carry()
    await stage.accept(entry("u2"))
    watch = Watch(stage.pool, stage.client)
    assert not await _found(stage, watch)()
    assert await stage.pool.fetchval("select count(*) from enrollment where state = 'live'") == 2


async def test_watching_outlives_temporal_being_away(stage: Stage) -> None:
    await stage.accept(entry())
    await stage.pool.execute("update enrollment set run_id = $1", str(uuid.uuid4()))
    task = asyncio.create_task(Watch(stage.pool, await _client(NOBODY)).run())
    await asyncio.sleep(1)
    assert not task.done()
    await stop(task)
    assert await stage.pool.fetchval("select state from enrollment") == "live"
