"""What support staff read on a journey's page (G6)."""

from datetime import timedelta

from domain.events import CartAbandoned, TicketOpened
from journeys.abandoned_cart import AbandonedCart
from rehearsal import Rehearsal

CART = CartAbandoned(cart_id="c1")


async def test_why_a_channel_was_passed_over_stands_beside_the_one_that_was_taken(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(AbandonedCart, CART, addresses={"email": "ada@example.test"})
    await play.passes(timedelta(hours=2))
    assert (
        "✉ **reminder** sent by email; not by push: no_address, no address for push"
        in await play.story()
    )


async def test_where_nobody_can_be_reached_every_reason_is_said(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART, addresses={})
    await play.passes(timedelta(hours=2))
    story = await play.story()
    assert "✗ **reminder** not sent: no_address, no address for email; not by push" in story


async def test_the_step_is_named_and_parameters_are_json(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    story = await play.story()
    assert "**Step:** `wait_for_purchase_made`" in story
    assert '| cap | `{"count": 3, "per": "P1D"}` |' in story


async def test_a_hold_says_when_it_is_looked_at_again_and_not_when_it_ends(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    await play.happens(TicketOpened(ticket_id="t1"))
    await play.passes(timedelta(hours=2))
    story = await play.story()
    assert "**Looks again:**" in story
    assert "Until at the latest" not in story


async def test_the_timeline_has_the_steps_name_before_what_is_awaited(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    (wait,) = play.awaits
    assert wait.what == "wait_for_purchase_made: purchase_made, 1 hour at most"
    await play.happens(TicketOpened(ticket_id="t1"))
    await play.passes(timedelta(hours=2))
    (held,) = play.awaits
    assert held.what.startswith("reminder: held: ticket t1")
