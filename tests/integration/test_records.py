"""Looking back, variants, tasks, one journey from another: both stores keep one contract."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.enrollments import ONCE, EndRequest, EnterRequest
from domain.experiments import HELD_OUT, holdout
from domain.history import LookBack
from domain.outcomes import Outcome, OutcomeKind
from domain.splits import choose, held_out
from domain.tasks import OpenedTask, TaskAnswer, TaskRequest, TaskSettlement
from infra.database.backlog import Backlog
from infra.database.pool import Pool
from tests.records import NOW, InMemory, OnPostgres, Records, assignment, before, end, wish


@pytest.fixture(params=["memory", "postgres"])
def records(request: pytest.FixtureRequest, pool: Pool) -> Records:
    return InMemory() if request.param == "memory" else OnPostgres(pool)


@pytest.fixture
def real(pool: Pool) -> OnPostgres:
    return OnPostgres(pool)


# Looking back.


async def _back(records: Records, enrollment_id: str, *names: str, **more: Any) -> list[Any]:
    request = LookBack(
        customer_id=await records.owner(enrollment_id),
        enrollment_id=enrollment_id,
        names=list(names),
        **{"since": before(days=30), **more},
    )
    found = await records.history.look_back(request)
    assert all(event.number == 0 for event in found)
    return [event.properties.get("n") for event in found]


async def test_6_a_look_back_finds_what_was_asked_for_from_before_the_entry(
    records: Records,
) -> None:
    await records.acknowledge("ada", "bought", before(days=2), n=2)
    await records.acknowledge("ada", "bought", before(days=5), n=1)  # uploaded later
    await records.acknowledge("ada", "viewed", before(days=1), n=3)
    await records.acknowledge("ada", "left", before(days=1), n="not asked for")
    await records.acknowledge("eve", "bought", before(days=1), n="hers")
    enrollment = await records.enroll("ada", "tour", listens=("bought",))
    await records.acknowledge("ada", "bought", before(days=3), n="heard by the journey")
    assert await _back(records, enrollment, "bought", "viewed") == [1, 2, 3]
    assert await _back(records, enrollment, "viewed", "viewed") == [3]
    assert await _back(records, enrollment, "bought", since=before(days=3)) == [2]
    assert await _back(records, enrollment) == []


async def test_6_what_began_the_journey_is_not_from_before_it(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    assert await _back(records, enrollment, "begin") == []


async def test_of_more_than_wanted_a_look_back_gives_what_arrived_last(records: Records) -> None:
    for n, days in enumerate((9, 1, 3, 2)):
        await records.acknowledge("ada", "bought" if n % 2 else "viewed", before(days=days), n=n)
    enrollment = await records.enroll("ada", "tour")
    assert await _back(records, enrollment, "bought", "viewed", most=2) == [2, 3]
    assert await _back(records, enrollment, "bought", "viewed", most=3) == [2, 3, 1]


async def test_a_look_back_sees_what_happened_under_every_id_of_the_customer(
    records: Records,
) -> None:
    await records.acknowledge("phone", "bought", before(days=2), n=1)
    await records.acknowledge("ada", "bought", before(days=1), n=2)
    enrollment = await records.enroll("phone", "tour")
    asked_as = await records.owner(enrollment)
    await records.merge("ada", "phone")
    assert await _back(records, enrollment, "bought") == [1, 2]
    late = LookBack(
        customer_id=asked_as, enrollment_id=enrollment, names=["bought"], since=before(days=30)
    )
    assert len(await records.history.look_back(late)) == 2


async def test_a_page_named_like_an_event_is_not_looked_back_at(real: OnPostgres) -> None:
    await real.accept(real.event("ada", "bought", {}, before(days=1), kind="page"))
    enrollment = await real.enroll("ada", "tour")
    assert await _back(real, enrollment, "bought") == []


async def test_a_look_back_of_nobody_says_so(real: OnPostgres) -> None:
    request = LookBack(customer_id="cus_x", enrollment_id="enr_x", names=[], since=NOW)
    with pytest.raises(LookupError, match="no enrollment enr_x"):
        await real.history.look_back(request)


async def test_a_million_events_before_do_not_slow_a_look_back(real: OnPostgres) -> None:
    customer = await real.customer("ada")
    await real.pool.execute(
        "insert into event (source_id, message_id, customer_id, type, name, occurred_at,"
        " received_at, properties) select 1, 'old' || n, $1, 'track',"
        " case when n % 4 = 0 then 'bought' else 'viewed' end, t, t, '{}'"
        " from generate_series(1, 1000000) n,"
        " lateral (select $2::timestamptz - interval '40 days' + n * interval '1 s') x (t)",
        customer,
        before(hours=1),
        timeout=300,
    )
    await real.pool.execute("vacuum event")  # as PostgreSQL does by itself
    enrollment = await real.enroll("ada", "tour")
    often: list[float] = []
    never: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        assert len(await _back(real, enrollment, "bought", since=before(days=90))) == 100
        assert len(await _back(real, enrollment, "bought", "viewed", since=before(days=90))) == 100
        assert await _back(real, enrollment, "bought", since=before(days=26)) == []
        often.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert await _back(real, enrollment, "never", since=before(days=90)) == []
        never.append(time.perf_counter() - began)
    # Beyond what is asked for nothing is read; what is not there is looked for in the index alone.
    assert min(often) < 0.2, often
    assert min(never) < 2, never


# Variants.


async def test_a_customer_is_dealt_what_growthbook_would_deal(records: Records) -> None:
    for user in ("ada", "eve", "mia"):
        customer = await records.customer(user)
        dealt = await records.experiments.assign(assignment(customer))
        assert dealt == choose({"a": 1, "b": 1, "c": 2}, "subject line", customer)
        share = assignment(customer, "nothing", weights=holdout(0.4), kind="holdout")
        held = await records.experiments.assign(share) == HELD_OUT
        assert held is held_out(0.4, "nothing", customer)


async def test_the_first_variant_stays_whatever_the_weights_are_later(records: Records) -> None:
    customer = await records.customer("ada")
    assert await records.experiments.assign(assignment(customer, weights={"a": 1})) == "a"
    later: dict[str, Any] = {"weights": {"b": 1}, "journey": "other", "enrollment_id": "enr_2"}
    assert await records.experiments.assign(assignment(customer, **later)) == "a"
    assert await records.experiments.assign(assignment(customer, "another", **later)) == "b"


async def test_weights_that_make_no_split_are_a_mistake(records: Records) -> None:
    customer = await records.customer("ada")
    with pytest.raises(ValueError, match="a split needs variants"):
        await records.experiments.assign(assignment(customer, weights={"a": 0}))
    with pytest.raises(ValueError, match="a share is between 0 and 1"):
        holdout(1.1)


async def test_a_merge_keeps_the_variant_of_the_customer_who_stays(records: Records) -> None:
    ada, phone = await records.customer("ada"), await records.customer("phone")
    await records.experiments.assign(assignment(ada, "both", weights={"hers": 1}))
    await records.experiments.assign(assignment(phone, "both", weights={"its": 1}))
    await records.experiments.assign(assignment(phone, "one", weights={"its": 1}))
    await records.merge("ada", "phone")
    for customer in (ada, phone):
        other = {"weights": {"new": 1}}
        assert await records.experiments.assign(assignment(customer, "both", **other)) == "hers"
        assert await records.experiments.assign(assignment(customer, "one", **other)) == "its"


async def test_fifty_who_ask_at_once_with_different_weights_hear_one_answer(
    real: OnPostgres,
) -> None:
    customer = await real.customer("ada")
    dealt = await asyncio.gather(
        *(real.experiments.assign(assignment(customer, weights={f"v{n}": 1})) for n in range(50))
    )
    assert len(set(dealt)) == 1
    assert await real.pool.fetchval("select count(*) from assignment") == 1


async def test_a_merge_and_an_assignment_at_once_leave_one_variant(real: OnPostgres) -> None:
    for round_ in range(10):
        names = (f"ada{round_}", f"phone{round_}")
        customers = [await real.customer(name) for name in names]
        await asyncio.gather(
            real.merge(*names),
            *(
                real.experiments.assign(assignment(customer, weights={customer: 1}))
                for customer in customers
            ),
        )
        now = {await real.experiments.assign(assignment(customer)) for customer in customers}
        assert len(now) == 1


# Tasks.


async def _ask(records: Records, enrollment_id: str, step: str = "call", **more: Any) -> str:
    about: dict[str, Any] = {
        "role": "sales",
        "title": "Call Ada",
        "details": "She asked for it.",
        "choices": ["reached", "not reached"],
        "deadline": NOW + timedelta(days=1),
    }
    return (await _opened(records, enrollment_id, step, **(about | more))).task_id


async def _opened(records: Records, enrollment_id: str, step: str, **about: Any) -> OpenedTask:
    return await records.tasks.open(
        TaskRequest(
            enrollment_id=enrollment_id,
            customer_id=await records.owner(enrollment_id),
            journey="tour",
            step=step,
            **about,
        )
    )


def _settled(task_id: str, state: Any, **more: Any) -> TaskSettlement:
    return TaskSettlement(task_id=task_id, state=state, **more)


async def test_a_step_opens_one_task_however_often_it_asks(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    task = await _ask(records, enrollment)
    assert task.startswith("tsk_")
    assert await _ask(records, enrollment, title="Call again") == task
    assert await _ask(records, enrollment, "write") != task
    now = await records.task(task)
    assert now == ("open", "sales", None, None, [("opened", "sales", None)])


async def test_an_answer_is_kept_with_the_person_who_gave_it(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    task = await _ask(records, enrollment)
    answered = _settled(task, "answered", answer={"choice": "reached"}, by="Ben")
    await records.tasks.settle(answered)
    await records.tasks.settle(answered)
    await records.tasks.settle(_settled(task, "expired"))
    await records.tasks.settle(_settled(task, "answered", answer={"choice": "x"}, by="Eve"))
    await records.tasks.settle(_settled(task, "escalated", role="boss"))
    history = [("opened", "sales", None), ("answered", "sales", "Ben")]
    now = await records.task(task)
    assert now == ("answered", "sales", "Ben", {"choice": "reached"}, history)


async def test_16_a_step_that_asks_again_after_a_reset_gets_the_answer_that_was_given(
    records: Records,
) -> None:
    enrollment = await records.enroll("ada", "tour")
    about = {"role": "sales", "title": "Call Ada"}
    first = await _opened(records, enrollment, "call", **about)
    assert (first.state, first.answer) == ("open", None)
    answer = {"choice": "yes", "note": "on the phone"}
    await records.tasks.settle(_settled(first.task_id, "answered", answer=answer, by="Ben"))
    again = await _opened(records, enrollment, "call", **about)
    said = TaskAnswer(task_id=first.task_id, choice="yes", by="Ben", note="on the phone")
    assert again == OpenedTask(task_id=first.task_id, state="answered", answer=said)
    other = await _opened(records, enrollment, "write", **about)
    await records.tasks.settle(_settled(other.task_id, "expired"))
    assert (await _opened(records, enrollment, "write", **about)).state == "expired"


def _now() -> datetime:
    """What time it is; the store's clock is not NOW."""
    return datetime.now(UTC)


async def test_16_a_task_that_was_withdrawn_is_open_again_when_its_step_asks_again(
    records: Records,
) -> None:
    enrollment = await records.enroll("ada", "tour")
    about = {"role": "sales", "title": "Call Ada"}
    first = await _opened(records, enrollment, "call", **about, asked_at=_now())
    await records.tasks.settle(_settled(first.task_id, "escalated", role="lead"))
    await records.tasks.settle(_settled(first.task_id, "withdrawn"))
    after_the_reset = _now() + timedelta(minutes=1)
    for _ in range(2):
        again = await _opened(records, enrollment, "call", **about, asked_at=after_the_reset)
        assert again == first
    now = await records.task(first.task_id)
    assert now.history[2:] == [("withdrawn", "lead", None), ("reopened", "sales", None)]
    await records.tasks.settle(
        _settled(first.task_id, "answered", answer={"choice": "yes"}, by="Ben")
    )
    assert (await records.task(first.task_id))[:3] == ("answered", "sales", "Ben")


async def test_an_attempt_to_ask_that_was_overtaken_does_not_open_what_is_withdrawn(
    records: Records,
) -> None:
    enrollment = await records.enroll("ada", "tour")
    asked_at = _now() - timedelta(minutes=1)
    task = await _ask(records, enrollment, asked_at=asked_at)
    await records.tasks.settle(_settled(task, "withdrawn"))
    assert await _ask(records, enrollment, asked_at=asked_at) == task
    assert (await records.task(task)).state == "withdrawn"


async def test_a_task_of_an_enrollment_that_has_ended_stays_withdrawn(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    task = await _ask(records, enrollment)
    await records.gone(enrollment)
    assert await _ask(records, enrollment, asked_at=_now() + timedelta(minutes=1)) == task
    assert (await records.task(task)).state == "withdrawn"


async def test_an_escalated_task_is_open_and_belongs_to_another_role(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    task = await _ask(records, enrollment)
    up = _settled(task, "escalated", role="lead", by="the deadline", deadline=NOW)
    await records.tasks.settle(up)
    await records.tasks.settle(up)
    await records.tasks.settle(_settled(task, "expired"))
    assert await records.task(task) == (
        "expired",
        "lead",
        None,
        None,
        [
            ("opened", "sales", None),
            ("escalated", "lead", "the deadline"),
            ("expired", "lead", None),
        ],
    )


async def test_the_end_of_an_enrollment_withdraws_its_open_tasks(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    answered, left = [await _ask(records, enrollment, step) for step in ("call", "write")]
    await records.tasks.settle(_settled(answered, "answered", by="Ben"))
    assert (await end(records, enrollment)).ended
    assert (await records.task(answered)).state == "answered"
    assert (await records.task(left)).state == "withdrawn"
    assert (await records.task(left)).history[1:] == [("withdrawn", "sales", None)]


async def test_a_task_opened_behind_the_end_is_withdrawn_from_the_start(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    await records.gone(enrollment)
    assert (await records.task(await _ask(records, enrollment))).state == "withdrawn"


async def test_an_answer_that_the_end_overtook_is_still_kept(records: Records) -> None:
    enrollment = await records.enroll("ada", "tour")
    task = await _ask(records, enrollment)
    await records.gone(enrollment)
    await records.tasks.settle(_settled(task, "expired"))
    assert (await records.task(task)).state == "withdrawn"
    await records.tasks.settle(_settled(task, "answered", by="Ben"))
    assert (await records.task(task))[:3] == ("answered", "sales", "Ben")


async def test_twenty_attempts_at_once_open_one_task(real: OnPostgres) -> None:
    enrollment = await real.enroll("ada", "tour")
    assert len(set(await asyncio.gather(*(_ask(real, enrollment) for _ in range(20))))) == 1


async def test_no_task_is_left_open_behind_an_end_that_is_under_way(real: OnPostgres) -> None:
    enrollment = await real.enroll("ada", "tour")
    async with real.pool.acquire() as ending, ending.transaction():
        customer = await real.owner(enrollment)
        await ending.execute("select 1 from customer where id = $1 for no key update", customer)
        await ending.execute("select close_enrollment($1, 'completed', '')", enrollment)
        asking = asyncio.create_task(_ask(real, enrollment))
        await asyncio.sleep(0.3)
        assert not asking.done()
    assert (await real.task(await asking)).state == "withdrawn"


async def test_the_tasks_of_a_merged_customer_go_along(real: OnPostgres) -> None:
    enrollment = await real.enroll("phone", "tour")
    task = await _ask(real, enrollment)
    ada = await real.customer("ada")
    await real.merge("ada", "phone")
    owner = await real.pool.fetchval("select customer_id from task where id = $1", task)
    assert owner == ada == await real.owner(enrollment)
    await real.tasks.settle(_settled(task, "answered", by="Ben"))
    assert (await real.task(task)).by == "Ben"


# One journey from another.


def _enter(customer_id: str, parent: str, journey: str = "care", **more: Any) -> EnterRequest:
    about: dict[str, Any] = {
        "step": "care",
        "journey": journey,
        "entry": wish(journey),
        "event_name": "care_needed",
        "properties": {"order_id": "o1"},
        "wait": True,
    }
    return EnterRequest(customer_id=customer_id, enrollment_id=parent, **(about | more))


async def _child(records: Records, parent: str, journey: str = "care", **more: Any) -> str:
    request = _enter(await records.owner(parent), parent, journey, **more)
    answer = await records.enrollments.enter(request)
    assert answer.refused is None
    assert answer.enrollment_id is not None
    return answer.enrollment_id


async def test_a_step_enters_another_journey_once(records: Records) -> None:
    parent = await records.enroll("ada", "tour", listens=("care_needed",))
    child = await _child(records, parent)
    assert await _child(records, parent) == child
    assert await records.heard(child) == [(1, "care_needed", {"order_id": "o1"})]
    assert await records.owner(child) == await records.owner(parent)
    assert len(await records.heard(parent)) == 1, "it is said to the other journey alone"
    await end(records, child)
    assert await _child(records, parent) == child


async def test_the_other_journeys_rules_of_re_entry_hold(records: Records) -> None:
    parent = await records.enroll("ada", "tour")
    child = await _child(records, parent, "care", entry=wish("care", re_entry=ONCE))
    again = _enter(await records.owner(parent), parent, "care", step="again")
    refused = await records.enrollments.enter(again)
    assert (refused.enrollment_id, refused.refused) == (None, "already enrolled")
    await end(records, child)
    assert await records.enrollments.enter(again) == refused, "a step has one answer"
    once = again.model_copy(update={"step": "more", "entry": wish("care", re_entry=ONCE)})
    assert (await records.enrollments.enter(once)).refused == "this journey is entered only once"


async def test_a_parent_that_waits_hears_how_its_child_ended(records: Records) -> None:
    parent = await records.enroll("ada", "tour")
    child = await _child(records, parent)
    ended = await end(records, child, Outcome.converted("she is happy"))
    assert ended.ended
    assert (await records.heard(parent))[1:] == [
        (
            2,
            "journey_ended",
            {
                "journey": "care",
                "enrollment_id": child,
                "outcome": "converted",
                "reason": "she is happy",
                "step": "care",
            },
        )
    ]
    await end(records, child)
    assert len(await records.heard(parent)) == 2, "once"
    late = await end(records, parent, heard=1)  # 14: it hears it before it ends
    assert not late.ended
    assert [news.name for news in late.news] == ["journey_ended"]


@pytest.mark.parametrize("kind", ["cancelled", "failed", "terminated"])
async def test_a_parent_hears_of_every_way_to_end(records: Records, kind: str) -> None:
    parent = await records.enroll("ada", "tour")
    child = await _child(records, parent)
    if kind == "terminated":
        await records.gone(child)
    else:
        await end(records, child, Outcome(kind=OutcomeKind(kind)))
    (_, name, properties) = (await records.heard(parent))[-1]
    assert (name, properties["outcome"]) == ("journey_ended", kind)


async def test_a_parent_that_does_not_wait_or_has_ended_hears_nothing(records: Records) -> None:
    parent = await records.enroll("ada", "tour")
    free = await _child(records, parent, "free", step="free", wait=False)
    late = await _child(records, parent, "late", step="late")
    await end(records, free)
    assert len(await records.heard(parent)) == 1
    await end(records, parent)
    assert (await end(records, late)).ended
    assert len(await records.heard(parent)) == 1


async def test_from_an_enrollment_that_has_ended_nobody_is_taken_anywhere(
    records: Records,
) -> None:
    parent = await records.enroll("ada", "tour")
    await records.gone(parent)
    answer = await records.enrollments.enter(_enter(await records.owner(parent), parent))
    assert (answer.enrollment_id, answer.refused) == (None, "the enrollment that asks has ended")


async def test_a_hand_over_enters_the_other_journey_as_this_one_ends(records: Records) -> None:
    first = await records.enroll("ada", "tour", listens=("heard",))
    request = _enter(await records.owner(first), first, "tour", step="end", wait=False)
    await records.acknowledge("ada", "heard")
    unheard = await end(records, first, heard=1, hand_over=request)
    assert not unheard.ended
    assert unheard.handed_over is None
    # The same journey: it is entered again, so the end comes first.
    ended = await end(records, first, hand_over=request)
    assert ended.handed_over is not None
    second = ended.handed_over.enrollment_id
    assert second is not None
    assert await records.heard(second) == [(1, "care_needed", {"order_id": "o1"})]
    again = await end(records, first, hand_over=request)
    assert again == ended, "the answer was lost, and is given again"


async def test_of_one_that_was_ended_from_outside_nobody_is_handed_over(
    records: Records,
) -> None:
    first = await records.enroll("ada", "tour")
    await records.gone(first)
    request = _enter(await records.owner(first), first, wait=False)
    ended = await end(records, first, hand_over=request)
    assert ended.ended
    assert ended.handed_over is not None
    assert ended.handed_over.refused == "the enrollment that asks has ended"


async def test_a_hand_over_that_is_refused_does_not_keep_the_journey_from_ending(
    records: Records,
) -> None:
    first = await records.enroll("ada", "tour")
    await records.enroll("ada", "care")
    request = _enter(await records.owner(first), first, "care", wait=False)
    ended = await end(records, first, hand_over=request)
    assert ended.ended
    assert ended.handed_over is not None
    assert ended.handed_over.refused == "already enrolled"


async def test_parent_and_child_of_a_merged_customer_still_know_each_other(
    records: Records,
) -> None:
    parent = await records.enroll("phone", "tour")
    child = await _child(records, parent)
    asked_as = await records.owner(parent)
    ada = await records.customer("ada")
    await records.merge("ada", "phone")
    assert await records.owner(child) == ada
    late = _enter(asked_as, parent, "more", step="more")  # it does not know of the merge yet
    more = await records.enrollments.enter(late)
    assert more.enrollment_id is not None
    assert await records.owner(more.enrollment_id) == ada
    await end(records, child)
    (_, name, properties) = (await records.heard(parent))[-1]
    assert (name, properties["enrollment_id"]) == ("journey_ended", child)


async def test_a_child_that_a_merge_ends_is_an_ended_child(records: Records) -> None:
    older = await records.enroll("ada", "care")
    parent = await records.enroll("phone", "tour")
    child = await _child(records, parent, "care")
    await records.merge("ada", "phone")
    (_, name, properties) = (await records.heard(parent))[-1]
    assert (name, properties["outcome"]) == ("journey_ended", "merged")
    assert properties["enrollment_id"] == child
    assert (await end(records, older)).ended


async def test_a_child_and_its_end_are_carried_like_everything_else(real: OnPostgres) -> None:
    backlog = Backlog(real.pool)
    parent = await real.enroll("ada", "tour")
    child = await _child(real, parent)
    claims = {claim.enrollment_id: claim for claim in await backlog.claim(10)}
    assert claims.keys() == {parent, child}
    assert claims[child].workflow_id.startswith("journey/care/")
    await backlog.done([(parent, 1), (child, 1)])
    await end(real, child)
    (claim,) = await backlog.claim(10)
    assert (claim.enrollment_id, claim.relayed) == (parent, 1)
    assert [(e.number, e.name) for e in claim.events] == [(2, "journey_ended")]


async def test_what_is_said_to_one_journey_alone_is_no_news_for_others_after_a_merge(
    real: OnPostgres,
) -> None:
    other = await real.enroll("ada", "other", listens=("care_needed", "journey_ended"))
    parent = await real.enroll("phone", "tour")
    await end(real, await _child(real, parent))
    await real.merge("ada", "phone")
    assert [name for _, name, _ in await real.heard(other)] == ["begin", "customer_merged"]


async def test_twenty_attempts_at_once_enter_once(real: OnPostgres) -> None:
    parent = await real.enroll("ada", "tour")
    children = await asyncio.gather(*(_child(real, parent) for _ in range(20)))
    assert len(set(children)) == 1
    assert await real.pool.fetchval("select count(*) from refusal") == 0


async def test_a_child_that_ends_while_its_parent_ends_is_heard_or_not_waited_for(
    real: OnPostgres,
) -> None:
    for number in range(10):
        parent = await real.enroll(f"u{number}", "tour")
        child = await _child(real, parent)
        about = EndRequest(
            enrollment_id=parent,
            customer_id=await real.owner(parent),
            heard=1,
            outcome=Outcome.completed(),
        )
        ended, _ = await asyncio.gather(real.enrollments.end(about), end(real, child))
        assert ended.ended is (len(await real.heard(parent)) == 1)
