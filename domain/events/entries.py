"""Entries by the clock: the runtime itself says that a journey's schedule has come round."""

from datetime import date

from pydantic import AwareDatetime

from domain.events.base import Event


class ScheduledEntry(
    Event,
    ours=True,
    example={"journey": "newsletter", "day": "2026-03-02", "due_at": "2026-03-02T08:00:00Z"},
):
    """A journey's schedule enrolls the customer: on which day, and when that was due.

    `day` is the day by the clock that the schedule goes by, `due_at` the moment; `segment` is
    whom it is for, where that is not everybody.
    """

    journey: str
    day: date
    due_at: AwareDatetime
    segment: str | None = None
