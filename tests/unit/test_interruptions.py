"""Scopes, cancellation and bugs at the worst moments (semantics 8, 9, 16, 17)."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus as Status
from temporalio.exceptions import ApplicationError

from domain.events import CartAbandoned, PurchaseMade, SurveyAnswered, TicketClosed, TicketOpened
from domain.outcomes import OutcomeKind
from rehearsal import Play, Rehearsal
from rehearsal.protocol.jobs import answers
from rehearsal.protocol.values import CONVERTER
from tests.unit.specimens import (
    DAY,
    HeldThenNot,
    LookInScope,
    NestedAtEntry,
    NoTemplate,
    OwnActivityInScope,
    OwnWaitInScope,
    PlainEnd,
    RaisesInScope,
)

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1")


class Slow:
    """Makes an answer of the store wait until it is let go."""

    def __init__(self, rehearsal: Rehearsal, name: str) -> None:
        self._store, self._name, self._real = rehearsal.store, name, getattr(rehearsal.store, name)
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        setattr(rehearsal.store, name, self._answer)

    async def _answer(self, *arguments: Any) -> Any:
        self.asked.set()
        await asyncio.wait_for(self.go.wait(), 10)
        return await self._real(*arguments)

    def restore(self) -> None:
        """As it was."""
        setattr(self._store, self._name, self._real)


@pytest.fixture
def slow_look_up(rehearsal: Rehearsal) -> Iterator[Slow]:
    """The customer's look-up takes its time."""
    slow = Slow(rehearsal, "get")
    yield slow
    slow.restore()


@pytest.fixture
def slow_end(rehearsal: Rehearsal) -> Iterator[Slow]:
    """Ending takes its time."""
    slow = Slow(rehearsal, "end")
    yield slow
    slow.restore()


async def _signalled(play: Play) -> None:
    envelope = play.acknowledge(BOUGHT)
    play.execution.signal(envelope.name, [envelope])


async def _cancelled(play: Play) -> None:
    outcome = await play.ends()
    assert play.status is Status.CANCELED
    assert outcome.kind is OutcomeKind.CANCELLED


async def test_8_an_event_during_a_look_up_ends_the_scope(
    rehearsal: Rehearsal, slow_look_up: Slow
) -> None:
    play = await rehearsal.play(LookInScope, CART, settled=False)
    await asyncio.wait_for(slow_look_up.asked.wait(), 10)
    await _signalled(play)
    slow_look_up.go.set()
    assert (await play.ends()).reason == "nothing True"
    assert play.sent == []


async def test_8_an_event_and_the_look_ups_answer_at_once_end_the_scope(
    rehearsal: Rehearsal, slow_look_up: Slow
) -> None:
    play = await rehearsal.play(LookInScope, CART, settled=False)
    await asyncio.wait_for(slow_look_up.asked.wait(), 10)
    slow_look_up.go.set()
    await _signalled(play)
    outcome = await play.ends()
    # Whichever came first: a message only if it was decided before the purchase was heard.
    assert outcome.reason in {"nothing True", "sent True"}
    assert play.sent == ([] if outcome.reason == "nothing True" else ["reminder/push"])


async def test_8_a_scope_interrupts_temporals_own_waits(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(OwnWaitInScope, CART)
    await play.happens(BOUGHT)
    assert (await play.ends()).reason == "c1 True"


@pytest.mark.parametrize("run_length", [None, 0])
async def test_8_nothing_begins_in_a_scope_that_ended_as_an_activity_of_ones_own_answered(
    run_length: int | None,
) -> None:
    asked = asyncio.Event()

    @activity.defn
    async def score() -> str:
        asked.set()
        await asyncio.sleep(60)
        raise AssertionError

    async with Rehearsal(activities=[score]) as rehearsal:
        play = await rehearsal.play(OwnActivityInScope, CART, run_length=run_length, settled=False)
        await asked.wait()
        (call,) = play.execution.running()

        def both() -> None:
            # In one turn: the SDK gives the answer to whoever the event has just cancelled.
            envelope = play.acknowledge(BOUGHT)
            play.execution.signal(envelope.name, [envelope])
            call.drop()
            play.execution._resolve(call, answers(call.command, CONVERTER.to_payload("high")))

        rehearsal.engine.soon(both)
        assert (await play.ends()).reason == "nothing True"
        assert play.sent == []


async def test_9_both_events_there_at_entry_the_outer_scope_ends(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(NestedAtEntry, CART, BOUGHT, SurveyAnswered(survey="s", score=1))
    assert (await play.ends()).reason == "interrupted True False"
    assert play.sent == []


async def test_9_both_events_at_once_in_the_middle_the_outer_scope_ends(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(NestedAtEntry, CART)
    await play.passes(DAY / 2)
    inner = play.acknowledge(SurveyAnswered(survey="s", score=1))
    outer = play.acknowledge(BOUGHT)
    await play.relay(inner, outer)
    assert (await play.ends()).reason == "interrupted True True"
    assert play.sent == []


async def test_16_cancel_during_a_look_up_is_recorded(
    rehearsal: Rehearsal, slow_look_up: Slow
) -> None:
    play = await rehearsal.play(LookInScope, CART, settled=False)
    await asyncio.wait_for(slow_look_up.asked.wait(), 10)
    play.execution.cancel()
    slow_look_up.go.set()
    await _cancelled(play)


async def test_16_cancel_while_ending_is_too_late(rehearsal: Rehearsal, slow_end: Slow) -> None:
    play = await rehearsal.play(PlainEnd, CART, settled=False)
    await asyncio.wait_for(slow_end.asked.wait(), 10)
    play.execution.cancel()
    slow_end.go.set()
    assert (await play.ends()).kind is OutcomeKind.COMPLETED


async def test_16_cancel_while_held_is_recorded(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(HeldThenNot, CART, TicketOpened(ticket_id="t1"))
    await play.settles()
    await play.cancel()
    await _cancelled(play)
    assert play.who.said() == [("reminder/push", "suppressed", "journey_ended")]


async def test_17_a_missing_template_parks_the_message_and_sends_nothing(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(NoTemplate, CART, settled=False)

    assert "no_such_template" in str(await play.parks())
    await play.passes(DAY / 24)
    (row,) = play.ledger
    assert "no_such_template" in row.detail
    assert row.in_flight_since is None
    assert play.status is Status.RUNNING
    assert play.outcome is None


async def test_17_the_journeys_own_failure_inside_a_scope_that_is_over(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(RaisesInScope, CART, BOUGHT)
    assert (await play.ends()).reason == "c1"
    assert isinstance(play.failure, ApplicationError)


async def test_10_after_a_hold_a_no_closes_every_row_of_the_send(rehearsal: Rehearsal) -> None:
    push = rehearsal.channels.pop("push")
    try:
        play = await rehearsal.play(HeldThenNot, CART, TicketOpened(ticket_id="t1"))
        await play.passes(3 * DAY)
        await play.happens(TicketClosed(ticket_id="t1"))
        await play.passes(DAY)
    finally:
        rehearsal.channels["push"] = push
    assert {verdict for _, verdict, _ in play.who.said()} == {"suppressed"}
