"""What a rehearsal shows of a journey, and what it does not let pass."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

from domain.errors import JourneyError
from domain.events import CartAbandoned, PurchaseMade, TicketClosed, TicketOpened
from domain.messages import Accepted, RejectedForNow
from domain.outcomes import OutcomeKind
from journeys.abandoned_cart import AbandonedCart
from rehearsal import DidNotPark, NeverEnds, NotDeterministic, NotEntered, NotPlayed, Rehearsal
from rehearsal.calls import by_name
from rehearsal.clock import Clock
from rehearsal.engine import Engine
from tests.unit.family_specimens import Errand, Mistaken, Sends, TriesAgain
from tests.unit.rehearsal_specimens import (
    DAY,
    HOUR,
    Asks,
    AsksSales,
    Counts,
    DividesByZero,
    HasAChild,
    Leads,
    LooksAtTheClock,
    Only,
    Patched,
    Pauses,
    Quarter,
    Rolls,
    Tries,
    TwoADay,
    WaitsForEver,
)
from tests.unit.specimens import NoTemplate, OneSend, Receipt
from workflows import Journey, Outcome

CART = CartAbandoned(cart_id="c1")
BOUGHT = PurchaseMade(order_id="o1", cart_id="c1")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Gone(Exception):
    """What the activity's retry policy knows to be final."""


async def test_a_mistake_fails_the_test_at_once_with_its_own_traceback(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(DividesByZero, CART)
    with pytest.raises(ZeroDivisionError) as mistake:
        await play.passes(30 * DAY)
    assert "rehearsal_specimens.py" in {Path(entry.path).name for entry in mistake.traceback}
    assert "timer: sleep: pause of 1 hour" in "".join(mistake.value.__notes__)
    assert rehearsal.now < NOON


async def test_17_a_test_can_ask_for_the_mistake_and_events_are_kept(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(DividesByZero, CART)
    with pytest.raises(DidNotPark):
        await play.parks()
    await play.passes(HOUR)
    assert isinstance(await play.parks(), ZeroDivisionError)
    await play.happens(TicketOpened(ticket_id="t1"))
    assert play.outcome is None
    with pytest.raises(NeverEnds, match=r"parked by a mistake: .*ZeroDivisionError"):
        await play.ends()


async def test_a_template_that_is_not_there_fails_the_test_at_once(rehearsal: Rehearsal) -> None:
    with pytest.raises(JourneyError, match="no_such_template"):
        await rehearsal.play(NoTemplate, CART)


async def test_it_says_what_is_awaited_and_until_when(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    (awaited,) = play.awaits
    assert awaited.what == "wait_for_purchase_made: purchase_made, 1 hour at most"
    assert awaited.until == rehearsal.now + HOUR
    await play.ends()
    assert play.awaits == []


async def test_it_shows_the_words_that_were_sent_and_why_others_were_not(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(AbandonedCart, CART, addresses={"email": "ada@example.test"})
    await play.passes(HOUR)
    (mail,) = play.handed
    assert (mail.step, mail.channel, mail.address) == ("reminder", "email", "ada@example.test")
    assert mail.subject == "Your cart is still here"
    assert mail.html is not None
    assert mail.at == rehearsal.now
    assert isinstance(mail.answer, Accepted)
    assert play.not_sent == {"reminder/push": "no_address"}
    assert "reminder/push suppressed: no_address (no address for push)" in play.timeline


async def test_ninety_days_take_no_time(rehearsal: Rehearsal) -> None:
    began = rehearsal.now
    play = await rehearsal.play(Quarter, CART)
    assert await play.ends() == Outcome.completed("c1 90")
    assert rehearsal.now == began + 90 * DAY


async def test_a_wait_without_an_end_is_told_and_does_not_hang(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(WaitsForEver, CART)
    with pytest.raises(NeverEnds, match="it waits for ever"):
        await play.ends()


async def test_a_journey_that_takes_longer_than_it_may_is_told(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Quarter, CART)
    with pytest.raises(NeverEnds, match="more than 10 days"):
        await play.ends(within=10 * DAY)


async def test_a_send_that_a_provider_never_takes_is_told(rehearsal: Rehearsal) -> None:
    rehearsal.channels["push"].answers = [RejectedForNow("busy")] * 2_000
    play = await rehearsal.play(OneSend, CART)
    with pytest.raises(NeverEnds, match=r"'send' failed \d+ times: .*busy"):
        await play.ends()


async def test_a_provider_is_asked_again_when_it_says_so(rehearsal: Rehearsal) -> None:
    rehearsal.channels["push"].answers = [RejectedForNow("busy", retry_after=HOUR)]
    play = await rehearsal.play(OneSend, CART)
    await play.passes(HOUR - timedelta(seconds=1))
    assert len(play.sent) == 1
    await play.passes(timedelta(seconds=1))
    assert len(play.sent) == 2


@pytest.mark.parametrize(
    ("moment", "zone", "utc"),
    [
        ("2026-03-29 02:30", "Europe/Berlin", "01:00"),  # the clock jumps over it
        ("2026-10-25 02:30", "Europe/Berlin", "00:30"),  # it comes twice
        ("2026-07-01 12:00", "Pacific/Auckland", "00:00"),
        ("2026-07-01T12:00:00+02:00", "UTC", "10:00"),
    ],
)
async def test_it_begins_and_goes_on_by_any_clock(moment: str, zone: str, utc: str) -> None:
    async with Rehearsal(at=moment, zone=zone) as begins:
        assert f"{begins.now:%H:%M}" == utc
    async with Rehearsal() as goes_on:
        play = await goes_on.play(Quarter, CART, time_zone=zone)
        await play.at(moment)
        assert f"{goes_on.now:%H:%M}" == utc


async def test_what_a_test_changes_of_a_customer_is_that_customers_alone(
    rehearsal: Rehearsal,
) -> None:
    traits = {"owner": "sue"}
    changed = rehearsal.customer(traits=traits)
    changed.traits["owner"] = "tom"
    assert rehearsal.customer(traits=traits).traits == {"owner": "sue"}


async def test_time_does_not_go_back(rehearsal: Rehearsal) -> None:
    with pytest.raises(ValueError, match="time does not go back"):
        await rehearsal.at("2025-12-31 12:00")


async def test_an_activity_of_the_teams_own_is_tried_again_in_virtual_time() -> None:
    attempts: list[tuple[int, list[int], datetime]] = []

    @activity.defn(name="stock")
    async def stock(cart_id: str) -> str:
        info = activity.info()
        attempts.append((info.attempt, list(info.heartbeat_details), info.started_time))
        activity.heartbeat(10 * info.attempt)
        if info.attempt < 3:
            raise ApplicationError("not yet")
        return f"{cart_id}: 7 left"

    async with Rehearsal(at=NOON, activities=[stock]) as rehearsal:
        play = await rehearsal.play(Tries, CART)
        assert (await play.ends()).reason == "c1: 7 left at 15:00"
    assert attempts == [(1, [], NOON), (2, [10], NOON + HOUR), (3, [20], NOON + 3 * HOUR)]


@pytest.mark.parametrize(
    "error", [ApplicationError("no", non_retryable=True), type("Gone", (Exception,), {})()]
)
async def test_an_activity_that_fails_for_good_is_the_journeys_matter(error: Exception) -> None:
    @activity.defn(name="stock")
    def stock(_: str) -> str:
        raise error

    async with Rehearsal(activities=[stock]) as rehearsal:
        play = await rehearsal.play(Tries, CART, settled=False)
        assert "ActivityError" in repr(await play.parks())
        assert play.execution.retrying() == []


async def test_8_a_scope_stops_an_activity_that_is_to_be_tried_again() -> None:
    @activity.defn(name="stock")
    async def stock(_: str) -> str:
        raise ConnectionError("nobody there")

    async with Rehearsal(at=NOON, activities=[stock]) as rehearsal:
        play = await rehearsal.play(Tries, CART)
        await play.happens(BOUGHT)
        assert (await play.ends()).reason == "nothing at 12:00"


@pytest.mark.parametrize(
    ("journey", "said"),
    [(Tries, "the activity 'stock'"), (HasAChild, "the workflow 'Child'")],
)
async def test_what_is_not_played_is_named(
    rehearsal: Rehearsal, journey: type[Journey[CartAbandoned]], said: str
) -> None:
    with pytest.raises(NotPlayed, match=said):
        await rehearsal.play(journey, CART)


async def test_a_child_is_played_in_the_journeys_time() -> None:
    async with Rehearsal(at=NOON, workflows=[Errand], replays=True) as rehearsal:
        play = await rehearsal.play(Sends, CART)
        (awaited,) = play.awaits
        assert (awaited.what, awaited.until - rehearsal.now) == ("Errand: a timer", HOUR)
        assert (await play.ends()).reason == "c1 in time"
        assert rehearsal.now.hour == 13


async def test_a_mistake_of_a_child_is_the_journeys() -> None:
    async with Rehearsal(workflows=[Mistaken]) as rehearsal:
        with pytest.raises(ZeroDivisionError):
            await rehearsal.play(Sends, CART)


async def test_a_child_that_would_be_tried_again_is_not_played() -> None:
    async with Rehearsal(workflows=[Errand]) as rehearsal:
        with pytest.raises(NotPlayed, match="Errand with a retry policy"):
            await rehearsal.play(TriesAgain, CART)


async def test_an_update_is_checked_and_answered(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Asks, CART)
    with pytest.raises(ApplicationError, match="not more than half"):
        await play.update("discount", 80)
    assert await play.update("discount", 20) == "20 %"
    assert (await play.ends()).reason == "20 c1"


async def test_played_again_a_deterministic_journey_asks_for_the_same() -> None:
    async with Rehearsal(replays=True) as rehearsal:
        cart = await rehearsal.play(AbandonedCart, CART)
        patched = await rehearsal.play(Patched, CART)
        assert (await cart.ends()).kind is OutcomeKind.COMPLETED
        assert (await patched.ends()).reason == "new c1"


async def test_played_again_what_is_not_deterministic_fails_at_once() -> None:
    async with Rehearsal(replays=True) as rehearsal:
        with pytest.raises(NotDeterministic, match="Rolls, played again"):
            await rehearsal.play(Rolls, CART)


async def test_in_the_sandbox_a_journey_may_not_look_at_the_clock() -> None:
    async with Rehearsal(sandboxed=True) as rehearsal:
        with pytest.raises(RestrictedWorkflowAccessError, match="datetime"):
            await rehearsal.play(LooksAtTheClock, CART)


async def test_5_every_live_enrollment_of_a_customer_hears_and_the_cap_is_one(
    rehearsal: Rehearsal,
) -> None:
    first = await rehearsal.play(AbandonedCart, CART, parameters={"cap": {"count": 1}})
    other = CartAbandoned(cart_id="c2")
    second = await rehearsal.play(
        AbandonedCart, other, who=first.who, parameters={"cap": {"count": 1}}
    )
    await second.passes(2 * HOUR)
    assert first.sent == ["reminder/push"]
    assert second.not_sent == {"reminder/push": "cap_reached"}
    await first.happens(PurchaseMade(order_id="o1"))
    assert (await first.ends()).kind is (await second.ends()).kind is OutcomeKind.CONVERTED


async def test_10_a_hold_holds_every_journey_of_its_customer_and_nobody_elses(
    rehearsal: Rehearsal,
) -> None:
    ada = await rehearsal.play(OneSend, CART, TicketOpened(ticket_id="t1"))
    receipt = await rehearsal.play(Receipt, CART, who=ada.who)
    ben = await rehearsal.play(OneSend, CART)
    assert (ada.sent, len(receipt.sent), ben.sent) == ([], 1, ["reminder/push"])
    await ada.happens(TicketClosed(ticket_id="t1"))
    assert ada.sent == ["reminder/push"]


async def test_10_a_close_before_its_open_closes_it(rehearsal: Rehearsal) -> None:
    ada = rehearsal.customer()
    await rehearsal.happens(ada, TicketClosed(ticket_id="t1"))
    await rehearsal.happens(ada, TicketOpened(ticket_id="t1"))
    assert ada.holds == []
    await rehearsal.passes(HOUR)
    await rehearsal.happens(ada, TicketOpened(ticket_id="t1"))
    assert ada.holds == ["ticket t1"]


async def test_13_an_entry_is_refused_with_its_reason(rehearsal: Rehearsal) -> None:
    with pytest.raises(NotEntered, match="its `where` says no"):
        await rehearsal.play(Only, CartAbandoned(cart_id="c1", total=0))
    only = await rehearsal.play(Only, CART)
    with pytest.raises(NotEntered, match="entered only once"):
        await rehearsal.play(Only, CART, who=only.who)
    pauses = await rehearsal.play(Pauses, CART)
    with pytest.raises(NotEntered, match="already enrolled"):
        await rehearsal.play(Pauses, CART, who=pauses.who)
    await rehearsal.play(Pauses, CartAbandoned(cart_id="c2"), who=pauses.who)
    await pauses.ends()
    with pytest.raises(NotEntered, match="too soon after the exit"):
        await rehearsal.play(Pauses, CART, who=pauses.who)
    await rehearsal.passes(DAY)
    await rehearsal.play(Pauses, CART, who=pauses.who)


async def test_13_a_journey_may_be_entered_while_inside_and_so_often_a_day(
    rehearsal: Rehearsal,
) -> None:
    first = await rehearsal.play(TwoADay, CART)
    await rehearsal.play(TwoADay, CART, who=first.who)
    with pytest.raises(NotEntered, match=r"takes 2 entries a day.*2026-01-05 \(UTC\)"):
        await rehearsal.play(TwoADay, CART)
    await rehearsal.passes(DAY)
    await rehearsal.play(TwoADay, CART)


async def test_a_journey_leads_into_another_and_hears_of_its_end(rehearsal: Rehearsal) -> None:
    with pytest.raises(NotPlayed, match="leads into only"):
        await rehearsal.play(Leads, CART)
    async with Rehearsal(journeys=[Only]) as complete:
        leads = await complete.play(Leads, CART)
        (only,) = complete.plays[1:]
        assert only.who is leads.who
        assert (await only.ends()) == Outcome.completed("c1")
        assert (await leads.ends()).reason == "completed"


async def test_a_person_is_asked_and_answers(rehearsal: Rehearsal) -> None:
    who = rehearsal.customer()
    await rehearsal.happens(who, PurchaseMade(order_id="before"))
    play = await rehearsal.play(AsksSales, CART, who=who)
    (task,) = play.tasks
    assert (task.state, task.role, task.deadline) == ("open", "sales", rehearsal.now + DAY)
    with pytest.raises(ApplicationError, match="one of yes, no is asked for"):
        await play.answers("perhaps")
    await play.answers("yes", by="sue")
    assert (task.state, task.by) == ("answered", "sue")
    assert (await play.ends()).reason == "1 a yes"
    nobody = await rehearsal.play(AsksSales, CART)
    assert (await nobody.ends()).reason == "0 a None"
    assert nobody.tasks[0].state == "expired"


async def test_12_after_the_worker_was_down_what_was_due_is_late(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    await rehearsal.is_down(3 * HOUR)
    assert play.sent == ["reminder/push"]
    assert play.handed[0].at == rehearsal.now
    assert "2 hours ago: the system was down" in await play.story()


async def test_16_terminated_it_is_not_asked_and_makes_room(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, CART)
    play.terminate()
    assert (await play.ends()).kind is OutcomeKind.TERMINATED
    again = await rehearsal.play(AbandonedCart, CART, who=play.who)
    await again.passes(2 * HOUR)
    assert (play.sent, again.sent) == ([], ["reminder/push"])


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """One that tells workflows at every chance to continue as new."""
    made = Engine(Clock(NOON), by_name([]), replays=True, suggests_new=True)
    yield made
    await made.close()


async def test_18_a_workflow_continues_as_new_and_hears_on(engine: Engine) -> None:
    counts = engine.start(Counts, "counts", 0)
    await engine.settle()
    for _ in range(3):
        counts.signal("add")
        await engine.settle()
    counts.signal("add")
    counts.signal("finish")
    await engine.settle()
    assert counts.runs == 4
    assert counts.result is not None
    assert counts.result.data == b'"4 3 counts run 3"'


def test_under_a_test_that_fails_stands_what_happened(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from domain.events import CartAbandoned
        from journeys.abandoned_cart import AbandonedCart

        async def test_it(rehearsal):
            play = await rehearsal.play(AbandonedCart, CartAbandoned(cart_id="c1"))
            assert play.sent == ["reminder/push"]
        """
    )
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    ran = pytester.runpytest_subprocess("-p", "rehearsal.plugin")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        [
            "*What happened in the rehearsal*",
            "*timer: wait_for_purchase_made: purchase_made, 1 hour at most*",
        ]
    )
