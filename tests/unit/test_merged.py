"""A journey whose customer turns out to be another, in skipped time."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus as Status

from domain.events import CUSTOMER_MERGED, CartAbandoned, Envelope, Event, PurchaseMade
from domain.outcomes import OutcomeKind
from journeys.abandoned_cart import AbandonedCart
from rehearsal import Play, Rehearsal
from tests.unit.specimens import PlainEnd, Tidy
from workflows import Journey
from workflows.attributes import CUSTOMER, STATE

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1", cart_id="c1")


def _merge(play: Play, into: str, *, over: bool = False) -> Envelope:
    """As the merging transaction does: the news is numbered, the person known by both ids."""
    acknowledged = play.enrollment.acknowledged
    number = len(acknowledged) + 1
    ended = [play.enrollment.enrollment_id] if over else []
    told: dict[str, Any] = {
        "customer_id": into,
        "merged": play.who.customer_id,
        "ended": ended,
    }
    envelope = Envelope(number, CUSTOMER_MERGED, f"merge-{number}", "2026-01-01T00:00:00Z", told)
    acknowledged.append(envelope)
    play.stage.store.people[into] = play.who
    return envelope


async def test_a_journey_goes_on_under_the_customer_who_stays(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    await play.passes(timedelta(minutes=30))
    await play.relay(_merge(play, "cus_stays"))
    assert play.attributes[CUSTOMER] == "cus_stays"
    assert "customer `cus_stays`" in await play.story()
    await play.passes(timedelta(minutes=31))
    assert play.sent == ["reminder/push"]
    await play.happens(BOUGHT)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED


async def test_g3_nothing_is_sent_before_the_merge_is_heard(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    await play.settles()
    _merge(play, "cus_late")
    bought: Event = BOUGHT
    await play.happens(bought, relayed=False)  # by the other, told together with the merge
    await play.passes(timedelta(hours=1, minutes=1))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == []


async def test_the_younger_of_two_ends_as_merged_and_sends_nothing_more(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    await play.settles()
    await play.relay(_merge(play, "cus_older", over=True))
    assert play.status is Status.COMPLETED  # without that any of its time had to pass
    outcome = await play.ends()
    assert outcome.kind is OutcomeKind.MERGED
    assert play.sent == []
    assert play.attributes[STATE] == "merged"


async def test_the_younger_is_over_wherever_it_stands(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Tidy, CART)
    await play.settles()
    await play.relay(_merge(play, "cus_before", over=True))
    assert play.status is Status.COMPLETED  # without that any of its time had to pass
    assert (await play.ends()).kind is OutcomeKind.MERGED
    assert "tidying up" in await play.story()


@pytest.mark.parametrize("journey", [AbandonedCart, PlainEnd])
async def test_a_journey_that_begins_with_the_news_that_it_is_over_ends(
    rehearsal: Rehearsal, journey: type[Journey[CartAbandoned, Any]]
) -> None:
    play = await rehearsal.play(journey, CART, settled=False)
    news = _merge(play, "cus_early", over=True)
    await play.signal(CUSTOMER_MERGED, [news])
    await play.settles()
    assert play.status is Status.COMPLETED  # without that any of its time had to pass
    assert (await play.ends()).kind is OutcomeKind.MERGED


async def test_of_two_through_the_same_journey_the_older_goes_on(rehearsal: Rehearsal) -> None:
    older = await rehearsal.play(AbandonedCart, CART)
    younger = await rehearsal.play(AbandonedCart, CART, addresses={"push": "other"})
    other = await rehearsal.play(AbandonedCart, CartAbandoned(cart_id="c2"), who=younger.who)
    await rehearsal.merges(younger.who, older.who)
    assert younger.status is Status.COMPLETED
    assert (await younger.ends()).kind is OutcomeKind.MERGED
    await older.passes(timedelta(hours=1))
    assert (older.sent, younger.sent) == (["reminder/push"], [])
    assert older.handed[0].address == "other"
    assert other.who is older.who
    await older.happens(PurchaseMade(order_id="o1"))
    assert (await older.ends()).kind is (await other.ends()).kind is OutcomeKind.CONVERTED


async def test_what_the_other_did_since_it_began_is_heard_with_the_merge(
    rehearsal: Rehearsal,
) -> None:
    other = rehearsal.customer()
    await rehearsal.happens(other, PurchaseMade(order_id="before", cart_id="c1"))
    play = await rehearsal.play(AbandonedCart, CART)
    await rehearsal.happens(other, PurchaseMade(order_id="another", cart_id="c2"))
    await rehearsal.merges(other, play.who)
    assert play.status is Status.RUNNING
    elsewhere = rehearsal.customer()
    await rehearsal.happens(elsewhere, BOUGHT)
    await rehearsal.merges(play.who, elsewhere, relayed=False)
    await play.passes(timedelta(hours=1))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == []


@pytest.mark.parametrize("payload", [None, {"customer_id": "cus_x", "ended": []}, [{"a": 1}], 7])
async def test_4_nobody_is_merged_by_hand(rehearsal: Rehearsal, payload: Any) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    await play.settles()
    args = [] if payload is None else [payload]
    await play.signal(CUSTOMER_MERGED, *args)
    await play.settles()
    story = await play.story()
    assert "could not be read" in story
    assert f"customer `{play.who.customer_id}`" in story
    await play.happens(BOUGHT)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED


def test_no_event_type_may_take_the_runtimes_name() -> None:
    with pytest.raises(TypeError, match="runtime's own"):
        type("CustomerMerged", (Event,), {"__module__": __name__})
