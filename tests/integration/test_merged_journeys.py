"""Journeys that run while their customers turn out to be one: real API, store and Temporal."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.messaging import MessagingActivities
from domain.outcomes import Outcome
from infra.channels import ConfiguredEndpoints
from infra.database.gate import PostgresGate
from journeys.abandoned_cart import AbandonedCart
from journeys.catalog import Catalog
from rehearsal import PlainRenderer, RecordingChannel
from tests.api import Api, running_api
from tests.patience import PATIENCE, eventually
from worker.process import build_workers
from workflows.attributes import CUSTOMER

_REMINDED_AFTER = 6.0
"""Seconds: the customers have become one by then."""
_PARAMETERS = {"abandoned_cart": {"patience": f"PT{_REMINDED_AFTER}S", "cap": {"count": 1}}}


@pytest.fixture
def channel() -> RecordingChannel:
    """A provider that takes everything."""
    return RecordingChannel("push")


@pytest.fixture
async def api(
    database_url: str, temporal: WorkflowEnvironment, channel: RecordingChannel
) -> AsyncIterator[Api]:
    """The API with its relay, and a worker."""
    address = temporal.client.service_client.config.target_host
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            running_api(
                database_url,
                temporal_address=address,
                relay=True,
                journey_parameters=_PARAMETERS,
            )
        )
        gate = PostgresGate(running.pool, ConfiguredEndpoints({}))
        messaging = MessagingActivities(gate, PlainRenderer(), {"push": channel})
        for worker in build_workers(
            temporal.client, Catalog([AbandonedCart]), messaging, running.pool
        ):
            await stack.enter_async_context(worker)
        yield running
        for row in await running.pool.fetch("select workflow_id from enrollment"):
            with contextlib.suppress(Exception):  # it has ended
                await temporal.client.get_workflow_handle(row["workflow_id"]).terminate()


async def end_of(handle: WorkflowHandle[Any, Outcome]) -> Outcome:
    """How it ends, soon."""
    async with asyncio.timeout(PATIENCE):
        return await handle.result()


async def _abandon(api: Api, device: str, *carts: str) -> None:
    """An anonymous device leaves carts, and their journeys run."""
    for cart in carts:
        await api.post(
            "/v1/track",
            {"anonymousId": device, "event": "cart_abandoned", "properties": {"cart_id": cart}},
        )
    who = (await api.customer(anonymous_id=device))["id"]

    async def run() -> bool:
        waiting = "select count(*) from enrollment where customer_id = $1 and run_id is null"
        return bool(await api.pool.fetchval(waiting, who) == 0)

    await eventually(run)


async def _handles(
    api: Api, temporal: WorkflowEnvironment
) -> dict[tuple[str, str], WorkflowHandle[Any, Outcome]]:
    """The workflows, by the customer who began them and the cart."""
    rows = await api.pool.fetch("select workflow_id from enrollment")
    ids = [row["workflow_id"] for row in rows]
    return {
        (i.split("/")[2], i.split("/")[3]): temporal.client.get_workflow_handle(
            i, result_type=Outcome
        )
        for i in ids
    }


async def test_two_devices_with_running_journeys_become_one_customer(
    api: Api, temporal: WorkflowEnvironment, channel: RecordingChannel
) -> None:
    await _abandon(api, "phone", "c-phone", "c-both")
    await _abandon(api, "laptop", "c-laptop", "c-both")
    phone = (await api.customer(anonymous_id="phone"))["id"]
    laptop = (await api.customer(anonymous_id="laptop"))["id"]
    handles = await _handles(api, temporal)
    await api.identify({"push_token": "t"}, userId="u1", anonymousId="phone")
    await api.identify({}, userId="u1", anonymousId="laptop")
    assert (await api.customer(user_id="u1"))["id"] == phone

    # The younger of the two about the same cart ends; the others go on under the one customer.
    over = await end_of(handles[laptop, "c-both"])
    assert over.kind == "merged"

    async def follows() -> bool:
        about = await handles[laptop, "c-laptop"].describe()
        return bool(about.typed_search_attributes.get(CUSTOMER) == phone)

    await eventually(follows)
    for number, cart in enumerate(("c-phone", "c-laptop")):
        await api.track("purchase_made", {"order_id": f"o{number}", "cart_id": cart})
    assert (await end_of(handles[phone, "c-phone"])).kind == "converted"
    assert (await end_of(handles[laptop, "c-laptop"])).kind == "converted"

    # The older one is still there, and sends its reminder once.
    async def reminded() -> bool:
        return len(channel.parcels) > 0

    await eventually(reminded)
    await api.track("purchase_made", {"order_id": "o9", "cart_id": "c-both"})
    assert (await end_of(handles[phone, "c-both"])).kind == "converted"
    assert len(channel.parcels) == 1
    ways = [e for e in await api.about("enrollments") if e["journey"] == "abandoned_cart"]
    assert {(e["key"], e["outcome"]) for e in ways} == {
        ("c-phone", "converted"),
        ("c-laptop", "converted"),
        ("c-both", "converted"),
        ("c-both", "merged"),
    }


async def test_the_cap_is_one_for_both_and_a_purchase_on_the_other_device_counts(
    api: Api, temporal: WorkflowEnvironment, channel: RecordingChannel
) -> None:
    await _abandon(api, "phone", "a", "bought-elsewhere")
    await _abandon(api, "laptop", "b")
    handles = await _handles(api, temporal)
    # Acknowledged for the laptop's customer, before anybody knew that it is the phone's.
    await api.post(
        "/v1/track",
        {
            "anonymousId": "laptop",
            "event": "purchase_made",
            "properties": {"order_id": "o1", "cart_id": "bought-elsewhere"},
        },
    )
    await api.identify({"push_token": "t"}, userId="u1", anonymousId="phone")
    await api.identify({}, userId="u1", anonymousId="laptop")
    phone = (await api.customer(user_id="u1"))["id"]
    assert (await end_of(handles[phone, "bought-elsewhere"])).kind == "converted"

    async def decided() -> bool:
        rows = await api.about("messages")
        return {row["reason"] for row in rows} == {"accepted_by_provider", "cap_reached"}

    await eventually(decided)
    assert len(channel.parcels) == 1
