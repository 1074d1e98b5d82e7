"""Columns that travel as texts arrive as they were."""

import random
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from infra.database.columns import arrays, moments, parameters
from infra.database.pool import Pool

ODD = [
    "",
    " ",
    ",",
    "{}",
    '"',
    "\\",
    "\\N",
    "NULL",
    "a\tb",
    "a\nb\r",
    "é",
    "日本",
    "🙂",
    "\x7f",
    "\uffff",
]
CONTROLS = [chr(code) for code in range(1, 32)]


@pytest.mark.parametrize("seed", range(20))
async def test_texts_of_all_kinds_arrive_as_they_were(pool: Pool, seed: int) -> None:
    chance = random.Random(seed)
    alphabet = ["x", *ODD, *chance.sample(CONTROLS, chance.randrange(len(CONTROLS) + 1))]

    def column(length: int) -> list[str | None]:
        texts = ("".join(chance.choices(alphabet, k=chance.randrange(4))) for _ in range(length))
        return [None if chance.random() < 0.2 else text for text in texts]

    length = chance.randrange(1, 9)
    columns = [column(length) for _ in range(3)]
    sql = f"select {arrays(['text'] * 3)}"
    found = await pool.fetchrow(sql, *parameters(columns))
    nothing: list[None] = [None] * length
    assert [nothing if one is None else list(one) for one in found] == columns


async def test_every_character_that_separates_may_also_be_said(pool: Pool) -> None:
    everything = "".join(chr(code) for code in range(1, 0x400))
    sql = f"select {arrays(['text'])}"
    found = await pool.fetchval(sql, *parameters([[everything, None, everything]]))
    assert list(found) == [everything, None, everything]


def test_who_says_every_character_there_is_does_not_keep_the_others_waiting() -> None:
    plane = (chr(code) for code in range(1, 0x10000) if not 0xD800 <= code <= 0xDFFF)
    began = time.process_time()
    parameters([["x" * 2_000_000, "".join(plane)]])
    assert time.process_time() - began < 2


async def test_times_of_all_zones_and_years_arrive_as_they_were(pool: Pool) -> None:
    local = timezone(-timedelta(hours=9, minutes=30))
    times = [
        datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1899, 12, 31, 3, tzinfo=local),
    ]
    times += [times[0], times[0]]
    sql = f"select {arrays(['timestamptz'])}"
    assert list(await pool.fetchval(sql, *parameters([moments(times)]))) == times


async def test_a_single_empty_text_is_a_text(pool: Pool) -> None:
    sql = f"select {arrays(['text'])}"
    assert list(await pool.fetchval(sql, *parameters([[""]]))) == [""]
