"""Fixtures that every test may use."""

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings
from temporalio.testing import WorkflowEnvironment

from infra.database.pool import Pool, close_pool, open_pool
from tests.parts import Postgres, running_postgres, running_temporal, time_skipping_temporal

pytest_plugins = ["pytester", "rehearsal.plugin"]

# No test is timed, and a run that fails does so again.
settings.register_profile("sojourn", deadline=None, derandomize=True)
# To look for what nobody has found yet, for a while: --hypothesis-profile search
settings.register_profile("search", deadline=None, max_examples=3000, print_blob=True)
settings.load_profile("sojourn")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the whole run."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A fresh, migrated database."""
    async with postgres.database() as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to the fresh database."""
    opened = await open_pool(database_url)
    yield opened
    await close_pool(opened)


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """One real Temporal server for the whole run."""
    async with running_temporal() as environment:
        yield environment


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """One time-skipping server for the whole run."""
    async with time_skipping_temporal() as environment:
        yield environment
