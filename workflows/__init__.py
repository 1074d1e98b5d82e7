"""The authoring API: a journey is a Temporal workflow about one customer.

    from workflows import Journey, Parameters

See docs/write-a-journey.md.
"""

from domain.enrollments import AFTER_EXIT, ALWAYS, ONCE, PerDay, ReEntry
from domain.errors import JourneyError, UndeclaredEvent
from domain.local_time import EVERY_DAY, WEEKDAYS, Day, Window
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
from workflows.driver import JourneyFailed
from workflows.journal import Rounds
from workflows.journey import Journey
from workflows.lateness import TooLate
from workflows.matching import Match, on
from workflows.parameters import Parameters
from workflows.people import Reply
from workflows.scopes import Until
from workflows.verbs.hearing import Quiet
from workflows.verbs.leading import Entered, NotEntered, StillInside
from workflows.verbs.timing import Arrival

__all__ = [
    "AFTER_EXIT",
    "ALWAYS",
    "EVERYBODY",
    "EVERY_DAY",
    "ONCE",
    "WEEKDAYS",
    "Arrival",
    "Cap",
    "Day",
    "Delivery",
    "Entered",
    "Journey",
    "JourneyError",
    "JourneyFailed",
    "Match",
    "NotEntered",
    "Outcome",
    "OutcomeKind",
    "Parameters",
    "PerDay",
    "Quiet",
    "ReEntry",
    "Reply",
    "Rounds",
    "Schedule",
    "Sent",
    "StillInside",
    "Suppressed",
    "Template",
    "TooLate",
    "Topic",
    "UndeclaredEvent",
    "Unknown",
    "Until",
    "Window",
    "email",
    "on",
    "push",
    "webhook",
]
