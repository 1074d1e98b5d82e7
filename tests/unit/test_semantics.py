"""What a journey may rely on, case by case (the numbers are those of docs/semantics.md)."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus as Status
from temporalio.exceptions import ApplicationError

from domain.events import CartAbandoned, PurchaseMade, TicketClosed, TicketOpened
from domain.messages import Ambiguous, Parcel, RejectedForGood, RejectedForNow
from domain.outcomes import OutcomeKind
from rehearsal import Rehearsal
from tests.unit.specimens import (
    CleansUp,
    EmptyScope,
    Fails,
    HearsTickets,
    Holds,
    Nested,
    OneSend,
    OneSendLater,
    Receipt,
    TwoWaits,
)

CART = CartAbandoned(cart_id="c1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _bought(order: str, cart: str | None = None) -> PurchaseMade:
    return PurchaseMade(order_id=order, cart_id=cart)


async def test_1_events_from_before_the_first_wait_are_kept_and_taken_once_each(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(TwoWaits, CART, _bought("o1"))
    await play.happens(_bought("o2"))
    assert (await play.ends()).reason == "o1 o2 c1"


async def test_1_what_one_wait_took_no_other_wait_gets(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(TwoWaits, CART, _bought("o1"))
    assert (await play.ends()).reason == "o1 None c1"


async def test_1_a_relayed_event_is_heard_at_once_and_not_only_when_the_journey_asks(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    await play.happens(_bought("o1"))
    status = await play.query("status")
    assert status["heard"] == 2
    assert status["untaken"] == ["purchase_made e2"]
    assert "could not be read" not in status["story"]


async def test_3_numbers_come_in_any_order_any_number_of_times(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    first, second = (play.acknowledge(_bought(o)) for o in ("o1", "o2"))
    await play.relay(second)
    assert (await play.query("status"))["missing"] == 2
    await play.relay(first)
    await play.relay(second, first, first)
    status = await play.query("status")
    assert (status["heard"], status["missing"]) == (3, None)
    assert (await play.ends()).reason == "o1 o2 c1"


@pytest.mark.parametrize(
    "payload",
    [
        (),
        ("text",),
        (None,),
        (5,),
        ([],),
        ([1],),
        ({"number": 2},),
        ({"number": "x", "event_id": 1},),
        ([{"number": 2, "name": "purchase_made"}],),
        ({},),
        ({"order_id": {"deep": [1]}},),
        ({"order_id": "o1"}, {"second": "argument"}),
    ],
)
@pytest.mark.parametrize("signal", ["purchase_made", "events", "no_such_signal"])
async def test_4_nothing_sent_to_a_signal_fails_a_task(
    rehearsal: Rehearsal, signal: str, payload: tuple[Any, ...]
) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    await play.signal(signal, *payload)
    await play.happens(_bought("o1"))
    outcome = await play.ends()
    assert outcome.kind is OutcomeKind.COMPLETED
    assert "o1" in outcome.reason


async def test_4_what_cannot_be_read_is_shown_to_support_and_the_journey_goes_on(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    broken = play.acknowledge(_bought("o1"))
    broken.properties.clear()
    await play.relay(broken)
    assert "could not be read" in await play.story()
    await play.happens(_bought("o2"))
    assert (await play.ends()).reason == "o2 None c1"


async def test_4_an_event_sent_by_hand_counts_and_is_shown_as_such(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    await play.signal("purchase_made", {"order_id": "by hand"})
    await play.settles()
    assert "by hand in the Temporal UI" in await play.story()
    assert (await play.ends()).reason == "by hand None c1"


async def test_4_a_number_taken_by_hand_does_not_swallow_the_real_event(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    copied = {
        "number": 2,
        "name": "purchase_made",
        "event_id": "copied",
        "occurred_at": "2026-01-01T00:00:00+00:00",
        "properties": {"order_id": "copied"},
    }
    await play.signal("purchase_made", [copied])
    await play.happens(_bought("real"))
    assert (await play.ends()).reason == "copied real c1"


async def test_4_an_envelope_by_itself_was_sent_by_hand(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    properties = {"order_id": "by hand"}
    envelope = {"number": 2, "event_id": "e", "properties": properties}
    await play.signal("purchase_made", envelope)
    await play.happens(_bought("real"))
    assert "by hand in the Temporal UI" in await play.story()
    assert (await play.ends()).reason == "by hand real c1"


async def test_8_until_looks_at_what_has_arrived_untaken_when_it_is_entered(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(Nested, CART, _bought("o1", "c1"))
    assert (await play.ends()).reason == "outer o1"


async def test_8_what_follows_a_scope_without_waits_is_not_interrupted_by_it(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(EmptyScope, CART, _bought("o1"))
    assert (await play.ends()).reason == "c1 True"


async def test_8_a_purchase_while_sending_still_counts_the_message(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(OneSend, CART, addresses={})
    assert (await play.ends()).reason == "suppressed False"

    async def buys(_: Parcel) -> None:
        await play.happens(_bought("o1"))

    rehearsal.channels["push"].on_deliver = buys
    play = await rehearsal.play(OneSend, CART, settled=False)
    outcome = await play.ends()
    assert play.sent == ["reminder/push"]
    assert "sent by push" in await play.story()
    assert outcome.reason == "interrupted True"


async def test_9_nested_scopes_the_outermost_match_wins(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Nested, CART)
    await play.happens(_bought("o1", "another cart"))
    await play.happens(_bought("o2", "c1"))
    assert (await play.ends()).reason == "outer o2 inner o1"


async def test_10_a_service_message_passes_an_open_ticket(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Receipt, CART, holds=["ticket t1"])
    assert (await play.ends()).reason == "sent"


async def test_10_hold_parks_until_the_ticket_is_closed(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Holds, CART, TicketOpened(ticket_id="t1"), traits={"tier": "gold"})
    await play.passes(5 * HOUR)
    await play.happens(TicketClosed(ticket_id="t1"))
    assert (await play.ends()).reason == "5 c1 gold"


async def test_10_a_hold_lifted_unheard_is_found_by_looking_again(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Holds, CART, TicketOpened(ticket_id="t1"))
    await play.passes(HOUR)
    play.who.holds.clear()
    assert (await play.ends()).reason == "24 c1 None"


async def test_an_event_that_opens_a_hold_can_be_waited_for_like_others(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(HearsTickets, CART)
    await play.happens(TicketOpened(ticket_id="t1"))
    assert (await play.ends()).reason == "t1 c1"


async def test_g3_news_that_the_relay_has_not_brought_stops_the_send(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(OneSendLater, CART)
    await play.happens(_bought("o1"), relayed=False)
    assert (await play.ends()).reason == "interrupted True"
    assert play.sent == []
    assert play.who.said() == [("reminder/push", "suppressed", "journey_ended")]
    assert "there is news to hear first" in await play.story()


async def test_14_ending_hears_first_what_was_acknowledged(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(TwoWaits, CART)
    await play.passes(2 * DAY)
    await play.happens(_bought("late"), relayed=False)
    await play.ends()
    assert "heard **purchase_made** `e2`" in await play.story()


async def test_16_cancel_runs_the_clean_up_and_is_recorded(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(CleansUp, CART)
    await play.settles()
    await play.cancel()
    assert (await play.ends()).kind is OutcomeKind.CANCELLED
    assert play.status is Status.CANCELED
    assert "cleaned up c1" in await play.story()


async def test_17_only_the_journeys_own_error_ends_it_as_failed(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Fails, CART)
    outcome = await play.ends()
    assert isinstance(play.failure, ApplicationError)
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == "nothing to do for c1"


async def test_19_a_send_retried_after_a_rejection_for_now_is_one_row_and_one_message(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.channels["push"].answers = [RejectedForNow("busy"), RejectedForNow("busy")]
    play = await rehearsal.play(OneSend, CART)
    assert (await play.ends()).reason == "sent False"
    assert play.sent == ["reminder/push"] * 3  # two were not taken
    assert len(play.who.ledger) == 1


async def test_20_send_first_goes_on_when_the_provider_rejects_for_good(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.channels["push"].answers = [RejectedForGood("gone", address_is_dead=True)]
    play = await rehearsal.play(OneSend, CART)
    assert (await play.ends()).reason == "sent False"
    assert play.sent == ["reminder/push", "reminder/email"]
    assert "push" not in play.who.addresses


async def test_20_send_first_does_not_go_on_for_a_cap_over_all_channels(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(OneSend, CART, parameters={"cap": {"count": 0}})
    assert (await play.ends()).reason == "suppressed False"
    assert play.who.said() == [("reminder/push", "suppressed", "cap_reached")]


async def test_21_an_ambiguous_answer_is_neither_sent_nor_failed_and_not_repeated(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.channels["push"].answers = [Ambiguous("connection lost")]
    play = await rehearsal.play(OneSend, CART)
    assert (await play.ends()).reason == "unknown False"
    assert play.sent == ["reminder/push"]
    assert play.who.said() == [("reminder/push", "unknown", "provider_did_not_say")]


async def test_21_a_service_message_is_repeated_when_in_doubt(rehearsal: Rehearsal) -> None:
    rehearsal.channels["email"].answers = [Ambiguous("connection lost")]
    play = await rehearsal.play(Receipt, CART)
    assert (await play.ends()).reason == "sent"
    assert play.sent == ["gentle_reminder/email"] * 2


async def test_20_send_first_goes_on_where_a_channel_is_not_configured(
    rehearsal: Rehearsal,
) -> None:
    push = rehearsal.channels.pop("push")
    try:
        play = await rehearsal.play(OneSend, CART)
        assert (await play.ends()).reason == "sent False"
    finally:
        rehearsal.channels["push"] = push
    assert play.who.said() == [
        ("reminder/push", "suppressed", "channel_not_configured"),
        ("reminder/email", "sent", "accepted_by_provider"),
    ]
