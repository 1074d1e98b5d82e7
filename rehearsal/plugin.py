"""The fixtures `rehearsal` and `stage`, and the timeline under every test that failed with one.

A conftest.py takes it with `pytest_plugins = ["rehearsal.plugin"]`.
"""

from collections.abc import AsyncIterator, Generator

import pytest

from rehearsal.stage import Rehearsal


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    """A rehearsal of its own for each test."""
    async with Rehearsal() as opened:
        yield opened


@pytest.fixture(params=[False, True], ids=["one-run", "new-runs"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Rehearsal]:
    """A rehearsal that a test has twice: once with a new run at every chance (see `continues`)."""
    async with Rehearsal(continues=request.param) as opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what happened in the rehearsal under a test that failed."""
    report = yield
    arguments = getattr(item, "funcargs", {}).values()
    if report.failed:
        for rehearsal in (each for each in arguments if isinstance(each, Rehearsal)):
            report.sections.append(("What happened in the rehearsal", rehearsal.timeline))
    return report
