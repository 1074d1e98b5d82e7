"""What customers say of us when asked."""

from decimal import Decimal

from pydantic import Field

from domain.events.base import Event


class SurveyAnswered(Event, example={"survey": "post_purchase", "score": 2, "order_id": "o1"}):
    """A customer answered a survey; `order_id` where the survey was about an order."""

    survey: str = Field(min_length=1)
    score: Decimal
    comment: str | None = None
    order_id: str | None = None
