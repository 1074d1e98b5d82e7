"""The event types. A family is a module here; adding one is adding its import below."""

from domain.events.base import (
    Envelope,
    Event,
    HoldMark,
    Occurrence,
    canonical_name,
    event_type,
    event_types,
)
from domain.events.commerce import CartAbandoned, Product, PurchaseMade
from domain.events.feedback import SurveyAnswered
from domain.events.support import TicketClosed, TicketOpened

__all__ = [
    "CartAbandoned",
    "Envelope",
    "Event",
    "HoldMark",
    "Occurrence",
    "Product",
    "PurchaseMade",
    "SurveyAnswered",
    "TicketClosed",
    "TicketOpened",
    "canonical_name",
    "event_type",
    "event_types",
]
