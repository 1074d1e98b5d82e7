"""Times and durations in words, for people who read a journey in the Temporal UI."""

from datetime import datetime, timedelta

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def duration(span: timedelta) -> str:
    """A duration in its two largest units: `1 hour 30 minutes`."""
    rest = round(span.total_seconds(), 3)
    if rest < 1:
        return f"{max(rest, 0):g} seconds"
    parts: list[str] = []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{int(count)} {name}{'' if count == 1 else 's'}")
    return " ".join(parts[:2])


def moment(at: datetime) -> str:
    """A moment to the second, in UTC, in the order that sorts."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
