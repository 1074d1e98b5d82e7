"""What a journey may rely on: numbers, times, parameters, ends; in one run and in many."""

from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus as Status

from domain.events import CartAbandoned, PurchaseMade, TicketClosed, TicketOpened
from domain.outcomes import OutcomeKind
from rehearsal import Rehearsal
from tests.unit import waiting
from tests.unit.long_lives import AtNine, SortsWhatItFound
from tests.unit.specimens import CleansUp, HeldThenNot, OneSendLater, TwoWaits

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1", cart_id="c1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
in_runs = pytest.mark.parametrize("run_length", [None, 0])


@in_runs
async def test_3_a_number_that_does_not_come_is_reported_and_not_skipped(
    rehearsal: Rehearsal, run_length: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    play = await rehearsal.play(TwoWaits, CART, run_length=run_length)
    missing, second, third = (play.acknowledge(BOUGHT) for _ in range(3))
    await play.relay(second)
    await play.passes(timedelta(minutes=4))
    assert "is missing" not in await play.story()
    await play.relay(third)
    await play.passes(timedelta(minutes=1))
    status = await play.query("status")
    assert (status["heard"], status["missing"]) == (1, 2)
    assert status["missing_since"] == "2026-01-05T10:00:00+00:00"
    assert "event number 2 is missing for 5 minutes; 2 later ones wait" in status["story"]
    assert "event number 2 is missing" in caplog.text
    await play.passes(DAY / 2)
    assert (await play.story()).count("is missing") == 1
    await play.relay(missing)
    status = await play.query("status")
    assert (status["heard"], status["missing_since"]) == (4, None)
    assert "event number 2 has arrived" in status["story"]


async def test_6_what_was_before_counts_only_where_it_is_looked_back_for(
    rehearsal: Rehearsal,
) -> None:
    who = rehearsal.customer()
    await rehearsal.happens(who, PurchaseMade(order_id="before"))
    play = await rehearsal.play(TwoWaits, CART, who=who)
    assert (await play.ends()).reason == "None None c1"
    looks = await rehearsal.play(SortsWhatItFound, CART, who=who)
    assert (await looks.ends()).reason == "c1 before of 1"


async def test_7_an_event_of_yesterday_that_is_told_today_ends_the_journey_today(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(OneSendLater, CART)
    told = play.acknowledge(BOUGHT)
    await play.relay(replace(told, occurred_at="2026-01-04T12:00:00+00:00"))
    assert (await play.ends()).reason == "interrupted True"
    assert play.sent == []


@in_runs
@pytest.mark.parametrize("order", [("t1", "t2"), ("t2", "t1")])
async def test_10_of_two_tickets_both_must_close_in_whatever_order(
    rehearsal: Rehearsal, run_length: int | None, order: tuple[str, str]
) -> None:
    play = await rehearsal.play(
        HeldThenNot, CART, *(TicketOpened(ticket_id=t) for t in ("t1", "t2")), run_length=run_length
    )
    for ticket in order:
        await play.passes(HOUR)
        assert play.sent == []
        await play.happens(TicketClosed(ticket_id=ticket))
    assert play.sent == ["reminder/push"]


@in_runs
async def test_11_a_moment_that_has_passed_is_returned_from_at_once_and_says_so(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    cart = CartAbandoned(cart_id="2026-01-06T12:00:00+00:00")
    play = await rehearsal.play(waiting.UntilDates, cart, run_length=run_length)
    assert "that has passed" in await play.story()
    assert (await play.ends()).reason == "True False 12:00"


@in_runs
@pytest.mark.parametrize(
    ("entered", "zone", "utc"),
    [
        ("2026-03-28 12:00", "Europe/Berlin", "29 01:00"),  # 02:30 does not exist: the jump
        ("2026-10-24 12:00", "Europe/Berlin", "25 00:30"),  # 02:30 comes twice: the first
        ("2026-09-26 00:00", "Pacific/Auckland", "26 14:00"),
        ("2026-04-04 00:00", "Pacific/Auckland", "04 13:30"),
        ("2026-03-07 12:00", "America/New_York", "08 07:00"),
        ("2026-10-03 12:00", "Australia/Lord_Howe", "03 15:30"),
        ("2026-05-01 12:00", None, "02 02:30"),  # not known: the journey's own, UTC
        ("2026-05-01 12:00", "Mars/Base", "02 02:30"),  # no such zone: the same
    ],
)
async def test_11_half_past_two_tomorrow_where_she_is_through_every_clock_change(
    entered: str, zone: str | None, utc: str, run_length: int | None
) -> None:
    async with Rehearsal(at=entered) as rehearsal:
        play = await rehearsal.play(
            waiting.TomorrowAtHalfPastTwo, CART, time_zone=zone, run_length=run_length
        )
        assert (await play.ends()).reason == f"c1 {utc}"


@in_runs
async def test_11_a_window_of_the_week_opens_where_she_is(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(
        waiting.InTheWindow, CART, time_zone="Pacific/Auckland", run_length=run_length
    )
    assert (await play.ends()).reason == "c1 05 20:00"


async def test_11_the_morning_goes_with_a_customer_who_moves_in_mid_wait(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(AtNine, CART, time_zone="Europe/Berlin")
    await play.passes(HOUR)
    play.who.time_zone = "America/New_York"
    assert (await play.ends()).reason == "c1 06 14:00"


@in_runs
async def test_12_what_was_due_while_the_system_was_down_says_how_late_it_is_or_is_skipped(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(waiting.TooLateIsSkipped, CART, run_length=run_length)
    await rehearsal.is_down(3 * HOUR)
    assert "over 2 hours ago: the system was down" in await play.story()
    await rehearsal.is_down(2 * HOUR)
    assert (await play.ends()).reason == "c1 2:00:00, then 1:00:00"


@in_runs
async def test_15_parameters_are_those_of_the_entry(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(
        waiting.SaysItsWord, CART, parameters={"word": "as set"}, run_length=run_length
    )
    await play.passes(HOUR)
    await play.happens(BOUGHT)
    assert (await play.ends()).reason == "c1 as set"


@in_runs
async def test_16_cancelled_in_whatever_run_it_cleans_up_once(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(CleansUp, CART, run_length=run_length)
    await play.passes(HOUR)
    await play.cancel()
    assert (await play.ends()).kind is OutcomeKind.CANCELLED
    assert play.status is Status.CANCELED
    assert (await play.story()).count("cleaned up c1") == 1


async def test_16_cancelled_before_a_new_run_has_done_anything_it_cleans_up(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(CleansUp, CART, run_length=0, settled=False)
    rehearsal.engine.soon(play.execution.cancel)
    await play.settles()
    assert (await play.ends()).kind is OutcomeKind.CANCELLED


@in_runs
async def test_17_a_bug_parks_in_whatever_run_and_events_are_kept_for_the_fixed_code(
    rehearsal: Rehearsal, run_length: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await rehearsal.play(waiting.Breaks, CART, run_length=run_length)
    play.may_park = True
    await play.happens(BOUGHT)
    assert isinstance(await play.parks(), ZeroDivisionError)
    assert play.outcome is None
    await play.happens(PurchaseMade(order_id="o2"))
    monkeypatch.setattr(waiting.Breaks, "fixed", True)
    again = await rehearsal.play(waiting.Breaks, CART, BOUGHT, PurchaseMade(order_id="o2"))
    assert (await again.ends()).reason == "o1 o2"
