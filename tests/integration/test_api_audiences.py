"""Computed traits and segments as they are shipped: over HTTP, by the API's sweep, by hand."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from audiences.catalog import discover
from tests.api import Api, running_api
from tests.patience import PATIENCE, eventually


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


def _ago(ago: timedelta) -> str:
    return (datetime.now(UTC) - ago).isoformat()


async def test_what_is_computed_can_be_read_back_with_the_customer(api: Api) -> None:
    order = {"order_id": "o1", "total": 600.25}
    await api.track("Order Completed", order, timestamp=_ago(timedelta(days=200)))
    await api.track("Order Completed", order)
    found = await api.customer(user_id="u1")
    assert found["segments"] == ["high_value"]
    first, last = (found["computed"].pop(f"{which}_order_at") for which in ("first", "last"))
    assert datetime.now(UTC) - datetime.fromisoformat(last) < timedelta(minutes=1)
    assert datetime.now(UTC) - datetime.fromisoformat(first) > timedelta(days=199)
    assert found["computed"] == {
        "invitations": 0,
        "orders": 2,
        "orders_90d": 1,
        "spent": 1200.5,
        "days_since_order": 0,
    }
    one = (await api.get(f"/customers/{found['id']}")).json()
    assert (one["segments"], one["computed"]["spent"]) == (["high_value"], 1200.5)


async def test_an_entry_is_in_the_timeline_after_what_caused_it(api: Api) -> None:
    await api.track("Order Completed", {"order_id": "o1", "total": 1000})
    happened = await api.about("timeline")
    entered, order = (one for one in happened if one["kind"] == "event")
    assert (entered["summary"], order["summary"]) == ("segment_entered", "purchase_made")
    assert entered["details"]["source"] == "sojourn"
    assert entered["details"]["properties"] == {
        "segment": "high_value",
        "evidence": {"spent": 1000.0},
    }


async def test_the_api_notices_what_time_alone_brings_about(api: Api) -> None:
    almost = _ago(timedelta(days=60) - timedelta(seconds=1))
    for order in ("o1", "o2"):
        await api.track("Order Completed", {"order_id": order}, timestamp=almost)
    sweeping = asyncio.create_task(api.app.state.sweep.run())
    try:
        await eventually(lambda: api.count("membership"))
    finally:
        sweeping.cancel()
    entered = (await api.about("timeline"))[0]
    assert entered["details"]["properties"]["segment"] == "lapsing"


async def test_an_entry_posted_from_outside_is_refused(api: Api) -> None:
    answer = await api.track("segment_entered", {"segment": "high_value"})
    assert answer.status_code == 400
    assert "said by this system alone" in answer.json()["detail"]
    assert await api.count("event") == 0


async def _sojourn(database_url: str, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *arguments,
        env={**os.environ, "SOJOURN_DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_backfill_by_hand_tells_how_far_it_is(api: Api, database_url: str) -> None:
    await api.track("Order Completed", {"order_id": "o1", "total": 1000})
    # As if it had been accepted before anything was computed.
    await api.pool.execute("delete from computed")
    await api.pool.execute("delete from membership")
    await api.pool.execute("update audience set filled_at = null")
    assert (await api.customer(user_id="u1"))["computed"] == {}
    code, said = await _sojourn(database_url, "audiences", "list")
    assert code == 0
    assert "spent                     sum           waits for a backfill" in said
    code, said = await _sojourn(database_url, "audiences", "backfill")
    assert (code, said.splitlines()) == (
        0,
        ["1 of 1 customers, 1 events", f"Computed: {len(discover().keys)} traits and segments."],
    )
    assert (await api.customer(user_id="u1"))["segments"] == ["high_value"]
