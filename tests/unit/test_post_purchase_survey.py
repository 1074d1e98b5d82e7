"""The story of the survey (C5's second journey, C27)."""

from datetime import timedelta
from decimal import Decimal

from domain.events import PurchaseMade, SurveyAnswered
from domain.outcomes import OutcomeKind
from journeys.post_purchase_survey import PostPurchaseSurvey
from rehearsal import Rehearsal

BOUGHT = PurchaseMade(order_id="o1")
DAY = timedelta(days=1)


def _answer(score: int, order_id: str | None = None) -> SurveyAnswered:
    return SurveyAnswered(survey="post_purchase", score=score, order_id=order_id)


async def test_the_survey_goes_out_a_day_after_the_purchase(stage: Rehearsal) -> None:
    play = await stage.play(PostPurchaseSurvey, BOUGHT)
    await play.passes(DAY - timedelta(minutes=1))
    assert play.sent == []
    await play.passes(timedelta(minutes=2))
    assert play.sent == ["survey/email"]
    assert (await play.ends()).reason == "no answer"


async def test_a_good_score_needs_nobody(stage: Rehearsal) -> None:
    play = await stage.play(PostPurchaseSurvey, BOUGHT)
    await play.passes(2 * DAY)
    await play.happens(_answer(9))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == ["survey/email"]


async def test_a_bad_score_becomes_a_task_for_care(stage: Rehearsal) -> None:
    play = await stage.play(PostPurchaseSurvey, BOUGHT)
    await play.passes(2 * DAY)
    await play.happens(_answer(2, "o1"))
    assert (await play.ends()).kind is OutcomeKind.COMPLETED
    assert play.sent == ["survey/email", "care_task/webhook"]
    assert stage.channels["webhook"].parcels[-1].address == "https://example.test/care"


async def test_an_answer_about_another_order_is_left_for_that_order(stage: Rehearsal) -> None:
    play = await stage.play(PostPurchaseSurvey, BOUGHT)
    await play.passes(2 * DAY)
    await play.happens(_answer(2, "another"))
    assert (await play.ends()).reason == "no answer"


async def test_an_answer_about_a_ticket_is_not_about_an_order(stage: Rehearsal) -> None:
    play = await stage.play(PostPurchaseSurvey, BOUGHT)
    await play.passes(2 * DAY)
    await play.happens(SurveyAnswered(survey="ticket_care", score=Decimal(2), ticket_id="t1"))
    assert (await play.ends()).reason == "no answer"


async def test_an_answer_during_the_delay_is_found_by_the_wait(stage: Rehearsal) -> None:
    play = await stage.play(PostPurchaseSurvey, BOUGHT)
    await play.happens(_answer(1))
    await play.passes(DAY + timedelta(minutes=1))
    assert play.sent == ["survey/email", "care_task/webhook"]


async def test_nobody_to_ask_is_an_exit_with_its_reason(stage: Rehearsal) -> None:
    play = await stage.play(PostPurchaseSurvey, BOUGHT, addresses={})
    outcome = await play.ends()
    assert outcome.kind is OutcomeKind.EXITED
    assert play.who.said() == [("survey/email", "suppressed", "no_address")]
