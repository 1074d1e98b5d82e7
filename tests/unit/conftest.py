"""Journeys in skipped time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from infra.templates import JinjaRenderer
from journeys.catalog import discover
from tests.plays import Stage, staged
from tests.unit import specimens
from tests.unit.audience_specimens import ComeBack
from workflows import Journey


@pytest.fixture(scope="session")
async def _stage(skipping: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """One worker for all journeys, the shipped ones and those of these tests."""
    journeys: list[type[Journey[Any, Any]]] = [*discover(), *specimens.ALL, ComeBack]
    async with staged(skipping, journeys, JinjaRenderer()) as opened:
        yield opened


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    """The stage, with channels that take everything."""
    for channel in _stage.channels.values():
        channel.answers.clear()
        channel.on_deliver = None
    return _stage
