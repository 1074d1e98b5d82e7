"""How much is measured, and what a measurement gives."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.report import Figure


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        quick: fewer repeats and shorter ones.
    """

    quick: bool
    began: float = field(default_factory=time.monotonic)

    @property
    def repeats(self) -> int:
        """How often each thing is measured, in turn with what it is compared with."""
        return 3 if self.quick else 5

    def say(self, what: str) -> None:
        """Show progress."""
        sys.stderr.write(f"[{time.monotonic() - self.began:5.0f} s] {what}\n")


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures, and sentences that help to read them."""

    figures: Sequence[Figure]
    notes: Sequence[str] = ()
