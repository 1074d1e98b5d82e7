"""The relay: carries accepted events to Temporal, in order per enrollment, for ever.

It claims enrollments with a backlog by a lease in the database, so any number of relays can
run. A relay that dies or sleeps with a claim in its hand does no harm: the lease expires,
another carries the same numbers, and the enrollment ignores what it has heard (G1, G2).
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.enrollments import Start
from domain.events import Envelope
from infra.database.enrollments import PostgresEnrollments
from infra.database.pool import UNREACHABLE, Pool, open_pool
from infra.settings import Settings
from infra.temporal import ABSENT, connect
from infra.watch import Watch

_log = structlog.get_logger()

IN_FLIGHT = 12
"""Calls to Temporal at once: beyond 8 to 16 only latency grows."""

_AT_ONCE = 50  # events in one signal: 50 of the largest stay below Temporal's 2 MB a payload
_LEASE = timedelta(seconds=20)
_CALL = timedelta(seconds=10)
_POLL = 0.25
_LONGEST_PAUSE = 300.0

_CLAIM = """
with due as (
    select enrollment_id from backlog where due_at <= now()
    order by due_at limit $1 for update skip locked),
claimed as (
    update backlog b set due_at = now() + $2 from due
    where b.enrollment_id = due.enrollment_id
    returning b.enrollment_id, b.relayed, b.attempts)
select c.relayed, c.attempts, e.id, e.customer_id, e.journey, e.workflow_type, e.workflow_id,
    e.task_queue, e.key, e.parameters, e.summary, e.state,
    envelopes(e.id, c.relayed, $3) as events
from claimed c join enrollment e on e.id = c.enrollment_id
"""

_DONE = """
with done as (select * from unnest($1::text[], $2::bigint[]) d (id, number)),
emptied as (
    delete from backlog b using done d where b.enrollment_id = d.id and b.last <= d.number)
update backlog b set relayed = greatest(b.relayed, d.number), due_at = now(), oldest_at = now(),
    attempts = 0, error = null
from done d where b.enrollment_id = d.id and b.last > d.number
"""

_LATER = """
update backlog set due_at = now() + $2, attempts = attempts + $3, error = $4
where enrollment_id = $1
"""

_STARTED = "update enrollment set run_id = $2 where id = $1"


@dataclass(frozen=True, slots=True)
class _Claim:
    enrollment_id: str
    customer_id: str
    journey: str
    workflow_type: str
    workflow_id: str
    task_queue: str
    key: str
    parameters: dict[str, Any]
    summary: str
    live: bool
    relayed: int
    attempts: int
    events: Sequence[Envelope]


class Relay:
    """Carries the backlog to Temporal.

    Args:
        pool: the database with the backlog.
        client: Temporal; may be lazy.
        in_flight: calls to Temporal at once.
    """

    def __init__(self, pool: Pool, client: Client, in_flight: int = IN_FLIGHT) -> None:
        self.pool = pool
        self.client = client
        self._enrollments = PostgresEnrollments(pool)
        self._free = in_flight
        self._news = asyncio.Event()
        self._done: list[tuple[str, int]] = []
        self._absent_for = 0.0

    def wake(self) -> None:
        """There is something to carry."""
        self._news.set()

    async def run(self) -> None:
        """Carry, until cancelled; what is under way then is carried again by whoever is next."""
        async with asyncio.TaskGroup() as carrying:
            while True:
                self._news.clear()
                try:
                    await self._acknowledge()
                    more = await self._carry(carrying)
                except UNREACHABLE as error:
                    _log.warning("PostgreSQL does not answer", error=str(error))
                    await asyncio.sleep(1)
                    continue
                if self._absent_for:
                    await asyncio.sleep(self._absent_for)
                elif not more or not self._free:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), _POLL)

    async def _carry(self, carrying: asyncio.TaskGroup) -> bool:
        """Claim as much as there are hands for. Returns whether there may be more."""
        if not self._free:
            return False
        # While Temporal is absent one call at a time asks whether it is back.
        wanted = 1 if self._absent_for else self._free
        claims = await self._claim(wanted)
        for claim in claims:
            self._free -= 1
            carrying.create_task(self._hand_over(claim))
        return len(claims) == wanted

    async def _claim(self, most: int) -> list[_Claim]:
        async with self.pool.acquire() as connection, connection.transaction():
            # A claim that a crash forgets is only claimed again.
            await connection.execute("set local synchronous_commit = off")
            rows = await connection.fetch(_CLAIM, most, _LEASE, _AT_ONCE)
        return [
            _Claim(
                enrollment_id=row["id"],
                customer_id=row["customer_id"],
                journey=row["journey"],
                workflow_type=row["workflow_type"],
                workflow_id=row["workflow_id"],
                task_queue=row["task_queue"],
                key=row["key"],
                parameters=row["parameters"],
                summary=row["summary"],
                live=row["state"] == "live",
                relayed=row["relayed"],
                attempts=row["attempts"],
                events=[Envelope(**event) for event in row["events"]],
            )
            for row in rows
        ]

    async def _acknowledge(self) -> None:
        if not self._done:
            return
        done, self._done = self._done, []
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("set local synchronous_commit = off")
                await connection.execute(_DONE, [i for i, _ in done], [n for _, n in done])
        except UNREACHABLE:
            self._done = done + self._done
            raise

    async def _hand_over(self, claim: _Claim) -> None:
        try:
            number = await self._deliver(claim) if claim.live else _ALL
            self._done.append((claim.enrollment_id, number))
            self._absent_for = 0.0
        except RPCError as error:
            if error.status in ABSENT:
                await self._temporal_is_absent(claim, error)
            else:
                await self._later(claim, error)
        except UNREACHABLE as error:
            _log.warning("PostgreSQL does not answer", error=str(error))
        except Exception as error:  # noqa: BLE001 - one enrollment's trouble must not stop the rest
            await self._later(claim, error)
        finally:
            self._free += 1
            self._news.set()

    async def _deliver(self, claim: _Claim) -> int:
        """Start or signal. Returns the last number carried."""
        events = claim.events
        if not events:
            return claim.relayed
        if claim.relayed == 0:
            if await self._start(claim):
                return events[-1].number
            # An earlier attempt started it, with how many events is not known: repeat the rest.
            events = events[1:]
        if events:
            await self._signal(claim, events)
            return events[-1].number
        return 1

    async def _start(self, claim: _Claim) -> bool:
        start = Start(
            enrollment_id=claim.enrollment_id,
            customer_id=claim.customer_id,
            journey=claim.journey,
            key=claim.key or None,
            parameters=claim.parameters,
            events=list(claim.events),
        )
        try:
            handle = await self.client.start_workflow(
                claim.workflow_type,
                start,
                id=claim.workflow_id,
                task_queue=claim.task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                search_attributes=_search_attributes(claim),
                static_summary=claim.summary,
                rpc_timeout=_CALL,
            )
        except WorkflowAlreadyStartedError as started:
            await self.pool.execute(_STARTED, claim.enrollment_id, started.run_id)
            return False
        await self.pool.execute(_STARTED, claim.enrollment_id, handle.result_run_id)
        return True

    async def _signal(self, claim: _Claim, events: Sequence[Envelope]) -> None:
        names = {event.name for event in events}
        name = names.pop() if len(names) == 1 else "events"
        try:
            await self.client.get_workflow_handle(claim.workflow_id).signal(
                name, list(events), rpc_timeout=_CALL
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            # Closed or deleted. If it ended by its own decision it had heard everything.
            if await self._enrollments.ended_outside(
                claim.enrollment_id, "its workflow was ended or deleted in Temporal"
            ):
                _log.warning("a journey was ended from outside", workflow_id=claim.workflow_id)

    async def _temporal_is_absent(self, claim: _Claim, error: RPCError) -> None:
        if not self._absent_for:
            _log.warning("Temporal does not answer; events are kept", error=error.message)
        self._absent_for = min(max(self._absent_for * 2, 0.25), 2)
        with contextlib.suppress(*UNREACHABLE):
            await self.pool.execute(
                _LATER, claim.enrollment_id, timedelta(0), 0, f"Temporal: {error.message}"[:500]
            )

    async def _later(self, claim: _Claim, error: Exception) -> None:
        pause = min(2.0**claim.attempts, _LONGEST_PAUSE)
        _log.warning(
            "an event could not be handed over; will try again",
            workflow_id=claim.workflow_id,
            pause_seconds=pause,
            error=str(error),
        )
        with contextlib.suppress(*UNREACHABLE):
            await self.pool.execute(
                _LATER, claim.enrollment_id, timedelta(seconds=pause), 1, str(error)[:500]
            )


_ALL = 2**62
_CUSTOMER, _JOURNEY, _STATE = (
    SearchAttributeKey.for_keyword(name)
    for name in ("SojournCustomer", "SojournJourney", "SojournState")
)


def _search_attributes(claim: _Claim) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(_CUSTOMER, claim.customer_id),
            SearchAttributePair(_JOURNEY, claim.journey),
            SearchAttributePair(_STATE, "active"),
        ]
    )


async def serve(settings: Settings) -> None:
    """Run a relay as a process of its own, until cancelled."""
    pool = await open_pool(settings.required_database_url(), size=IN_FLIGHT)
    try:
        await run_relay(Relay(pool, await connect(settings, lazy=True)))
    finally:
        await pool.close()


async def run_relay(relay: Relay) -> None:
    """Carry, and watch over what was carried, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        tasks.create_task(Watch(relay.pool, relay.client).run())
