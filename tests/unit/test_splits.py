"""Splits deal customers as GrowthBook does, evenly, and the same way every time."""

from collections import Counter

import pytest
from growthbook.core import chooseVariation, gbhash, getBucketRanges
from hypothesis import given
from hypothesis import strategies as st

from domain.splits import bucket, choose, held_out

CUSTOMERS = [f"cus_{n:032x}" for n in range(10_000)]


@given(st.text(), st.text())
def test_the_buckets_are_growthbooks(seed: str, value: str) -> None:
    assert bucket(seed, value) == gbhash(seed, value, 2)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.1, 0.9), (0.2, 0.3, 0.5), (1 / 3,) * 3])
def test_the_variants_are_growthbooks(weights: tuple[float, ...]) -> None:
    variants = {f"v{n}": weight for n, weight in enumerate(weights)}
    ranges = getBucketRanges(len(weights), 1, list(weights))
    for customer in CUSTOMERS[:2_000]:
        theirs = chooseVariation(gbhash("subject", customer, 2) or 0, ranges)
        assert choose(variants, "subject", customer) == f"v{theirs}"


def test_weights_are_compared_and_need_not_add_up_to_one() -> None:
    dealt = Counter(choose({"a": 1, "b": 3, "none": 0}, "subject", c) for c in CUSTOMERS)
    assert dealt["a"] == pytest.approx(2_500, abs=150)
    assert dealt["none"] == 0
    assert dealt.total() == 10_000


def test_another_seed_deals_anew() -> None:
    even = {"a": 1, "b": 1}
    both = sum(choose(even, "one", c) == choose(even, "two", c) for c in CUSTOMERS)
    assert both == pytest.approx(5_000, abs=200)


def test_a_rounding_error_leaves_nobody_out() -> None:
    thirds = dict.fromkeys("abcdefghijk", 0.1)
    assert {choose(thirds, "s", c) for c in CUSTOMERS} == set(thirds)


@pytest.mark.parametrize(
    "weights", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": float("nan")}, {"a": float("inf"), "b": 1}]
)
def test_weights_that_deal_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weights of zero or more"):
        choose(weights, "seed", "cus_1")


def test_a_larger_share_keeps_everybody_whom_a_smaller_one_held_out() -> None:
    tenth = {c for c in CUSTOMERS if held_out(0.1, "global", c)}
    fifth = {c for c in CUSTOMERS if held_out(0.2, "global", c)}
    assert tenth < fifth
    assert len(tenth) == pytest.approx(1_000, abs=100)
    assert not any(held_out(0, "global", c) for c in CUSTOMERS)
    assert all(held_out(1, "global", c) for c in CUSTOMERS)
    with pytest.raises(ValueError, match="between 0 and 1"):
        held_out(10, "global", "cus_1")
