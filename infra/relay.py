"""The relay: carries accepted events to Temporal, in order per enrollment, for ever.

It claims enrollments with a backlog by a lease in the database, so any number of relays can
run. A relay that dies or sleeps with a claim in its hand does no harm: the lease expires,
another carries the same numbers, and the enrollment ignores what it has heard (G1, G2).
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from domain.enrollments import Start
from domain.events import Envelope
from domain.temporal_names import ACTIVE, CUSTOMER, JOURNEY, STATE
from infra.database.backlog import LEASE, Backlog, Claim
from infra.database.enrollments import PostgresEnrollments
from infra.database.pool import UNREACHABLE, Pool, close_pool, wait_for_pool
from infra.settings import Settings
from infra.temporal import connect, is_absent, register
from infra.watch import Watch, is_gone

_log = structlog.get_logger()

IN_FLIGHT = 12
"""Calls to Temporal at once: beyond 8 to 16 only latency grows."""

_CALL = timedelta(seconds=8)
_POLL = 0.25
_LONGEST_PAUSE = 300.0


class Relay:
    """Carries the backlog to Temporal.

    Args:
        pool: the database with the backlog.
        client: Temporal; may be lazy.
        in_flight: calls to Temporal at once.
        lease: how long a claim holds, after which another relay may carry the same.
        run_length: for the journeys that it starts, see `Start`.
    """

    def __init__(
        self,
        pool: Pool,
        client: Client,
        *,
        in_flight: int = IN_FLIGHT,
        lease: timedelta = LEASE,
        run_length: int | None = None,
    ) -> None:
        self._run_length = run_length
        self.pool = pool
        self.client = client
        self._enrollments = PostgresEnrollments(pool)
        self._free = in_flight
        self._backlog = Backlog(pool, lease)
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
                except Exception:  # noqa: BLE001 - logged
                    # Whatever it is, events must go on being carried when it is over.
                    _log.exception("the relay stumbled; will go on")
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
        claims = await self._backlog.claim(wanted)
        for claim in claims:
            self._free -= 1
            carrying.create_task(self._hand_over(claim))
        return len(claims) == wanted

    async def _acknowledge(self) -> None:
        if not self._done:
            return
        done, self._done = self._done, []
        try:
            held = await self._backlog.done(done)
        except Exception:
            self._done = done + self._done
            raise
        self._done = held + self._done

    async def _hand_over(self, claim: Claim) -> None:
        try:
            number = await self._deliver(claim) if claim.live or claim.merged else _ALL
            self._done.append((claim.enrollment_id, number))
            self._absent_for = 0.0
        except (RPCError, RuntimeError) as error:
            if is_absent(error):
                await self._temporal_is_absent(claim, str(error))
            else:
                await self._later(claim, error)
        except UNREACHABLE as error:
            _log.warning("PostgreSQL does not answer", error=str(error))
        except Exception as error:  # noqa: BLE001 - one enrollment's trouble must not stop the rest
            await self._later(claim, error)
        finally:
            self._free += 1
            self._news.set()

    async def _deliver(self, claim: Claim) -> int:
        """Start or signal. Returns the last number carried."""
        events = claim.events
        if not events:
            return claim.relayed
        if claim.relayed == 0 and claim.live:
            if await self._start(claim):
                return events[-1].number
            # An earlier attempt started it, with how many events is not known: repeat the rest.
            events = events[1:]
        if events:
            await self._signal(claim, events)
            return events[-1].number
        return 1

    async def _start(self, claim: Claim) -> bool:
        start = Start(
            enrollment_id=claim.enrollment_id,
            customer_id=claim.customer_id,
            journey=claim.journey,
            key=claim.key or None,
            parameters=claim.parameters,
            events=list(claim.events),
            run_length=self._run_length,
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
            await self._backlog.started(claim.enrollment_id, started.run_id)
            return False
        await self._backlog.started(claim.enrollment_id, handle.result_run_id)
        return True

    async def _signal(self, claim: Claim, events: Sequence[Envelope]) -> None:
        names = {event.name for event in events}
        name = names.pop() if len(names) == 1 else "events"
        try:
            await self.client.get_workflow_handle(claim.workflow_id).signal(
                name, list(events), rpc_timeout=_CALL
            )
        except RPCError as error:
            if not is_gone(error):
                raise
            # Closed or deleted. If it ended by its own decision it had heard everything.
            if await self._enrollments.ended_outside(
                claim.enrollment_id, "its workflow was ended or deleted in Temporal"
            ):
                _log.warning("a journey was ended from outside", workflow_id=claim.workflow_id)

    async def _temporal_is_absent(self, claim: Claim, error: str) -> None:
        if not self._absent_for:
            _log.warning("Temporal does not answer; events are kept", error=error)
        self._absent_for = min(max(self._absent_for * 2, 0.25), 2)
        with contextlib.suppress(Exception):  # else the lease expires
            await self._backlog.later(claim.enrollment_id, f"Temporal: {error}")

    async def _later(self, claim: Claim, error: Exception) -> None:
        pause = min(2.0 ** min(claim.attempts, 10), _LONGEST_PAUSE)
        _log.warning(
            "an event could not be handed over; will try again",
            workflow_id=claim.workflow_id,
            pause_seconds=pause,
            error=str(error),
        )
        with contextlib.suppress(Exception):  # else the lease expires
            await self._backlog.later(
                claim.enrollment_id, str(error), pause=timedelta(seconds=pause), attempts=1
            )


_ALL = 2**62
_CUSTOMER, _JOURNEY, _STATE = (
    SearchAttributeKey.for_keyword(name) for name in (CUSTOMER, JOURNEY, STATE)
)


def _search_attributes(claim: Claim) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(_CUSTOMER, claim.customer_id),
            SearchAttributePair(_JOURNEY, claim.journey),
            SearchAttributePair(_STATE, ACTIVE),
        ]
    )


async def serve(settings: Settings) -> None:
    """Run a relay as a process of its own, until cancelled."""
    pool = await wait_for_pool(settings.required_database_url(), "relay", IN_FLIGHT)
    try:
        client = await connect(settings, lazy=True)
        relay = Relay(pool, client, run_length=settings.run_length)
        _log.info("ready")
        await run_relay(relay)
    finally:
        await close_pool(pool)


async def run_relay(relay: Relay) -> None:
    """Carry, and watch over what was carried, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_register(relay.client))
        tasks.create_task(relay.run())
        tasks.create_task(Watch(relay.pool, relay.client).run())


async def _register(client: Client) -> None:
    """Register what journeys are started with, as soon as Temporal is there."""
    while True:
        try:
            await register(client)
        except (RPCError, RuntimeError) as error:
            _log.debug("could not register search attributes yet", error=str(error))
            await asyncio.sleep(1)
        else:
            return
