from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import Refused
from domain.events import (
    CartAbandoned,
    Envelope,
    Event,
    Occurrence,
    PurchaseMade,
    SurveyAnswered,
    TicketClosed,
    TicketOpened,
    canonical_name,
    event_type,
    event_types,
)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("cart_abandoned", "cart_abandoned"),
        ("Cart Abandoned", "cart_abandoned"),
        ("  cart   abandoned ", "cart_abandoned"),
        ("Cart-Abandoned", "cart_abandoned"),
        ("cart.abandoned", "cart_abandoned"),
        ("CART_ABANDONED", "cart_abandoned"),
        ("___", "___"),
        ("🛒", "🛒"),
        ("Корзина Брошена", "корзина_брошена"),
    ],
)
def test_a_name_may_be_written_in_words(given: str, name: str) -> None:
    assert canonical_name(given) == name


@pytest.mark.parametrize("name", ["Order Completed", "order_completed", "purchase_made"])
def test_a_purchase_is_known_by_segments_name_too(name: str) -> None:
    assert event_type(name) is PurchaseMade


def test_a_name_that_nobody_declared_is_no_event_type() -> None:
    assert event_type("Cart") is None


def test_two_event_types_cannot_share_a_name() -> None:
    with pytest.raises(TypeError, match="both claim the event name 'order_completed'"):

        class Completed(Event, aliases=("Order Completed",)):
            """Not to be."""


@pytest.mark.parametrize("kind", [t for t in event_types() if t.__module__.startswith("domain.")])
def test_the_example_of_an_event_type_is_one(kind: type[Event]) -> None:
    assert kind.of(kind.example).model_dump(exclude_unset=True)
    assert kind.__doc__


def test_properties_that_nobody_declared_are_kept() -> None:
    cart = CartAbandoned.of({"cart_id": "c1", "coupon": {"code": "X"}})
    assert cart.model_dump()["coupon"] == {"code": "X"}


def test_numbers_are_taken_for_ids() -> None:
    assert CartAbandoned.of({"cart_id": 17}).cart_id == "17"


def test_an_event_knows_which_one_it_was() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    cart = CartAbandoned.of({"cart_id": "c1"}, Occurrence("m1", at, 3))
    assert (cart.event_id, cart.occurred_at, cart.number) == ("m1", at, 3)


@pytest.mark.parametrize(
    ("kind", "properties", "field"),
    [
        (CartAbandoned, {}, "properties.cart_id"),
        (CartAbandoned, {"cart_id": ""}, "properties.cart_id"),
        (CartAbandoned, {"cart_id": None}, "properties.cart_id"),
        (CartAbandoned, {"cart_id": "c", "total": "much"}, "properties.total"),
        (CartAbandoned, {"cart_id": "c", "total": "NaN"}, "properties.total"),
        (CartAbandoned, {"cart_id": "c", "products": "p"}, "properties.products"),
        (
            CartAbandoned,
            {"cart_id": "c", "products": [{"quantity": "x"}]},
            "properties.products.0.quantity",
        ),
        (PurchaseMade, {}, "properties.order_id"),
        (TicketOpened, {"ticket_id": ["t"]}, "properties.ticket_id"),
        (SurveyAnswered, {"survey": "s"}, "properties.score"),
    ],
)
def test_a_wrong_property_is_named(
    kind: type[Event], properties: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused, match=kind.name) as caught:
        kind.of(properties)
    assert caught.value.field == field


def test_an_envelope_with_a_broken_time_is_refused() -> None:
    with pytest.raises(Refused, match="ISO 8601"):
        CartAbandoned.from_envelope(Envelope(1, "cart_abandoned", "m", "soon", {"cart_id": "c"}))


def test_an_envelope_is_read_with_its_number_and_time() -> None:
    envelope = Envelope(4, "ticket_closed", "m", "2026-01-02T03:04:05+00:00", {"ticket_id": "t"})
    closed = TicketClosed.from_envelope(envelope)
    assert closed.number == 4
    assert closed.occurred_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _cart(*products: dict[str, Any]) -> CartAbandoned:
    return CartAbandoned.of({"cart_id": "c1", "products": products})


@pytest.mark.parametrize(
    ("purchase", "settles"),
    [
        ({"cart_id": "c1"}, True),
        ({"cart_id": "c2", "products": [{"sku": "lamp"}]}, False),
        ({"products": [{"sku": "lamp"}]}, True),
        ({"products": [{"product_id": "lamp"}]}, True),
        ({"products": [{"sku": "chair"}]}, False),
        ({"products": [{"name": "Lamp"}]}, True),
        ({}, True),
    ],
)
def test_a_purchase_settles_the_cart_it_is_about(purchase: dict[str, Any], settles: bool) -> None:
    made = PurchaseMade.of({"order_id": "o", **purchase})
    assert made.buys(_cart({"sku": "lamp", "price": Decimal(8)})) is settles


def test_a_ticket_opens_and_closes_a_hold() -> None:
    assert TicketOpened.hold is not None
    assert TicketClosed.hold is not None
    assert (TicketOpened.hold.kind, TicketOpened.hold.action) == ("ticket", "open")
    assert (TicketClosed.hold.kind, TicketClosed.hold.action) == ("ticket", "close")
    assert PurchaseMade.hold is None
