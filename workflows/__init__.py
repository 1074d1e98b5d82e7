"""The authoring API: a journey is a Temporal workflow about one customer.

    from workflows import Journey, Parameters

See docs/write-a-journey.md.
"""

from domain.enrollments import AFTER_EXIT, ALWAYS, ONCE, PerDay, ReEntry
from domain.errors import JourneyError, UndeclaredEvent
from domain.local_time import EVERY_DAY, WEEKDAYS, Day
from domain.messages import (
    Cap,
    Delivery,
    Sent,
    Suppressed,
    Template,
    Topic,
    Unknown,
    email,
    push,
    webhook,
)
from domain.outcomes import Outcome, OutcomeKind
from domain.schedules import EVERYBODY, Schedule
from workflows.journey import Journey, JourneyFailed
from workflows.parameters import Parameters
from workflows.scopes import Until

__all__ = [
    "AFTER_EXIT",
    "ALWAYS",
    "EVERYBODY",
    "EVERY_DAY",
    "ONCE",
    "WEEKDAYS",
    "Cap",
    "Day",
    "Delivery",
    "Journey",
    "JourneyError",
    "JourneyFailed",
    "Outcome",
    "OutcomeKind",
    "Parameters",
    "PerDay",
    "ReEntry",
    "Schedule",
    "Sent",
    "Suppressed",
    "Template",
    "Topic",
    "UndeclaredEvent",
    "Unknown",
    "Until",
    "email",
    "push",
    "webhook",
]
