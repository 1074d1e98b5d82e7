"""Journeys that ask people, lead into others and deal variants; in one run and in many."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from domain.events import CartAbandoned, PurchaseMade
from domain.outcomes import OutcomeKind
from rehearsal import Play, Rehearsal
from rehearsal.protocol.commands import Answer
from tests.unit.composed import Composed
from tests.unit.waiting import (
    AsksTwo,
    Deals,
    EntersAsIfItHandedOver,
    EscalatesTooLate,
    GoesThrough,
    HandsOver,
    LooksBackForNone,
    Other,
    TellsAsPromotion,
    ThinksBetterOfIt,
)

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
pytestmark = pytest.mark.parametrize("run_length", [None, 0])


async def _asked(rehearsal: Rehearsal, run_length: int | None) -> Play:
    play = await rehearsal.play(AsksTwo, CART, run_length=run_length)
    assert [task.state for task in play.tasks] == ["open"]
    return play


async def test_an_answer_goes_on_at_once(rehearsal: Rehearsal, run_length: int | None) -> None:
    play = await _asked(rehearsal, run_length)
    await play.answers("yes")
    assert (await play.ends()).reason == "yes by sue as sales"
    assert play.tasks[0].state == "answered"


async def test_what_is_no_answer_is_refused_and_an_answer_still_taken(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await _asked(rehearsal, run_length)
    wrongs = [
        {"choice": "perhaps"},
        {"task_id": "tsk_9", "choice": "yes"},
        {"choice": "yes", "note": "no store takes\0this"},
        {},
        "yes",
    ]
    for wrong in wrongs:
        with pytest.raises(Exception, match=r"choice|not asked|send"):
            await play.update("answer_task", wrong)
    await play.answers("no")
    assert (await play.ends()).reason == "no by sue as sales"


async def test_of_two_answers_at_once_one_counts(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await _asked(rehearsal, run_length)
    answers = [{"task_id": play.tasks[0].id, "choice": "yes", "by": by} for by in ("ann", "bob")]
    first, second = (play.execution.update("answer_task", answer) for answer in answers)
    await play.settles()
    assert first.result().error is None
    assert "answered already by ann" in str(second.result().error)
    assert (await play.ends()).reason == "yes by ann as sales"


async def test_unanswered_it_is_escalated_and_then_expires(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await _asked(rehearsal, run_length)
    await play.passes(13 * HOUR)
    assert play.tasks[0].role == "boss"
    other = await rehearsal.play(AsksTwo, CART, run_length=run_length)
    await play.answers("yes", by="boss")
    assert (await play.ends()).reason == "yes by boss as boss"
    assert (await other.ends()).reason == "nobody"
    assert other.tasks[0].state == "expired"


async def test_a_deadline_is_a_deadline_though_an_escalation_would_come_later(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(EscalatesTooLate, CART, run_length=run_length)
    assert (await play.ends()).reason == "1 day, 0:00:00"
    assert (play.tasks[0].state, play.tasks[0].role) == ("expired", "sales")


async def test_an_until_that_ends_withdraws_what_is_asked(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await _asked(rehearsal, run_length)
    await play.happens(BOUGHT)
    assert play.tasks[0].state == "withdrawn"
    assert (await play.ends()).reason == "withdrawn"


async def test_an_until_that_ends_while_the_task_is_opened_withdraws_it(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    play = await rehearsal.play(AsksTwo, CART, run_length=run_length, settled=False)
    envelope = play.acknowledge(BOUGHT)
    rehearsal.engine.soon(partial(play.execution.signal, envelope.name, [envelope]))
    await play.settles()
    assert [task.state for task in play.tasks] in ([], ["withdrawn"])
    assert (await play.ends()).reason == "withdrawn"


async def _through(rehearsal: Rehearsal, run_length: int | None) -> tuple[Play, Play]:
    rehearsal._journeys[Other.declaration.name] = Other
    parent = await rehearsal.play(GoesThrough, CART, run_length=run_length)
    _, child = rehearsal.plays
    return parent, child


async def test_a_journey_goes_through_another_and_hears_how_it_ended(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    parent, child = await _through(rehearsal, run_length)
    await child.happens(BOUGHT)
    assert (await child.ends()).kind is OutcomeKind.CONVERTED
    assert (await parent.ends()).reason == "converted c1"


async def test_what_refuses_the_customer_is_said_at_once(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    who = rehearsal.customer()
    once = await rehearsal.play(Other, CART, BOUGHT, who=who)
    await once.ends()
    parent = await rehearsal.play(GoesThrough, CART, who=who, run_length=run_length)
    assert (await parent.ends()).reason == "not_entered this journey is entered only once"


async def test_one_that_takes_too_long_goes_on_alone(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    parent, child = await _through(rehearsal, run_length)
    assert (await parent.ends()).reason == "still_inside"
    assert child.outcome is None
    assert (await child.ends()).kind is OutcomeKind.COMPLETED


async def test_a_child_that_is_cancelled_or_terminated_has_ended(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    parent, child = await _through(rehearsal, run_length)
    await child.cancel()
    assert (await parent.ends()).reason == "cancelled cancelled in Temporal"
    other = await rehearsal.play(GoesThrough, CART, run_length=run_length)
    rehearsal.plays[-1].terminate()
    assert (await other.ends()).reason == "terminated by a person"


async def test_a_parent_that_is_cancelled_leaves_its_child_alone(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    parent, child = await _through(rehearsal, run_length)
    await parent.cancel()
    assert (await parent.ends()).kind is OutcomeKind.CANCELLED
    assert child.outcome is None
    await child.happens(BOUGHT)
    assert (await child.ends()).kind is OutcomeKind.CONVERTED


async def test_a_merge_in_mid_way_takes_parent_and_child_along(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    parent, child = await _through(rehearsal, run_length)
    stays = rehearsal.customer()
    await rehearsal.merges(stays, parent.who)
    await rehearsal.happens(stays, BOUGHT)
    assert (await child.ends()).kind is OutcomeKind.CONVERTED
    assert (await parent.ends()).reason == "converted c1"
    assert f"customer `{stays.customer_id}`" in await parent.story()


async def test_a_hand_over_ends_here_and_begins_there(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    rehearsal._journeys[Other.declaration.name] = Other
    play = await rehearsal.play(HandsOver, CART, run_length=run_length)
    assert (await play.ends()).reason == "handed over to other"
    other = rehearsal.plays[-1]
    assert (other.enrollment.journey, other.who) == ("other", play.who)


async def test_no_step_that_enters_is_taken_for_the_hand_over(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    with pytest.raises(ValueError, match="give the step another name"):
        await rehearsal.play(EntersAsIfItHandedOver, CART, run_length=run_length)


async def test_6_a_look_back_for_none_is_a_mistake_and_not_a_look_back_for_all(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    who = rehearsal.customer()
    await rehearsal.happens(who, BOUGHT)
    with pytest.raises(ValueError, match="at least one"):
        await rehearsal.play(LooksBackForNone, CART, who=who, run_length=run_length)


async def test_the_first_variant_stays_whatever_the_weights_are_later(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    first = CartAbandoned(cart_id="first")
    play = await rehearsal.play(Deals, first, run_length=run_length)
    later = await rehearsal.play(Deals, CART, who=play.who, run_length=run_length)
    assert [(await each.ends()).reason for each in (play, later)] == ["a", "a"]
    assert later.sent == ["reminder_a/push"]


async def test_an_answer_that_comes_between_two_runs_is_taken(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    program = {"steps": [["ask", 6], ["sleep", 1]]}
    play = await rehearsal.play(Composed, CART, parameters=program, run_length=run_length)
    answer = {"task_id": play.tasks[0].id, "choice": "yes"}
    updates: list[asyncio.Future[Answer]] = []
    envelope = play.acknowledge(BOUGHT)
    play.execution.signal(envelope.name, [envelope])
    rehearsal.engine.soon(lambda: updates.append(play.execution.update("answer_task", answer)))
    await play.settles()
    assert updates[0].result().error is None
    assert play.tasks[0].state == "answered"
    assert "choice='yes'" in (await play.ends()).reason


async def test_who_ends_otherwise_after_all_is_not_handed_over(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    rehearsal._journeys[Other.declaration.name] = Other
    play = await rehearsal.play(ThinksBetterOfIt, CART, run_length=run_length)
    assert (await play.ends()).reason == "not handed over to other"
    assert rehearsal.plays == [play]


async def test_who_is_asked_is_not_told_by_what_may_be_held(
    rehearsal: Rehearsal, run_length: int | None
) -> None:
    with pytest.raises(ValueError, match=r"topic=Topic\.SERVICE"):
        await rehearsal.play(TellsAsPromotion, CART, run_length=run_length)
