"""What a new run could get wrong: each is told in one run, in many, and must be the same (18)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from domain.events import (
    CartAbandoned,
    Event,
    PurchaseMade,
    SurveyAnswered,
    TicketClosed,
    TicketOpened,
)
from domain.messages import Parcel
from domain.outcomes import Outcome
from rehearsal import Play, Rehearsal
from tests.unit import long_lives
from workflows import Journey
from workflows.attributes import STATE

CART = CartAbandoned(cart_id="c1")
BOUGHT, OTHER = PurchaseMade(order_id="o1"), PurchaseMade(order_id="o2")
ANSWERED = SurveyAnswered(survey="s", score=1)
OPENED, CLOSED = TicketOpened(ticket_id="t1"), TicketClosed(ticket_id="t1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class Told:
    """What can be seen of a journey."""

    outcome: Outcome
    sent: list[str]
    ledger: list[tuple[str, str, str]]
    tasks: list[str]
    notes: list[str]


async def told(play: Play) -> Told:
    """Let it end, and tell."""
    outcome = await play.ends()
    assert play.attributes[STATE] == outcome.kind
    lines = [line for line in (await play.story()).splitlines() if line.startswith("| 2")]
    states = [str(task.state) for task in play.tasks]
    return Told(outcome, play.sent, play.who.said(), states, lines)


async def at_once(play: Play, *events: Event) -> None:
    """The first may begin a new run; the others come before that has done anything."""
    first, *others = [play.acknowledge(event) for event in events]
    play.execution.signal(first.name, [first])
    for envelope in others:
        # After the turn that ends the run, before the first of the next.
        play.stage.engine.soon(partial(play.execution.signal, envelope.name, [envelope]))
    await play.settles()


async def _customer_changes(play: Play) -> None:
    await play.passes(HOUR)

    async def now_gold(_: Parcel) -> None:
        play.who.traits["tier"] = "gold"

    play.stage.channels["push"].on_deliver = now_gold
    await play.happens(CLOSED)


async def _over_at_once(play: Play) -> None:
    await play.passes(HOUR)
    await at_once(play, ANSWERED, BOUGHT)


async def _is_bought(play: Play) -> None:
    await play.passes(HOUR)
    await play.happens(BOUGHT)


async def _both_at_once(play: Play) -> None:
    await play.passes(HOUR)
    await play.relay(play.acknowledge(ANSWERED), play.acknowledge(BOUGHT))


async def _late(play: Play) -> None:
    await play.stage.is_down(5 * HOUR)
    await play.passes(HOUR)
    await play.happens(BOUGHT)


async def _three_days(play: Play) -> None:
    await play.happens(BOUGHT)
    await play.happens(OTHER)
    await play.passes(HOUR)
    await play.happens(BOUGHT)
    await play.passes(DAY / 2)
    await play.happens(OTHER)


async def _no_third(play: Play) -> None:
    await play.happens(BOUGHT)
    await play.happens(OTHER)
    await play.passes(DAY / 2)
    await play.happens(ANSWERED)
    await play.passes(13 * HOUR)
    await play.happens(BOUGHT)


async def _moves(play: Play) -> None:
    await play.passes(HOUR)
    await play.stage.moves(play.who, "Pacific/Auckland")
    await play.happens(BOUGHT)


async def _held_while_much_happens(play: Play) -> None:
    for event in (BOUGHT, OTHER, TicketOpened(ticket_id="t2"), BOUGHT, CLOSED, OTHER):
        await play.passes(HOUR)
        await play.happens(event)
    await play.passes(3 * DAY)
    await play.happens(TicketClosed(ticket_id="t2"))


STORIES: list[tuple[type[Journey[Any, Any]], Callable[[Play], Awaitable[None]], str]] = [
    (long_lives.AsksBeforeItSends, _customer_changes, "sent gold"),
    (long_lives.OverBeforeItGoesOn, _over_at_once, "True"),
    (long_lives.BothAtOnce, _both_at_once, "over True True"),
    (long_lives.AsksInScope, _over_at_once, "nothing"),
    (long_lives.AsksInScope, _is_bought, "nothing"),
    (long_lives.CatchesLate, _late, "late by 4:00:00 True"),
    (
        long_lives.CatchesErrors,
        _is_bought,
        "NoStock: no stock for c1; invalid literal for int() with base 10: 'seven'",
    ),
    (long_lives.LoopsTwice, _three_days, "c1 12 o1"),
    (long_lives.LoopsTwice, _no_third, "c1 12 None"),
    (long_lives.WaitsWithinItsWork, _three_days, "c1 e3 e4"),
    (long_lives.SortsWhatItFound, _is_bought, "c1 o0 of 1"),
    (long_lives.AtNine, _moves, "c1 05 20:00"),
    (long_lives.SaysGoodbye, _is_bought, ""),
    (long_lives.SendsUnderHolds, _held_while_much_happens, "sent"),
]


@pytest.mark.parametrize(("journey", "happens", "reason"), STORIES)
async def test_18_in_one_run_and_in_many_it_is_the_same_story(
    journey: type[Journey[Any, Any]], happens: Callable[[Play], Awaitable[None]], reason: str
) -> None:
    tellings: list[Told] = []
    for run_length in (None, 0, 10, 14, 20):  # as soon as it can, and some time later
        async with Rehearsal(
            replays=True, activities=[long_lives.stock, long_lives.busy]
        ) as rehearsal:
            who = rehearsal.customer(traits={"tier": "new"}, time_zone="Europe/Berlin")
            await rehearsal.happens(who, PurchaseMade(order_id="o0"))
            if happens in (_customer_changes, _held_while_much_happens):
                await rehearsal.happens(who, OPENED)
            play = await rehearsal.play(journey, CART, who=who, run_length=run_length)
            await happens(play)
            tellings.append(await told(play))
            assert (play.execution.runs > 1) or run_length != 0
    in_one, *in_many = tellings
    assert in_one.outcome.reason == reason
    assert in_many == [in_one] * len(in_many)


@pytest.mark.parametrize("run_length", [None, 0])
async def test_18_an_answer_that_is_in_the_store_is_taken_whatever_ends_the_wait_meanwhile(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(long_lives.AsksInScope, CART, run_length=run_length)
    (task,) = play.tasks
    answer = {"task_id": task.id, "choice": "yes", "by": "sue"}
    future = play.execution.update("answer_task", answer)
    await at_once(play, BOUGHT)
    assert task.state in {"answered", "withdrawn"}
    error = future.result().error
    assert (error is None) == (task.state == "answered")
    await play.ends()


@pytest.mark.parametrize("run_length", [None, 0])
async def test_19_two_sends_within_work_are_two(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(long_lives.SendsWithinItsWork, CART, run_length=run_length)
    assert (await play.ends()).reason == "sent sent"
    assert play.sent == ["twice_reminder/push", "twice_reminder.2/push"]


@pytest.mark.parametrize("run_length", [None, 0])
async def test_18_a_task_within_work_that_is_ended_is_withdrawn(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(long_lives.AsksWithinItsWork, CART, run_length=run_length)
    await play.happens(BOUGHT)
    assert [task.state for task in play.tasks] == ["withdrawn"]
    with pytest.raises(Exception, match="not asked now"):
        await play.update("answer_task", {"task_id": play.tasks[0].id, "choice": "yes"})
    assert (await play.ends()).reason == "bought True"


async def test_18_a_wait_that_only_looks_again_goes_on_in_new_runs_too(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(long_lives.WaitsForGold, CART, run_length=500)
    await play.passes(100 * DAY)
    assert play.execution.runs > 10
    play.who.traits["tier"] = "gold"
    assert (await play.ends()).reason == "c1 True"


@pytest.mark.parametrize("run_length", [None, 0])
async def test_6_what_was_stored_and_cannot_be_read_any_more_is_left_out(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    who = rehearsal.customer()
    await rehearsal.happens(who, BOUGHT)
    await rehearsal.happens(who, OTHER)
    who.history[-1] = replace(who.history[-1], properties={"order_id": None})
    play = await rehearsal.play(long_lives.SortsWhatItFound, CART, who=who, run_length=run_length)
    assert (await play.ends()).reason == "c1 o1 of 1"
    assert (await play.story()).count("**purchase_made** `e2` could not be read") == 1


async def _looks_back(rehearsal: Rehearsal, run_length: int | None, *totals: int) -> Play:
    who = rehearsal.customer()
    for number, total in enumerate(totals, 1):
        order = PurchaseMade(order_id=f"o{number}", total=Decimal(total))
        await rehearsal.happens(who, order)
    return await rehearsal.play(long_lives.FindsTheLastDear, CART, who=who, run_length=run_length)


@pytest.mark.parametrize("run_length", [None, 0])
async def test_6_a_look_back_for_the_last_one_meant_finds_it_behind_others(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await _looks_back(rehearsal, run_length, 200, 300, 50, 60)
    assert (await play.ends()).reason == "c1 o2"
    assert "looked back" not in await play.story()


@pytest.mark.parametrize("run_length", [None, 0])
async def test_6_a_look_back_that_could_not_look_at_all_says_so(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await _looks_back(rehearsal, run_length, 200, *[50] * 100)
    assert (await play.ends()).reason == "c1 "
    assert (await play.story()).count("latest 100 purchase_made only, 0 of which are meant") == 1
    enough = await _looks_back(rehearsal, run_length, *[50] * 100, 200)
    assert (await enough.ends()).reason == "c1 o101"
    assert "looked back" not in await enough.story()


@pytest.mark.parametrize("journey", [long_lives.Hoards, long_lives.HoardsGreek])
async def test_18_what_is_too_large_to_hand_over_stays_in_its_run_and_says_so(
    rehearsal: Rehearsal, journey: type[Journey[CartAbandoned]]
) -> None:
    play = await rehearsal.play(journey, CART, run_length=0)
    await play.happens(BOUGHT)
    runs = play.execution.runs
    await play.happens(BOUGHT)
    assert play.execution.runs == runs
    story = await play.story()
    assert story.count("cannot go on in a new run: 1,6") == 1
    assert "step 'rounds' has 1,6" in story
    await play.happens(BOUGHT)
    assert play.execution.runs == runs + 1
    assert (await play.ends()).reason == "c1 0"


async def test_18_names_made_from_data_are_remembered_and_what_is_too_large_says_so(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(long_lives.NamesByData, CART, run_length=0)
    await play.happens(BOUGHT)
    runs = play.execution.runs
    await play.happens(OTHER)
    assert play.execution.runs == runs
    story = await play.story()
    assert "cannot go on in a new run: 1,6" in story
    assert "what counts the 4 names of steps in 'rounds' has 1,6" in story
    assert (await play.ends()).reason == "c1 2"


async def test_18_what_is_too_large_for_too_long_parks_before_temporal_ends_it(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.moving._PATIENCE", 10)
    play = await rehearsal.play(long_lives.Hoards, CART, run_length=0)
    await play.happens(BOUGHT)
    play.may_park = True
    await play.happens(OTHER)
    assert "step 'rounds' has 1,6" in str(await play.parks())
    assert play.outcome is None
