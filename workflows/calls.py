"""Calls that a scope's end must not cut in half."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(call: Awaitable[T]) -> T:
    """Await a call to its end, whatever happens meanwhile.

    Raises:
        asyncio.CancelledError: it has ended, and a cancellation came meanwhile.
    """
    task = asyncio.ensure_future(call)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
        except Exception:  # noqa: BLE001, S110 - task.result() raises it below
            pass
    result = task.result()
    if cancelled:
        raise asyncio.CancelledError
    return result
