"""A journey that begins by the clock, for the real server."""

from datetime import time, timedelta

from temporalio import workflow

from domain.events import ScheduledEntry
from workflows import EVERYBODY, Journey, Outcome, Schedule


@workflow.defn
class Weekly(
    Journey[ScheduledEntry],
    # Whatever the time is, it was midnight within the last day.
    schedule=Schedule(at=time(0), segment=EVERYBODY, skip_if_late=timedelta(days=1)),
):
    """Comes round."""

    @workflow.run
    async def run(self, due: ScheduledEntry) -> Outcome:
        """Says for which day."""
        return Outcome.completed(f"{due.day}")
