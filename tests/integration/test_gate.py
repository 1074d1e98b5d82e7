"""The gate and the ledger: one contract, held by the real store and by the one in memory."""

import asyncio
from datetime import timedelta

import pytest

from domain.enrollments import EndRequest
from domain.events import PurchaseMade, TicketClosed, TicketOpened
from domain.messages import (
    Cap,
    Go,
    Held,
    Reason,
    Sent,
    Stale,
    Suppressed,
    Topic,
    Unknown,
    Verdict,
)
from domain.outcomes import Outcome
from infra.database.accept import Acceptor
from infra.database.pool import Pool
from tests.worlds import (
    PostgresWorld,
    World,
    ask,
    by_email,
    by_push,
    memory_world,
    postgres_world,
    service,
    track,
)

BOUGHT = PurchaseMade(order_id="o1", cart_id="c1")


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest, pool: Pool) -> World:
    """One enrollment that has heard number 1."""
    return memory_world() if request.param == "memory" else await postgres_world(pool)


@pytest.fixture
async def real(pool: Pool) -> PostgresWorld:
    """The real store alone."""
    return await postgres_world(pool)


async def test_nothing_in_the_way_reserves_and_says_where_to(world: World) -> None:
    decision = await world.gate.decide(ask(world), by_push())
    assert isinstance(decision, Go)
    assert decision.address == "token"
    assert decision.in_flight_since is None
    assert await world.verdicts() == [("sending", "on_its_way")]


async def test_g3_what_was_acknowledged_and_not_heard_makes_the_decision_stale(
    world: World,
) -> None:
    await world.acknowledge(BOUGHT)
    decision = await world.gate.decide(ask(world), by_push())
    assert isinstance(decision, Stale)
    assert [(e.number, e.name) for e in decision.news] == [(2, "purchase_made")]
    assert await world.verdicts() == [("stale", "unheard_news")]
    assert isinstance(await world.gate.decide(ask(world, heard=2), by_push()), Go)


async def test_g3_counts_for_a_retry_too(world: World) -> None:
    first = await world.gate.decide(ask(world), by_push())
    assert isinstance(first, Go)
    await world.gate.not_taken(first.message_id, "busy")
    await world.acknowledge(BOUGHT)
    assert isinstance(await world.gate.decide(ask(world), by_push()), Stale)


async def test_an_open_ticket_holds_promotion_and_lets_service_pass(world: World) -> None:
    await world.acknowledge(TicketOpened(ticket_id="t1"))
    held = await world.gate.decide(ask(world, heard=2), by_push())
    assert held == Held(reason=Reason.TICKET_OPEN, detail="ticket t1 open")
    assert isinstance(await world.gate.decide(ask(world, heard=2, step="s"), service()), Go)
    await world.acknowledge(TicketClosed(ticket_id="t1"))
    assert isinstance(await world.gate.decide(ask(world, heard=3), by_push()), Go)


async def test_no_address_is_suppressed_with_its_reason(world: World) -> None:
    decision = await world.gate.decide(ask(world), by_email())
    assert isinstance(decision, Suppressed)
    assert decision.reason is Reason.NO_ADDRESS
    assert await world.verdicts() == [("suppressed", "no_address")]


async def test_g4_what_was_sent_stays_sent_however_often_it_is_asked(world: World) -> None:
    go = await world.gate.decide(ask(world), by_push())
    assert isinstance(go, Go)
    await world.gate.complete(go.message_id, Verdict.SENT, Reason.SENT)
    await world.gate.complete(go.message_id, Verdict.UNKNOWN, Reason.AMBIGUOUS)
    await world.acknowledge(BOUGHT)
    again = await world.gate.decide(ask(world), by_push())
    assert again == Sent(channel="push", message_id=go.message_id)
    assert await world.verdicts() == [("sent", "accepted_by_provider")]


async def test_g4_a_call_without_an_answer_must_be_settled_first(world: World) -> None:
    go = await world.gate.decide(ask(world), by_push())
    assert isinstance(go, Go)
    again = await world.gate.decide(ask(world), by_push())
    assert isinstance(again, Go)
    assert again.message_id == go.message_id
    assert again.in_flight_since is not None
    await world.gate.complete(go.message_id, Verdict.UNKNOWN, Reason.AMBIGUOUS, detail="lost")
    unknown = await world.gate.decide(ask(world), by_push())
    assert unknown == Unknown(channel="push", message_id=go.message_id, detail="lost")


async def test_a_rejection_for_good_stands_and_takes_a_dead_address_out(world: World) -> None:
    go = await world.gate.decide(ask(world), by_push())
    assert isinstance(go, Go)
    await world.gate.complete(
        go.message_id, Verdict.REJECTED, Reason.REJECTED, detail="gone", dead_address="token"
    )
    again = await world.gate.decide(ask(world), by_push())
    assert again == Suppressed(reason=Reason.REJECTED, detail="gone")
    other = await world.gate.decide(ask(world, step="other"), by_push())
    assert isinstance(other, Suppressed)
    assert other.reason is Reason.NO_ADDRESS


async def test_the_cap_counts_promotion_only_and_a_rejection_gives_the_place_back(
    world: World,
) -> None:
    cap = Cap(count=1, per=timedelta(hours=1))
    assert isinstance(await world.gate.decide(ask(world, step="s", cap=cap), service()), Go)
    go = await world.gate.decide(ask(world, step="a", cap=cap), by_push())
    assert isinstance(go, Go)
    full = await world.gate.decide(ask(world, step="b", cap=cap), by_push())
    assert isinstance(full, Suppressed)
    assert full.reason is Reason.CAP_REACHED
    await world.gate.complete(go.message_id, Verdict.REJECTED, Reason.REJECTED)
    assert isinstance(await world.gate.decide(ask(world, step="b", cap=cap), by_push()), Go)


async def test_the_same_objective_is_met_once(world: World) -> None:
    go = await world.gate.decide(ask(world, step="a", objective="goal"), by_push())
    assert isinstance(go, Go)
    second = await world.gate.decide(ask(world, step="b", objective="goal"), by_push())
    assert isinstance(second, Suppressed)
    assert second.reason is Reason.ALREADY_SENT
    assert isinstance(await world.gate.decide(ask(world, step="c", objective="x"), by_push()), Go)


async def test_14_an_enrollment_ends_only_when_it_has_heard_everything(world: World) -> None:
    await world.acknowledge(BOUGHT)
    end = EndRequest(
        enrollment_id=world.enrollment_id,
        customer_id=world.customer_id,
        heard=1,
        outcome=Outcome.completed(),
    )
    answer = await world.enrollments.end(end)
    assert not answer.ended
    assert [event.number for event in answer.news] == [2]
    heard = end.model_copy(update={"heard": 2})
    assert (await world.enrollments.end(heard)).ended
    assert (await world.enrollments.end(heard)).ended  # twice changes nothing


async def test_14_what_was_heard_while_ending_is_brought_again_to_whoever_has_forgotten_it(
    world: World,
) -> None:
    # A worker dies between the end and the completion of its workflow task.
    await world.acknowledge(BOUGHT)
    end = EndRequest(
        enrollment_id=world.enrollment_id,
        customer_id=world.customer_id,
        heard=2,
        outcome=Outcome.completed(),
    )
    assert (await world.enrollments.end(end)).ended
    again = await world.enrollments.end(end.model_copy(update={"heard": 1}))
    assert not again.ended
    assert [event.number for event in again.news] == [2]
    assert (await world.enrollments.end(end)).ended


async def test_after_the_end_nothing_is_sent_and_what_was_parked_says_why(world: World) -> None:
    await world.acknowledge(TicketOpened(ticket_id="t1"))
    await world.gate.decide(ask(world, heard=2), by_push())
    await world.enrollments.end(
        EndRequest(
            enrollment_id=world.enrollment_id,
            customer_id=world.customer_id,
            heard=2,
            outcome=Outcome.converted("bought"),
        )
    )
    assert await world.verdicts() == [("suppressed", "journey_ended")]
    late = await world.gate.decide(ask(world, heard=2, step="late"), service())
    assert isinstance(late, Suppressed)
    assert late.reason is Reason.ENROLLMENT_OVER


async def test_the_journeys_own_no_is_written_down(world: World) -> None:
    await world.gate.skip(ask(world), by_push(), Reason.NO_LONGER_RELEVANT, "too old")
    assert await world.verdicts() == [("suppressed", "no_longer_relevant")]


async def test_what_was_sent_is_not_unsaid_by_a_later_no(world: World) -> None:
    go = await world.gate.decide(ask(world), by_push())
    assert isinstance(go, Go)
    await world.gate.complete(go.message_id, Verdict.SENT, Reason.SENT)
    await world.gate.skip(ask(world), by_push(), Reason.NO_LONGER_RELEVANT, "after a reset")
    assert await world.verdicts() == [("sent", "accepted_by_provider")]


async def test_g5_fifty_triggers_at_once_never_exceed_the_cap(real: PostgresWorld) -> None:
    cap = Cap(count=3, per=timedelta(days=1))
    decisions = await asyncio.gather(
        *(real.gate.decide(ask(real, step=f"s{n}", cap=cap), by_push()) for n in range(50))
    )
    assert sum(isinstance(decision, Go) for decision in decisions) == 3


async def test_g3_a_decision_waits_for_an_acknowledgement_that_is_under_way(
    real: PostgresWorld,
) -> None:
    async with real.pool.acquire() as connection:
        accepting = connection.transaction()
        await accepting.start()
        await Acceptor(connection, lambda: None).accept([track(real.user_id, BOUGHT)])
        deciding = asyncio.create_task(real.gate.decide(ask(real), by_push()))
        await asyncio.sleep(0.3)
        assert not deciding.done()
        await accepting.commit()  # only now is it acknowledged
    assert isinstance(await deciding, Stale)


async def test_g3_an_acknowledgement_waits_for_a_decision_that_is_under_way(
    real: PostgresWorld,
) -> None:
    async with real.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select 1 from customer where id = $1 for no key update", real.customer_id
        )
        acknowledging = asyncio.create_task(real.acknowledge(BOUGHT))
        await asyncio.sleep(0.3)
        assert not acknowledging.done()
    await acknowledging
    assert isinstance(await real.gate.decide(ask(real), by_push()), Stale)


async def test_a_late_answer_completes_what_the_end_left_unknown(world: World) -> None:
    go = await world.gate.decide(ask(world), by_push())
    assert isinstance(go, Go)
    assert await world.gate.unsettled(ask(world)) == {ask(world).key(by_push())}
    await world.gate.skip(ask(world), by_push(), Reason.NOT_CONFIGURED, "another worker")
    assert await world.verdicts() == [("sending", "on_its_way")]
    await world.enrollments.end(
        EndRequest(
            enrollment_id=world.enrollment_id,
            customer_id=world.customer_id,
            heard=1,
            outcome=Outcome.completed(),
        )
    )
    assert await world.verdicts() == [("unknown", "provider_did_not_say")]
    now = await world.gate.complete(go.message_id, Verdict.SENT, Reason.SENT)
    assert now is Verdict.SENT
    assert await world.verdicts() == [("sent", "accepted_by_provider")]


async def test_a_rejection_is_not_made_unknown_by_a_later_attempt(world: World) -> None:
    go = await world.gate.decide(ask(world), by_push())
    assert isinstance(go, Go)
    await world.gate.complete(go.message_id, Verdict.REJECTED, Reason.REJECTED)
    now = await world.gate.complete(go.message_id, Verdict.UNKNOWN, Reason.AMBIGUOUS)
    assert now is Verdict.REJECTED


async def test_every_decision_is_kept_with_its_time_and_reason(real: PostgresWorld) -> None:
    await real.acknowledge(TicketOpened(ticket_id="t1"))
    await real.gate.decide(ask(real), by_push())
    await real.gate.decide(ask(real, heard=2), by_push())
    await real.acknowledge(TicketClosed(ticket_id="t1"))
    go = await real.gate.decide(ask(real, heard=3), by_push())
    assert isinstance(go, Go)
    await real.gate.complete(go.message_id, Verdict.SENT, Reason.SENT)
    decisions = await real.pool.fetchval(
        "select decisions from message where id = $1", go.message_id
    )
    assert [d["verdict"] for d in decisions] == ["stale", "held", "sending", "sent"]
    assert all(d["at"] and d["reason"] for d in decisions)


async def test_feedback_is_held_and_not_counted() -> None:
    assert Topic.FEEDBACK.held
    assert not Topic.FEEDBACK.capped
