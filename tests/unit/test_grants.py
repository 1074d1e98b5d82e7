"""Looking keys up: seldom, together, and never in the way of others."""

import asyncio
from typing import Any

import pytest

from domain.limits import Limits
from infra.database.grants import Keys, digest_of


class Table:
    """Answers as the database would, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.written = 0
        self.away = False
        self.open = asyncio.Event()
        self.open.set()
        self.row: dict[str, Any] = {
            "source_id": 1,
            "source": "shop",
            "scopes": ["write"],
            "remaining": None,
            "limit_requests": None,
            "limit_events": None,
            "limit_burst": None,
            "unnoted": False,
        }
        self.revoked = False

    async def fetchrow(self, _: str, digest: bytes, *__: object) -> dict[str, Any] | None:
        self.asked += 1
        if digest != digest_of("known"):
            await self.open.wait()
        await asyncio.sleep(0)
        if self.away:
            raise OSError("nobody there")
        return self.row if digest == digest_of("known") and not self.revoked else None

    async def execute(self, *_: object) -> None:
        self.written += 1


async def test_those_who_ask_at_once_and_soon_after_ask_together() -> None:
    table = Table()
    keys = Keys(table)
    for _ in range(2):
        found = await asyncio.gather(*(keys.grant("known") for _ in range(50)))
        assert all(grant is not None and grant.source == "shop" for grant in found)
    assert await asyncio.gather(*(keys.grant("no such") for _ in range(50))) == [None] * 50
    assert await keys.grant("no such") is None
    assert table.asked == 2


async def test_a_revoked_key_is_refused_when_the_answer_is_no_longer_fresh() -> None:
    table = Table()
    keys = Keys(table, fresh=0.05)
    assert await keys.grant("known") is not None
    table.revoked = True
    assert await keys.grant("known") is not None
    await asyncio.sleep(0.06)
    assert await keys.grant("known") is None


async def test_a_key_expires_in_the_middle_of_an_answer_and_while_the_database_is_away() -> None:
    table = Table()
    table.row["remaining"] = 0.05
    keys, impatient = Keys(table), Keys(table, fresh=0.0)
    assert await keys.grant("known") is not None
    assert await impatient.grant("known") is not None
    table.away = True
    assert await impatient.grant("known") is not None
    await asyncio.sleep(0.06)
    assert await keys.grant("known") is None
    assert await impatient.grant("known") is None
    with pytest.raises(OSError, match="nobody"):
        await impatient.grant("not asked before")


async def test_made_up_keys_keep_no_known_one_waiting() -> None:
    table = Table()
    table.open.clear()
    keys = Keys(table, fresh=0.0)
    assert await keys.grant("known") is not None
    made_up = [asyncio.create_task(keys.grant(f"made up {n}")) for n in range(100)]
    await asyncio.sleep(0.01)
    assert table.asked == 3  # two of them, no more, hold a connection
    assert await asyncio.wait_for(keys.grant("known"), 1) is not None
    table.open.set()
    assert await asyncio.gather(*made_up) == [None] * 100


async def test_whoever_hangs_up_takes_nobody_elses_answer_along() -> None:
    keys = Keys(Table())
    first, second = (asyncio.create_task(keys.grant("known")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None


async def test_a_key_has_its_own_limits_or_those_of_the_settings() -> None:
    table, settings = Table(), Limits(requests=7)
    assert (await Keys(table, settings).grant("known")).limits == settings  # type: ignore[union-attr]
    table.row |= {"limit_requests": 1, "limit_events": 2, "limit_burst": 3}
    assert (await Keys(table, settings).grant("known")).limits == Limits(1, 2, 3)  # type: ignore[union-attr]


async def test_the_last_use_is_written_when_it_was_long_ago() -> None:
    table = Table()
    keys = Keys(table, fresh=0.0)
    for _ in range(3):
        await keys.grant("known")
    assert table.written == 0
    table.row["unnoted"] = True
    await keys.grant("known")
    assert table.written == 1
