"""The declared families are those of Segment's specifications, and docs/events.md lists them."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from domain.errors import Refused
from domain.events import (
    CouponApplied,
    Event,
    PageAbandoned,
    ProductAdded,
    ProductViewed,
    PromotionViewed,
    SearchAbandoned,
    TrialStarted,
    event_type,
    event_types,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"

LINE = {
    "product_id": "507f1f77",
    "sku": "45790-32",
    "name": "Monopoly",
    "price": 19,
    "position": 1,
    "category": "Games",
    "url": "https://www.example.com/product/path",
    "image_url": "https://www.example.com/product/path.jpg",
}
DETAIL = {**LINE, "brand": "Hasbro", "variant": "200 pieces", "quantity": 1, "coupon": "MAY"}
WISH = {**DETAIL, "wishlist_id": "w", "wishlist_name": "Loved Games"}
ORDER = {
    "order_id": "50314b8e",
    "affiliation": "Store",
    "total": 27.5,
    "revenue": 25.0,
    "shipping": 3,
    "tax": 2,
    "discount": 2.5,
    "coupon": "hasbros",
    "currency": "USD",
    "products": [LINE, {"product_id": "505bd767", "quantity": 2}],
}
STEP = {"checkout_id": "k", "step": 2, "shipping_method": "Fedex", "payment_method": "Visa"}
OFFER = {"promotion_id": "p", "creative": "banner", "name": "75 % off", "position": "home_top"}
COUPON = {"order_id": "o", "cart_id": "c", "coupon_id": "may", "coupon_name": "May Deals"}
TRIAL = {
    "trial_start_date": "2018-08-28T04:09:47Z",
    "trial_end_date": "2018-09-20",
    "trial_plan_name": "Business",
}
CAMPAIGN = {"name": "iOS", "medium": "Push", "source": "Vendor", "content": "On sale"}
MAIL = {"email_id": "e", "email_subject": "s", "campaign_id": "c", "campaign_name": "n"}
SPECIFIED: dict[str, dict[str, Any]] = {
    # Spec: V2 Ecommerce Events
    "Products Searched": {"query": "blue roses"},
    "Product List Viewed": {"list_id": "hot", "category": "Deals", "products": [LINE]},
    "Product List Filtered": {
        "list_id": "todays",
        "filters": [{"type": "department", "value": "beauty"}],
        "sorts": [{"type": "price", "value": "desc"}],
        "products": [LINE],
    },
    "Promotion Viewed": OFFER,
    "Promotion Clicked": OFFER,
    "Product Clicked": DETAIL,
    "Product Viewed": {**DETAIL, "currency": "usd", "value": 18.99},
    "Product Added": {**DETAIL, "cart_id": "c"},
    "Product Removed": {**DETAIL, "cart_id": "c"},
    "Cart Viewed": {"cart_id": "c", "products": [LINE]},
    "Checkout Started": {**ORDER, "value": 30},
    "Checkout Step Viewed": STEP,
    "Checkout Step Completed": STEP,
    "Payment Info Entered": {"checkout_id": "k", "order_id": "o"},
    "Order Completed": {**ORDER, "checkout_id": "k", "subtotal": 22.5},
    "Order Updated": ORDER,
    "Order Refunded": {"order_id": "o"},
    "Order Cancelled": ORDER,
    "Coupon Entered": COUPON,
    "Coupon Applied": {**COUPON, "discount": 23.32},
    "Coupon Denied": {"order_id": "o", "coupon": "may", "reason": "Coupon expired"},
    "Coupon Removed": {**COUPON, "discount": 23.32},
    "Product Added to Wishlist": WISH,
    "Product Removed from Wishlist": WISH,
    "Wishlist Product Added to Cart": {**WISH, "cart_id": "c"},
    "Product Shared": {**DETAIL, "share_via": "email", "recipient": "friend@example.com"},
    "Cart Shared": {"share_via": "email", "cart_id": "c", "products": [{"product_id": "p"}]},
    "Product Reviewed": {"product_id": "p", "review_id": "r", "review_body": "!", "rating": "5"},
    # Spec: B2B SaaS
    "Account Created": {"account_name": "Initech"},
    "Account Deleted": {"account_name": "Initech"},
    "Signed Up": {
        "type": "organic",
        "first_name": "Peter",
        "email": "p@initech.com",
        "title": "Mr",
    },
    "Signed In": {"username": "pgibbons"},
    "Signed Out": {"username": "pgibbons"},
    "Invite Sent": {"invitee_email": "p@gmail.com", "invitee_role": "Owner"},
    "Account Added User": {"role": "Owner"},
    "Account Removed User": {},
    "Trial Started": TRIAL,
    "Trial Ended": TRIAL,
    # Spec: Email Events
    "Email Delivered": MAIL,
    "Email Bounced": MAIL,
    "Email Opened": MAIL,
    "Email Marked as Spam": MAIL,
    "Unsubscribed": MAIL,
    "Email Link Clicked": {**MAIL, "link_id": "l", "link_url": "https://www.example.com"},
    # Spec: Native Mobile
    "Push Notification Received": {"campaign": CAMPAIGN},
    "Push Notification Tapped": {"action": "Accept", "campaign": CAMPAIGN},
    "Push Notification Bounced": {"action": "Accept", "campaign": CAMPAIGN},
}
OURS = {"cart_abandoned", "page_abandoned", "search_abandoned"} | {
    "contract_cancelled",
    "contract_renewed",
    "contract_signed",
    "product_restocked",
    "product_sold_out",
    "quote_accepted",
    "quote_declined",
    "quote_prepared",
    "quote_viewed",
    "resubscribed",
    "stock_alert_requested",
    "survey_answered",
    "ticket_closed",
    "ticket_opened",
}


@pytest.mark.parametrize(("name", "properties"), SPECIFIED.items(), ids=SPECIFIED)
def test_what_segment_specifies_is_declared_and_read(name: str, properties: dict[str, Any]) -> None:
    kind = event_type(name)
    assert kind is not None
    event = kind.of(properties)
    declared = set(kind.model_fields) | {"name", "coupon"}
    assert set(properties) <= declared
    assert len(event.model_dump(exclude_unset=True)) == len(properties)


def test_nothing_is_declared_that_is_neither_specified_nor_ours() -> None:
    specified = {event_type(name) for name in SPECIFIED}
    others = {kind.name for kind in _shipped() if kind not in specified}
    assert others == OURS


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("Viewed Product", "product_viewed"),
        ("Added Product", "product_added"),
        ("Viewed Product Category", "product_list_viewed"),
        ("Started Order", "checkout_started"),
        ("Completed Order", "purchase_made"),
    ],
)
def test_the_names_of_the_first_specification_are_known(old: str, name: str) -> None:
    kind = event_type(old)
    assert kind is not None
    assert kind.name == name


def test_a_property_called_name_does_not_hide_the_events_own() -> None:
    for event in (
        ProductViewed.of({"sku": "s", "name": "Lamp"}),
        PromotionViewed.of({"name": "Lamp"}),
        PageAbandoned.of({"name": "Lamp"}),
    ):
        assert event.name == type(event).name
        assert "Lamp" in event.model_dump().values()
        again = type(event).of(event.model_dump())
        assert again == event


@pytest.mark.parametrize("known_by", [{"product_id": "p"}, {"sku": "s"}, {"product_id": 5}])
def test_a_product_is_known_by_its_id_or_its_sku(known_by: dict[str, Any]) -> None:
    assert ProductAdded.of(known_by).name == "product_added"


@pytest.mark.parametrize(
    ("kind", "properties", "field"),
    [
        (ProductAdded, {"name": "Lamp"}, "product_id"),
        (ProductAdded, {"product_id": ""}, "product_id"),
        (ProductViewed, {"sku": "s", "price": "dear"}, "price"),
        (CouponApplied, {"discount": []}, "discount"),
        (SearchAbandoned, {"results": "many"}, "results"),
        (TrialStarted, {"trial_end_date": "soon"}, "trial_end_date"),
    ],
)
def test_what_is_wrong_is_named(kind: type[Event], properties: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        kind.of(properties)
    assert caught.value.field == f"properties.{field}"


def test_five_hundred_results_ten_seconds_left() -> None:
    left = SearchAbandoned.of({"query": "lamp", "results": 500, "seconds": 10})
    assert left.results == 500
    assert left.seconds == Decimal(10)


def test_a_page_of_which_nothing_is_known_is_an_event_all_the_same() -> None:
    assert PageAbandoned.of({}).url is None


def _shipped() -> list[type[Event]]:
    """What may be posted: not what only the runtime itself says, nor a test's own."""
    domain = (kind for kind in event_types() if kind.__module__.startswith("domain."))
    return [kind for kind in domain if not kind.ours]


def _property(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    choices = getattr(alias, "choices", [name])
    shown = f"`{choices[0]}`"
    return f"**{shown}**" if field.is_required() else shown


def _tables() -> str:
    families: dict[str, list[type[Event]]] = {}
    for kind in _shipped():
        families.setdefault(kind.__module__, []).append(kind)
    lines: list[str] = []
    for module, kinds in families.items():
        title = (sys.modules[module].__doc__ or "").partition("\n")[0].partition(":")[0].rstrip(".")
        lines += [f"## {title}", "", "| event | also | properties |", "|---|---|---|"]
        for kind in kinds:
            also = ", ".join(f"`{alias}`" for alias in kind.aliases)
            properties = ", ".join(_property(*item) for item in kind.model_fields.items())
            lines.append(f"| `{kind.name}` | {also} | {properties} |")
        lines.append("")
    return "\n".join(lines)


def test_every_event_type_is_listed_as_it_is_declared() -> None:
    assert _tables() in PAGE.read_text(), f"docs/events.md should say:\n\n{_tables()}"
