"""The story of the abandoned cart (C1, C4)."""

from datetime import timedelta

from domain.events import CartAbandoned, PurchaseMade, TicketClosed, TicketOpened
from domain.outcomes import OutcomeKind
from journeys.abandoned_cart import AbandonedCart
from rehearsal import Rehearsal

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1", cart_id="c1")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def test_no_purchase_brings_a_reminder_and_a_gentler_one_a_day_later(
    stage: Rehearsal,
) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.passes(59 * MINUTE)
    assert play.sent == []
    await play.passes(2 * MINUTE)
    assert play.sent == ["reminder/push"]
    outcome = await play.ends()
    assert play.sent == ["reminder/push", "gentle_reminder/push"]
    assert outcome.kind is OutcomeKind.COMPLETED


async def test_a_purchase_within_the_hour_means_no_reminder(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.passes(10 * MINUTE)
    await play.happens(BOUGHT)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == []


async def test_a_purchase_between_the_reminders_means_no_second_one(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.passes(2 * HOUR)
    await play.happens(BOUGHT)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == ["reminder/push"]


async def test_the_purchase_of_another_cart_changes_nothing(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.happens(PurchaseMade(order_id="o1", cart_id="another"))
    assert (await play.ends()).kind is OutcomeKind.COMPLETED
    assert len(play.sent) == 2


async def test_a_purchase_that_names_no_cart_settles_the_cart_when_in_doubt(
    stage: Rehearsal,
) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.happens(PurchaseMade(order_id="o1"))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED


async def test_no_push_token_means_e_mail(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART, addresses={"email": "ada@example.test"})
    await play.passes(2 * HOUR)
    assert play.sent == ["reminder/email"]
    assert ("reminder/push", "suppressed", "no_address") in play.who.said()


async def test_an_open_ticket_holds_the_reminder_until_it_closes(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.happens(TicketOpened(ticket_id="t1"))
    await play.passes(3 * HOUR)
    assert play.sent == []
    assert play.who.said() == [("reminder/push", "held", "ticket_open")]
    assert "ticket t1 open" in await play.story()
    await play.happens(TicketClosed(ticket_id="t1"))
    await play.passes(MINUTE)
    assert play.sent == ["reminder/push"]


async def test_two_open_tickets_must_both_close(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.happens(TicketOpened(ticket_id="t1"))
    await play.happens(TicketOpened(ticket_id="t2"))
    await play.passes(2 * HOUR)
    await play.happens(TicketClosed(ticket_id="t1"))
    await play.passes(MINUTE)
    assert play.sent == []
    await play.happens(TicketClosed(ticket_id="t2"))
    await play.passes(MINUTE)
    assert play.sent == ["reminder/push"]


async def test_a_purchase_during_the_hold_ends_the_journey(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.happens(TicketOpened(ticket_id="t1"))
    await play.passes(2 * HOUR)
    await play.happens(BOUGHT)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == []
    assert play.who.said() == [("reminder/push", "suppressed", "journey_ended")]


async def test_after_a_long_hold_the_cart_is_not_mentioned_any_more(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART)
    await play.happens(TicketOpened(ticket_id="t1"))
    await play.passes(8 * DAY)
    await play.happens(TicketClosed(ticket_id="t1"))
    assert (await play.ends()).kind is OutcomeKind.COMPLETED
    assert play.sent == []
    assert ("reminder/push", "suppressed", "no_longer_relevant") in play.who.said()


async def test_parameters_are_fixed_at_entry(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART, parameters={"patience": "PT3S"})
    await play.passes(timedelta(seconds=10))
    assert play.sent == ["reminder/push"]


async def test_the_cap_stops_the_second_reminder_and_says_why(stage: Rehearsal) -> None:
    play = await stage.play(AbandonedCart, CART, parameters={"cap": {"count": 1, "per": "P2D"}})
    await play.ends()
    assert play.sent == ["reminder/push"]
    assert ("gentle_reminder/push", "suppressed", "cap_reached") in play.who.said()


async def test_a_message_older_than_the_caps_span_does_not_count(stage: Rehearsal) -> None:
    cap = {"count": 1, "per": "PT23H"}
    play = await stage.play(AbandonedCart, CART, parameters={"cap": cap})
    await play.ends()
    assert play.sent == ["reminder/push", "gentle_reminder/push"]
