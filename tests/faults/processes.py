"""The processes under test: production's, with the fault test's journeys.

python -m tests.faults.processes api
python -m tests.faults.processes relay     as production's, with the lease of FAULTS_LEASE seconds
python -m tests.faults.processes worker
"""

import os
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import uvloop

import api.process
import worker.process
from infra import logs
from infra.database.pool import close_pool, wait_for_pool
from infra.relay import IN_FLIGHT, Relay, run_relay
from infra.settings import Settings, load_settings
from infra.temporal import connect
from journeys.catalog import Catalog
from tests.faults import LEASE
from tests.faults.journeys import JOURNEYS


async def serve_api(settings: Settings) -> None:
    """As production's, with other journeys."""
    await api.process.serve(settings, Catalog(JOURNEYS))


async def serve_relay(settings: Settings) -> None:
    """As production's, with a lease from outside."""
    lease = timedelta(seconds=float(os.environ[LEASE]))
    pool = await wait_for_pool(settings.required_database_url(), "relay", IN_FLIGHT)
    try:
        client = await connect(settings, lazy=True)
        await run_relay(Relay(pool, client, lease=lease, run_length=settings.run_length))
    finally:
        await close_pool(pool)


async def serve_worker(settings: Settings) -> None:
    """As production's, with other journeys."""
    await worker.process.serve(settings, Catalog(JOURNEYS))


_SERVE: dict[str, Callable[[Settings], Coroutine[Any, Any, None]]] = {
    "api": serve_api,
    "relay": serve_relay,
    "worker": serve_worker,
}

if __name__ == "__main__":
    _settings = load_settings()
    logs.configure(_settings, sys.argv[1])
    uvloop.run(_SERVE[sys.argv[1]](_settings))
