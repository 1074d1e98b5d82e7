"""What customers say of us and of what we sell."""

from decimal import Decimal

from pydantic import Field

from domain.events.base import Event


class SurveyAnswered(Event, example={"survey": "post_purchase", "score": 2, "order_id": "o1"}):
    """A customer answered a survey; with the order or the ticket that it was about."""

    survey: str = Field(min_length=1)
    score: Decimal
    comment: str | None = None
    order_id: str | None = None
    ticket_id: str | None = None


class ProductReviewed(
    Event,
    aliases=("Reviewed Product",),
    example={"product_id": "p1", "review_id": "r1", "rating": 5, "review_body": "Bright."},
):
    """A customer reviewed a product. After Segment's "Spec: V2 Ecommerce Events"."""

    product_id: str = Field(min_length=1)
    review_id: str | None = None
    review_body: str | None = None
    rating: Decimal | None = None
