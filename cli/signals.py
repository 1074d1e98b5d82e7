"""Ending a process by a signal."""

import asyncio
import signal
import time
from collections.abc import Coroutine
from types import FrameType
from typing import Any

SAME_SIGNAL = 0.5
"""Seconds within which a second signal is the first one, come by another way."""


def until_signalled(work: Coroutine[Any, Any, object]) -> None:
    """Run `work` on uvloop; the first SIGTERM or SIGINT cancels it, a later one kills.

    One that follows at once is the first, come by another way: a terminal tells a whole group of
    processes, and a supervisor in it then tells its own.
    """
    import uvloop  # noqa: PLC0415 -- `sojourn --help` should not wait for it

    async def cancellable() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        asked_at: float | None = None

        def on_signal(number: int, _frame: FrameType | None) -> None:
            nonlocal asked_at
            now = time.monotonic()
            if asked_at is None:
                asked_at = now
                loop.call_soon_threadsafe(task.cancel)
            elif now - asked_at >= SAME_SIGNAL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)

        # Not loop.add_signal_handler: a uvicorn inside would replace half of it.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        try:
            await task
        except asyncio.CancelledError:
            if asked_at is None:
                raise

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cancellable())
