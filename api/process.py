"""The API's parts, put together in one place."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import asyncpg
import structlog
import uvicorn
from fastapi import FastAPI

from api.admission import Admission
from api.app import create_app
from api.cloudevents import CloudEventReader
from api.hooks import Hook, HookReader, load_hooks
from api.intake import Intake
from api.metrics import Metrics
from api.replay import Replayer, cloudevents_again, segment_again, webhook_again
from api.segment import SegmentReader
from api.state import Parts
from audiences.catalog import discover as discover_audiences
from domain.errors import ConfigurationError
from domain.limits import Limits
from infra.answering import Answering
from infra.database.accept import Acceptor
from infra.database.audiences import AudienceKeeper, register
from infra.database.customers import PostgresCustomers
from infra.database.figures import Figures
from infra.database.grants import Grant, Keys, digest_of
from infra.database.pool import Pool, close_pool, wait_for_pool
from infra.database.quarantine import Quarantine
from infra.database.reading import Reading
from infra.heap import settle
from infra.relay import Relay, run_relay
from infra.settings import Settings
from infra.sweep import Sweep
from infra.temporal import connect
from infra.web import listen, run_server
from journeys.catalog import Catalog, discover

_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def running_app(settings: Settings, catalog: Catalog | None = None) -> AsyncIterator[FastAPI]:
    """The application with its connections open. `app.state.relay` is there to be run.

    Args:
        settings: the process's settings.
        catalog: the journeys; by default those of `journeys/`.

    Raises:
        ConfigurationError: a setting makes no sense, or the database is not migrated.
    """
    catalog = catalog or Catalog(discover(), settings.journey_parameters)
    audiences = discover_audiences()
    hooks = load_hooks(settings.hooks_dir, settings.hook_secrets)
    database_url = settings.required_database_url()
    async with contextlib.AsyncExitStack() as opened:
        pool = await wait_for_pool(database_url, "api")
        opened.push_async_callback(close_pool, pool)
        await _announce_heard_names(pool, catalog)
        if waiting := await register(pool, audiences):
            _log.warning("run `sojourn audiences backfill`", not_computed_yet=", ".join(waiting))
        reading = Reading(database_url)
        opened.push_async_callback(reading.close)
        client = await connect(settings, lazy=True)
        limits = Limits(settings.limit_requests, settings.limit_events, settings.limit_burst)
        relay = Relay(pool, client, run_length=settings.run_length)
        figures = Figures(pool)
        await figures.refresh()
        opened.push_async_callback(_cancel, asyncio.create_task(figures.run()))
        admission = Admission(figures, catalog.listened_names(), settings.admit_backlog_age)
        keeper = AudienceKeeper(audiences, catalog.entries)
        acceptor = Acceptor(
            pool,
            relay.wake,
            keeper=keeper,
            most_bytes=settings.accept_megabytes * 1024 * 1024,
            admit=admission.beginnings,
        )
        opened.push_async_callback(acceptor.close)
        quarantine = open_quarantine(pool, settings)
        opened.push_async_callback(_cancel, asyncio.create_task(quarantine.run()))
        reader, metrics = SegmentReader(catalog, audiences), Metrics()
        intake = Intake(pool, admission, acceptor, quarantine, metrics)
        cloudevents = CloudEventReader(reader, settings.cloudevents_prefixes)
        hook_reader = HookReader(reader, pool)
        doors = {
            "segment": segment_again(reader),
            "cloudevents": cloudevents_again(cloudevents),
            "webhook": webhook_again(hooks, hook_reader),
        }
        parts = Parts(
            pool=pool,
            catalog=catalog,
            keys=Keys(pool, limits),
            admission=admission,
            reader=reader,
            cloudevents=cloudevents,
            hooks=hooks,
            hook_grants=await _grants(pool, hooks, limits),
            hook_reader=hook_reader,
            acceptor=acceptor,
            intake=intake,
            quarantine=quarantine,
            replayer=Replayer(doors, intake.find, admission, acceptor, quarantine),
            reading=reading,
            customers=PostgresCustomers(pool, audiences),
            answering=Answering(pool, client),
            figures=figures,
            metrics=metrics,
            temporal=client,
        )
        app = create_app(parts, settings)
        app.state.relay = relay
        app.state.sweep = Sweep(pool, keeper, relay.wake)
        yield app


def open_quarantine(pool: Pool, settings: Settings) -> Quarantine:
    """The quarantine, with its bounds."""
    return Quarantine(
        pool,
        timedelta(days=settings.quarantine_days),
        settings.quarantine_megabytes * 1_000_000,
    )


async def serve(settings: Settings, catalog: Catalog | None = None) -> None:
    """Serve the API until cancelled; then finish the requests under way.

    Args:
        settings: the process's settings.
        catalog: the journeys; by default those of `journeys/`.

    Raises:
        ConfigurationError: the port is in use, or a setting makes no sense.
    """
    with listen(settings.host, settings.api_port, "SOJOURN_API_PORT") as listener:
        async with running_app(settings, catalog) as app:
            await serve_app(app, listener, relay=settings.relay_in_api)


async def serve_app(app: FastAPI, listener: socket.socket, *, relay: bool) -> None:
    """Serve an application of `running_app`, and run its relay where that is wanted here."""
    config = uvicorn.Config(
        app,
        http="httptools",
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    settle()
    _log.info("ready", port=listener.getsockname()[1])
    # Should either end by itself, the process ends: half of it would look healthy.
    async with asyncio.TaskGroup() as halves:
        halves.create_task(app.state.sweep.run())
        if relay:
            halves.create_task(run_relay(app.state.relay))
        halves.create_task(run_server(config, listener))


async def _grants(pool: Pool, hooks: Mapping[str, Hook], limits: Limits) -> dict[str, Grant]:
    """What hooks may do, by hook: as much as a key; their sources are made if need be."""
    grants: dict[str, Grant] = {}
    for name, hook in hooks.items():
        source_id = await pool.fetchval(
            "insert into source (name) values ($1)"
            " on conflict (name) do update set name = excluded.name returning id",
            hook.source,
        )
        digest = digest_of(f"webhook:{name}")
        grants[name] = Grant(source_id, hook.source, frozenset({"write"}), limits, digest)
    return grants


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _announce_heard_names(pool: Pool, catalog: Catalog) -> None:
    """Before any journey of this version can be entered, its events must be routed by all."""
    try:
        await pool.execute(
            "insert into heard_name (name) select unnest($1::text[]) on conflict do nothing",
            sorted(catalog.heard_names()),
        )
    except asyncpg.UndefinedTableError:
        raise ConfigurationError(
            "the database has no tables of Sojourn: run `sojourn migrate` first"
        ) from None
