"""`sojourn health relay` beside other processes of the same database."""

import asyncio
import os
import sys

from infra.database.pool import close_pool, open_pool
from tests.api import running_api
from tests.patience import PATIENCE


async def health(database_url: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "health", "relay"),
        env=os.environ | {"SOJOURN_DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode, said.decode()


async def test_an_api_that_is_busy_does_not_make_a_relay_healthy(database_url: str) -> None:
    async with running_api(database_url) as api:
        assert (await api.track("seen")).status_code == 200
        code, said = await health(database_url)
        assert (code, "has not looked for work" in said) == (1, True)
        relay = await open_pool(database_url, "relay", 1)
        await relay.fetchval("select 1")
        assert await health(database_url) == (0, "relay: looks for work\n")
        await close_pool(relay)
        assert (await health(database_url))[0] == 1
