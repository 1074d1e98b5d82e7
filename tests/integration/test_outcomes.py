"""What is told of a message after it was handed over: one contract for both stores (21)."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.enrollments import EndRequest
from domain.events import (
    CartAbandoned,
    EmailBounced,
    EmailDelivered,
    EmailLinkClicked,
    EmailMarkedAsSpam,
    EmailOpened,
    Event,
    PushNotificationBounced,
    Resubscribed,
    Unsubscribed,
)
from domain.messages import (
    Cap,
    Go,
    Message,
    Reason,
    SendRequest,
    Sent,
    Stale,
    Suppressed,
    Template,
    Topic,
    Unknown,
    Verdict,
    email,
)
from domain.outcomes import Outcome
from infra.database.accept import Acceptor
from infra.database.pool import Pool
from tests.worlds import (
    CART,
    PostgresWorld,
    World,
    ask,
    by_email,
    by_push,
    memory_world,
    postgres_world,
    tell,
    track,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
SERVICE = Template("abandoned_cart/reminder", CartAbandoned, topic=Topic.SERVICE)
HARD = {"bounce_type": "hard", "reason": "550 5.1.1 no such mailbox"}


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest, pool: Pool) -> World:
    """A customer whom e-mail reaches, in one journey."""
    world = memory_world() if request.param == "memory" else await postgres_world(pool)
    await world.arrives(email="Ada@shop.example")
    return world


@pytest.fixture
async def real(pool: Pool) -> PostgresWorld:
    """The same in the real store."""
    world = await postgres_world(pool)
    await world.arrives(email="Ada@shop.example")
    return world


async def go(world: World, message: Message | None = None, **asked: Any) -> str:
    """Pass the gate; the message's id."""
    decision = await world.gate.decide(await _now(world, **asked), message or by_email())
    assert isinstance(decision, Go), decision
    return decision.message_id


async def _now(world: World, **asked: Any) -> SendRequest:
    """A request that has heard everything."""
    request = ask(world, **asked)
    return request.model_copy(update={"heard": len(await world.heard())})


async def unknown(world: World, **asked: Any) -> str:
    """A message whose provider did not say whether it has it."""
    message = await go(world, **asked)
    await world.gate.complete(message, Verdict.UNKNOWN, Reason.AMBIGUOUS, detail="lost")
    return message


async def sent(world: World, message: Message | None = None, **asked: Any) -> str:
    """A message that its provider took."""
    message_id = await go(world, message, **asked)
    await world.gate.complete(message_id, Verdict.SENT, Reason.SENT, detail="Your cart")
    return message_id


async def test_21_an_unknown_message_that_was_delivered_is_sent(world: World) -> None:
    message = await unknown(world)
    await world.acknowledge(EmailDelivered(email_id=message))
    assert await world.verdicts() == [("sent", "delivered")]
    assert "message_settled" in await world.heard()
    again = await world.gate.decide(await _now(world), by_email())
    assert again == Sent(channel="email", message_id=message)


@pytest.mark.parametrize("kind", [EmailOpened, EmailLinkClicked, EmailMarkedAsSpam, Unsubscribed])
async def test_21_whatever_a_customer_does_with_it_says_that_it_arrived(
    world: World, kind: Callable[..., Event]
) -> None:
    message = await unknown(world)
    await world.acknowledge(kind(email_id=f"<{message}@sojourn.localhost>"))
    assert await world.verdicts() == [("sent", "delivered")]


async def test_21_an_unknown_message_that_bounced_is_rejected_and_gives_its_places_back(
    world: World,
) -> None:
    cap = Cap(count=1)
    message = await unknown(world, cap=cap, objective="remind of c1")
    full = await world.gate.decide(await _now(world, step="b", cap=cap), by_push())
    assert isinstance(full, Suppressed)
    await world.acknowledge(EmailBounced(email_id=message, reason="mailbox full"))
    assert ("rejected", "bounced") in await world.verdicts()
    again = await world.gate.decide(await _now(world, cap=cap), by_email())
    assert again == Suppressed(reason=Reason.REJECTED, detail="email_bounced: mailbox full")
    await go(world, by_push(), step="b", cap=cap, objective="remind of c1")
    assert "email" in await world.addresses()


async def test_21_what_was_accepted_and_comes_back_stays_sent_and_gives_its_places_back(
    world: World,
) -> None:
    cap = Cap(count=1)
    message = await sent(world, cap=cap, objective="remind of c1")
    await world.acknowledge(EmailBounced(email_id=message))
    assert await world.verdicts() == [("sent", "bounced")]
    assert "message_settled" in await world.heard()
    again = await world.gate.decide(await _now(world), by_email())
    assert again == Sent(channel="email", message_id=message)
    await go(world, by_push(), step="b", cap=cap, objective="remind of c1")


async def test_21_a_hard_bounce_makes_the_address_dead_and_a_soft_one_does_not(
    world: World,
) -> None:
    message = await sent(world)
    await world.acknowledge(EmailBounced(email_id=message, bounce_type="soft"))
    assert "email" in await world.addresses()
    await world.acknowledge(EmailBounced(email_id=message, **HARD))
    assert "email" not in await world.addresses()
    assert "push" in await world.addresses()
    await world.arrives(email="new@shop.example")
    await world.acknowledge(EmailBounced(email_id=message, **HARD))
    assert (await world.addresses())["email"] == "new@shop.example"


async def test_g3_what_became_of_a_message_is_heard_before_another_is_decided(
    world: World,
) -> None:
    message = await unknown(world)
    heard = len(await world.heard())
    await world.acknowledge(EmailBounced(email_id=message))
    decision = await world.gate.decide(ask(world, heard=heard, step="b"), by_push())
    assert isinstance(decision, Stale)
    assert decision.news[0].name == "message_settled"
    told = decision.news[0].properties
    assert (told["message"], told["step"], told["channel"]) == (message, "reminder", "email")
    assert (told["verdict"], told["reason"]) == ("rejected", "bounced")


async def test_21_what_was_sent_is_delivered_quietly(world: World) -> None:
    message = await sent(world)
    before = (await world.heard()).count("message_settled")
    await world.acknowledge(EmailDelivered(email_id=message))
    await world.acknowledge(EmailOpened(email_id=message))
    assert await world.verdicts() == [("sent", "delivered")]
    assert (await world.heard()).count("message_settled") == before


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_21_of_several_reports_the_last_to_happen_counts_in_whatever_order_they_come(
    world: World, order: tuple[int, ...]
) -> None:
    message = await unknown(world)
    happened: list[Event] = [
        EmailBounced(email_id=message, bounce_type="soft"),
        EmailDelivered(email_id=message),
        EmailBounced(email_id=message, **HARD),
    ]
    for which in order:
        at = START + timedelta(minutes=which)
        await world.acknowledge(happened[which], at=at)
        await world.acknowledge(happened[which], at=at)
    (row,) = await world.verdicts()
    # Whether it was taken before it came back, only who was told in time can know.
    assert row == ("sent" if order.index(1) < order.index(2) else "rejected", "bounced")
    assert "email" not in await world.addresses()


async def test_21_a_bounce_before_the_provider_answers_is_not_unsaid_by_the_answer(
    world: World,
) -> None:
    message = await go(world)
    await world.acknowledge(EmailBounced(email_id=message, **HARD))
    for verdict, reason in ((Verdict.SENT, Reason.SENT), (Verdict.UNKNOWN, Reason.AMBIGUOUS)):
        assert await world.gate.complete(message, verdict, reason) is Verdict.REJECTED
    assert await world.verdicts() == [("rejected", "bounced")]
    # The send itself learns it from the ledger.
    assert "message_settled" not in await world.heard()


async def test_21_a_delivery_told_while_the_provider_is_called_is_not_made_unknown(
    world: World,
) -> None:
    message = await go(world)
    await world.acknowledge(EmailDelivered(email_id=message))
    now = await world.gate.complete(message, Verdict.UNKNOWN, Reason.AMBIGUOUS)
    assert now is Verdict.SENT
    request = await _now(world)
    by_this = request.model_copy(update={"messages": [by_email()]})
    assert await world.gate.unsettled(by_this) == set()


async def test_21_who_is_said_to_be_rejected_and_has_it_all_the_same_has_it(world: World) -> None:
    message = await go(world)
    await world.gate.complete(message, Verdict.REJECTED, Reason.REJECTED, detail="554")
    await world.acknowledge(EmailDelivered(email_id=message))
    assert await world.verdicts() == [("sent", "delivered")]


async def test_21_what_was_never_handed_over_cannot_come_back(world: World) -> None:
    await world.gate.skip(ask(world), by_email(), Reason.NO_LONGER_RELEVANT, "too old")
    for message in await world.messages():
        await world.acknowledge(EmailBounced(email_id=message))
    assert await world.verdicts() == [("suppressed", "no_longer_relevant")]


async def test_21_what_is_told_of_no_message_of_theirs_changes_nothing(world: World) -> None:
    message = await sent(world, step="other")
    await world.acknowledge(EmailBounced(email_id="msg_0"))
    await world.acknowledge(EmailBounced(email_id="some-newsletter"))
    await world.acknowledge(EmailBounced())
    # Of another channel it is another message.
    await world.acknowledge(PushNotificationBounced(message_id=message, bounce_type="hard"))
    assert ("sent", "accepted_by_provider") in await world.verdicts()
    assert set(await world.addresses()) == {"email", "push"}


async def test_21_after_the_end_the_ledger_learns_it_and_nobody_is_told(world: World) -> None:
    message = await unknown(world)
    end = EndRequest(
        enrollment_id=world.enrollment_id,
        customer_id=world.customer_id,
        heard=1,
        outcome=Outcome.completed(),
    )
    assert (await world.enrollments.end(end)).ended
    await world.acknowledge(EmailDelivered(email_id=message))
    assert await world.verdicts() == [("sent", "delivered")]
    assert "message_settled" not in await world.heard()


@pytest.mark.parametrize("kind", [Unsubscribed, EmailMarkedAsSpam])
async def test_g3_who_has_unsubscribed_gets_only_what_is_about_a_service(
    world: World, kind: Callable[..., Event]
) -> None:
    message = await sent(world)
    await world.acknowledge(kind(email_id=message), at=START)
    refused = await world.gate.decide(await _now(world, step="b"), by_email())
    name = "unsubscribed" if kind is Unsubscribed else "email_marked_as_spam"
    detail = f"{name} on 2026-03-01"
    assert refused == Suppressed(reason=Reason.UNSUBSCRIBED, detail=detail)
    assert Reason.UNSUBSCRIBED.curable_elsewhere
    await go(world, by_push(), step="b")
    await go(world, email(SERVICE, CART), step="receipt")


async def test_who_unsubscribes_need_not_say_by_which_message_and_may_come_back(
    world: World,
) -> None:
    await world.acknowledge(Resubscribed(), at=START)
    await world.acknowledge(Unsubscribed(), at=START + timedelta(hours=2))
    await world.acknowledge(Resubscribed(), at=START + timedelta(hours=1))
    refused = await world.gate.decide(await _now(world), by_email())
    assert isinstance(refused, Suppressed)
    await world.arrives(email="ada@SHOP.example")  # the same words again
    refused = await world.gate.decide(await _now(world, step="b"), by_email())
    assert isinstance(refused, Suppressed)
    await world.acknowledge(Resubscribed(), at=START + timedelta(hours=3))
    await go(world, step="c")


async def test_somebody_elses_report_changes_nothing_of_a_message(real: PostgresWorld) -> None:
    message = await unknown(real)
    bounce = EmailBounced(email_id=message, **HARD)
    await real.accept(tell("bob", email="bob@shop.example"), track("bob", bounce))
    assert await real.verdicts() == [("unknown", "provider_did_not_say")]
    assert set(await real.addresses()) == {"email", "push"}


async def test_who_unsubscribes_by_a_message_is_unsubscribed_where_it_went_whoever_says_so(
    real: PostgresWorld,
) -> None:
    message = await unknown(real)
    # The page behind the link is open on a device that nobody has named, or on another's.
    unsubscribes = track("bob", Unsubscribed(email_id=message), at=START)
    await real.accept(tell("bob", email="bob@shop.example"), unsubscribes)
    refused = await real.gate.decide(await _now(real, step="b"), by_email())
    assert isinstance(refused, Suppressed)
    assert refused.reason is Reason.UNSUBSCRIBED
    assert await real.pool.fetchval("select string_agg(address, ' ') from suppression") == (
        "ada@shop.example"
    )
    assert ("unknown", "provider_did_not_say") in await real.verdicts()


async def _may_mail(real: PostgresWorld, step: str) -> bool:
    return isinstance(await real.gate.decide(await _now(real, step=step), by_email()), Go)


async def test_who_only_claims_an_address_unsubscribes_nobody_else_there(
    real: PostgresWorld,
) -> None:
    message = await unknown(real)
    claims = tell("eve", email="ADA@shop.example")
    await real.accept(claims, track("eve", Unsubscribed(), at=START))
    assert await _may_mail(real, "b")
    # By the message it counts for all, and nobody who only claims the address takes it back.
    later = START + timedelta(hours=1)
    await real.accept(track(real.user_id, Unsubscribed(email_id=message), at=START))
    await real.accept(track("eve", Resubscribed(), at=later))
    assert not await _may_mail(real, "c")
    who = "select customer_id from identity where value = $1"
    eve = await real.pool.fetchval(who, "eve")
    held = "select count(*) from unsubscribed($1, 'email', 'ada@shop.example')"
    assert await real.pool.fetchval(held, eve) == 1
    await real.accept(track(real.user_id, Resubscribed(), at=later))
    assert await _may_mail(real, "d")
    assert await real.pool.fetchval(held, eve) == 0


async def test_who_unsubscribed_before_a_merge_is_unsubscribed_after_it(
    real: PostgresWorld,
) -> None:
    await real.accept(track(real.user_id, Unsubscribed(), at=START))
    alias = track("stays", CART)._replace(
        type="alias", name="alias", effects={"alias": {"previous_id": real.user_id}}
    )
    await real.accept(tell("stays", first_name="Ada"))
    await real.accept(alias)
    assert not await _may_mail(real, "b")
    await real.accept(track("stays", Resubscribed(), at=START + timedelta(hours=1)))
    assert await _may_mail(real, "c")


async def test_a_report_for_a_customer_who_was_merged_finds_the_message(
    real: PostgresWorld,
) -> None:
    message = await unknown(real)
    alias = track("stays", CART)._replace(
        type="alias", name="alias", effects={"alias": {"previous_id": real.user_id}}
    )
    await real.accept(tell("stays", first_name="Ada"))
    await real.accept(alias)
    await real.accept(track(real.user_id, EmailDelivered(email_id=message)))
    row = await real.pool.fetchrow("select customer_id, verdict from message")
    assert row["verdict"] == "sent"
    assert row["customer_id"] != real.customer_id


async def test_the_merge_and_the_report_may_be_in_one_batch(real: PostgresWorld) -> None:
    message = await unknown(real)
    await real.accept(tell("stays", first_name="Ada"))
    alias = track("stays", CART)._replace(
        type="alias", name="alias", effects={"alias": {"previous_id": real.user_id}}
    )
    await real.accept(track(real.user_id, EmailDelivered(email_id=message)), alias)
    assert await real.pool.fetchval("select verdict from message") == "sent"


async def test_the_same_report_twice_is_one_decision_and_the_counts_stay_right(
    real: PostgresWorld,
) -> None:
    message = await unknown(real)
    delivered = track(
        real.user_id, EmailDelivered(email_id=message, provider_id="pm-1"), message_id="d"
    )
    await real.accept(delivered, delivered)
    await real.accept(delivered)
    await real.acknowledge(EmailOpened(email_id=message))
    row = await real.pool.fetchrow("select * from message")
    told = [(d["verdict"], d["reason"], d["detail"]) for d in row["decisions"]]
    assert told == [
        ("sending", "on_its_way", ""),
        ("unknown", "provider_did_not_say", "lost"),
        ("sent", "delivered", "email_delivered"),
    ]
    assert row["provider_id"] == "pm-1"
    counts = {
        (r["verdict"], r["channel"]): r["messages"]
        for r in await real.pool.fetch("select * from message_counts()")
    }
    assert {key: n for key, n in counts.items() if n} == {("sent", "email"): 1}


async def test_what_is_told_again_and_again_keeps_the_beginning_of_its_story_and_the_end(
    real: PostgresWorld,
) -> None:
    message = await unknown(real)
    told: list[Event] = [EmailBounced(email_id=message), EmailDelivered(email_id=message)]
    reports = [track(real.user_id, told[number % 2]) for number in range(99)]
    await real.accept(*reports, track(real.user_id, EmailOpened(email_id=message)))
    row = await real.pool.fetchrow("select verdict, reason, decisions from message")
    assert (row["verdict"], row["reason"]) == ("sent", "delivered")
    assert len(row["decisions"]) == 50
    assert [row["decisions"][which]["verdict"] for which in (0, -1)] == ["sending", "sent"]
    assert row["decisions"][-1]["detail"] == "email_opened"


async def test_many_reports_at_once_and_the_providers_answer_are_one_story(
    real: PostgresWorld,
) -> None:
    message = await go(real)
    answered = real.gate.complete(message, Verdict.UNKNOWN, Reason.AMBIGUOUS)
    reports = [real.acknowledge(EmailDelivered(email_id=message)) for _ in range(20)]
    await asyncio.gather(*reports[:10], answered, *reports[10:])
    row = await real.pool.fetchrow("select * from message")
    assert (row["verdict"], row["reason"]) == ("sent", "delivered")
    told = [decision["verdict"] for decision in row["decisions"]]
    assert told in (["sending", "sent"], ["sending", "unknown", "sent"])
    assert (await real.heard()).count("message_settled") == told.count("unknown")


async def test_a_report_and_what_else_is_in_the_batch_are_numbered_one_after_the_other(
    real: PostgresWorld,
) -> None:
    message = await unknown(real)
    await real.pool.execute("update enrollment set listens = listens || '{email_delivered}'")
    await real.pool.execute("insert into heard_name values ('email_delivered')")
    delivered = track(real.user_id, EmailDelivered(email_id=message))
    await real.accept(delivered, track(real.user_id, EmailOpened(email_id=message)))
    assert await real.heard() == ["cart_abandoned", "message_settled", "email_delivered"]
    row = await real.pool.fetchrow("select last_number, last from enrollment, backlog")
    assert tuple(row) == (3, 3)


async def test_the_relay_is_woken_where_a_journey_is_told_and_not_for_what_is_as_expected(
    real: PostgresWorld,
) -> None:
    message = await unknown(real)
    woken: list[str] = []
    acceptor = Acceptor(real.pool, lambda: woken.append("now"))
    await acceptor.accept([track(real.user_id, EmailDelivered(email_id=message))])
    assert woken == ["now"]
    await acceptor.accept([track(real.user_id, EmailOpened(email_id=message))])
    assert woken == ["now"]
    await acceptor.close()


async def test_a_device_that_has_told_its_token_since_is_not_dead(real: PostgresWorld) -> None:
    message = await sent(real, by_push())
    bounced = PushNotificationBounced(message_id=message, bounce_type="hard")
    await real.acknowledge(bounced, at=START)
    assert "push" in await real.addresses()
    await real.acknowledge(bounced)
    assert "push" not in await real.addresses()


async def test_a_row_that_was_unknown_is_answered_so_until_the_truth_comes(world: World) -> None:
    message = await unknown(world)
    again = await world.gate.decide(await _now(world), by_email())
    assert again == Unknown(channel="email", message_id=message, detail="lost")
