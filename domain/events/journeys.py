"""Journeys: the runtime itself says to the enrollment that waits for it how another ended."""

from pydantic import Field

from domain.events.base import Event


class JourneyEnded(
    Event,
    ours=True,
    example={
        "journey": "quote_follow_up",
        "enrollment_id": "enr_1",
        "outcome": "converted",
        "step": "follow_up",
    },
):
    """A journey that the customer was taken into has ended, in whatever way.

    `step` is the step that took the customer into it, `outcome` one of `OutcomeKind`.
    """

    journey: str = Field(min_length=1)
    enrollment_id: str = Field(min_length=1)
    outcome: str = Field(min_length=1)
    reason: str = ""
    step: str = ""
