"""Going on in a new run: when, and with what (see `workflows.journal`)."""

from collections.abc import Callable, Iterable

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


class Weighing:
    """Weighs what the next run must know: is it more than Temporal takes?

    Args:
        note: adds a line to the story that support staff read.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._too_large: tuple[tuple[int, ...], str] | None = None

    def fits(self, progress: tuple[int, ...], next_start: Callable[[], Start]) -> bool:
        """Whether Temporal would take it; weighed once a state.

        Args:
            progress: what this run has done so far.
            next_start: makes what the next run would start with.

        Raises:
            TooLarge: it would not, and that for so long that Temporal would soon end this run.
        """
        if self._too_large is None or self._too_large[0] != progress:
            start = next_start()
            if (size := _length(start)) <= MOST:
                self._too_large = None
                return True
            assert start.carried is not None
            why = f"cannot go on in a new run: {size:,} bytes; {_largest(start.carried)}"
            if self._too_large is None:
                self._note(f"⚠ {why}")
                workflow.logger.warning("%s %s", start.enrollment_id, why)
            self._too_large = (progress, why)
        _check_patience(self._too_large[1])
        return False


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


def _largest(carried: Carried) -> str:
    """What of it is the largest, in words."""
    parts: dict[str, int] = {}
    for name, record in carried.steps.items():
        counts = record.state.get("counts", {}) if isinstance(record.state, dict) else {}
        names = len(str(counts).encode())
        parts[f"step {name!r}"] = _length(record) - names
        parts[f"what counts the {len(counts):,} names of steps in {name!r}"] = names
    parts["events that wait for an earlier one"] = _bytes(carried.ahead)
    parts["events that no wait has taken"] = _bytes(carried.untaken)
    what = max(parts, key=lambda name: parts[name])
    return f"{what} has {parts[what]:,} bytes"


def _check_patience(why: str) -> None:
    """Check that a run that cannot hand over may go on for a while.

    Raises:
        TooLarge: see `Weighing.fits`.
    """
    info = workflow.info()
    if (
        info.get_current_history_length() >= _PATIENCE
        or info.get_current_history_size() >= _PATIENCE_BYTES
    ):
        raise TooLarge(why)
