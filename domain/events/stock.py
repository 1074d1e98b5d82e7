"""What is sold out and comes back.

A customer who asks to be told hears of the product from then on: the shop posts one event for
each of them when it is there again.
"""

from domain.events.base import Event
from domain.events.products import OneProduct

_EXAMPLE = {"product_id": "p1", "name": "Lamp", "price": 81.5, "currency": "EUR"}


class StockAlertRequested(
    OneProduct, Event, aliases=("Subscribed to Back in Stock",), example=_EXAMPLE
):
    """A customer wants to know when a product is there again."""


class ProductRestocked(OneProduct, Event, aliases=("Back in Stock",), example=_EXAMPLE):
    """A product that the customer asked for is there again."""


class ProductSoldOut(OneProduct, Event, aliases=("Out of Stock",), example=_EXAMPLE):
    """A product that the customer asked for is gone again."""
