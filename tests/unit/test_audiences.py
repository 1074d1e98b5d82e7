"""Windows, segments and what is declared wrongly: pure, against models of a few lines."""

import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiences.catalog import discover
from domain.audiences import (
    FOREVER,
    Audiences,
    Bucket,
    ComputedTrait,
    Count,
    First,
    Known,
    Last,
    LastValue,
    Profile,
    Recency,
    Segment,
    Sum,
    Summary,
    Trait,
    about,
)
from domain.audiences.summary import counts_until, grain
from domain.errors import AudienceError
from domain.events import Occurrence, PurchaseMade, SegmentEntered, SegmentLeft

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOWS = [
    timedelta(minutes=5),
    timedelta(hours=3),
    DAY,
    timedelta(days=7),
    timedelta(days=30),
    timedelta(days=90),
]

moments = st.timedeltas(min_value=timedelta(0), max_value=120 * DAY).map(lambda ago: NOW - ago)
events = st.lists(st.tuples(moments, st.integers(-50, 50)), max_size=30)


def purchase(at: datetime, total: Any = None, currency: str | None = None) -> PurchaseMade:
    properties = {"order_id": "o1", "total": total, "currency": currency}
    return PurchaseMade.of(properties, Occurrence("e1", at))


def kept(trait: ComputedTrait[Any], happened: Sequence[PurchaseMade]) -> list[Bucket]:
    """What the store keeps of events that come in this order."""
    summaries: dict[datetime, Summary] = {}
    for event in happened:
        if (one := trait.contribution(event)) is not None:
            summary = Summary.of(event.occurred_at, one.value, one.amount)
            summaries[one.until] = summaries.get(one.until, Summary()) + summary
    return [Bucket(until, summary) for until, summary in summaries.items()]


def known(*traits: ComputedTrait[Any], of: Sequence[PurchaseMade] = (), **more: Any) -> Known:
    filled = {trait.key for trait in traits} | more.pop("filled", set())
    buckets = {trait.key: kept(trait, of) for trait in traits}
    return Known(buckets=buckets, filled=frozenset(filled), **more)


# Windows.


@given(events, st.sampled_from(WINDOWS), moments)
def test_a_window_counts_what_a_list_of_all_events_would(
    happened: list[tuple[datetime, int]], within: timedelta, now: datetime
) -> None:
    def inside(at: datetime) -> bool:
        span = grain(within).total_seconds()
        return (at + within).timestamp() // span >= now.timestamp() // span

    past = [(at, amount) for at, amount in happened if at <= now]
    orders = Count(PurchaseMade, within=within, name="orders")
    spent = Sum(PurchaseMade, "total", within=within, name="spent")
    last = Last(PurchaseMade, within=within, name="last")
    stored = [purchase(at, amount) for at, amount in past]
    assert orders.value(kept(orders, stored), now) == sum(inside(at) for at, _ in past)
    assert spent.value(kept(spent, stored), now) == sum(n for at, n in past if inside(at))
    assert last.value(kept(last, stored), now) == max(
        (at for at, _ in past if inside(at)), default=None
    )


@given(moments, st.sampled_from(WINDOWS))
def test_an_event_leaves_its_window_never_too_early_and_at_most_a_span_too_late(
    at: datetime, within: timedelta
) -> None:
    until = counts_until(at, within)
    assert at + within < until <= at + within + grain(within)


@pytest.mark.parametrize("within", WINDOWS)
def test_a_window_is_some_hundreds_of_rows_at_most(within: timedelta) -> None:
    assert within // grain(within) <= 1440


@given(st.lists(st.tuples(moments, st.integers(-50, 50)), unique_by=lambda e: e[0]), st.randoms())
def test_the_order_in_which_events_come_in_makes_no_difference(
    happened: list[tuple[datetime, int]], rng: Any
) -> None:
    traits: list[ComputedTrait[Any]] = [
        Count(PurchaseMade, name="orders"),
        Sum(PurchaseMade, "total", name="spent"),
        First(PurchaseMade, name="first"),
        LastValue(PurchaseMade, "total", name="last_total"),
        Recency(PurchaseMade, name="days"),
    ]
    in_order = [purchase(at, amount) for at, amount in sorted(happened)]
    as_they_came = rng.sample(in_order, len(in_order))
    for trait in traits:
        value = trait.value(kept(trait, in_order), NOW)
        assert trait.value(kept(trait, as_they_came), NOW) == value
    if in_order:
        assert traits[2].value(kept(traits[2], as_they_came), NOW) == in_order[0].occurred_at
        assert traits[3].value(kept(traits[3], as_they_came), NOW) == in_order[-1].total


@given(st.lists(st.lists(st.tuples(moments, st.integers(-50, 50)), max_size=5), max_size=4))
def test_summaries_add_up_however_they_are_grouped(
    groups: list[list[tuple[datetime, int]]],
) -> None:
    def total(parts: Sequence[Summary]) -> Summary:
        return sum(parts, Summary())

    ones = [[Summary.of(at, n, Decimal(n)) for at, n in group] for group in groups]
    assert total([total(group) for group in ones]) == total([one for g in ones for one in g])


def test_of_events_at_the_same_moment_the_later_acknowledged_is_the_last() -> None:
    last = LastValue(PurchaseMade, "currency", name="last")
    happened = [purchase(NOW, 1, "EUR"), purchase(NOW, 1, "USD"), purchase(NOW, 1, None)]
    assert last.value(kept(last, happened), NOW) == "USD"


@pytest.mark.parametrize(
    ("since", "days"), [(-timedelta(seconds=5), 0), (DAY - timedelta.resolution, 0), (DAY, 1)]
)
def test_a_recency_counts_whole_days(since: timedelta, days: int) -> None:
    recency = Recency(PurchaseMade, name="days")
    assert recency.value(kept(recency, [purchase(NOW - since)]), NOW) == days
    assert recency.value([], NOW) is None


# Segments.


@settings(max_examples=30, deadline=None)
@given(events, st.integers(0, 4), st.integers(0, 90))
def test_whoever_looks_when_told_to_always_knows_who_is_in(
    happened: list[tuple[datetime, int]], least: int, days: int
) -> None:
    orders = Count(PurchaseMade, within=30 * DAY, name="orders")
    recency = Recency(PurchaseMade, name="days")

    def condition(customer: Profile) -> bool:
        return customer[orders] >= least or (customer[recency] or 0) > days

    segment = Segment(condition, name="some")
    audiences = Audiences([orders, recency, segment])
    facts = known(orders, recency, of=[purchase(at) for at, _ in happened], filled={segment.key})
    looks = [NOW]
    while (due := audiences.assess(facts, looks[-1]).due) and due < NOW + 100 * DAY:
        assert due > looks[-1]
        looks.append(due)
    # Whoever looks when told to, and at no other time, always knows.
    noted = [bool(audiences.members(facts, look)) for look in looks]
    for hours in range(0, 100 * 24, 25):
        then = NOW + timedelta(hours=hours)
        assert bool(audiences.members(facts, then)) == noted[bisect_right(looks, then) - 1]


def test_an_entry_and_an_exit_say_what_they_were_decided_on() -> None:
    spent = Sum(PurchaseMade, "total", name="spent")
    plan = Trait(str, name="plan")
    segment = Segment(lambda c: c[plan] == "gold" and c[spent] > 5, name="gold_spender")
    audiences = Audiences([spent, plan, segment])
    facts = known(spent, of=[purchase(NOW, "7.25")], filled={segment.key}, traits={"plan": "gold"})
    (entered,) = audiences.assess(facts, NOW).moves
    assert (entered.entered, entered.ordinal, entered.silent) == (True, 1, False)
    assert entered.evidence == {"plan": "gold", "spent": 7.25}
    again = known(spent, filled={segment.key}, moves={"gold_spender": (True, 5)})
    (left,) = audiences.assess(again, NOW).moves
    # The plan alone decided: what it spent was not asked.
    assert (left.entered, left.ordinal, left.evidence) == (False, 6, {"plan": None})


def test_what_is_not_computed_yet_is_not_decided_on() -> None:
    orders = Count(PurchaseMade, name="orders")
    new = Segment(cel="orders == 0", name="new")
    audiences = Audiences([orders, new])
    assert audiences.assess(Known(filled=frozenset({new.key})), NOW).moves == []
    assert audiences.assess(Known(filled=frozenset({orders.key})), NOW).moves == []
    assert audiences.values(Known(), NOW) == {}
    both = frozenset({new.key, orders.key})
    assert [move.entered for move in audiences.assess(Known(filled=both), NOW).moves] == [True]
    # Given up for a newer version: the newer one decides.
    assert audiences.assess(Known(filled=both, retired=both), NOW).moves == []


@pytest.mark.parametrize(
    ("cel", "member"),
    [
        ("orders >= 1", True),
        ("spent > 5.5 && spent < 10", True),
        ("days >= 2", False),
        ("plan == 'gold' || orders == 1", True),
        ("plan == null", True),
        ("plan.startsWith('g')", False),
        ("last < timestamp('2027-01-01T00:00:00Z')", True),
        ("orders > 0 && spent / double(orders) > 7.0", True),
    ],
)
def test_conditions_in_cel(cel: str, *, member: bool) -> None:
    traits: list[Any] = [
        Count(PurchaseMade, name="orders"),
        Sum(PurchaseMade, "total", name="spent"),
        Recency(PurchaseMade, name="days"),
        Last(PurchaseMade, name="last"),
    ]
    audiences = Audiences([*traits, Trait(str, name="plan"), Segment(cel=cel, name="some")])
    facts = known(*traits, of=[purchase(NOW - DAY, 7.5)])
    assert audiences.members(facts, NOW) == (("some",) if member else ())


def test_a_trait_of_another_type_than_declared_counts_as_none() -> None:
    age = Trait(int, name="age")
    adults = Segment(cel="age >= 18", name="adults")
    audiences = Audiences([age, adults])
    for told, member in (("30", True), (30, True), ("thirty", False), ([], False), (None, False)):
        assert audiences.members(Known(traits={"age": told}), NOW) == (
            ("adults",) if member else ()
        )


def test_a_journey_hears_about_the_segment_that_it_means() -> None:
    lapsing = Segment(lambda _: True, name="lapsing")
    assert about(lapsing)(SegmentEntered(segment="lapsing"))
    assert not about(lapsing)(SegmentLeft(segment="high_value"))


# What is declared wrongly is found at start.


def _segment(**condition: Any) -> Callable[[], object]:
    orders = Count(PurchaseMade, name="orders")
    return lambda: Audiences([orders, Segment(**condition, name="some")])


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: Count(SegmentEntered, name="a"), "SegmentEntered is what segments cause"),
        (
            lambda: Sum(PurchaseMade, "totals", name="a"),
            "has no property 'totals': it has",
        ),
        (lambda: Sum(PurchaseMade, "currency", name="a"), "currency is not a number"),
        (lambda: Count(PurchaseMade, within=-DAY, name="a"), "between a minute and ten years"),
        (lambda: Count(PurchaseMade, within=1.01 * DAY, name="a"), "not made of whole spans"),
        (lambda: Count(PurchaseMade, name="Orders"), "begins with a small letter"),
        (lambda: Recency(PurchaseMade, unit=timedelta(0), name="a"), "minutes at the finest"),
        (lambda: Count(PurchaseMade).name, "has no name: assign it to a variable"),
        (lambda: Segment(name="a"), "either a function, or cel="),
        (lambda: Segment(lambda _: True, cel="true", name="a"), "either a function, or cel="),
        (_segment(cel="orders >="), "not an expression"),
        (_segment(cel="orders > 1 && nosuch"), "names nosuch, which nobody declared"),
        (_segment(cel="orders > size(nope())"), "calls nope; there are bytes"),
        (_segment(cel="orders + 1"), "is not a condition: it gives 2"),
        (_segment(cel="orders > 'x'"), "No such overload"),
        (_segment(cel="orders > 1 && orders.size() > 1"), "Undefined variable or function: 'size'"),
        (
            lambda: Audiences([Count(PurchaseMade, name="a"), Segment(lambda _: True, name="a")]),
            "two traits or segments are called 'a'",
        ),
    ],
)
def test_a_wrong_declaration_says_what_to_write(declare: Callable[[], object], says: str) -> None:
    with pytest.raises(AudienceError, match=says.replace("(", r"\(")):
        declare()


# What tells one meaning from another.


def _module(source: str, tmp_path: Any) -> ModuleType:
    path = tmp_path / "specimen.py"
    path.write_text(source)
    module = ModuleType("specimen")
    sys.modules["specimen"] = module
    import linecache  # noqa: PLC0415

    linecache.checkcache(str(path))
    exec(compile(source, str(path), "exec"), vars(module))
    return module


_HEAD = """
from domain.audiences import Count, Segment
from domain.events import PurchaseMade
LIMIT = 5
def big(p): return p.total > LIMIT
"""


def test_a_meaning_changes_with_the_code_and_not_with_its_layout(tmp_path: Any) -> None:
    def key(line: str, head: str = _HEAD) -> str:
        found: str = _module(f"{head}\n{line}\n", tmp_path).some.key
        return found

    plain = key("some = Count(PurchaseMade, where=lambda p: big(p))")
    assert plain.startswith("some:")
    assert plain == key("some = Count(\n    PurchaseMade, # big\n    where=lambda p: (big(p)))")
    others = {
        plain,
        key("some = Count(PurchaseMade)"),
        key("some = Count(PurchaseMade, where=lambda p: not big(p))"),
        key("some = Count(PurchaseMade, where=lambda p: big(p))", _HEAD.replace("5", "6")),
        key("some = Count(PurchaseMade, where=lambda p: big(p))", _HEAD.replace(">", ">=")),
        key("some = Count(PurchaseMade, where=big)"),
        key("some = Count(PurchaseMade, where=lambda p: big(p), version=2)"),
        key("other, some = Segment(lambda c: True), Segment(lambda c: False)"),
        key("some, other = Segment(lambda c: True), Segment(lambda c: False)"),
        key("some = Segment(cel='true')"),
    }
    assert len(others) == 10
    assert key("some = Segment(cel='1 <  2')") == key("some = Segment(\n  cel='1 < 2')")


# What is shipped.


def test_what_is_shipped_is_found_and_holds_together() -> None:
    found = discover()
    names = {trait.name for trait in found.computed}
    assert {"orders_90d", "spent", "last_order_at", "days_since_order"} <= names
    assert {segment.name for segment in found.segments} >= {"high_value", "lapsing"}
    facts = Known(filled=frozenset(found.keys))
    assert found.members(facts, NOW) == ()
    assert found.values(facts, NOW)["orders"] == 0
    added = found.contributions(purchase(NOW - 200 * DAY, 1), NOW)
    # Too late for the window of ninety days, and no invitation.
    assert {one.key.partition(":")[0] for one in added} == names - {"orders_90d", "invitations"}
    assert {one.until for one in added} == {FOREVER}
