"""The fields of a decoded call, each checked when it is read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain.errors import Refused

LONGEST_NAME = 255
"""Characters of an id, an event's name or a trait's name."""

LEAST_NUMBER, LARGEST_NUMBER = 1 - 2**63, 2**64 - 1
"""Of an id: beyond, it would have been rounded when it was decoded."""


def id_of(item: Mapping[str, Any], field: str, *, required: bool = False) -> str | None:
    """An id, which some sources write as a number; blank is none.

    Raises:
        Refused: it is neither, too long, or required and not there.
    """
    value = item.get(field)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # 17.0 is the same number as 17.
        if value != int(value) or not LEAST_NUMBER <= value <= LARGEST_NUMBER:
            raise Refused(f"{field} must be a string or a whole number", field=field)
        return str(int(value))
    text: str | None = _text(value, field, required=required)
    return text


def text_of(item: Mapping[str, Any], field: str, *, required: bool = False) -> Any:
    """A text without the white space around it; None where it is blank or not there.

    Raises:
        Refused: it is no text, too long, or required and not there.
    """
    return _text(item.get(field), field, required=required)


def _text(value: Any, field: str, *, required: bool) -> Any:
    if isinstance(value, str):
        if text := value.strip():
            check_length(value, field)
            return text
    elif value is not None:
        raise Refused(f"{field} must be a string", field=field)
    if required:
        raise Refused(f"{field} is required", field=field)
    return None


def check_length(value: str, what: str, field: str | None = None) -> None:
    """Check that an index can hold it.

    Raises:
        Refused: it is longer than `LONGEST_NAME`.
    """
    if len(value) > LONGEST_NAME:
        raise Refused(f"{what} is longer than {LONGEST_NAME} characters", field=field or what)


def object_of(item: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    """An object, or None where it is not there.

    Raises:
        Refused: it is something else.
    """
    value = item.get(field)
    if value is not None and not isinstance(value, dict):
        raise Refused(f"{field} must be an object", field=field)
    return value


def time_of(item: Mapping[str, Any], field: str) -> datetime | None:
    """An ISO 8601 time, in UTC where it does not say; None where it is not there.

    Raises:
        Refused: it is something else.
    """
    value = item.get(field)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"{field} must be an ISO 8601 time", field=field) from None
