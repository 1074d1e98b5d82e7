"""The clients' own log: what was posted, and what was acknowledged, by whom and when."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Posted:
    """One event, as its client knows it. Times are of the machine's one clock.

    Attributes:
        source: who posts it; message ids are unique within a source only.
        sent: when it was first sent.
        acknowledged: when it was first acknowledged, or None where it never was: then it may
            be stored or not, once.
        by: which api acknowledged it first.
        attempts: how often it was sent.
        accepted: how many receipts of batches called it new.
    """

    source: str
    message_id: str
    user: str
    name: str
    properties: dict[str, Any] = field(default_factory=dict)
    kind: str = "track"
    sent: float = 0.0
    acknowledged: float | None = None
    by: str = ""
    attempts: int = 0
    accepted: int = 0

    @property
    def ref(self) -> str:
        """What no other event has."""
        return f"{self.source}/{self.message_id}"

    def call(self) -> dict[str, Any]:
        """The event as a stock client's batch would hold it."""
        body: dict[str, Any] = {
            "type": self.kind,
            "userId": self.user,
            "messageId": self.message_id,
        }
        if self.kind == "identify":
            return {**body, "traits": self.properties}
        properties = {"ref": self.ref, **self.properties}
        return {**body, "event": self.name, "properties": properties}


class Acknowledgements:
    """Everything that was posted."""

    def __init__(self) -> None:
        self.posted: dict[str, Posted] = {}
        self.answers: Counter[str] = Counter()
        self.refused: list[str] = []

    def sending(self, events: Iterable[Posted]) -> None:
        """Note that events are about to be sent, perhaps once more."""
        now = time.time()
        for event in events:
            if event.attempts == 0:
                event.sent = now
                self.posted[event.ref] = event
            event.attempts += 1

    def acknowledged(self, events: Iterable[Posted], by: str) -> None:
        """Note that an api has said yes."""
        now = time.time()
        for event in events:
            if event.acknowledged is None:
                event.acknowledged, event.by = now, by

    @property
    def count(self) -> int:
        """How many events were acknowledged."""
        return sum(event.acknowledged is not None for event in self.posted.values())
