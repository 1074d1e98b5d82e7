"""The story of an enrollment, as support staff read it in the Temporal UI."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain import wording
from domain.carried import StoryRecord
from domain.enrollments import Start
from domain.messages import Reason, Verdict

_KEPT = 40


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table: one line, nothing that ends the cell or links."""
    flat = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return flat.replace("[", "\\[")[:300]


class Story:
    """Where the customer stands, and what happened so far; rendered as Markdown."""

    def __init__(self, title: str, start: Start) -> None:
        self._title = title
        self._start = start
        self.customer_id = start.customer_id
        self._now = "Starting"
        self._since: datetime | None = None
        self._until: datetime | None = None
        self._step = ""
        self._held: tuple[str, datetime] | None = None
        self._notes: list[tuple[datetime, str]] = []
        self._forgotten = 0
        if start.carried is not None:
            self._resume(start.carried.story)

    def at(self, now: datetime, what: str, until: datetime | None = None, step: str = "") -> None:
        """Say where the customer stands from now on, in which step, and until when at most."""
        if (what, until, step) != (self._now, self._until, self._step):
            self._now, self._since, self._until, self._step = what, now, until, step

    def held(self, now: datetime, why: str, until: datetime) -> bool:
        """Say what holds the customer, and when it is looked at again.

        Returns:
            Whether that is news: it is asked again and again, and in every new run.
        """
        news = self._held is None or why != self._held[0]
        self._held = (why, now) if self._held is None or news else self._held
        self.at(self._held[1], f"Held: {why}; goes on when that is over", until, self._step)
        return news

    def let_go(self) -> None:
        """Nothing holds the customer."""
        self._held = None

    def note(self, now: datetime, what: str) -> None:
        """Add to what happened."""
        self._notes.append((now, _cell(what)))
        if len(self._notes) > _KEPT:
            del self._notes[0]
            self._forgotten += 1

    def record(self) -> StoryRecord:
        """For the next run."""
        return StoryRecord(
            now=self._now,
            step=self._step,
            since=self._since,
            until=self._until,
            notes=list(self._notes),
            forgotten=self._forgotten,
            held=self._held,
        )

    def _resume(self, story: StoryRecord) -> None:
        self._now, self._since, self._until = story.now, story.since, story.until
        self._step = story.step
        self._notes.extend(story.notes)
        self._forgotten = story.forgotten
        self._held = story.held

    def markdown(self) -> str:
        """The page for support staff."""
        start = self._start
        about = f"customer `{self.customer_id}`" + (
            f" · key `{_code(start.key)}`" if start.key else ""
        )
        lines = [f"### {self._title}", about, "", f"**Now:** {_cell(self._now)}"]
        if self._since is not None:
            lines.append(f"**Since:** {wording.moment(self._since)}")
        if self._until is not None:
            until = "Looks again" if self._held is not None else "Until at the latest"
            lines.append(f"**{until}:** {wording.moment(self._until)}")
        if self._step:
            lines.append(f"**Step:** `{_code(self._step)}`")
        lines += ["", "| When (UTC) | What happened |", "|---|---|"]
        if self._forgotten:
            lines.append(f"| … | {self._forgotten} earlier lines; the timeline has them all |")
        lines += [f"| {at:%Y-%m-%d %H:%M:%S} | {what} |" for at, what in self._notes]
        if start.parameters:
            lines += ["", "| Parameter, fixed at entry | |", "|---|---|"]
            lines += [f"| {name} | `{_code(value)}` |" for name, value in start.parameters.items()]
        # A blank line after every line outside a table keeps each on a line of its own.
        return "\n".join(
            line if line.startswith("|") or not line else line + "  " for line in lines
        )


def settled(told: Mapping[str, Any]) -> str | None:
    """The line that says what became of a message after it was answered; None: unreadable."""
    match told:
        case {
            "step": str(step),
            "channel": str(channel),
            "verdict": str(verdict),
            "reason": str(reason),
            "detail": str(detail),
        }:
            pass
        case _:
            return None
    if verdict != Verdict.SENT:
        sign, what = "✗", "did not arrive"
    elif reason == Reason.BOUNCED:
        sign, what = "✗", "came back"
    else:
        sign, what = "✉", "arrived after all"
    return f"{sign} **{step}** by {channel} {what}: {detail}"


def _code(value: object) -> str:
    """Text for a code span in a cell: nothing that ends the span or the cell."""
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return " ".join(text.split()).replace("`", "'").replace("|", "¦")[:300]
