"""How much a key may ask for, and the bucket that measures it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a key may do.

    Attributes:
        requests: a second; 0: as many as it likes.
        events: a second, whatever becomes of them; 0: as many as it likes.
        burst: how many seconds' worth may come at once after a pause.
    """

    requests: int = 0
    events: int = 0
    burst: int = 10


class Bucket:
    """A token bucket: `rate` tokens a second run in, up to `rate * burst` of them.

    Who wants more at once than the bucket holds gets it from a full one and leaves a debt, so
    that a batch larger than the burst passes too, and the rate holds all the same.

    Args:
        rate: tokens a second.
        burst: seconds after which an empty bucket is full.
        now: seconds of a clock that only goes forward.
    """

    __slots__ = ("_at", "_full", "_rate", "_tokens")

    def __init__(self, rate: int, burst: int, now: float) -> None:
        self._rate = rate
        self._full = float(rate * burst)
        self._tokens = self._full
        self._at = now

    def take(self, wanted: int, now: float) -> float:
        """Take tokens, all or none of them.

        Returns:
            0.0 where they are taken, else in how many seconds to ask again.
        """
        tokens = min(self._full, self._tokens + (now - self._at) * self._rate)
        needed = min(wanted, self._full)
        enough = tokens >= needed
        self._tokens = tokens - wanted if enough else tokens
        self._at = now
        return 0.0 if enough else (needed - tokens) / self._rate
