"""Faults on request: the ways in which real providers fail."""

import re
from collections.abc import Collection
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HTTP_FAULTS = frozenset({"slow", "drop_after_accept", "drop_before_accept"})
SMTP_FAULTS = frozenset({"550_rcpt", "451_rcpt", "452_data", "554_data", "drop_after_data", "slow"})
AT_RCPT = frozenset({"550_rcpt", "451_rcpt"})
AT_DATA = SMTP_FAULTS - AT_RCPT

_STATUS = re.compile(r"[45]\d\d")


class Fault(BaseModel):
    """What goes wrong, and how often.

    Attributes:
        fault: over HTTP a status (`429`, `500`, `503`, …), `slow`, `drop_after_accept` or
            `drop_before_accept`; over SMTP `550_rcpt`, `451_rcpt`, `452_data`, `554_data`,
            `slow` or `drop_after_data`. A slow answer comes late: the message was taken.
        times: how many requests it strikes.
        seconds: how slow; with `429` and `503` what Retry-After says, in whole seconds.
    """

    model_config = ConfigDict(extra="forbid")

    channel: Literal["email", "push", "webhook"]
    fault: str
    times: int = Field(default=1, ge=1)
    seconds: float = Field(default=1, ge=0, le=3600)

    @property
    def status(self) -> int | None:
        """The HTTP status that it is, or None where it is another kind of fault."""
        return int(self.fault) if _STATUS.fullmatch(self.fault) else None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.channel == "email":
            known, kinds = self.fault in SMTP_FAULTS, sorted(SMTP_FAULTS)
        else:
            known = self.fault in HTTP_FAULTS or self.status is not None
            kinds = ["a status from 400 to 599", *sorted(HTTP_FAULTS)]
        if not known:
            raise ValueError(f"the channel {self.channel} knows these faults: {', '.join(kinds)}")
        return self


class Faults:
    """The faults to come; a channel's faults strike in the order in which they were asked for."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Ask for a fault."""
        self._pending.append(fault.model_copy())

    def pending(self) -> list[Fault]:
        """The faults that have not struck yet."""
        return list(self._pending)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._pending.clear()

    def take(self, channel: str, kinds: Collection[str] | None = None) -> Fault | None:
        """The fault that strikes now, or None.

        Args:
            channel: where.
            kinds: the faults that can strike at this step; None: all. A channel's next fault
                waits for its step.
        """
        fault = next((f for f in self._pending if f.channel == channel), None)
        if fault is None or (kinds is not None and fault.fault not in kinds):
            return None
        fault.times -= 1
        if fault.times == 0:
            self._pending.remove(fault)
        return fault
