"""Journeys in skipped time."""

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from infra.templates import JinjaRenderer
from journeys.catalog import discover
from tests.plays import Stage, staged
from tests.unit import specimens


@pytest.fixture(scope="session")
async def _stage(skipping: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """One worker for all journeys, the shipped ones and those of these tests."""
    async with staged(skipping, [*discover(), *specimens.ALL], JinjaRenderer()) as opened:
        yield opened


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    """The stage, with channels that take everything."""
    for channel in _stage.channels.values():
        channel.answers.clear()
        channel.on_deliver = None
    return _stage
