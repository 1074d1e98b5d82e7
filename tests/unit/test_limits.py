"""The bucket: bursts, rates, and batches larger than the burst."""

import random

import pytest

from domain.limits import Bucket


def test_a_burst_passes_and_then_the_rate() -> None:
    bucket = Bucket(rate=10, burst=2, now=0.0)
    assert [bucket.take(1, 0.0) for _ in range(20)] == [0.0] * 20
    assert bucket.take(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(1, 0.05) == pytest.approx(0.05)
    assert bucket.take(1, 0.1) == 0.0
    assert bucket.take(1, 0.1) > 0.0


def test_what_was_refused_took_nothing() -> None:
    bucket = Bucket(rate=10, burst=1, now=0.0)
    assert bucket.take(8, 0.0) == 0.0
    for _ in range(100):
        assert bucket.take(3, 0.0) == pytest.approx(0.1)
    assert bucket.take(2, 0.0) == 0.0


def test_more_than_the_burst_passes_when_the_bucket_is_full_and_is_paid_off() -> None:
    bucket = Bucket(rate=10, burst=1, now=0.0)
    assert bucket.take(1, 0.0) == 0.0
    assert bucket.take(50, 0.0) == pytest.approx(0.1)
    assert bucket.take(50, 0.1) == 0.0
    assert bucket.take(1, 0.1) == pytest.approx(4.1)
    assert bucket.take(1, 4.3) == 0.0


def test_whoever_comes_back_when_told_is_let_in_and_the_rate_holds() -> None:
    chance = random.Random(7)
    bucket, now, taken = Bucket(rate=100, burst=5, now=0.0), 0.0, 0
    for _ in range(2_000):
        wanted = chance.choice((1, 1, 1, 20, 499, 5_000))
        if pause := bucket.take(wanted, now):
            now += pause + 1e-9
            assert bucket.take(wanted, now) == 0.0
        taken += wanted
        now += chance.random() * 0.01
    assert taken <= 100 * (now + 5) + 5_000
    assert taken >= 100 * now


def test_a_pause_saves_up_no_more_than_the_burst() -> None:
    bucket = Bucket(rate=1, burst=3, now=0.0)
    assert bucket.take(3, 1_000_000.0) == 0.0
    assert bucket.take(1, 1_000_000.0) > 0.0
