"""How an enrollment ended."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class OutcomeKind(StrEnum):
    """The ways an enrollment can end.

    `converted`: its goal was reached. `completed`: it ran to its end. `exited`: it stopped
    early for a stated reason. `cancelled`: a person asked. `failed`: the journey said so.
    `terminated`: ended from outside without its own consent, or its workflow is gone.
    `merged`: its customer turned out to be another's, who is in the same journey already.
    """

    CONVERTED = "converted"
    COMPLETED = "completed"
    EXITED = "exited"
    CANCELLED = "cancelled"
    FAILED = "failed"
    TERMINATED = "terminated"
    MERGED = "merged"


class Outcome(BaseModel):
    """How an enrollment ended, and why in a sentence."""

    model_config = ConfigDict(frozen=True)

    kind: OutcomeKind
    reason: str = ""

    @classmethod
    def converted(cls, reason: str = "") -> "Outcome":
        """The journey's goal was reached."""
        return cls(kind=OutcomeKind.CONVERTED, reason=reason)

    @classmethod
    def completed(cls, reason: str = "") -> "Outcome":
        """The journey ran to its end."""
        return cls(kind=OutcomeKind.COMPLETED, reason=reason)

    @classmethod
    def exited(cls, reason: str) -> "Outcome":
        """The journey stopped early."""
        return cls(kind=OutcomeKind.EXITED, reason=reason)
