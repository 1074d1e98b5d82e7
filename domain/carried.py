"""What one run of an enrollment's workflow carries over to the next (continue-as-new)."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from domain.events import Envelope


class StepRecord(BaseModel):
    """What is known of one step of the journey's code.

    Attributes:
        ended: "" while it is under way; `done` when it gave its result; `failed` when it
            raised an error; `cut` when a scope around it ended first.
        deadline: when it is over at the latest, fixed when it began.
        state: what it must remember while it is under way, as JSON.
        result: what it gave, or raised, as JSON.
    """

    ended: Literal["", "done", "failed", "cut"] = ""
    deadline: datetime | None = None
    state: Any = None
    result: Any = None


class StoryRecord(BaseModel):
    """The story so far, for support staff; see `workflows.story`.

    Attributes:
        held: what holds the customer now, in words, and since when.
    """

    now: str
    step: str = ""
    since: datetime | None
    until: datetime | None
    notes: list[tuple[datetime, str]]
    forgotten: int
    held: tuple[str, datetime] | None = None


class Gap(BaseModel):
    """A number that others wait for.

    Attributes:
        reported: whether support staff have been told.
    """

    number: int
    since: datetime
    reported: bool = False


class Carried(BaseModel):
    """Everything that the next run must know to go on as if there were no next run.

    Attributes:
        run: how many runs there have been before.
        entered_at: when the first of them began.
        heard: the number of the last event applied.
        heard_as: the last numbers applied, with the event ids they had.
        ahead: events that came before one with a smaller number.
        gap: the number that those wait for.
        untaken: events that no wait has taken yet, oldest first.
        steps: the journey's steps by name, in the order in which they began.
    """

    run: int
    entered_at: datetime
    heard: int = 0
    heard_as: dict[int, str] = Field(default_factory=dict)
    ahead: list[Envelope] = Field(default_factory=list)
    gap: Gap | None = None
    untaken: list[Envelope] = Field(default_factory=list)
    steps: dict[str, StepRecord] = Field(default_factory=dict)
    story: StoryRecord
