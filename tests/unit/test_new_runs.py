"""A journey goes on in a new run as if there were none (semantics 18, G7)."""

from datetime import timedelta
from decimal import Decimal

import pytest

from domain.events import CartAbandoned, PurchaseMade, SurveyAnswered, TicketClosed, TicketOpened
from rehearsal import Play, Rehearsal
from tests.unit.specimens import Everything, HeldThenNot, Nested

CART = CartAbandoned(cart_id="c1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def _play_everything(rehearsal: Rehearsal, run_length: int | None) -> Play:
    play = await rehearsal.play(Everything, CART, run_length=run_length)
    for n in range(5):
        await play.happens(PurchaseMade(order_id=f"o{n}", total=Decimal(n)))
        await play.passes(HOUR)
    await play.passes(DAY)
    await play.happens(SurveyAnswered(survey="s", score=1))
    return play


async def test_18_new_runs_change_nothing_that_a_journey_or_support_sees(
    rehearsal: Rehearsal,
) -> None:
    in_one = await _play_everything(rehearsal, None)
    in_many = await _play_everything(rehearsal, 0)
    outcomes = [(await play.ends()).reason for play in (in_one, in_many)]
    told = [(await play.query("status")) for play in (in_one, in_many)]
    assert told[0]["run"] == 1
    assert told[1]["run"] >= 8
    whats = [
        [line.split("|")[2] for line in status["story"].splitlines() if line.startswith("| 2")]
        for status in told
    ]
    assert whats[0] == whats[1]
    assert outcomes == ["3 ['sent', 'sent', 'sent']; PurchaseMade; None; True; 1 o4"] * 2
    assert in_one.sent == in_many.sent == [f"reminder{n}/push" for n in ("", ".2", ".3")]


async def test_18_a_journey_told_that_its_history_is_long_goes_on_in_new_runs() -> None:
    async with Rehearsal(continues=True, replays=True) as rehearsal:
        play = await _play_everything(rehearsal, None)
        reason = (await play.ends()).reason
    assert reason == "3 ['sent', 'sent', 'sent']; PurchaseMade; None; True; 1 o4"
    assert play.execution.runs >= 8


@pytest.mark.parametrize("run_length", [None, 0])
async def test_18_a_hold_outlives_its_run_and_asks_again(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(HeldThenNot, CART, run_length=run_length, holds=["ticket t1"])
    await play.passes(3 * HOUR)
    await play.happens(TicketOpened(ticket_id="t2"))
    play.who.holds.clear()
    await play.happens(TicketClosed(ticket_id="t1"))
    await play.settles()
    assert play.sent == ["reminder/push"]


@pytest.mark.parametrize("run_length", [None, 0])
async def test_18_scopes_outlive_their_runs(rehearsal: Rehearsal, run_length: int | None) -> None:
    play = await rehearsal.play(Nested, CART, run_length=run_length)
    await play.passes(HOUR)
    await play.happens(PurchaseMade(order_id="o1"))
    await play.passes(HOUR)
    await play.happens(PurchaseMade(order_id="o2", cart_id="c1"))
    assert (await play.ends()).reason == "outer o2 inner o1"
