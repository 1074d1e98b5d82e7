"""The processes that are measured: production's, with what measuring needs added.

python -m bench.processes api      the API, and a no-op route in it
python -m bench.processes worker   the worker, with a channel that records when it is called
python -m bench.processes raw      a worker for the hand-written workflows
python -m bench.processes by-hand  the same, with the worker's own activities
"""

import asyncio
import contextlib
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import uvloop
from fastapi import Request, Response
from fastapi.routing import APIRoute
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.enrollments import EnrollmentActivities
from activities.messaging import MessagingActivities
from api.auth import authorize
from api.body import read_body
from api.process import running_app, serve_app
from bench.journeys import Listen, SendAtOnce
from bench.raw import ACTIVITY, TASK_QUEUE, ByHand, Keeps, SendByHand
from domain.messages import Accepted, Parcel, ProviderAnswer
from infra import logs
from infra.channels import SENDS_AT_ONCE, ConfiguredEndpoints
from infra.database.enrollments import PostgresEnrollments
from infra.database.gate import PostgresGate
from infra.database.pool import Pool, open_pool
from infra.settings import Settings, load_settings
from infra.templates import JinjaRenderer
from infra.temporal import wait_for_temporal
from infra.web import listen
from journeys.catalog import Catalog, discover
from worker.process import build_workers
from worker.sandbox import sandbox

RECORDS = "BENCH_RECORDS"
"""The environment variable that names the file for `<customer> <monotonic seconds>` lines."""


class Recorder:
    """Writes down when something was reached; the clock is the machine's, so others can compare."""

    def __init__(self) -> None:
        self._file = Path(os.environ[RECORDS]).open("a", buffering=1, encoding="ascii")  # noqa: SIM115 - kept open

    def record(self, what: str) -> None:
        """Write down that `what` was reached now."""
        self._file.write(f"{what} {time.monotonic()}\n")


class RecordingChannel:
    """A channel whose provider takes everything at once."""

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self.idempotency_life: timedelta | None = timedelta(days=1)
        self._recorder = recorder

    async def deliver(self, parcel: Parcel) -> ProviderAnswer:
        """Take it."""
        self._recorder.record(parcel.address)
        return Accepted(parcel.message_id)

    async def close(self) -> None:
        """Nothing to let go of."""


async def serve_api(settings: Settings) -> None:
    """As `api.process.serve`, with `POST /noop`: the same way in and out, and no work."""

    async def noop(request: Request) -> Response:
        await authorize(request.app.state.keys, request, "write")
        await read_body(request)
        return Response(b'{"success":true}', media_type="application/json")

    with listen(settings.host, settings.api_port, "SOJOURN_API_PORT") as listener:
        async with running_app(settings) as app:
            # First, as /v1/track is: routes are tried in order.
            app.router.routes.insert(0, APIRoute("/noop", noop, methods=["POST"]))
            await serve_app(app, listener, relay=settings.relay_in_api)


async def serve_worker(settings: Settings) -> None:
    """As `worker.process.serve`, with recording channels and journeys of its own."""
    catalog = Catalog((*discover(), Listen, SendAtOnce))
    client = await wait_for_temporal(settings)
    pool = await open_pool(settings.required_database_url(), size=20)
    messaging = _messaging(pool)
    async with contextlib.AsyncExitStack() as running:
        for worker in build_workers(client, catalog, messaging, pool):
            await running.enter_async_context(worker)
        await asyncio.Event().wait()


def _messaging(pool: Pool) -> MessagingActivities:
    recorder = Recorder()
    channels = {name: RecordingChannel(name, recorder) for name in ("email", "push", "webhook")}
    gate = PostgresGate(pool, ConfiguredEndpoints({}))
    return MessagingActivities(gate, JinjaRenderer(), channels)


async def serve_by_hand(settings: Settings) -> None:
    """A worker for the hand-written workflow, tuned as ours is, with the same activities."""
    client = await wait_for_temporal(settings)
    pool = await open_pool(settings.required_database_url(), size=20)
    enrollments = EnrollmentActivities(PostgresEnrollments(pool), Catalog([]))
    polling = PollerBehaviorAutoscaling()
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[SendByHand],
        activities=[_messaging(pool).send, enrollments.end],
        workflow_runner=sandbox(),
        max_cached_workflows=10_000,
        max_concurrent_activities=SENDS_AT_ONCE,
        workflow_task_poller_behavior=polling,
        activity_task_poller_behavior=polling,
    ):
        await asyncio.Event().wait()


async def serve_raw(settings: Settings) -> None:
    """A worker for the hand-written workflow, tuned as ours is."""
    client = await Client.connect(settings.temporal_target, namespace=settings.temporal_namespace)
    recorder = Recorder()

    @activity.defn(name=ACTIVITY)
    async def record(customer: str) -> None:
        recorder.record(customer)

    polling = PollerBehaviorAutoscaling()
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[ByHand, Keeps],
        activities=[record],
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_all_modules()
        ),
        max_cached_workflows=10_000,
        workflow_task_poller_behavior=polling,
        activity_task_poller_behavior=polling,
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    _settings = load_settings()
    logs.configure(_settings, sys.argv[1])
    serve = {
        "api": serve_api,
        "worker": serve_worker,
        "raw": serve_raw,
        "by-hand": serve_by_hand,
    }
    uvloop.run(serve[sys.argv[1]](_settings))
