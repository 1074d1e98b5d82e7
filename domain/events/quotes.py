"""Quotes: an offer that was worked out for one customer.

The specification that the other families follow has no names for these.
"""

from decimal import Decimal

from pydantic import BaseModel, Field

from domain.events.base import PART, Event

_EXAMPLE = {"quote_id": "q1"}


class OfQuote(BaseModel):
    """The quote that an event is about."""

    model_config = PART

    quote_id: str = Field(min_length=1)


class QuotePrepared(
    OfQuote,
    Event,
    example={
        **_EXAMPLE,
        "subject": "Solar panels for your roof",
        "quote_url": "https://solar.example/q1",
        "image_url": "https://solar.example/q1/roof.jpg",
        "saving": 640,
        "currency": "EUR",
    },
):
    """A quote is ready; `image_url` shows what it is about as it would be the customer's own."""

    quote_url: str = Field(min_length=1)
    image_url: str | None = None
    subject: str | None = None
    total: Decimal | None = None
    saving: Decimal | None = Field(None, description="What the customer saves in a year.")
    currency: str | None = None


class QuoteViewed(OfQuote, Event, example=_EXAMPLE):
    """A customer looked at the quote's page."""


class QuoteAccepted(OfQuote, Event, example={**_EXAMPLE, "total": 14_900, "currency": "EUR"}):
    """A customer took the offer."""

    total: Decimal | None = None
    currency: str | None = None


class QuoteDeclined(OfQuote, Event, example={**_EXAMPLE, "reason": "We are moving"}):
    """A customer does not want it."""

    reason: str | None = None
