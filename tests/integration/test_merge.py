"""Two customers who turn out to be one: what moves, what wins, what is not merged."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from domain.audiences import Audiences
from domain.enrollments import AFTER_EXIT, ONCE, EndRequest, ReEntry
from domain.messages import Cap, Go, Reason, SendRequest, Stale, Suppressed, Verdict
from domain.outcomes import Outcome
from infra.channels import ConfiguredEndpoints
from infra.database.accept import Acceptor, Incoming
from infra.database.backlog import Backlog
from infra.database.customers import PostgresCustomers
from infra.database.enrollments import PostgresEnrollments
from infra.database.gate import PostgresGate
from infra.database.pool import Pool, open_pool
from tests.integration.test_accept import NOW, entry, event
from tests.patience import PATIENCE
from tests.worlds import by_push


def device(name: str, what: str = "seen", **fields: Any) -> Incoming:
    """An event of somebody whom only a device knows."""
    return event(what, user=None, device=name, **fields)


def identify(user: str, name: str | None = None, **fields: Any) -> Incoming:
    return event("identify", user=user, device=name, kind="identify", **fields)


def alias(previous: str, user: str, **fields: Any) -> Incoming:
    effects = {"alias": {"previous_id": previous}}
    return event("alias", user=user, kind="alias", effects=effects, **fields)


def traits(user: str | None = None, name: str | None = None, **told: Any) -> Incoming:
    channels = {"email": "email", "phone": "sms", "push_token": "push"}
    addresses = {channels[k]: v for k, v in told.items() if k in channels}
    effects: dict[str, Any] = {"traits": told, "addresses": addresses}
    if "timezone" in told:
        effects["time_zone"] = told["timezone"]
    return event("identify", user=user, device=name, kind="identify", effects=effects)


class Store:
    """A database with an acceptor, and what tests ask of it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.woken = 0
        self.acceptor = Acceptor(pool, self._wake)
        self.gate = PostgresGate(pool, ConfiguredEndpoints({}))
        self.enrollments = PostgresEnrollments(pool)

    def _wake(self) -> None:
        self.woken += 1

    async def accept(self, *events: Incoming) -> list[bool]:
        return await self.acceptor.accept(events)

    async def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.pool.fetch(query, *args)]

    async def value(self, query: str, *args: Any) -> Any:
        return await self.pool.fetchval(query, *args)

    async def who(self, name: str, kind: str = "user_id") -> str:
        found: str = await self.value(
            "select customer_id from identity where kind = $1 and value = $2", kind, name
        )
        return found

    async def customers(self) -> int:
        """How many there are, without those who were merged away."""
        count: int = await self.value("select count(*) from customer where merged_into is null")
        return count

    async def enrollment(self, journey: str = "tour", state: str = "live") -> Any:
        return await self.pool.fetchrow(
            "select * from enrollment where journey = $1 and state = $2", journey, state
        )

    async def heard(self, enrollment_id: str) -> list[str]:
        """What its workflow hears, in order, beginning with what started it."""
        rows = await self.rows(
            "select d.number, v.message_id, v.name from delivery d join event v"
            " on v.source_id = d.source_id and v.message_id = d.message_id"
            " where d.enrollment_id = $1 order by 1",
            enrollment_id,
        )
        assert [number for number, *_ in rows] == list(range(1, len(rows) + 1))
        return [name if name == "customer_merged" else message for _, message, name in rows]

    async def end(self, row: Any, heard: int, customer_id: str | None = None) -> bool:
        answer = await self.enrollments.end(
            EndRequest(
                enrollment_id=row["id"],
                customer_id=customer_id or row["customer_id"],
                heard=heard,
                outcome=Outcome.completed(),
            )
        )
        return answer.ended

    async def settle(self) -> None:
        """Everything numbered so far has been carried."""
        await self.pool.execute("delete from backlog")


@pytest.fixture
async def store(pool: Pool) -> AsyncIterator[Store]:
    await pool.execute("insert into heard_name values ('heard'), ('begin'), ('ticket')")
    made = Store(pool)
    yield made
    await made.acceptor.close()


def ask(row: Any, heard: int, *, step: str = "s", cap: int = 3, **of: Any) -> SendRequest:
    return SendRequest(
        enrollment_id=row["id"],
        customer_id=of.pop("customer_id", row["customer_id"]),
        journey=row["journey"],
        step=step,
        heard=heard,
        messages=[by_push()],
        cap=Cap(count=cap),
        **of,
    )


# When.


async def test_two_anonymous_devices_then_identify_are_one_customer(store: Store) -> None:
    await store.accept(device("d1"))
    await store.accept(device("d2"))
    await store.accept(identify("u", "d1"))
    await store.accept(identify("u", "d2"))
    assert await store.customers() == 1
    assert len({await store.who("u"), await store.who("d1", "anonymous_id")}) == 1
    assert await store.who("d2", "anonymous_id") == await store.who("u")
    (log,) = await store.rows("select cause, refused, moved ->> 'identities' from customer_merge")
    assert log == ("identify", None, "1")


@pytest.mark.parametrize("kind", ["track", "page", "identify", "group"])
async def test_any_call_with_both_ids_says_so(store: Store, kind: str) -> None:
    await store.accept(device("d"), event(user="u"))
    assert await store.customers() == 2
    await store.accept(event(user="u", device="d", kind=kind))
    assert await store.customers() == 1


async def test_a_shared_device_merges_nobody_who_has_a_name(store: Store) -> None:
    await store.accept(identify("u1", "d"), identify("u2", "other"))
    for user in ("u1", "u2", "u1"):
        await store.accept(event(user=user, device="d"))
    assert await store.customers() == 2
    assert await store.value("select count(*) from customer_merge") == 0


async def test_of_two_users_who_meet_a_device_in_one_batch_the_first_was_it(store: Store) -> None:
    await store.accept(device("d"), event(user="u1"), event(user="u2"))
    await store.accept(event(user="u2", device="d"), event(user="u1", device="d"))
    assert await store.customers() == 2
    assert await store.who("d", "anonymous_id") == await store.who("u2")


async def test_an_alias_merges_two_known_customers(store: Store) -> None:
    await store.accept(event(user="old"), event(user="new"))
    stays = await store.who("new")
    await store.accept(alias("old", "new", message="why"))
    assert await store.who("old") == await store.who("new") == stays
    assert await store.rows("select cause, message_id from customer_merge") == [("alias", "why")]


async def test_an_alias_of_a_device_is_as_an_identify(store: Store) -> None:
    await store.accept(device("d"), event(user="u"))
    await store.accept(alias("d", "u"))
    assert await store.customers() == 1
    # And a device that is somebody else's by now is not theirs.
    await store.accept(alias("d", "v"))
    assert await store.customers() == 2
    assert await store.rows("select refused from customer_merge where refused is not null") == [
        ("a device of a customer with a name of their own",)
    ]


async def test_an_alias_may_come_before_those_whom_it_names(store: Store) -> None:
    await store.accept(alias("old", "new"))
    await store.accept(event(user="old"), device("old"), event(user="new"))
    assert await store.customers() == 1
    await store.accept(alias("new", "new"))
    assert await store.customers() == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_merges_in_any_order_and_twice_come_to_the_same(
    store: Store, order: tuple[int, ...]
) -> None:
    await store.accept(*(event(user=u) for u in "abcd"))
    wishes = [("a", "b"), ("b", "c"), ("d", "a")]
    for number in (*order, *order):
        await store.accept(alias(*wishes[number]))
    assert await store.customers() == 1
    assert await store.value("select count(*) from customer_merge") == 3
    ids = [row[0] for row in await store.rows("select id from customer")]
    assert {await store.value("select survivor($1)", i) for i in ids} == {await store.who("a")}


async def test_there_and_back_at_once_is_one_merge(store: Store) -> None:
    await store.accept(event(user="a"), event(user="b"))
    await asyncio.gather(*(store.accept(alias(*ab)) for ab in (("a", "b"), ("b", "a")) * 4))
    assert await store.customers() == 1
    assert await store.value("select count(*) from customer_merge") == 1


async def test_a_repeated_call_merges_nothing_again(store: Store) -> None:
    await store.accept(device("d"), event(user="u"))
    again = identify("u", "d", message="same")
    assert [await store.accept(again) for _ in range(3)] == [[True], [False], [False]]
    assert await store.value("select count(*) from customer_merge") == 1


async def test_a_device_with_more_than_its_share_of_identities_is_not_merged(store: Store) -> None:
    await store.accept(event(user="u"), device("d"))
    await store.pool.execute(
        "insert into identity select 'anonymous_id', 'x' || n, $1 from generate_series(1, 499) n",
        await store.who("u"),
    )
    for _ in range(2):
        await store.accept(identify("u", "d"))
    assert await store.customers() == 2
    (log,) = await store.rows("select refused, customer_id from customer_merge")
    assert log == ("one customer would have more than 500 identities", await store.who("u"))
    await store.pool.execute("delete from identity where value = 'x1'")
    await store.accept(identify("u", "d"))
    assert await store.customers() == 1


async def test_an_alias_chain_makes_no_monster(store: Store) -> None:
    for number in range(15):
        await store.accept(alias("shop-floor", f"u{number}"))
    most = await store.value(
        "select max(n) from (select count(*) as n from identity where kind = 'user_id'"
        " group by customer_id) x"
    )
    assert most == 10
    assert await store.value("select count(*) from customer_merge where refused is not null") > 0


async def test_a_customer_is_merged_fifty_times_a_day_at_most(store: Store) -> None:
    await store.accept(event(user="u"), *(device(f"d{n}") for n in range(51)))
    for number in range(51):
        await store.accept(identify("u", f"d{number}"))
    assert await store.customers() == 2
    await store.pool.execute("update customer_merge set created_at = now() - interval '25 hours'")
    await store.accept(identify("u", "d50"))
    assert await store.customers() == 1


# What moves, and what wins.


async def test_the_newer_trait_wins_and_the_one_who_stays_where_both_are_as_new(
    store: Store,
) -> None:
    await store.accept(traits("u", a="u old", b="u", only_u=1))
    await store.accept(traits(None, "d", a="d new", b="d", only_d=2))
    await store.pool.execute("update trait set updated_at = now() where name = 'b'")
    await store.accept(identify("u", "d", message="why"))
    assert dict(await store.rows("select name, value from trait")) == {
        "a": "d new",
        "b": "u",
        "only_u": 1,
        "only_d": 2,
    }
    assert await store.rows(
        "select name, old_value, new_value from trait_change where message_id = 'why' order by 1"
    ) == [("a", "u old", "d new"), ("only_d", None, 2)]


async def test_what_was_forgotten_later_stays_forgotten(store: Store) -> None:
    await store.accept(traits("u", email="u@x", city="Rome"))
    await store.accept(traits(None, "d", email="d@x", city="Oslo", push_token="t"))
    await store.accept(traits("u", email=None))
    await store.accept(traits(None, "d", city=None))
    await store.accept(identify("u", "d"))
    assert await store.rows("select name from trait where name in ('email', 'city')") == []
    assert await store.rows("select value from address") == [("t",)]


async def test_of_two_e_mail_addresses_the_newer_is_used_and_push_tokens_join(
    store: Store,
) -> None:
    await store.accept(traits("u", email="u@x", push_token="tu", timezone="Europe/Rome"))
    await store.accept(traits(None, "d", email="d@x", push_token="td", timezone="Asia/Tokyo"))
    await store.accept(traits("u", phone="+1"))
    await store.accept(traits(None, "d", phone="+1"))
    await store.pool.execute(
        "update address set dead_since = now() where channel = 'sms' and customer_id = $1",
        await store.who("u"),
    )
    await store.accept(identify("u", "d"))
    assert await store.rows(
        "select channel, value, dead_since is not null from address order by 1, 2"
    ) == [
        ("email", "d@x", False),
        ("push", "td", False),
        ("push", "tu", False),
        ("sms", "+1", True),
    ]
    zone = await store.value("select time_zone from customer where merged_into is null")
    assert zone == "Asia/Tokyo"


def ticket(action: str, minutes: float, **who: Any) -> Incoming:
    hold = {"kind": "ticket", "reference": "t1", "action": action}
    return event("ticket", at=NOW + timedelta(minutes=minutes), effects={"hold": hold}, **who)


@pytest.mark.parametrize(
    ("of_user", "of_device", "held"),
    [
        ([("open", 0)], [], True),
        ([], [("open", 0)], True),
        ([("open", 0)], [("open", 1)], True),
        ([("open", 0)], [("close", 1)], False),
        ([("close", 1)], [("open", 0)], False),
        ([("close", 0)], [("open", 4)], False),  # two senders' clocks
        ([("close", 0)], [("open", 6)], True),
        ([("open", 0), ("close", 1)], [("open", 2)], True),
        ([("open", 0), ("close", 2)], [("open", 1)], False),
        ([("close", 1)], [("close", 2)], False),
    ],
)
async def test_a_ticket_of_one_is_a_ticket_of_both(
    store: Store,
    of_user: list[tuple[str, float]],
    of_device: list[tuple[str, float]],
    held: bool,
) -> None:
    await store.accept(event(user="u"), device("d"))
    await store.accept(*(ticket(a, at, user="u") for a, at in of_user))
    await store.accept(*(ticket(a, at, user=None, device="d") for a, at in of_device))
    await store.accept(identify("u", "d"))
    customer = await PostgresCustomers(store.pool, Audiences()).get(await store.who("u"))
    assert bool(customer.open_holds) is held


async def test_caps_and_objectives_count_over_both(store: Store) -> None:
    await store.accept(traits("u", push_token="t1"), traits(None, "d", push_token="t2"))
    await store.accept(entry("one", user="u"), entry("two", user=None, device="d"))
    one, two = await store.enrollment("one"), await store.enrollment("two")
    assert isinstance(
        await store.gate.decide(ask(one, 1, step="a", cap=1, objective="o1"), by_push()), Go
    )
    await store.accept(identify("u", "d"))
    capped = await store.gate.decide(ask(two, 2, step="b", cap=1), by_push())
    assert isinstance(capped, Suppressed)
    assert capped.reason == "cap_reached"
    met = await store.gate.decide(ask(two, 2, step="c", objective="o1"), by_push())
    assert isinstance(met, Suppressed)
    assert met.reason == "already_sent_for_objective"


async def test_an_answer_of_a_provider_finds_its_message_after_the_merge(store: Store) -> None:
    await store.accept(traits(None, "d", push_token="t"), event(user="u"))
    await store.accept(entry(user=None, device="d"))
    row = await store.enrollment()
    go = await store.gate.decide(ask(row, 1), by_push())
    assert isinstance(go, Go)
    await store.accept(identify("u", "d"))
    await store.gate.complete(go.message_id, Verdict.REJECTED, Reason.REJECTED, dead_address="t")
    assert await store.rows("select customer_id, verdict from message") == [
        (await store.who("u"), "rejected")
    ]
    assert await store.value("select dead_since is not null from address")


# Enrollments.


async def test_a_running_enrollment_goes_on_under_the_customer_who_stays(store: Store) -> None:
    await store.accept(event(user="u"), entry(user=None, device="d", message="begin"))
    before = await store.enrollment()
    await store.accept(device("d", "heard", message="h1"))
    woken = store.woken
    await store.accept(identify("u", "d"))
    assert store.woken == woken + 1
    await store.accept(event(user="u", message="h2"))
    row = await store.enrollment()
    assert row["customer_id"] == await store.who("u") != before["customer_id"]
    assert row["workflow_id"] == before["workflow_id"]
    assert await store.heard(row["id"]) == ["begin", "h1", "customer_merged", "h2"]
    assert await store.value("select last from backlog") == 4
    told = await store.value("select properties from event where name = 'customer_merged'")
    assert told == {
        "customer_id": row["customer_id"],
        "merged": before["customer_id"],
        "ended": [],
    }


async def test_requests_with_the_old_id_are_decided_for_the_merged_customer(store: Store) -> None:
    await store.accept(traits("u", push_token="t"), entry(user=None, device="d"))
    old = await store.enrollment()
    await store.accept(identify("u", "d"))
    stale = await store.gate.decide(ask(old, 1), by_push())
    assert isinstance(stale, Stale)  # G3: the merge itself is news
    assert [news.name for news in stale.news] == ["customer_merged"]
    go = await store.gate.decide(ask(old, 2), by_push())
    assert isinstance(go, Go)
    assert (go.address, go.customer.id) == ("t", await store.who("u"))
    assert await store.rows("select distinct customer_id from message") == [(await store.who("u"),)]
    customer = await PostgresCustomers(store.pool, Audiences()).get(old["customer_id"])
    assert customer.id == await store.who("u")
    assert not await store.end(old, 1)
    assert await store.end(old, 2)


async def test_what_the_other_device_did_meanwhile_is_heard(store: Store) -> None:
    await store.accept(event(user="u", message="before"), entry(user=None, device="d", message="b"))
    await store.accept(event(user="u", message="bought"), event("other", user="u"))
    await store.accept(event(user="u", kind="page"))
    row = await store.enrollment()
    await store.accept(identify("u", "d"))
    assert await store.heard(row["id"]) == ["b", "customer_merged", "bought"]
    assert isinstance(await store.gate.decide(ask(row, 1), by_push()), Stale)
    # A third joins: what the second did is not told again.
    await store.accept(device("d3", "heard", message="third"))
    await store.accept(identify("u", "d3"))
    assert await store.heard(row["id"]) == [
        "b", "customer_merged", "bought", "customer_merged", "third",
    ]  # fmt: skip


@pytest.mark.parametrize("older_is_the_users", [True, False])
async def test_of_two_live_enrollments_of_a_journey_and_key_the_older_goes_on(
    store: Store, older_is_the_users: bool
) -> None:
    user: dict[str, Any] = {"user": "u", "message": "by-user"}
    other: dict[str, Any] = {"user": None, "device": "d", "message": "by-device"}
    first, second = (user, other) if older_is_the_users else (other, user)
    await store.accept(entry(**first))
    await store.accept(entry(**second), entry("else", **{**second, "message": "else"}))
    older, younger = await store.rows(
        "select id, last_number from enrollment where journey = 'tour' order by created_at"
    )
    await store.settle()
    await store.accept(identify("u", "d"))
    live, over = await store.enrollment(), await store.enrollment(state="ended")
    assert (live["id"], over["id"]) == (older[0], younger[0])
    assert over["outcome"] == "merged"
    assert older[0] in over["outcome_reason"]
    assert await store.heard(over["id"]) == [second["message"], "customer_merged"]
    told = await store.value("select properties from event where name = 'customer_merged'")
    assert told["ended"] == [over["id"]]
    # Both are told by the relay, the one that is over too.
    carried = await store.rows("select enrollment_id, relayed, last from backlog order by 1")
    assert {(live["id"], 1, 2), (over["id"], 1, 2)} <= set(carried)
    assert await store.value("select count(*) from enrollment where customer_id = $1",
                             await store.who("u")) == 3  # fmt: skip
    over_now = await store.gate.decide(ask(over, 2), by_push())
    assert isinstance(over_now, Suppressed)
    assert over_now.reason == "enrollment_over"


async def test_a_workflow_that_a_slow_relay_starts_after_the_merge_is_told(store: Store) -> None:
    await store.accept(entry(user="u", message="older"))
    await store.accept(entry(user=None, device="d", message="younger"))
    slow, other = Backlog(store.pool), Backlog(store.pool, timedelta(0))
    claims = {claim.enrollment_id: claim for claim in await slow.claim(9)}
    await store.accept(identify("u", "d"))
    over = await store.enrollment(state="ended")
    # Another relay finds no workflow to tell. Then the slow one's call arrives.
    await store.pool.execute("update backlog set due_at = now()")
    (told,) = [claim for claim in await other.claim(9) if claim.enrollment_id == over["id"]]
    assert (told.live, told.merged) == (False, True)
    await other.done([(over["id"], told.events[-1].number)])
    assert claims[over["id"]].live
    await slow.started(over["id"], "run")
    await slow.done([(over["id"], 1)])
    (again,) = [claim for claim in await other.claim(9) if claim.enrollment_id == over["id"]]
    assert again.merged
    assert again.events[-1].name == "customer_merged"


async def test_what_the_younger_had_parked_is_not_sent_and_says_so(store: Store) -> None:
    await store.accept(traits("u", push_token="t"), entry(user="u"))
    await store.accept(entry(user=None, device="d"), ticket("open", 0, user=None, device="d"))
    younger = await store.pool.fetchrow("select * from enrollment order by created_at desc limit 1")
    await store.gate.decide(ask(younger, 1), by_push())
    await store.accept(identify("u", "d"))
    assert await store.rows("select verdict, reason, detail like '%merged%' from message") == [
        ("suppressed", "journey_ended", True)
    ]


@pytest.mark.parametrize(
    ("rule", "refusals"),
    [
        (AFTER_EXIT, []),
        (ONCE, ["this journey is entered only once"]),
        (ReEntry(pause=timedelta(days=1)), ["too soon after the exit: the pause is 1 day"]),
    ],
)
async def test_entry_rules_count_what_either_has_been_through(
    store: Store, rule: ReEntry, refusals: list[str]
) -> None:
    await store.accept(event(user="u"), entry(user=None, device="d", re_entry=rule))
    assert await store.end(await store.enrollment(), 1)
    await store.accept(identify("u", "d"))
    await store.accept(entry(user="u", re_entry=rule))
    assert [row[0] for row in await store.rows("select reason from refusal")] == refusals
    assert await store.value("select count(*) from enrollment") == 2 - len(refusals)


async def test_one_who_is_in_a_journey_is_refused_whatever_the_other_has_ended(
    store: Store,
) -> None:
    await store.accept(entry(user="u"))
    await store.accept(entry(user=None, device="d"))
    ended = await store.pool.fetchrow("select * from enrollment order by created_at desc limit 1")
    assert await store.end(ended, 1)
    await store.accept(identify("u", "d"))
    await store.accept(entry(user="u"))
    assert await store.rows("select reason from refusal") == [("already enrolled",)]
    assert await store.end(await store.enrollment(), 2)
    await store.accept(entry(user="u"))
    ids = await store.rows("select workflow_id, ordinal from enrollment")
    assert len({i for i, _ in ids}) == 3
    assert sorted(n for _, n in ids) == [1, 2, 3]


# At once.


async def _somebody_waits(store: Store, number: int = 1) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            waiting = await store.value(
                "select count(*) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
            if waiting >= number:
                return
            await asyncio.sleep(0.01)


async def test_an_event_that_waited_for_the_merge_is_heard(store: Store) -> None:
    await store.accept(event(user="u"), entry(user=None, device="d", message="b"))
    async with store.pool.acquire() as merging:
        transaction = merging.transaction()
        await transaction.start()
        slow = Acceptor(merging, lambda: None)
        await slow.accept((identify("u", "d"),))
        late = asyncio.create_task(store.accept(device("d", "heard", message="late")))
        await _somebody_waits(store)
        await transaction.commit()
        await slow.close()
    assert await late == [True]
    row = await store.enrollment()
    assert await store.heard(row["id"]) == ["b", "customer_merged", "late"]
    owner = await store.value("select customer_id from event where message_id = 'late'")
    assert owner == row["customer_id"]


async def test_a_decision_and_an_end_that_waited_for_the_merge_hear_of_it(store: Store) -> None:
    await store.accept(traits("u", push_token="t"), entry(user=None, device="d"))
    row = await store.enrollment()
    async with store.pool.acquire() as merging:
        transaction = merging.transaction()
        await transaction.start()
        slow = Acceptor(merging, lambda: None)
        await slow.accept((identify("u", "d"),))
        deciding = asyncio.create_task(store.gate.decide(ask(row, 1), by_push()))
        ending = asyncio.create_task(store.end(row, 1))
        await _somebody_waits(store, 2)
        await transaction.commit()
        await slow.close()
    assert isinstance(await deciding, Stale)
    assert not await ending


async def test_a_new_device_of_one_who_is_being_merged_is_the_merged_ones(store: Store) -> None:
    await store.accept(event(user="old"), event(user="new"))
    async with store.pool.acquire() as merging:
        transaction = merging.transaction()
        await transaction.start()
        slow = Acceptor(merging, lambda: None)
        await slow.accept((alias("old", "new"),))
        late = asyncio.create_task(store.accept(event("plain", user="old", device="d")))
        await _somebody_waits(store)
        await transaction.commit()
        await slow.close()
    assert await late == [True]
    assert await store.who("d", "anonymous_id") == await store.who("new")


async def test_a_merge_waits_for_a_device_that_is_being_added(store: Store) -> None:
    await store.accept(event(user="old"), event(user="new"))
    async with store.pool.acquire() as adding:
        transaction = adding.transaction()
        await transaction.start()
        slow = Acceptor(adding, lambda: None)
        await slow.accept((event("plain", user="old", device="d"),))
        merge = asyncio.create_task(store.accept(alias("old", "new")))
        await _somebody_waits(store)
        await transaction.commit()
        await slow.close()
    assert await merge == [True]
    assert await store.who("d", "anonymous_id") == await store.who("new")


async def _whole(store: Store) -> None:
    """What must be so, whatever happened in whatever order."""
    gone = "(select id from customer where merged_into is not null)"
    for table in ("identity", "trait", "address", "hold", "enrollment", "message"):
        count = await store.value(f"select count(*) from {table} where customer_id in {gone}")
        assert count == 0, table
    lonely = "select e.id from event e left join customer c on c.id = e.customer_id"
    assert await store.rows(lonely + " where c.id is null") == []
    gaps = await store.rows(
        "select enrollment_id from delivery group by 1 having min(number) <> 1"
        " or max(number) <> count(*) or count(distinct (source_id, message_id)) <> count(*)"
    )
    assert gaps == []
    told = await store.rows(
        "select id from enrollment e where last_number <>"
        " (select max(number) from delivery d where d.enrollment_id = e.id)"
    )
    assert told == []
    # G2, G3: a live enrollment was told every event that it listens to since it began, once.
    missing = await store.rows(
        "select e.id, v.message_id from enrollment e, event v"
        " where e.state = 'live' and survivor(v.customer_id) = e.customer_id"
        " and v.type = 'track' and v.name = any (e.listens) and v.id > ("
        "   select b.id from delivery d join event b using (source_id, message_id)"
        "   where d.enrollment_id = e.id and d.number = 1)"
        " and not exists (select 1 from delivery d where d.enrollment_id = e.id"
        "   and d.source_id = v.source_id and d.message_id = v.message_id)"
    )
    assert missing == []
    # And its customer's present id, last.
    strangers = await store.rows(
        "select e.id from enrollment e where e.state = 'live' and e.customer_id <> coalesce(("
        "   select v.properties ->> 'customer_id' from delivery d"
        "   join event v using (source_id, message_id)"
        "   where d.enrollment_id = e.id and v.name = 'customer_merged'"
        "   order by d.number desc limit 1), e.customer_id)"
    )
    assert strangers == []


async def _again(call: Callable[[], Awaitable[Any]]) -> Any:
    """As Temporal does with an activity that was chosen to end a deadlock of others."""
    while True:
        with contextlib.suppress(asyncpg.DeadlockDetectedError):
            return await call()


class Crowd:
    """Posts, decides and ends at random: users on shared devices, who are aliased."""

    def __init__(self, store: Store, acceptors: list[Acceptor], seed: int) -> None:
        self._store = store
        self._acceptors = acceptors
        self._dice = random.Random(seed)
        self.decided = 0

    def _who(self) -> dict[str, Any]:
        user, name = f"u{self._dice.randrange(6)}", f"d{self._dice.randrange(8)}"
        return self._dice.choice(
            [{"user": user}, {"user": None, "device": name}, {"user": user, "device": name}]
        )

    def _post(self) -> Incoming:
        dice, who = self._dice, self._who()
        match dice.randrange(8):
            case 0:
                return entry(f"j{dice.randrange(3)}", key=f"k{dice.randrange(2)}", **who)
            case 1:
                return alias(f"u{dice.randrange(6)}", f"u{dice.randrange(6)}")
            case 2:
                told = {"email": f"{dice.randrange(9)}@x", "push_token": "t"}
                return traits(who["user"], who.get("device"), **told)
            case 3:
                return ticket(dice.choice(["open", "close"]), dice.randrange(9), **who)
            case 4:
                return event("plain", **who)
            case _:
                return event("heard", **who)

    async def act(self, times: int) -> None:
        for _ in range(times):
            row = await self._store.pool.fetchrow(
                "select * from enrollment where state = 'live' order by random() limit 1"
            )
            match self._dice.randrange(3) if row is not None else 2:
                case 0:
                    asked = ask(row, row["last_number"], step=str(self._dice.random()))
                    await _again(lambda: self._store.gate.decide(asked, by_push()))  # noqa: B023
                    self.decided += 1
                case 1:
                    await _again(lambda: self._store.end(row, row["last_number"]))  # noqa: B023
                case _:
                    batch = [self._post() for _ in range(self._dice.randrange(1, 5))]
                    assert all(await self._dice.choice(self._acceptors).accept(batch))


@pytest.mark.parametrize("seed", range(4))
async def test_a_crowd_that_merges_while_it_acts_stays_whole(
    store: Store, database_url: str, seed: int
) -> None:
    other = await open_pool(database_url)
    another = Acceptor(other, lambda: None)
    crowd = Crowd(store, [store.acceptor, another], seed)
    await asyncio.gather(*(crowd.act(12) for _ in range(12)))
    assert await store.value("select count(*) from customer_merge where refused is null") > 0
    assert crowd.decided
    await _whole(store)
    await another.close()
    await other.close()
