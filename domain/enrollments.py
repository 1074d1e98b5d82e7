"""Enrollments: one customer's way through one journey."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from domain.carried import Carried
from domain.events import Envelope
from domain.local_time import Zone
from domain.outcomes import Outcome

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class ReEntry:
    """When a customer who has been through a journey (with the same key) may enter again.

    Attributes:
        allowed: False for once in a lifetime.
        pause: how long after the exit; zero for at once.
        while_live: also while an earlier enrollment is still under way; they are told apart by
            their ordinal.

    Raises:
        ValueError: the three contradict each other.
    """

    allowed: bool = True
    pause: timedelta = timedelta(0)
    while_live: bool = False

    def __post_init__(self) -> None:
        if self.pause < timedelta(0):
            raise ValueError("the pause before a re-entry cannot be negative")
        if self.while_live and (self.pause or not self.allowed):
            raise ValueError("who may enter while still inside cannot be asked to wait: ALWAYS")


ONCE = ReEntry(allowed=False)
AFTER_EXIT = ReEntry()
ALWAYS = ReEntry(while_live=True)


@dataclass(frozen=True, slots=True)
class PerDay:
    """How many enrollments a journey takes in a day, all customers together.

    Attributes:
        entries: at most so many; at least one.
        zone: the IANA time zone whose days are meant.

    Raises:
        ValueError: there is no such zone, or nobody could ever enter.
    """

    entries: int
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.entries < 1:
            raise ValueError("a journey that takes nobody in a day is never entered: at least 1")
        Zone.of(None, self.zone)

    def day(self, now: datetime) -> date:
        """The day there at a moment."""
        return now.astimezone(Zone(self.zone).info).date()


@dataclass(frozen=True, slots=True)
class Entry:
    """An event's wish to start a journey, to be granted or refused where it is accepted.

    Attributes:
        journey: the journey's name.
        workflow_type: the name of its Temporal workflow.
        key: the business key, or None for a journey without one.
        listens: the names of the events that the enrollment will hear.
        parameters: fixed at entry (semantics 15), as JSON.
        summary: one line for the Temporal UI.
        task_queue: where its workflow runs.
        per_day: how many a day the journey takes, or None for any number.
    """

    journey: str
    workflow_type: str
    key: str | None
    listens: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    task_queue: str = ""
    re_entry: ReEntry = AFTER_EXIT
    per_day: PerDay | None = None


def key_in_id(key: str | None) -> str:
    """A business key as it may stand in a workflow id.

    Keys come from outside: what is not plain and short is replaced by its digest.
    """
    if key is None:
        return ""
    if _PLAIN.fullmatch(key):
        return key
    return "~" + hashlib.sha256(key.encode()).hexdigest()[:24]


class Start(BaseModel):
    """What a run of an enrollment's workflow starts with.

    Attributes:
        events: the events acknowledged for it so far, the one that started it first; from
            the second run on that one alone.
        carried: what the run before carried over; None for the first.
        run_length: how many events a run's history may have before the journey goes on in a
            new one; None to do as the server suggests.
    """

    enrollment_id: str
    customer_id: str
    journey: str
    key: str | None = None
    parameters: dict[str, Any]
    events: list[Envelope]
    carried: Carried | None = None
    run_length: int | None = None


class EnterRequest(BaseModel):
    """An enrollment takes its customer into another journey; the same step does it once.

    Attributes:
        enrollment_id: the enrollment that asks: the parent.
        step: the parent's step.
        journey: the other journey's name.
        event_name: the name of the event that starts it, which no other enrollment hears.
        properties: that event's properties.
        wait: whether the parent hears `journey_ended` when the other one has ended.
        entry: the wish to start the other journey; the workflow does not know it, whoever
            asks the store does.
    """

    customer_id: str
    enrollment_id: str
    step: str
    journey: str
    event_name: str
    properties: dict[str, Any] = Field(default_factory=dict)
    wait: bool = False
    entry: Entry | None = None


class EnterAnswer(BaseModel):
    """The enrollment in the other journey, or why there is none."""

    enrollment_id: str | None = None
    refused: str | None = None


class EndRequest(BaseModel):
    """An enrollment wants to end; `heard` is the last event number that it has applied.

    `hand_over` is where its customer goes on, entered in the same transaction.
    """

    enrollment_id: str
    customer_id: str
    heard: int
    outcome: Outcome
    hand_over: EnterRequest | None = None


class EndAnswer(BaseModel):
    """Either the enrollment has ended, or here is what it must hear first (semantics 14).

    `handed_over` is what became of the request's hand-over.
    """

    ended: bool
    news: list[Envelope]
    handed_over: EnterAnswer | None = None
