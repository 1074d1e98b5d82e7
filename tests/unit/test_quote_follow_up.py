"""The story of a quote with a rep in it, after Sungevity's (C11, C12, C14)."""

from datetime import timedelta

import pytest

from domain.events import QuoteAccepted, QuoteDeclined, QuotePrepared, QuoteViewed
from domain.outcomes import OutcomeKind
from journeys.quote_follow_up import QuoteFollowUp
from rehearsal import Play, Rehearsal

QUOTE = QuotePrepared.of(
    {
        "quote_id": "q1",
        "subject": "Solar panels for your roof",
        "quote_url": "https://solar.example/q1",
        "image_url": "https://solar.example/q1/roof.jpg",
        "saving": 640,
        "currency": "EUR",
    }
)
LOOKS = QuoteViewed(quote_id="q1")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ADA = {"first_name": "Ada", "owner": "sue", "owner_name": "Sue Park"}


async def _invited(stage: Rehearsal) -> Play:
    play = await stage.play(QuoteFollowUp, QUOTE, traits=ADA)
    await play.passes(DAY)
    return play


async def _called(stage: Rehearsal, answer: str) -> Play:
    """The customer has looked, the rep has called and says how it went; the visit is over."""
    play = await _invited(stage)
    await play.happens(LOOKS)
    await play.answers(answer, by="sue")
    await play.passes(HOUR)
    return play


async def test_the_story_from_the_image_in_the_mail_to_the_offer_that_is_taken(
    stage: Rehearsal,
) -> None:
    play = await _invited(stage)
    (invitation,) = play.handed
    assert invitation.subject == "Ada, this is how it could look: Solar panels for your roof"
    assert invitation.html is not None
    assert '<img src="https://solar.example/q1/roof.jpg"' in invitation.html
    assert 'href="https://solar.example/q1"' in invitation.html

    await play.happens(LOOKS)
    await play.answers("send the offer", by="sue")
    assert play.sent == ["invitation/email", "call_told/webhook", "offer/email"]
    assert "thank you for talking with Sue Park" in play.handed[-1].text

    await play.happens(QuoteAccepted(quote_id="q1"))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED


async def test_without_an_image_the_mail_does_without(stage: Rehearsal) -> None:
    plain = QuotePrepared(quote_id="q1", quote_url="https://solar.example/q1")
    play = await stage.play(QuoteFollowUp, plain)
    assert "<img" not in (play.handed[0].html or "")


async def test_who_does_not_look_is_reminded_once(stage: Rehearsal) -> None:
    play = await _invited(stage)
    assert (await play.ends()).reason == "the customer has not looked at it yet"
    assert play.sent == ["invitation/email", "reminder/email"]


async def test_c11_the_rep_sees_the_step_and_pulls_a_lever_and_it_is_known_who_did(
    stage: Rehearsal,
) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    assert "Waiting for sue to answer: Call now" in await play.story()
    before = stage.now
    await play.answers("send the offer", by="sue", note="wants it in writing")
    assert play.sent[-1] == "offer/email"
    assert stage.now == before
    (task,) = play.tasks
    assert (task.by, task.answer) == (
        "sue",
        {"choice": "send the offer", "note": "wants it in writing"},
    )
    assert "**sue** answered: send the offer" in await play.story()


async def test_c11_the_rep_who_meets_the_customer_skips_the_wait_by_hand(stage: Rehearsal) -> None:
    play = await _invited(stage)
    await play.signal("quote_viewed", {"quote_id": "q1"})
    assert [task.role for task in play.tasks] == ["sue"]
    assert "by hand in the Temporal UI" in await play.story()


async def test_c12_a_return_visit_alerts_the_same_rep_with_the_step(stage: Rehearsal) -> None:
    play = await _called(stage, "send the offer")
    await play.passes(6 * DAY)
    await play.happens(LOOKS)
    assert [task.role for task in play.tasks] == ["sue", "sue"]
    alert = play.handed[-1]
    assert alert.channel == "webhook"
    assert alert.subject == "Call now: your customer is looking at quote q1"
    assert "So far: the customer has the offer." in alert.text
    assert "The customer belongs to: sue" in alert.text
    assert alert.at == stage.now


async def test_c12_a_customer_who_changes_hands_is_the_new_reps(stage: Rehearsal) -> None:
    play = await _called(stage, "not reached")
    play.who.traits["owner"] = "tom"
    await play.passes(DAY)
    await play.happens(LOOKS)
    assert [task.role for task in play.tasks] == ["sue", "tom"]


async def test_c12_what_is_looked_at_while_they_talk_is_the_same_visit(stage: Rehearsal) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    await play.passes(10 * MINUTE)
    await play.happens(LOOKS)
    await play.answers("send the offer", by="sue")
    for _ in range(5):
        await play.passes(20 * MINUTE)
        await play.happens(LOOKS)
    assert len(play.tasks) == 1
    await play.passes(31 * MINUTE)
    await play.happens(LOOKS)
    assert len(play.tasks) == 2


async def test_c12_who_is_back_before_anybody_called_alerts_the_rep_again(
    stage: Rehearsal,
) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    (first,) = play.tasks
    await play.passes(HOUR)
    await play.happens(LOOKS)
    assert [(task.role, task.state) for task in play.tasks] == [
        ("sue", "withdrawn"),
        ("sue", "open"),
    ]
    assert play.sent[1:] == ["call_told/webhook", "call.2_told/webhook"]
    assert "They are back, and nobody has called yet." in play.handed[-1].text
    second = play.tasks[-1]
    assert second.deadline == first.deadline
    await play.passes(HOUR)
    assert second.role == "sales_lead"  # when it would have been the lead's without the visit
    await play.answers("send the offer", by="sue")
    assert play.sent[-1] == "offer/email"


async def test_c12_who_is_back_when_the_call_is_the_leads_alerts_both(stage: Rehearsal) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    await play.passes(3 * HOUR)
    await play.happens(LOOKS)
    assert play.sent[-2:] == ["call.2_told/webhook", "call.2_escalated/webhook"]
    await play.passes(HOUR)
    assert [task.state for task in play.tasks] == ["withdrawn", "expired"]
    assert play.sent[-1] == "not_reached/email"
    await play.passes(DAY)
    await play.happens(LOOKS)
    assert play.tasks[-1].deadline == stage.now + 4 * HOUR
    assert "They are back" not in play.handed[-1].text


async def test_c14_a_call_that_nobody_makes_goes_to_the_lead_and_then_to_the_customer(
    stage: Rehearsal,
) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    (task,) = play.tasks
    assert task.deadline == stage.now + 4 * HOUR
    await play.passes(2 * HOUR)
    assert task.role == "sales_lead"
    await play.passes(2 * HOUR)
    assert task.state == "expired"
    assert play.sent[1:] == [
        "call_told/webhook",
        "call_escalated/webhook",
        "not_reached/email",
    ]


async def test_c12_nobody_is_asked_to_call_when_the_time_for_that_has_passed(
    stage: Rehearsal,
) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    await play.passes(3 * HOUR)
    before = play.sent
    back = play.acknowledge(LOOKS)
    stage.engine.clock.move(stage.now + 2 * HOUR)  # the worker is down, and hears of it at last
    await play.relay(back)
    assert [task.state for task in play.tasks] == ["withdrawn"]
    assert play.sent == [*before, "not_reached/email"]
    await play.passes(DAY)
    await play.happens(LOOKS)
    assert play.tasks[-1].deadline == stage.now + 4 * HOUR


async def test_c14_a_visit_is_a_task_of_another_department(stage: Rehearsal) -> None:
    play = await _called(stage, "book a visit")
    assert [(task.role, task.state) for task in play.tasks] == [
        ("sue", "answered"),
        ("field", "open"),
    ]
    await play.answers("measured", by="fay")
    await play.passes(DAY)
    await play.happens(LOOKS)
    assert "the customer was visited: measured" in play.handed[-1].text


async def test_c14_the_offer_that_is_taken_withdraws_what_is_still_asked(
    stage: Rehearsal,
) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    await play.happens(QuoteAccepted(quote_id="q1"))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert [task.state for task in play.tasks] == ["withdrawn"]


@pytest.mark.parametrize("who_says_so", ["the rep", "the customer"])
async def test_who_does_not_want_it_is_left_in_peace(stage: Rehearsal, who_says_so: str) -> None:
    play = await _invited(stage)
    await play.happens(LOOKS)
    if who_says_so == "the rep":
        await play.answers("not interested", by="sue")
    else:
        await play.happens(QuoteDeclined(quote_id="q1"))
    assert play.outcome is not None
    assert play.outcome.kind is OutcomeKind.EXITED
    assert play.sent == ["invitation/email", "call_told/webhook"]


async def test_another_quote_is_another_journey(stage: Rehearsal) -> None:
    play = await _invited(stage)
    await play.happens(QuoteViewed(quote_id="q2"))
    await play.happens(QuoteAccepted(quote_id="q2"))
    assert play.outcome is None
    assert play.tasks == []


async def test_a_customer_without_a_rep_is_everybodys_in_sales(stage: Rehearsal) -> None:
    play = await stage.play(QuoteFollowUp, QUOTE)
    await play.happens(LOOKS)
    assert [task.role for task in play.tasks] == ["sales"]
