"""Local times go with the customer (semantics 11)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest

from domain.events import CartAbandoned
from rehearsal import Play, Rehearsal
from tests.unit.specimens import AtNine, OnTuesdays

CART = CartAbandoned(cart_id="c1")
BERLIN, AUCKLAND, NEW_YORK = "Europe/Berlin", "Pacific/Auckland", "America/New_York"


Plays = Callable[..., Awaitable[Play]]


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    """Two days before the clocks in Europe change."""
    async with Rehearsal(at="2026-03-27 12:00") as opened:
        yield opened


@pytest.fixture(params=[None, 0], ids=["one run", "many runs"])
def plays(request: pytest.FixtureRequest, rehearsal: Rehearsal) -> Plays:
    """Begins a journey, in one run and in as many as there can be."""
    return partial(rehearsal.play, run_length=request.param)


async def _ended(play: Play) -> str:
    return (await play.ends()).reason


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        (BERLIN, "2026-03-28T08:00"),
        (AUCKLAND, "2026-03-28T20:00"),  # it is Saturday morning there already
        (NEW_YORK, "2026-03-28T13:00"),
        (None, "2026-03-28T09:00"),  # nobody said: the journey's own, UTC
        ("Mars/Olympus", "2026-03-28T09:00"),
    ],
)
async def test_11_tomorrow_at_nine_is_at_nine_where_she_is(
    plays: Plays, zone: str | None, at: str
) -> None:
    play = await plays(AtNine, CART, time_zone=zone)
    assert (await _ended(play)).startswith(at)


async def test_11_it_goes_through_the_clock_change(rehearsal: Rehearsal, plays: Plays) -> None:
    await rehearsal.at("2026-03-28 20:00")
    play = await plays(AtNine, CART, time_zone=BERLIN)
    assert (await _ended(play)).startswith("2026-03-29T07:00")


async def test_11_a_customer_who_moves_east_is_met_sooner(
    rehearsal: Rehearsal, plays: Plays
) -> None:
    play = await plays(AtNine, CART, time_zone=NEW_YORK)
    await rehearsal.passes(timedelta(hours=12))
    await rehearsal.moves(play.who, BERLIN)
    assert "Europe/Berlin" in await play.story()
    assert (await _ended(play)).startswith("2026-03-28T08:00")


async def test_11_one_who_moves_west_later(rehearsal: Rehearsal, plays: Plays) -> None:
    play = await plays(AtNine, CART, time_zone=BERLIN)
    await rehearsal.passes(timedelta(hours=12))
    await rehearsal.moves(play.who, NEW_YORK)
    assert (await _ended(play)).startswith("2026-03-28T13:00")


async def test_11_where_it_is_past_nine_already_it_is_now(
    rehearsal: Rehearsal, plays: Plays
) -> None:
    play = await plays(AtNine, CART, time_zone=NEW_YORK)
    await rehearsal.at("2026-03-28 10:00")
    await rehearsal.moves(play.who, BERLIN)
    assert (await _ended(play)).startswith("2026-03-28T10:00")


async def test_11_a_window_opens_where_she_is_by_then(rehearsal: Rehearsal, plays: Plays) -> None:
    play = await plays(OnTuesdays, CART, time_zone=NEW_YORK)
    await rehearsal.at("2026-03-30 12:00")
    await rehearsal.moves(play.who, AUCKLAND)  # where Tuesday, nine o'clock, is on Monday at 20:00
    assert (await _ended(play)).startswith("2026-03-30T20:00")


async def test_11_an_open_window_does_not_wait(rehearsal: Rehearsal, plays: Plays) -> None:
    await rehearsal.at("2026-03-31 09:30", BERLIN)
    play = await plays(OnTuesdays, CART, time_zone=BERLIN)
    assert await _ended(play) == "2026-03-31T07:30:00+00:00 passed"


async def test_a_wait_for_a_far_morning_asks_nobody_meanwhile(
    rehearsal: Rehearsal, plays: Plays
) -> None:
    play = await plays(OnTuesdays, CART, time_zone=BERLIN)
    (waits,) = play.awaits
    assert waits.until == rehearsal.now.replace(month=3, day=31, hour=7, minute=0)
