"""Going on in a new run: when, and with what (see `workflows.journal`)."""

from collections.abc import Iterable

from pydantic import BaseModel
from temporalio import workflow

from domain.carried import Carried
from domain.enrollments import Start
from domain.events import Envelope, Event

MOST = 1_500_000
"""How many bytes a run may hand to the next. Temporal takes 2 MB, and ends what has more."""

_PATIENCE = 30_000
"""How many events the history of a run may have that cannot hand over. Temporal ends it at 51,200;
it takes 10,000 signals more before it lets them wait."""
_PATIENCE_BYTES = 30_000_000

_MOST_UNTAKEN = 1_000
_MOST_UNTAKEN_BYTES = 500_000


class TooLarge(Exception):
    """What the next run would have to know is too much for Temporal: it parks the journey."""


def is_long(start: Start) -> bool:
    """Whether the history of this run is so long that it is time for a new one."""
    info = workflow.info()
    if start.run_length is not None:
        return info.get_current_history_length() >= start.run_length
    return info.is_continue_as_new_suggested()


def size(start: Start) -> int:
    """How many bytes the next run starts with."""
    return _length(start)


def largest(carried: Carried) -> str:
    """What of it is the largest, in words."""
    parts = {f"step {name!r}": _length(r) for name, r in carried.steps.items()}
    parts["events that wait for an earlier one"] = _bytes(carried.ahead)
    parts["events that no wait has taken"] = _bytes(carried.untaken)
    what = max(parts, key=lambda name: parts[name])
    return f"{what} has {parts[what]:,} bytes"


def check_patience(why: str) -> None:
    """Check that a run that cannot hand over may go on for a while.

    Raises:
        TooLarge: its history is so long that Temporal would soon end it.
    """
    info = workflow.info()
    if (
        info.get_current_history_length() >= _PATIENCE
        or info.get_current_history_size() >= _PATIENCE_BYTES
    ):
        raise TooLarge(why)


def newest(untaken: list[Event]) -> tuple[list[Envelope], int]:
    """The newest of what nobody took: what no wait asked for in a thousand events is old.

    Returns:
        What is carried, oldest first, and how many are forgotten.
    """
    kept: list[Envelope] = []
    total = 0
    for event in reversed(untaken):
        total += _length(event)
        if kept and (len(kept) == _MOST_UNTAKEN or total > _MOST_UNTAKEN_BYTES):
            break
        kept.append(event.envelope())
    return kept[::-1], len(untaken) - len(kept)


def _length(model: BaseModel) -> int:
    """How many bytes it is on its way: a letter may be several."""
    return len(model.model_dump_json().encode())


def _bytes(envelopes: Iterable[Envelope]) -> int:
    return sum(len(str(envelope.properties).encode()) for envelope in envelopes)
