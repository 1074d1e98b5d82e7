"""Segments: the runtime itself says who has entered or left one."""

from typing import Any

from pydantic import Field

from domain.events.base import Event


class SegmentEntered(Event, ours=True, example={"segment": "high_value"}):
    """A customer is in a segment from now on; `evidence` has what that was decided on."""

    segment: str = Field(min_length=1)
    evidence: dict[str, Any] = Field(default_factory=dict)


class SegmentLeft(Event, ours=True, example={"segment": "high_value"}):
    """A customer is no longer in a segment; `evidence` has what that was decided on."""

    segment: str = Field(min_length=1)
    evidence: dict[str, Any] = Field(default_factory=dict)
