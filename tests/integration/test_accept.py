"""The accepting transaction, under concurrency: deduplicate, identify, number, route."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from domain.enrollments import AFTER_EXIT, ONCE, EndRequest, Entry, PerDay, ReEntry
from domain.errors import Unavailable
from domain.outcomes import Outcome
from infra.database.accept import Acceptor, Incoming, entry_effect
from infra.database.enrollments import PostgresEnrollments
from infra.database.pool import Pool, open_pool
from tests.patience import PATIENCE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_numbers = itertools.count(1)


def event(
    name: str = "heard",
    *,
    user: str | None = "u1",
    device: str | None = None,
    message: str | None = None,
    kind: str = "track",
    at: datetime = NOW,
    effects: dict[str, Any] | None = None,
    properties: str = "{}",
) -> Incoming:
    return Incoming(
        source_id=1,
        message_id=message or f"m{next(_numbers)}",
        user_id=user,
        anonymous_id=device,
        type=kind,
        name=name,
        occurred_at=at,
        received_at=NOW,
        properties=properties,
        effects=effects,
    )


def entry(
    journey: str = "tour",
    *,
    key: str | None = "k",
    listens: tuple[str, ...] = ("heard",),
    re_entry: ReEntry = AFTER_EXIT,
    per_day: PerDay | None = None,
    **of: Any,
) -> Incoming:
    """An event that wishes to start a journey; by default nobody listens to it."""
    wish = Entry(
        journey=journey,
        workflow_type="Tour",
        key=key,
        listens=listens,
        task_queue="q",
        re_entry=re_entry,
        per_day=per_day,
    )
    return event(of.pop("name", "begin"), effects={"entries": [entry_effect(wish)]}, **of)


def ticket(action: str, at: datetime, reference: str = "t1") -> Incoming:
    hold = {"kind": "ticket", "reference": reference, "action": action}
    return event("ticket", at=at, effects={"hold": hold})


class World:
    """A database with two acceptors, each with connections of its own, as two processes have."""

    def __init__(self, pool: Pool, other: Pool) -> None:
        self.pool = pool
        self.woken = 0
        self.acceptors = (Acceptor(pool, self._wake), Acceptor(other, self._wake))
        self.enrollments = PostgresEnrollments(pool)

    def _wake(self) -> None:
        self.woken += 1

    async def accept(self, *events: Incoming) -> list[bool]:
        return await self.acceptors[0].accept(events)

    async def accept_each(self, *events: Incoming) -> list[bool]:
        """Each in a call of its own, all at once, half with each acceptor."""
        turns = zip(events, itertools.cycle(self.acceptors), strict=False)
        answers = await asyncio.gather(*(acceptor.accept((one,)) for one, acceptor in turns))
        return [answer[0] for answer in answers]

    async def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.pool.fetch(query, *args)]

    async def value(self, query: str, *args: Any) -> Any:
        return await self.pool.fetchval(query, *args)

    async def heard(self, journey: str = "tour", ordinal: int = 1) -> list[tuple[int, str]]:
        return [
            (number, message)
            for number, message in await self.rows(
                "select number, message_id from delivery join enrollment e on e.id = enrollment_id"
                " where journey = $1 and ordinal = $2 order by number",
                journey,
                ordinal,
            )
        ]

    async def end(self, journey: str = "tour") -> None:
        """End its live enrollment, having heard everything."""
        row = await self.pool.fetchrow(
            "select id, customer_id, last_number from enrollment"
            " where journey = $1 and state = 'live'",
            journey,
        )
        answer = await self.enrollments.end(
            EndRequest(
                enrollment_id=row["id"],
                customer_id=row["customer_id"],
                heard=row["last_number"],
                outcome=Outcome.completed(),
            )
        )
        assert answer.ended

    async def is_held(self) -> bool:
        return bool(
            await self.value(
                "select exists (select 1 from hold"
                " where opened_at is not null and closed_at is null)"
            )
        )


@pytest.fixture
async def world(pool: Pool, database_url: str) -> AsyncIterator[World]:
    other = await open_pool(database_url)
    await pool.execute("insert into heard_name values ('heard'), ('begin'), ('ticket')")
    made = World(pool, other)
    yield made
    for acceptor in made.acceptors:
        await acceptor.close()
    await other.close()


# Deduplication.


async def test_an_event_is_taken_once_however_often_it_is_posted_at_once(world: World) -> None:
    await world.accept(entry())
    answers = await world.accept_each(*(event(message="same") for _ in range(40)))
    assert sorted(answers) == [False] * 39 + [True]
    assert [message for _, message in await world.heard()].count("same") == 1


async def test_an_event_is_taken_once_in_one_batch(world: World) -> None:
    await world.accept(entry())
    again = event(message="same")
    assert await world.accept(again, event(message="other"), again) == [True, True, False]
    assert await world.accept(again) == [False]
    assert [message for _, message in (await world.heard())[1:]] == ["same", "other"]


async def test_an_entry_posted_twice_enters_once_and_is_not_refused(world: World) -> None:
    again = entry(message="same")
    await world.accept_each(again, again, again, again)
    await world.accept(again)
    assert await world.value("select count(*) from enrollment") == 1
    assert await world.value("select count(*) from refusal") == 0


# Entering.


async def test_fifty_identical_entries_at_once_make_one_enrollment(world: World) -> None:
    answers = await world.accept_each(*(entry() for _ in range(50)))
    assert answers == [True] * 50
    assert await world.rows("select state, ordinal, last_number from enrollment") == [
        ("live", 1, 1)
    ]
    refusals = await world.rows("select reason, message_id from refusal")
    assert len(refusals) == len(set(refusals)) == 49
    assert {reason for reason, _ in refusals} == {"already enrolled"}


async def test_each_key_has_an_enrollment_of_its_own(world: World) -> None:
    await world.accept_each(*(entry(key=f"k{n % 5}") for n in range(50)))
    assert await world.value("select count(*) from enrollment") == 5
    assert await world.value("select count(*) from refusal") == 45


async def test_each_customer_has_an_enrollment_of_their_own(world: World) -> None:
    await world.accept_each(*(entry(user=f"u{n % 5}") for n in range(50)))
    assert await world.value("select count(distinct customer_id) from enrollment") == 5
    assert await world.value("select count(*) from enrollment") == 5


async def test_after_the_exit_a_customer_may_enter_again(world: World) -> None:
    await world.accept(entry())
    await world.end()
    await world.accept(entry())
    ids = await world.rows("select workflow_id from enrollment order by ordinal")
    assert ids[1][0] == ids[0][0] + "/2"
    assert await world.value("select count(*) from refusal") == 0


async def test_a_journey_without_a_key_is_entered_by_number(world: World) -> None:
    await world.accept(entry(key=None))
    await world.end()
    await world.accept(entry(key=None))
    ids = [row[0] for row in await world.rows("select workflow_id from enrollment order by 1")]
    assert [workflow_id.rpartition("/")[2] for workflow_id in ids] == ["1", "2"]


async def test_once_is_once(world: World) -> None:
    await world.accept(entry(re_entry=ONCE))
    await world.end()
    await world.accept(entry(re_entry=ONCE, message="again"))
    assert await world.rows("select reason, message_id from refusal") == [
        ("this journey is entered only once", "again")
    ]
    assert await world.value("select count(*) from enrollment") == 1


async def test_a_pause_is_kept_and_then_over(world: World) -> None:
    rule = ReEntry(pause=timedelta(days=30))
    await world.accept(entry(re_entry=rule))
    await world.end()
    await world.accept(entry(re_entry=rule))
    assert "the pause is 30 days" in await world.value("select reason from refusal")
    await world.pool.execute("update enrollment set ended_at = now() - interval '30 days 1 second'")
    await world.accept(entry(re_entry=rule))
    assert await world.value("select count(*) from enrollment") == 2


async def test_an_event_that_waited_for_the_exit_enters_anew(world: World) -> None:
    # It belongs to the old enrollment or starts a new one: never neither (semantics 14).
    await world.accept(entry(name="heard"))
    async with world.pool.acquire() as leaving:
        transaction = leaving.transaction()
        await transaction.start()
        await leaving.execute("select 1 from customer for no key update")
        entering = asyncio.create_task(world.accept(entry(name="heard", message="late")))
        await somebody_waits(world)
        await leaving.execute("update enrollment set state = 'ended', ended_at = clock_timestamp()")
        await transaction.commit()
        assert await entering == [True]
    assert await world.rows("select reason from refusal") == []
    assert await world.heard(ordinal=2) == [(1, "late")]
    assert len(await world.heard()) == 1


async def test_an_end_that_waited_for_an_event_hears_it_first(world: World) -> None:
    await world.accept(entry())
    row = await world.pool.fetchrow("select id, customer_id from enrollment")
    request = EndRequest(
        enrollment_id=row["id"],
        customer_id=row["customer_id"],
        heard=1,
        outcome=Outcome.completed(),
    )
    async with world.pool.acquire() as holding:
        transaction = holding.transaction()
        await transaction.start()
        await holding.execute("select 1 from customer for no key update")
        accepting = asyncio.create_task(world.accept(event(message="late")))
        await somebody_waits(world)
        ending = asyncio.create_task(world.enrollments.end(request))
        await somebody_waits(world, 2)
        await transaction.commit()
    assert await accepting == [True]
    answer = await ending
    assert not answer.ended
    assert [(news.number, news.event_id) for news in answer.news] == [(2, "late")]


# Numbering and hearing.


async def test_a_hundred_events_at_once_are_numbered_without_gap_or_double(world: World) -> None:
    journeys = ("one", "two", "three")
    await world.accept(*(entry(journey) for journey in journeys))
    await world.accept_each(*(event() for _ in range(100)))
    orders = [await world.heard(journey) for journey in journeys]
    for order in orders:
        assert [number for number, _ in order] == list(range(1, 102))
        assert len({message for _, message in order}) == 101
    # One customer's events have one order, whichever journey hears them.
    assert orders[0][1:] == orders[1][1:] == orders[2][1:]
    last = await world.rows("select distinct last_number from enrollment")
    assert last == [(101,)]
    assert await world.rows("select distinct relayed, last from backlog") == [(0, 101)]


async def test_transactions_that_meet_at_one_customer_number_one_after_the_other(
    world: World,
) -> None:
    await world.accept(entry("one"), entry("two"))
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        slow = Acceptor(connection, lambda: None)
        assert await slow.accept((event(message="slow"),)) == [True]
        others = [asyncio.create_task(world.accept_each(event(), event())) for _ in range(2)]
        await somebody_waits(world)
        await transaction.commit()
        await slow.close()
    assert await asyncio.gather(*others) == [[True, True]] * 2
    orders = [await world.heard(journey) for journey in ("one", "two")]
    assert [number for number, _ in orders[0]] == [1, 2, 3, 4, 5, 6]
    assert orders[0][1] == (2, "slow")
    assert orders[0][1:] == orders[1][1:]


async def test_events_posted_one_after_the_other_keep_their_order(world: World) -> None:
    await world.accept(entry())
    posted = [event() for _ in range(20)]
    for number, one in enumerate(posted):
        await world.acceptors[number % 2].accept((one,))
    batch = [event() for _ in range(20)]
    await world.accept(*batch)
    heard = [message for _, message in await world.heard()]
    assert heard[1:] == [one.message_id for one in posted + batch]


async def test_an_event_in_the_same_batch_after_its_journeys_entry_is_heard(world: World) -> None:
    await world.accept(event(message="before"), entry(message="entry"), event(message="after"))
    assert await world.heard() == [(1, "entry"), (2, "after")]


async def test_each_of_several_entries_in_a_batch_hears_what_comes_after_it(world: World) -> None:
    await world.accept(entry("old", name="heard", message="e0"))
    await world.accept(
        event(message="n1"),
        entry("first", name="heard", message="e1"),
        event(message="n2"),
        entry("second", message="e2"),
        entry("first", name="heard", message="refused"),
        event(message="n3"),
    )
    assert await world.heard("old") == [
        *((1, "e0"), (2, "n1"), (3, "e1")),
        *((4, "n2"), (5, "refused"), (6, "n3")),
    ]
    assert await world.heard("first") == [(1, "e1"), (2, "n2"), (3, "refused"), (4, "n3")]
    assert await world.heard("second") == [(1, "e2"), (2, "refused"), (3, "n3")]


async def test_duplicates_among_a_batch_leave_no_gap_and_change_nothing(world: World) -> None:
    opened = ticket("open", NOW)
    await world.accept(entry(message="e1"), event(message="n1"), opened)
    await world.accept(ticket("close", NOW + timedelta(minutes=1)))
    taken = await world.accept(
        event(message="n2"),
        event(message="n1"),
        opened,
        entry("second", message="e2"),
        entry(message="e1"),
        event(message="n3"),
        event(message="n2"),
    )
    assert taken == [True, False, False, True, False, True, False]
    assert await world.heard() == [(1, "e1"), (2, "n1"), (3, "n2"), (4, "n3")]
    assert await world.heard("second") == [(1, "e2"), (2, "n3")]
    assert not await world.is_held()
    assert await world.value("select count(*) from refusal") == 0


async def test_every_live_enrollment_that_listens_hears(world: World) -> None:
    await world.accept(
        entry("one", key="a"),
        entry("one", key="b"),
        entry("two"),
        entry("deaf", listens=("other",)),
        entry("ended"),
        entry("stranger", user="u2"),
    )
    await world.end("ended")
    await world.accept(event(message="news"))
    hearing = await world.rows(
        "select journey, key, number from delivery join enrollment e on e.id = enrollment_id"
        " where message_id = 'news' order by 1, 2"
    )
    assert hearing == [("one", "a", 2), ("one", "b", 2), ("two", "k", 2)]


async def test_an_event_starts_one_journey_and_is_heard_by_another(world: World) -> None:
    await world.accept(entry("one"))
    await world.accept(entry("two", name="heard", message="both"))
    assert (2, "both") in await world.heard("one")
    assert await world.heard("two") == [(1, "both")]


async def test_events_of_an_earlier_enrollment_do_not_count_in_a_later_one(world: World) -> None:
    await world.accept(entry(message="e1"), event(message="n1"))
    await world.end()
    await world.accept(event(message="between"))
    await world.accept(entry(message="e2"), event(message="n2"))
    assert await world.heard(ordinal=1) == [(1, "e1"), (2, "n1")]
    assert await world.heard(ordinal=2) == [(1, "e2"), (2, "n2")]


async def test_only_what_was_tracked_is_heard(world: World) -> None:
    await world.accept(entry())
    kinds = ("page", "group", "screen", "identify", "track")
    await world.accept(*(event(kind=kind, message=kind) for kind in kinds))
    assert [message for _, message in (await world.heard())[1:]] == ["track"]


async def test_the_relay_is_woken_only_when_there_is_something_to_carry(world: World) -> None:
    await world.accept(event("unheard"))
    await world.accept(event())
    assert world.woken == 0
    await world.accept(entry())
    await world.accept(event())
    assert world.woken == 2
    assert await world.accept() == []


# The customer's lock.


async def test_an_event_waits_for_a_decision_that_is_being_taken(world: World) -> None:
    # So what the gate saw under the lock is still true when it writes (G3).
    await world.accept(entry())
    async with world.pool.acquire() as deciding:
        transaction = deciding.transaction()
        await transaction.start()
        await deciding.execute("select 1 from customer for no key update")
        accepting = asyncio.create_task(world.accept(event()))
        await somebody_waits(world)
        assert not accepting.done()
        assert await deciding.fetchval("select last_number from enrollment") == 1
        await transaction.commit()
    assert await accepting == [True]
    assert await world.value("select last_number from enrollment") == 2


async def test_an_event_that_nobody_hears_waits_for_nothing(world: World) -> None:
    await world.accept(entry())
    async with world.pool.acquire() as deciding, deciding.transaction():
        await deciding.execute("select 1 from customer for no key update")
        answer = await asyncio.wait_for(
            world.accept(event("unheard"), event(kind="page")), PATIENCE
        )
    assert answer == [True, True]


async def somebody_waits(world: World, number: int = 1) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            waiting = await world.value(
                "select count(*) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
            if waiting >= number:
                return
            await asyncio.sleep(0.01)


# Trouble.


async def test_one_poisoned_request_in_a_group_fails_no_other(world: World) -> None:
    await world.accept(entry())
    poison = event(properties="not json")
    posted = [event(message=f"g{n}") for n in range(30)]
    acceptor = world.acceptors[0]
    answers = await asyncio.gather(
        *(acceptor.accept((one,)) for one in [*posted[:10], poison, *posted[10:], poison]),
        return_exceptions=True,
    )
    failed = [a for a in answers if isinstance(a, BaseException)]
    assert len(failed) == 2
    assert all(isinstance(error, asyncpg.DataError) for error in failed)
    assert answers.count([True]) == 30
    assert len(await world.heard()) == 31


async def test_a_deadlock_is_tried_again(world: World) -> None:
    claim = "insert into identity values ('user_id', $1, $2)"
    for attempt in range(5):
        a, b = f"a{attempt}", f"b{attempt}"
        async with world.pool.acquire() as other:
            transaction = other.transaction()
            await transaction.start()
            await other.execute(claim, b, f"cus_{b}")
            accepting = asyncio.create_task(world.accept(event(user=a), event(user=b)))
            await somebody_waits(world)  # it has `a` and wants `b`
            try:
                await other.execute(claim, a, f"cus_{a}")  # and the other way round
                was_the_other = False
            except asyncpg.DeadlockDetectedError:
                was_the_other = True  # on a slow machine PostgreSQL may choose this one to yield
            await transaction.rollback()
        assert await accepting == [True, True]
        if not was_the_other:
            break
    else:
        pytest.fail("the accepting transaction was never the one to yield")
    assert await world.value("select count(*) from event") == 2 * (attempt + 1)


async def test_a_request_that_was_given_up_disturbs_no_other(world: World) -> None:
    acceptor = world.acceptors[0]
    posts = [asyncio.create_task(acceptor.accept((event(),))) for _ in range(20)]
    await asyncio.sleep(0)
    for post in posts[::2]:
        post.cancel()
    answers = await asyncio.gather(*posts, return_exceptions=True)
    assert all(isinstance(a, asyncio.CancelledError) for a in answers[::2])
    assert answers[1::2] == [[True]] * 10


async def test_closing_finishes_what_has_begun(world: World) -> None:
    acceptor = Acceptor(world.pool, lambda: None)
    posts = [asyncio.create_task(acceptor.accept((event(),))) for _ in range(50)]
    await asyncio.sleep(0)
    await acceptor.close()
    assert all(post.done() for post in posts)
    assert await world.value("select count(*) from event") == 50


async def test_without_a_database_nothing_is_acknowledged(database_url: str) -> None:
    pool = await open_pool(database_url)
    acceptor = Acceptor(pool, lambda: None)
    await pool.close()
    with pytest.raises(Unavailable):
        await acceptor.accept((event(),))


async def test_a_connection_cut_in_the_middle_of_a_call_is_not_the_events_fault() -> None:
    class Cut:
        """What asyncpg makes of a backend that is killed between preparing and executing."""

        async def fetchrow(self, *_: object) -> None:
            raise asyncpg.InternalClientError("cannot switch to state 12")

    with pytest.raises(Unavailable):
        await Acceptor(Cut(), lambda: None).accept((event(),))


# Holds.


def _minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


@pytest.mark.parametrize(
    ("events", "held"),
    [
        ([("open", 0)], True),
        ([("open", 0), ("close", 1)], False),
        ([("close", 1), ("open", 0)], False),
        ([("close", 0), ("open", 4)], False),  # the two senders' clocks differ
        ([("close", 0), ("open", 6)], True),
        ([("open", 0), ("close", 1), ("open", 2)], True),
        ([("open", 0), ("close", 1), ("open", 1)], True),  # the order of acknowledgement decides
        ([("open", 0), ("close", 2), ("open", 1)], False),
        ([("open", 0), ("close", 1), ("open", 2), ("close", 3)], False),
        ([("close", 1), ("open", 0), ("open", 2)], True),
        ([("open", 2), ("close", 1)], False),  # whatever the clocks say, it was closed
        ([("close", 0), ("close", 0)], False),
    ],
)
async def test_a_ticket_holds_while_it_is_open(
    world: World, events: list[tuple[str, float]], held: bool
) -> None:
    for number, together in enumerate((False, True)):
        marks = [ticket(action, _minutes(at), f"t{number}") for action, at in events]
        if together:
            await world.accept(*marks)
        else:
            for mark in marks:
                await world.accept(mark)
        assert await world.is_held() is held
        await world.pool.execute("delete from hold")


async def test_two_open_tickets_must_both_close(world: World) -> None:
    await world.accept(ticket("open", NOW, "t1"), ticket("open", NOW, "t2"))
    await world.accept(ticket("close", _minutes(1), "t1"))
    assert await world.is_held()
    await world.accept(ticket("close", _minutes(2), "t2"))
    assert not await world.is_held()


async def test_a_ticket_is_opened_and_closed_by_many_at_once_without_loss(world: World) -> None:
    references = [f"t{n}" for n in range(20)]
    await world.accept_each(*(ticket("open", NOW, reference) for reference in references))
    await world.accept_each(*(ticket("close", _minutes(1), reference) for reference in references))
    assert await world.value("select count(*) from hold where closed_at is not null") == 20
    assert not await world.is_held()


# Who is who, at once.


async def _no_orphans(world: World) -> None:
    lonely = "select c.id from customer c left join identity i on i.customer_id = c.id"
    assert await world.rows(lonely + " where i.value is null") == []
    unknown = "select e.id from event e left join customer c on c.id = e.customer_id"
    assert await world.rows(unknown + " where c.id is null") == []


async def test_twenty_first_events_of_one_user_make_one_customer(world: World) -> None:
    await world.accept_each(*(event() for _ in range(20)))
    assert await world.value("select count(*) from customer") == 1
    assert await world.value("select count(distinct customer_id) from event") == 1
    await _no_orphans(world)


async def test_twenty_devices_of_one_new_user_make_one_customer(world: World) -> None:
    await world.accept_each(*(event(device=f"d{n}") for n in range(20)))
    assert await world.value("select count(*) from customer") == 1
    assert await world.value("select count(*) from identity") == 21
    await _no_orphans(world)


async def test_twenty_new_users_of_one_new_device_are_twenty_customers(world: World) -> None:
    await world.accept_each(*(event(user=f"u{n}", device="d") for n in range(20)))
    assert await world.value("select count(*) from customer") == 20
    assert await world.value("select count(*) from identity") == 21
    await _no_orphans(world)


async def test_two_users_who_adopt_one_anonymous_customer_at_once_stay_two(world: World) -> None:
    for number in range(10):
        device = f"d{number}"
        await world.accept(event(user=None, device=device))
        users = [f"u{number}.{n}" for n in range(4)]
        await world.accept_each(*(event(user=user, device=device) for user in users))
        customers = await world.rows(
            "select customer_id from identity where kind = 'user_id' and value = any ($1)", users
        )
        assert len(set(customers)) == 4
        (owner,) = await world.rows("select customer_id from identity where value = $1", device)
        assert owner in customers
    await _no_orphans(world)


async def test_a_page_and_a_login_at_once_are_one_customer(world: World) -> None:
    for number in range(20):
        user, device = f"u{number}", f"d{number}"
        await world.accept_each(
            event(user=None, device=device),
            event(user=user, device=device),
            event(user=None, device=device),
        )
    assert await world.value("select count(*) from customer") == 20
    assert await world.value("select count(*) from identity") == 40
    await _no_orphans(world)


async def test_a_page_that_is_being_stored_is_adopted_by_the_login_that_waited(
    world: World,
) -> None:
    async with world.pool.acquire() as paging:
        transaction = paging.transaction()
        await transaction.start()
        await paging.execute("select identify(null, 'd')")
        login = asyncio.create_task(world.accept(event(user="u", device="d")))
        await somebody_waits(world)
        await transaction.commit()
    assert await login == [True]
    assert await world.value("select count(*) from customer") == 1
    await _no_orphans(world)


async def test_a_login_that_was_overtaken_gives_its_device_to_the_faster(world: World) -> None:
    async with world.pool.acquire() as faster:
        transaction = faster.transaction()
        await transaction.start()
        await faster.execute("select identify('u', null)")
        login = asyncio.create_task(world.accept(event(user="u", device="d")))
        await somebody_waits(world)
        await transaction.commit()
    assert await login == [True]
    assert await world.value("select count(*) from customer") == 1
    assert await world.value("select count(*) from identity") == 2
    await _no_orphans(world)


async def test_a_crowd_of_all_kinds_leaves_everything_whole(world: World) -> None:
    crowd = [
        [
            entry(user=f"u{n % 7}", key=f"k{n % 3}"),
            event(user=f"u{(n * 3) % 7}", device=f"d{n % 5}"),
            event(user=None, device=f"d{(n * 2) % 5}"),
            ticket("open" if n % 2 else "close", _minutes(n), f"t{n % 4}"),
            event("unheard", user=f"u{n % 11}"),
        ]
        for n in range(60)
    ]
    turns = zip(crowd, itertools.cycle(world.acceptors), strict=False)
    answers = await asyncio.gather(*(acceptor.accept(batch) for batch, acceptor in turns))
    assert all(answer == [True] * 5 for answer in answers)
    await _no_orphans(world)
    gaps = await world.rows(
        "select enrollment_id from delivery group by 1"
        " having min(number) <> 1 or max(number) <> count(*)"
    )
    assert gaps == []
    told = await world.rows(
        "select e.id from enrollment e where last_number <>"
        " (select max(number) from delivery d where d.enrollment_id = e.id)"
    )
    assert told == []
    entered = await world.value("select count(*) from enrollment")
    refused = await world.value("select count(*) from refusal")
    assert entered + refused == 60
