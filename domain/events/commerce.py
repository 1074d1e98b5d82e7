"""Carts and orders: names and properties after Segment's e-commerce specification.

Source: Segment, "Spec: V2 Ecommerce Events" (core ordering). `purchase_made` is its
`Order Completed`; `cart_abandoned` is ours, since the specification has none.
"""

from decimal import Decimal

from pydantic import BaseModel, Field

from domain.events.base import PART, Event


class Product(BaseModel):
    """One line of a cart, an order or a list."""

    model_config = PART

    product_id: str | None = None
    sku: str | None = None
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    variant: str | None = None
    price: Decimal | None = None
    quantity: int = 1
    coupon: str | None = None
    position: int | None = None
    url: str | None = None
    image_url: str | None = None


class OrderTotals(BaseModel):
    """What every order event may say of the order."""

    model_config = PART

    affiliation: str | None = None
    total: Decimal | None = None
    revenue: Decimal | None = None
    shipping: Decimal | None = None
    tax: Decimal | None = None
    discount: Decimal | None = None
    coupon: str | None = None
    currency: str | None = None
    products: tuple[Product, ...] = ()


EXAMPLE_PRODUCTS = [{"product_id": "p1", "name": "Lamp", "price": 81.5, "quantity": 1}]
_EXAMPLE_ORDER = {
    "order_id": "o1",
    "total": 81.5,
    "currency": "EUR",
    "products": EXAMPLE_PRODUCTS,
}


class CartAbandoned(
    Event,
    example={"cart_id": "c1", "total": 81.5, "currency": "EUR", "products": EXAMPLE_PRODUCTS},
):
    """A customer left a cart with something in it."""

    cart_id: str = Field(min_length=1)
    total: Decimal | None = None
    currency: str | None = None
    products: tuple[Product, ...] = ()


class CartViewed(
    Event,
    aliases=("Viewed Cart",),
    example={"cart_id": "c1", "products": EXAMPLE_PRODUCTS},
):
    """A customer looked at the cart."""

    cart_id: str | None = None
    products: tuple[Product, ...] = ()


class CheckoutStarted(
    OrderTotals,
    Event,
    aliases=("Started Order",),
    example={"cart_id": "c1", "value": 81.5, "currency": "EUR", "products": EXAMPLE_PRODUCTS},
):
    """A customer began to order."""

    order_id: str | None = None
    cart_id: str | None = None
    value: Decimal | None = None


class CheckoutStep(BaseModel):
    """What every step of a checkout may say."""

    model_config = PART

    checkout_id: str | None = None
    step: int | None = None
    shipping_method: str | None = None
    payment_method: str | None = None


class CheckoutStepViewed(
    CheckoutStep,
    Event,
    aliases=("Viewed Checkout Step",),
    example={"checkout_id": "k1", "step": 2},
):
    """A customer came to a step of the checkout."""


class CheckoutStepCompleted(
    CheckoutStep,
    Event,
    aliases=("Completed Checkout Step",),
    example={"checkout_id": "k1", "step": 2, "shipping_method": "Parcel"},
):
    """A customer finished a step of the checkout."""


class PaymentInfoEntered(
    CheckoutStep, Event, example={"checkout_id": "k1", "order_id": "o1", "payment_method": "Card"}
):
    """A customer entered how to pay."""

    order_id: str | None = None


class PurchaseMade(
    OrderTotals,
    Event,
    aliases=("Order Completed", "Completed Order"),
    example={**_EXAMPLE_ORDER, "cart_id": "c1"},
):
    """A customer bought something; `cart_id` where the source knows it."""

    order_id: str = Field(min_length=1)
    cart_id: str | None = None
    checkout_id: str | None = None
    subtotal: Decimal | None = None

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


class OrderUpdated(OrderTotals, Event, aliases=("Updated Order",), example=_EXAMPLE_ORDER):
    """A customer's order changed."""

    order_id: str = Field(min_length=1)


class OrderRefunded(OrderTotals, Event, aliases=("Refunded Order",), example=_EXAMPLE_ORDER):
    """A customer's order was paid back, or the products named of it."""

    order_id: str = Field(min_length=1)


class OrderCancelled(
    OrderTotals, Event, aliases=("Order Canceled", "Cancelled Order"), example=_EXAMPLE_ORDER
):
    """A customer's order was cancelled."""

    order_id: str = Field(min_length=1)
