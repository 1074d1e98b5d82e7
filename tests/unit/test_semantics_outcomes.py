"""What a journey may rely on when the truth about a message arrives (semantics 21)."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from domain.events import (
    CartAbandoned,
    EmailBounced,
    EmailDelivered,
    EmailOpened,
    PushNotificationBounced,
    PushNotificationReceived,
    Unsubscribed,
)
from domain.messages import Ambiguous, Parcel, RejectedForGood
from rehearsal import Play, Rehearsal
from tests.unit.specimens import AsksWhatBecame, OneSend, Receipt

CART = CartAbandoned(cart_id="c1")
LOST = Ambiguous("connection lost")
HOUR = timedelta(hours=1)


@pytest.fixture(params=[False, True], ids=["in one run", "in many"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Rehearsal]:
    """Where journeys are played."""
    async with Rehearsal(replays=True, continues=request.param) as opened:
        yield opened


def _mail(play: Play) -> str:
    return play.handed[0].message_id


async def test_21_a_journey_may_wait_for_the_truth(stage: Rehearsal) -> None:
    stage.channels["email"].answers = [LOST]
    play = await stage.play(AsksWhatBecame, CART)
    await play.passes(HOUR)
    await play.happens(EmailDelivered(email_id="msg_of_another_mail"))
    assert play.outcome is None
    # A provider gives the id back as it got it, here in the Message-ID.
    await play.happens(EmailDelivered(email_id=f"<{_mail(play)}@shop.example>"))
    assert (await play.ends()).reason == "unknown, email_delivered"
    assert play.who.said() == [("reminder/email", "sent", "delivered")]


@pytest.mark.parametrize("lost", [False, True])
async def test_21_a_journey_may_fall_back_on_another_channel(stage: Rehearsal, lost: bool) -> None:
    stage.channels["email"].answers = [LOST] if lost else []
    play = await stage.play(AsksWhatBecame, CART)
    await play.happens(EmailBounced(email_id=_mail(play), bounce_type="hard", reason="550"))
    said = "unknown" if lost else "sent"
    assert (await play.ends()).reason == f"{said}, email_bounced, then sent"
    verdict = "rejected" if lost else "sent"
    assert ("reminder/email", verdict, "bounced") in play.who.said()
    assert "email" not in play.who.addresses


async def test_21_the_story_says_what_became_of_a_message_though_the_journey_does_not_listen(
    stage: Rehearsal,
) -> None:
    stage.channels["push"].answers = [LOST]
    play = await stage.play(OneSend, CART)
    before = await play.story()
    assert "not known whether sent" in before
    assert "arrived after all" not in before
    await play.happens(PushNotificationReceived(message_id=_mail(play)))
    story = await play.story()
    assert "**reminder** by push arrived after all: push_notification_received" in story
    assert "not known whether sent" in story  # that was so, then
    await play.passes(HOUR)
    await play.happens(PushNotificationBounced(message_id=_mail(play), reason="expired"))
    told = "**reminder** by push came back: push_notification_bounced: expired"
    assert told in await play.story()
    assert (await play.ends()).reason == "unknown False"


async def test_21_an_unknown_message_that_came_back_is_said_to_have_not_arrived(
    stage: Rehearsal,
) -> None:
    stage.channels["push"].answers = [LOST]
    play = await stage.play(OneSend, CART)
    await play.happens(PushNotificationBounced(message_id=_mail(play), reason="expired"))
    told = "**reminder** by push did not arrive: push_notification_bounced: expired"
    assert told in await play.story()


ENVELOPE = {"number": 2, "name": "message_settled", "event_id": "x", "occurred_at": "x"}


@pytest.mark.parametrize("sent", [{}, {"step": 1}, 7, [{**ENVELOPE, "properties": {"step": 1}}]])
async def test_4_what_a_person_makes_of_that_signal_stops_nothing(
    stage: Rehearsal, sent: object
) -> None:
    play = await stage.play(OneSend, CART)
    await play.signal("message_settled", sent)
    assert "could not be read" in await play.story()
    assert (await play.ends()).reason == "sent False"


async def test_21_a_service_message_that_arrived_meanwhile_is_not_sent_again(
    stage: Rehearsal,
) -> None:
    async def arrives(parcel: Parcel) -> None:
        play.who.acknowledge(EmailDelivered(email_id=parcel.message_id))

    play = await stage.play(Receipt, CART, settled=False)
    stage.channels["email"].answers = [LOST]
    stage.channels["email"].on_deliver = arrives
    assert (await play.ends()).reason == "sent"
    assert play.sent == ["gentle_reminder/email"]


async def test_21_what_bounced_while_it_was_handed_over_goes_by_another_channel(
    stage: Rehearsal,
) -> None:
    async def bounces(parcel: Parcel) -> None:
        play.who.acknowledge(PushNotificationBounced(message_id=parcel.message_id))

    play = await stage.play(OneSend, CART, settled=False)
    stage.channels["push"].on_deliver = bounces
    assert (await play.ends()).reason == "sent False"
    assert play.who.said() == [
        ("reminder/push", "rejected", "bounced"),
        ("reminder/email", "sent", "accepted_by_provider"),
    ]


async def test_21_what_the_customer_has_opened_was_sent_whatever_the_provider_says(
    stage: Rehearsal,
) -> None:
    async def opens(parcel: Parcel) -> None:
        play.who.acknowledge(EmailOpened(email_id=parcel.message_id))

    play = await stage.play(AsksWhatBecame, CART, settled=False)
    stage.channels["email"].answers = [RejectedForGood("554 spam")]
    stage.channels["email"].on_deliver = opens
    assert (await play.ends()).reason == "sent, None"


async def test_g3_who_has_unsubscribed_gets_no_promotion_by_mail(stage: Rehearsal) -> None:
    who = stage.customer()
    who.acknowledge(Unsubscribed())
    play = await stage.play(AsksWhatBecame, CART, who=who)
    assert (await play.ends()).reason == "unsubscribed"
    receipt = await stage.play(Receipt, CART, who=who)
    assert (await receipt.ends()).reason == "sent"
