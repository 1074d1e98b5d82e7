"""Scopes, cancellation and bugs at the worst moments (semantics 8, 9, 16, 17)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from domain.events import CartAbandoned, PurchaseMade, SurveyAnswered, TicketClosed, TicketOpened
from domain.outcomes import OutcomeKind
from tests.plays import Play, Stage
from tests.unit.specimens import (
    DAY,
    HeldThenNot,
    LookInScope,
    NestedAtEntry,
    NoTemplate,
    OwnWaitInScope,
    PlainEnd,
    RaisesInScope,
)

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1")


class Slow:
    """Makes an answer of the store wait until it is let go."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage, self._name, self._real = stage, name, getattr(stage.store, name)
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        setattr(stage.store, name, self._answer)

    async def _answer(self, *arguments: Any) -> Any:
        self.asked.set()
        await asyncio.wait_for(self.go.wait(), 10)
        return await self._real(*arguments)

    def restore(self) -> None:
        """As it was."""
        setattr(self._stage.store, self._name, self._real)


@pytest.fixture
def slow_look_up(stage: Stage) -> Iterator[Slow]:
    """The customer's look-up takes its time."""
    slow = Slow(stage, "get")
    yield slow
    slow.restore()


@pytest.fixture
def slow_end(stage: Stage) -> Iterator[Slow]:
    """Ending takes its time."""
    slow = Slow(stage, "end")
    yield slow
    slow.restore()


async def _signalled(play: Play) -> None:
    envelope = play.who.acknowledge(BOUGHT)
    await play.handle.signal(envelope.name, [envelope])


async def _cancelled(play: Play) -> None:
    with pytest.raises(WorkflowFailureError):
        await play.ends()
    assert (await play.handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert play.who.outcome is not None
    assert play.who.outcome.kind is OutcomeKind.CANCELLED


async def _eventually(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await ask():  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(0.05)


async def _parked(play: Play) -> None:
    assert (await play.handle.describe()).status is WorkflowExecutionStatus.RUNNING
    assert play.who.outcome is None
    await play.handle.terminate()


async def test_8_an_event_during_a_look_up_ends_the_scope(stage: Stage, slow_look_up: Slow) -> None:
    play = await stage.play(LookInScope, CART)
    await asyncio.wait_for(slow_look_up.asked.wait(), 10)
    await _signalled(play)
    slow_look_up.go.set()
    assert (await play.ends()).reason == "nothing True"
    assert play.sent == []


async def test_8_an_event_and_the_look_ups_answer_at_once_end_the_scope(
    stage: Stage, slow_look_up: Slow
) -> None:
    play = await stage.play(LookInScope, CART)
    await asyncio.wait_for(slow_look_up.asked.wait(), 10)
    slow_look_up.go.set()
    await _signalled(play)
    outcome = await play.ends()
    # Whichever came first: a message only if it was decided before the purchase was heard.
    assert outcome.reason in {"nothing True", "sent True"}
    assert play.sent == ([] if outcome.reason == "nothing True" else ["reminder/push"])


async def test_8_a_scope_interrupts_temporals_own_waits(stage: Stage) -> None:
    play = await stage.play(OwnWaitInScope, CART)
    await play.happens(BOUGHT)
    assert (await play.ends()).reason == "c1 True"


async def test_9_both_events_there_at_entry_the_outer_scope_ends(stage: Stage) -> None:
    play = await stage.play(NestedAtEntry, CART, BOUGHT, SurveyAnswered(survey="s", score=1))
    assert (await play.ends()).reason == "interrupted True False"
    assert play.sent == []


async def test_9_both_events_at_once_in_the_middle_the_outer_scope_ends(stage: Stage) -> None:
    play = await stage.play(NestedAtEntry, CART)
    await play.passes(DAY / 2)
    inner = play.who.acknowledge(SurveyAnswered(survey="s", score=1))
    outer = play.who.acknowledge(BOUGHT)
    await play.relay(inner, outer)
    assert (await play.ends()).reason == "interrupted True True"
    assert play.sent == []


async def test_16_cancel_during_a_look_up_is_recorded(stage: Stage, slow_look_up: Slow) -> None:
    play = await stage.play(LookInScope, CART)
    await asyncio.wait_for(slow_look_up.asked.wait(), 10)
    await play.handle.cancel()
    slow_look_up.go.set()
    await _cancelled(play)


async def test_16_cancel_while_ending_is_too_late(stage: Stage, slow_end: Slow) -> None:
    play = await stage.play(PlainEnd, CART)
    await asyncio.wait_for(slow_end.asked.wait(), 10)
    await play.handle.cancel()
    slow_end.go.set()
    assert (await play.ends()).kind is OutcomeKind.COMPLETED


async def test_16_cancel_while_held_is_recorded(stage: Stage) -> None:
    play = await stage.play(HeldThenNot, CART, TicketOpened(ticket_id="t1"))
    await play.settles()
    await play.handle.cancel()
    await _cancelled(play)
    assert play.who.said() == [("reminder/push", "suppressed", "journey_ended")]


async def test_17_a_missing_template_parks_the_message_and_sends_nothing(stage: Stage) -> None:
    play = await stage.play(NoTemplate, CART)

    async def noted() -> bool:
        return any("no_such_template" in row.detail for row in play.who.ledger.values())

    await _eventually(noted)
    (row,) = play.who.ledger.values()
    assert row.in_flight_since is None
    await _parked(play)


async def test_17_the_journeys_own_failure_inside_a_scope_that_is_over(stage: Stage) -> None:
    play = await stage.play(RaisesInScope, CART, BOUGHT)
    with pytest.raises(WorkflowFailureError) as failure:
        await play.ends()
    assert isinstance(failure.value.cause, ApplicationError)
    assert play.who.outcome is not None
    assert play.who.outcome.reason == "c1"


async def test_10_after_a_hold_a_no_closes_every_row_of_the_send(stage: Stage) -> None:
    push = stage.channels.pop("push")
    try:
        play = await stage.play(HeldThenNot, CART, TicketOpened(ticket_id="t1"))
        await play.passes(3 * DAY)
        await play.happens(TicketClosed(ticket_id="t1"))
        await play.passes(DAY)
    finally:
        stage.channels["push"] = push
    assert {verdict for _, verdict, _ in play.who.said()} == {"suppressed"}
    await play.handle.terminate()
