"""Offers inside the shop, and coupons.

Source: Segment, "Spec: V2 Ecommerce Events" (promotions, coupons).
"""

from decimal import Decimal

from pydantic import AliasChoices, BaseModel, Field

from domain.events.base import PART, Event

_EXAMPLE = {"promotion_id": "summer", "creative": "banner", "position": "home_top"}
_EXAMPLE_COUPON = {"coupon_id": "MAY10", "cart_id": "c1", "discount": 8.15}


class Promotion(BaseModel):
    """What every event about an offer may say of it."""

    model_config = PART

    promotion_id: str | None = None
    # An event's `name` is the name of its type, so the promotion's has another one here.
    promotion_name: str | None = Field(
        default=None, validation_alias=AliasChoices("name", "promotion_name")
    )
    creative: str | None = None
    position: str | None = None


class PromotionViewed(Promotion, Event, aliases=("Viewed Promotion",), example=_EXAMPLE):
    """A customer saw an offer."""


class PromotionClicked(Promotion, Event, aliases=("Clicked Promotion",), example=_EXAMPLE):
    """A customer clicked on an offer."""


class Coupon(BaseModel):
    """What every event about a coupon may say. Some sources write the coupon's id as `coupon`."""

    model_config = PART

    order_id: str | None = None
    cart_id: str | None = None
    coupon_id: str | None = Field(
        default=None, validation_alias=AliasChoices("coupon_id", "coupon")
    )
    coupon_name: str | None = None


class CouponEntered(Coupon, Event, example=_EXAMPLE_COUPON):
    """A customer entered a coupon."""


class CouponApplied(Coupon, Event, example=_EXAMPLE_COUPON):
    """A customer's coupon took effect."""

    discount: Decimal | None = None


class CouponDenied(Coupon, Event, example={"coupon_id": "MAY10", "reason": "expired"}):
    """A customer's coupon was not taken."""

    reason: str | None = None


class CouponRemoved(Coupon, Event, example=_EXAMPLE_COUPON):
    """A customer took a coupon back."""

    discount: Decimal | None = None
