"""The worker's parts, put together in one place."""

import asyncio
import contextlib
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from activities.customers import CustomerActivities
from activities.enrollments import EnrollmentActivities
from activities.entries import EntryActivities
from activities.experiments import ExperimentActivities
from activities.history import HistoryActivities
from activities.messaging import MessagingActivities
from activities.tasks import TaskActivities
from audiences.catalog import discover as discover_audiences
from domain.audiences import Audiences
from infra.channels import SENDS_AT_ONCE, ConfiguredEndpoints, build_channels
from infra.database.customers import PostgresCustomers
from infra.database.enrollments import PostgresEnrollments
from infra.database.experiments import PostgresExperiments
from infra.database.gate import PostgresGate
from infra.database.history import PostgresHistory
from infra.database.pool import Pool, close_pool, wait_for_pool
from infra.database.scheduled import PostgresScheduledEntries
from infra.database.tasks import PostgresTasks
from infra.schedules import keep_schedules
from infra.settings import Settings
from infra.templates import JinjaRenderer
from infra.temporal import wait_for_temporal
from journeys.catalog import Catalog, discover
from worker.sandbox import sandbox
from workflows.enrolling import EnrollSegment
from workflows.queues import JOURNEYS, SENDS

_log = structlog.get_logger()

_CACHED_JOURNEYS = 10_000
_GRACE = timedelta(seconds=5)


def build_workers(
    client: Client,
    catalog: Catalog,
    messaging: MessagingActivities,
    pool: Pool,
    audiences: Audiences | None = None,
) -> list[Worker]:
    """One worker for the journeys, and one for each queue of sends beside theirs."""
    audiences = audiences or Audiences()
    customers = CustomerActivities(PostgresCustomers(pool, audiences))
    entries = EntryActivities(
        PostgresScheduledEntries(pool, audiences, catalog.schedules(), catalog.entry)
    )
    enrollments = EnrollmentActivities(PostgresEnrollments(pool), catalog)
    tasks = TaskActivities(PostgresTasks(pool))
    polling = PollerBehaviorAutoscaling()
    journeys = Worker(
        client,
        task_queue=JOURNEYS,
        workflows=[*catalog.workflows, EnrollSegment],
        activities=[
            customers.look_up,
            enrollments.end,
            enrollments.enter,
            entries.next_moment,
            entries.enroll,
            HistoryActivities(PostgresHistory(pool)).look_back,
            ExperimentActivities(PostgresExperiments(pool)).assign,
            tasks.open,
            tasks.settle,
            messaging.send,
            messaging.skip,
        ],
        workflow_runner=sandbox(),
        max_cached_workflows=_CACHED_JOURNEYS,
        # No send waits for a connection after its place is reserved and its call noted.
        max_concurrent_activities=SENDS_AT_ONCE,
        graceful_shutdown_timeout=_GRACE,
        workflow_task_poller_behavior=polling,
        activity_task_poller_behavior=polling,
    )
    sends = [
        Worker(
            client,
            task_queue=queue,
            activities=[messaging.send, messaging.skip],
            max_concurrent_activities=SENDS_AT_ONCE,
            graceful_shutdown_timeout=_GRACE,
            activity_task_poller_behavior=polling,
        )
        for queue in sorted(set(SENDS.values()) - {JOURNEYS})
    ]
    return [journeys, *sends]


async def serve(settings: Settings, catalog: Catalog | None = None) -> None:
    """Run journeys and their activities until cancelled; then finish what is under way.

    Args:
        settings: the process's settings.
        catalog: the journeys; by default those of `journeys/`.
    """
    catalog = catalog or Catalog(discover(), settings.journey_parameters)
    audiences = discover_audiences()
    client = await wait_for_temporal(settings)
    pool = await wait_for_pool(settings.required_database_url(), "worker", 20)
    channels = build_channels(settings)
    endpoints = ConfiguredEndpoints(settings.webhooks)
    gate = PostgresGate(pool, endpoints, audiences)
    messaging = MessagingActivities(gate, JinjaRenderer(), channels)
    try:
        async with contextlib.AsyncExitStack() as running:
            for worker in build_workers(client, catalog, messaging, pool, audiences):
                await running.enter_async_context(worker)
            names = [cls.declaration.name for cls in catalog.workflows]
            _log.info("ready", journeys=", ".join(names))
            await keep_schedules(client, catalog.schedules())
            await asyncio.Event().wait()
    finally:
        for channel in channels.values():
            await channel.close()
        await close_pool(pool)
