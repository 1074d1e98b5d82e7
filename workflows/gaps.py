"""A number that does not come: what came after it waits, and after a while somebody is told."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

from domain.carried import Gap
from workflows.inbox import Inbox

PATIENCE = timedelta(minutes=5)
"""How long a number may be missing before it is reported."""


class GapWatch:
    """Watches the numbers of one enrollment.

    Args:
        inbox: where what came early waits.
        note: adds a line to the story that support staff read.
        enrollment_id: for the log.
        gap: what the run before knew of it.
    """

    def __init__(
        self, inbox: Inbox, note: Callable[[str], None], enrollment_id: str, gap: Gap | None
    ) -> None:
        self._inbox = inbox
        self._note = note
        self._enrollment_id = enrollment_id
        self._task: asyncio.Task[None] | None = None
        self.gap = gap

    @property
    def since(self) -> datetime | None:
        """Since when a number is missing; None where none is."""
        return self.gap.since if self.gap is not None else None

    def look(self) -> None:
        """Something was heard: is a number missing now, or no longer?"""
        missing = self._inbox.missing
        if self.gap is not None and self.gap.number != missing:
            if self.gap.reported:
                self._note(f"event number {self.gap.number} has arrived")
            self.gap = None
        if missing is not None:
            self.gap = self.gap or Gap(number=missing, since=workflow.now())
            if self._task is None:
                self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (gap := self.gap) is not None and not gap.reported:
            left = gap.since + PATIENCE - workflow.now()
            try:
                await workflow.wait_condition(
                    lambda gap=gap: self.gap is not gap,  # type: ignore[misc]
                    timeout=max(left, timedelta(0)),
                    timeout_summary=f"event number {gap.number} is missing",
                )
            except TimeoutError:
                self._report(gap)
        self._task = None

    def _report(self, gap: Gap) -> None:
        gap.reported = True
        waiting = len(self._inbox.ahead)
        self._note(
            f"⚠ event number {gap.number} is missing for "
            f"{PATIENCE // timedelta(minutes=1)} minutes; {waiting} later ones wait for it"
        )
        workflow.logger.warning(
            "%s: event number %d is missing, %d later ones wait",
            self._enrollment_id,
            gap.number,
            waiting,
        )
        workflow.metric_meter().create_counter(
            "sojourn_event_gaps", "Events that did not come within five minutes"
        ).add(1)
