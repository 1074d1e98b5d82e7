"""What customers gave up: a page, a search.

The specification that the other families follow has no names for these. A page's properties
are those of Segment's `page` call, a search's `query` that of its `Products Searched`.
"""

from decimal import Decimal
from typing import Any

from pydantic import AliasChoices, Field

from domain.events.base import Event


class PageAbandoned(
    Event,
    aliases=("Abandoned Page", "Screen Abandoned"),
    example={"url": "https://shop.example/lamps", "title": "Lamps", "seconds": 40},
):
    """A customer left a page or a screen without doing what it is for.

    What the page was may be missing: then nothing can be said about it, and a message that
    needs it is skipped with that reason.
    """

    # An event's `name` is the name of its type, so the page's has another one here.
    page_name: str | None = Field(default=None, validation_alias=AliasChoices("name", "page_name"))
    url: str | None = None
    path: str | None = None
    title: str | None = None
    referrer: str | None = None
    search: str | None = None
    category: str | None = None
    product_id: str | None = None
    device: str | None = None
    seconds: Decimal | None = Field(default=None, description="How long the customer stayed.")


class SearchAbandoned(
    Event,
    aliases=("Abandoned Search",),
    example={"query": "lamp", "results": 500, "seconds": 10},
):
    """A customer searched, looked at what was found, and left: "500 results, 10 seconds, left"."""

    query: str | dict[str, Any] | None = None
    results: int | None = None
    seconds: Decimal | None = Field(default=None, description="How long the customer stayed.")
