"""The story of a ticket (C4, C21, C27)."""

from datetime import timedelta
from decimal import Decimal

import pytest

from domain.events import CartAbandoned, SurveyAnswered, TicketClosed, TicketOpened
from domain.outcomes import OutcomeKind
from journeys.abandoned_cart import AbandonedCart
from journeys.ticket_care import TicketCare
from rehearsal import Rehearsal

TICKET = TicketOpened(ticket_id="t1")
CLOSED = TicketClosed(ticket_id="t1")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def _answer(score: int, ticket_id: str = "t1") -> SurveyAnswered:
    return SurveyAnswered(survey="ticket_care", score=Decimal(score), ticket_id=ticket_id)


async def test_a_score_is_asked_for_a_day_after_the_ticket_is_closed(stage: Rehearsal) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.passes(3 * HOUR)
    await play.happens(CLOSED)
    await play.passes(DAY - MINUTE)
    assert play.sent == []
    await play.passes(MINUTE)
    assert play.sent == ["survey/email"]
    await play.happens(_answer(9))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.tasks == []


async def test_c4_what_others_have_to_sell_waits_for_the_ticket_and_then_goes_on(
    stage: Rehearsal,
) -> None:
    care = await stage.play(TicketCare, TICKET)
    cart = await stage.play(AbandonedCart, CartAbandoned(cart_id="c1"), who=care.who)
    await care.passes(5 * HOUR)
    assert cart.not_sent == {"reminder/push": "ticket_open"}
    await care.happens(CLOSED)
    assert cart.sent == ["reminder/push"]
    await care.passes(DAY)
    assert care.sent == ["survey/email"]


async def test_c4_the_score_is_not_asked_for_while_another_ticket_is_open(
    stage: Rehearsal,
) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.happens(CLOSED)
    await play.happens(TicketOpened(ticket_id="t2"))
    await play.passes(2 * DAY)
    assert play.sent == []
    await play.happens(TicketClosed(ticket_id="t2"))
    assert play.sent == ["survey/email"]


async def test_c14_a_ticket_that_stays_open_is_a_task_for_care_and_then_for_its_lead(
    stage: Rehearsal,
) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.passes(2 * DAY)
    (task,) = play.tasks
    assert (task.role, task.request.title) == ("care", "Ticket t1 is still open")
    await play.passes(12 * HOUR)
    assert task.role == "care_lead"
    assert play.sent == ["ask_care_told/webhook", "ask_care_escalated/webhook"]
    assert "For care_lead" in play.handed[-1].text
    await play.happens(CLOSED)
    assert task.state == "withdrawn"
    await play.passes(DAY)
    assert play.sent[-1] == "survey/email"


async def test_c27_a_bad_score_is_a_call_from_the_lead_of_care(stage: Rehearsal) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.happens(CLOSED)
    await play.passes(2 * DAY)
    await play.happens(_answer(3))
    (task,) = play.tasks
    assert task.request.title == "Call a customer: score 3 for ticket t1"
    assert task.role == "care_lead"
    await play.answers("put right", by="sue")
    assert (await play.ends()).reason == "score 3: put right"


async def test_c27_a_call_that_nobody_makes_is_known(stage: Rehearsal) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.happens(CLOSED)
    await play.passes(2 * DAY)
    await play.happens(_answer(0))
    assert (await play.ends()).reason == "score 0: not called"


async def test_a_score_for_another_ticket_is_left_for_that_one(stage: Rehearsal) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.happens(CLOSED)
    await play.passes(2 * DAY)
    await play.happens(_answer(3, "t2"))
    assert (await play.ends()).reason == "no score"


@pytest.mark.parametrize("days", [0, 2])
async def test_a_ticket_that_is_opened_again_is_seen_through_again_and_asked_about_once(
    stage: Rehearsal, days: int
) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.passes(HOUR)
    await play.happens(CLOSED)
    await play.passes(days * DAY + HOUR)
    await play.happens(TICKET)
    await play.passes(DAY)
    assert "care answers" in await play.story()
    await play.happens(CLOSED)
    await play.passes(DAY)
    assert play.sent == ["survey/email"]


async def test_c21_a_close_that_comes_twice_closes_what_was_opened_before_it_alone(
    stage: Rehearsal,
) -> None:
    play = await stage.play(TicketCare, TICKET)
    await play.happens(CLOSED)
    await play.happens(CLOSED)
    await play.passes(HOUR)
    await play.happens(TICKET)
    await play.passes(3 * DAY)
    assert [task.role for task in play.tasks] == ["care_lead"]
    assert play.sent == ["ask_care_told/webhook", "ask_care_escalated/webhook"]
