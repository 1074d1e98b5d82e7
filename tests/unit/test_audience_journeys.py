"""Journeys that ask about computed traits and segments, in the sandbox and in skipped time."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from domain.events import SegmentEntered, SegmentLeft
from rehearsal import Rehearsal
from tests.unit.audience_specimens import ComeBack
from workflows import Outcome


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    """In the sandbox: what conditions are made of must pass it."""
    async with Rehearsal(sandboxed=True) as opened:
        yield opened


LAPSING = SegmentEntered(segment="lapsing", evidence={"days_since_order": 61})


@pytest.mark.parametrize(
    ("segments", "computed", "said"),
    [
        (("high_value",), {"spent": 1200.1}, f"high, {Decimal('1200.1')}"),
        (("lapsing",), {}, "low, None"),
    ],
)
async def test_a_journey_branches_on_what_is_so_at_that_moment(
    rehearsal: Rehearsal, segments: tuple[str, ...], computed: dict[str, float], said: str
) -> None:
    play = await rehearsal.play(ComeBack, LAPSING, segments=segments, computed=computed)
    assert await play.ends() == Outcome.completed(said)


async def test_a_journey_is_left_when_its_segment_is(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(ComeBack, LAPSING)
    await play.happens(SegmentLeft(segment="high_value"))
    await play.happens(SegmentLeft(segment="lapsing"))
    assert await play.ends() == Outcome.converted("came back after 61")


def test_only_the_segment_that_is_meant_starts_it() -> None:
    declared = ComeBack.declaration
    parameters = declared.parameters()
    assert declared.entry(LAPSING, parameters) is not None
    assert declared.entry(SegmentEntered(segment="high_value"), parameters) is None
