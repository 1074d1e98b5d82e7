"""How long tests wait for what must happen: long enough for the busiest machine."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds. Only a test that fails waits so long; a machine that is slow is no reason to fail."""


async def eventually(
    ask: Callable[[], Awaitable[T]], good: Callable[[T], bool] = bool, pause: float = 0.05
) -> T:
    """Ask until the answer is good, or fail with the last one.

    Args:
        ask: asks the world.
        good: whether this is the answer that was waited for.
        pause: seconds between two questions.
    """
    end = time.monotonic() + PATIENCE
    while not good(answer := await ask()):
        assert time.monotonic() < end, f"still {answer!r} after {PATIENCE:.0f} s"
        await asyncio.sleep(pause)
    return answer
