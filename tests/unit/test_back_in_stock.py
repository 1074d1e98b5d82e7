"""The story of what is back in stock (C2, C3, C22)."""

from datetime import timedelta

import pytest

from domain.events import (
    Product,
    ProductRestocked,
    ProductSoldOut,
    PurchaseMade,
    StockAlertRequested,
)
from domain.outcomes import OutcomeKind
from journeys.back_in_stock import BackInStock
from rehearsal import Rehearsal

WISH = StockAlertRequested.of({"product_id": "p1", "sku": "L-1", "name": "Lamp"})
BACK = ProductRestocked.of({"product_id": "p1", "name": "Lamp", "price": 81.5, "currency": "EUR"})
GONE = ProductSoldOut(product_id="p1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _bought(**product: str) -> PurchaseMade:
    return PurchaseMade(order_id="o1", products=(Product(**product),))


async def test_the_customer_is_told_once_when_the_product_is_back(stage: Rehearsal) -> None:
    play = await stage.play(BackInStock, WISH)
    await play.passes(20 * DAY)
    assert play.sent == []
    await play.happens(BACK)
    assert play.sent == ["back/push"]
    assert play.handed[0].subject == "It is back: Lamp"
    await play.happens(BACK)
    assert (await play.ends()).reason == "told"
    assert play.sent == ["back/push"]


async def test_another_product_is_not_this_one(stage: Rehearsal) -> None:
    play = await stage.play(BackInStock, WISH)
    await play.happens(ProductRestocked(product_id="p2"))
    await play.happens(ProductRestocked(sku="K-1", product_id=None))
    assert (await play.ends()).reason == "it did not come back"
    assert play.sent == []


async def test_nobody_is_woken(stage: Rehearsal) -> None:
    play = await stage.play(BackInStock, WISH, time_zone="Europe/Berlin")
    await play.at("2026-01-06 02:00")
    await play.happens(BACK)
    await play.at("2026-01-06 07:59")
    assert play.sent == []
    await play.at("2026-01-06 08:00")
    assert play.sent == ["back/push"]


async def test_what_is_gone_again_by_the_morning_is_waited_for_anew(stage: Rehearsal) -> None:
    play = await stage.play(BackInStock, WISH, time_zone="Europe/Berlin")
    await play.at("2026-01-06 02:00")
    await play.happens(BACK)
    await play.at("2026-01-06 06:00")
    await play.happens(GONE)
    await play.at("2026-01-07 12:00")
    assert play.sent == []
    await play.happens(BACK)
    assert play.sent == ["back/push"]


async def test_that_it_was_sold_out_before_means_nothing(stage: Rehearsal) -> None:
    play = await stage.play(BackInStock, WISH)
    await play.happens(GONE)
    await play.passes(HOUR)
    await play.happens(BACK)
    assert play.sent == ["back/push"]


async def test_c3_a_purchase_in_the_quiet_hours_means_no_message_about_that_product(
    stage: Rehearsal,
) -> None:
    ada = stage.customer(time_zone="Europe/Berlin")
    lamp = await stage.play(BackInStock, WISH, who=ada)
    kettle = await stage.play(BackInStock, StockAlertRequested(product_id="p2"), who=ada)
    await lamp.at("2026-01-06 02:00")
    await lamp.happens(BACK)
    await lamp.happens(ProductRestocked.of({"product_id": "p2", "name": "Kettle"}))
    await lamp.happens(_bought(product_id="p1"))
    await lamp.at("2026-01-06 12:00")
    assert (await lamp.ends()).kind is OutcomeKind.CONVERTED
    assert lamp.sent == []
    assert kettle.sent == ["back/push"]


async def test_c3_a_purchase_while_the_send_is_being_decided_means_no_message(
    stage: Rehearsal,
) -> None:
    play = await stage.play(BackInStock, WISH, time_zone="Europe/Berlin")
    await play.at("2026-01-06 02:00")
    await play.happens(BACK)
    await play.happens(_bought(product_id="p1"), relayed=False)
    await play.at("2026-01-06 08:00")
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == []


@pytest.mark.parametrize("product", [{"product_id": "p1"}, {"sku": "L-1"}])
async def test_c22_a_purchase_at_the_till_counts_by_whatever_number_the_till_knows(
    stage: Rehearsal, product: dict[str, str]
) -> None:
    play = await stage.play(BackInStock, WISH)
    await play.happens(_bought(**product))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED


async def test_c2_a_product_without_a_name_is_not_mentioned_and_the_ledger_says_why(
    stage: Rehearsal,
) -> None:
    play = await stage.play(BackInStock, WISH)
    await play.happens(ProductRestocked(product_id="p1"))
    assert play.sent == []
    assert set(play.not_sent.values()) == {"template_data_missing"}
    # It is not told, so it is waited for anew.
    await play.happens(BACK)
    assert play.sent == ["back.2/push"]
