"""What is told of a message of ours after it was handed over: by its provider, or by the app."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel

from domain.events.base import PART, Event

_LONGEST_DETAIL = 500
_OURS = re.compile(r"<?(msg_\w{1,64})(?:@[^\s<>]*)?>?")
_FOR_GOOD = frozenset({"hard", "permanent"})


def message_named(text: str) -> str | None:
    """The id of the message of ours that a text names, or None where it names none.

    Args:
        text: the id, or the Message-ID that our e-mails have of it, with its brackets or without.
    """
    found = _OURS.fullmatch(text.strip())
    return found and found[1]


def _ours_or_as_it_is(text: str | None) -> str | None:
    return None if text is None else message_named(text) or text


MessageId = Annotated[str | None, AfterValidator(_ours_or_as_it_is)]
"""A message's id: one of ours reads as `Sent` has it, however the provider gave it back."""


class Told(BaseModel):
    """What whoever reports may say beside.

    `reason` is in their own words, `provider_id` is their own id of the message.
    """

    model_config = PART

    reason: str | None = None
    provider_id: str | None = None


class Bounce(BaseModel):
    """How a message bounced: `hard` (or `permanent`) where the address is the reason for good."""

    model_config = PART

    bounce_type: str | None = None

    @property
    def is_hard(self) -> bool:
        """Whether nothing will ever arrive at that address."""
        return (self.bounce_type or "").strip().lower() in _FOR_GOOD


@dataclass(frozen=True, slots=True)
class Report:
    """What an event tells of a message, as the store takes it.

    Attributes:
        message_id: which message of ours; None where it names none.
        channel: of which channel it is.
        says: as in `ReportMark`.
        hard: of a bounce, whether the address is dead.
        detail: what happened, in the words of the ledger.
        provider_id: the provider's own id of it, where it was told.
    """

    message_id: str | None
    channel: str
    says: str
    hard: bool
    detail: str
    provider_id: str | None


def report_of(event: Event) -> Report | None:
    """What an event tells of a message; None where that changes nothing.

    An event about some other system's message is an event like any other, but who
    unsubscribes need not say by which message.
    """
    mark = type(event).report_mark
    if mark is None:
        return None
    message_id = message_named(getattr(event, mark.reference) or "")
    if message_id is None and mark.says in {"reached", "bounced"}:
        return None
    hard = isinstance(event, Bounce) and event.is_hard
    told = event if isinstance(event, Told) else Told()
    happened = f"{event.name}, hard" if hard else event.name
    detail = f"{happened}: {told.reason}" if told.reason else happened
    return Report(
        message_id,
        mark.channel,
        mark.says,
        hard,
        detail[:_LONGEST_DETAIL],
        told.provider_id,
    )
