"""The errors of Sojourn, one tree.

SojournError
├── Refused                what came from outside cannot be taken; says why, names the field
├── JourneyError           a journey is written or configured wrongly; says what to do
│   ├── UndeclaredEvent    it waits for an event that it does not listen to
│   └── BadParameters      its parameters do not validate
├── AudienceError          a computed trait or a segment is declared wrongly; says what to do
├── ConfigurationError     a setting, a port, a permission: one sentence for the operator
├── MissingData            a template asks for data that this message does not have
├── NotNow                 refused for the moment; says when to ask again
└── Unavailable            a part that we need does not answer now; try again later
"""

from typing import Literal

Why = Literal["limit", "busy", "backlog", "temporal"]
"""Why not now: the key's limit; too much waits for the database; journeys are too far behind, or
cannot be reached."""


class SojournError(Exception):
    """Every error that Sojourn raises on purpose."""


class Refused(SojournError):
    """Input that cannot be taken.

    Args:
        reason: one sentence for the sender.
        field: the dotted path of the offending field, where there is one.
        status: the HTTP status that says the same (RFC 9110).
    """

    def __init__(self, reason: str, *, field: str | None = None, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.status = status


class JourneyError(SojournError):
    """A journey is written or configured wrongly."""


class UndeclaredEvent(JourneyError):
    """A journey waits for an event that it does not listen to."""


class BadParameters(JourneyError):
    """Journey parameters do not validate."""


class AudienceError(SojournError):
    """A computed trait or a segment is declared wrongly."""


class ConfigurationError(SojournError):
    """A setting, a port or a permission stands in the way; the text is for the operator."""


class MissingData(SojournError):
    """A template asks for data that this message does not have."""


class NotNow(SojournError):
    """Refused for the moment, though nothing is wrong with it.

    Args:
        reason: one sentence for the sender.
        why: one of `Why`.
        retry_after: in how many seconds to ask again.
        status: the HTTP status that says the same.
    """

    def __init__(
        self,
        reason: str,
        *,
        why: Why,
        retry_after: float,
        status: int = 503,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.why = why
        self.retry_after = retry_after
        self.status = status


class Unavailable(SojournError):
    """A part that we need does not answer now."""
