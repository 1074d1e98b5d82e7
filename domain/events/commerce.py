"""Shopping: names and properties after Segment's e-commerce specification.

Source: Segment, "Spec: V2 Ecommerce Events" (`Order Completed`, its `products` and totals).
"""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from domain.events.base import Event


class Product(BaseModel):
    """One line of a cart or an order."""

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True)

    product_id: str | None = None
    sku: str | None = None
    name: str | None = None
    price: Decimal | None = None
    quantity: int = 1


_EXAMPLE_PRODUCTS = [{"product_id": "p1", "name": "Lamp", "price": 81.5, "quantity": 1}]


class CartAbandoned(
    Event,
    example={"cart_id": "c1", "total": 81.5, "currency": "EUR", "products": _EXAMPLE_PRODUCTS},
):
    """A customer left a cart with something in it."""

    cart_id: str = Field(min_length=1)
    total: Decimal | None = None
    currency: str | None = None
    products: tuple[Product, ...] = ()


class PurchaseMade(
    Event,
    aliases=("Order Completed",),
    example={
        "order_id": "o1",
        "cart_id": "c1",
        "total": 81.5,
        "currency": "EUR",
        "products": _EXAMPLE_PRODUCTS,
    },
):
    """A customer bought something; `cart_id` where the source knows it."""

    order_id: str = Field(min_length=1)
    cart_id: str | None = None
    total: Decimal | None = None
    currency: str | None = None
    products: tuple[Product, ...] = ()

    def buys(self, cart: CartAbandoned) -> bool:
        """Whether this purchase settles `cart`.

        By the cart's id where the purchase names one. A purchase that names none (a till,
        a phone order) settles the cart if it shares a product with it, and also if either
        side lists no products: when in doubt, do not remind somebody who has just bought.
        """
        if self.cart_id is not None:
            return self.cart_id == cart.cart_id
        ours = {p.product_id or p.sku for p in cart.products} - {None}
        theirs = {p.product_id or p.sku for p in self.products} - {None}
        return not ours or not theirs or bool(ours & theirs)
