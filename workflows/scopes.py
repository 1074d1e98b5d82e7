"""`until`: a block that an event ends early, even in the middle of a wait."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from temporalio.exceptions import is_cancelled_exception

from domain.events import Event

A = TypeVar("A", bound=Event)
T = TypeVar("T")


class Host(Protocol):
    """What a scope needs of its journey."""

    def enter_scope(self, scope: "Until[Any]", /) -> None:
        """From now on, offer arriving events to the scope; first those not yet taken."""

    def leave_scope(self, scope: "Until[Any]", /) -> None:
        """Offer it nothing more."""

    def interrupted(self) -> bool:
        """Whether a scope around the present task has its event."""


class Until(Generic[A]):
    """A block that ends at the first matching event; shaped after `asyncio.timeout`.

    Truthy if the event came. `event` is that event, or None. It interrupts every wait
    inside the block and never a send half-way: the send finishes, is counted, then the
    block ends.
    """

    def __init__(self, host: Host, event: type[A], where: Callable[[A], bool] | None) -> None:
        self._host = host
        self._type = event
        self._where = where
        self._cancelling = 0
        self.task: asyncio.Task[Any] | None = None
        self.event: A | None = None

    def __bool__(self) -> bool:
        return self.event is not None

    def __repr__(self) -> str:
        return f"until({self._type.name}{', ended' if self else ''})"

    def offer(self, event: Event) -> bool:
        """Take the event if it ends this block."""
        if self.event is not None or self.task is None or not isinstance(event, self._type):
            return False
        if self._where is not None and not self._where(event):
            return False
        self.event = event
        self.task.cancel()
        return True

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        if task.cancelling():
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                # What interrupts a block around this one, or the journey, is not ours to take.
                # Send it on its way again: it meets the first wait in this block.
                task.uncancel()
                task.cancel()
                return self
        self.task, self._cancelling = task, task.cancelling()
        self._host.enter_scope(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if self.task is None:
            return False
        self._host.leave_scope(self)
        if self.event is None:
            return False
        cancelled = error is not None and is_cancelled_exception(error)
        if not cancelled:
            # The event came, but the body had no wait left that it could interrupt: the
            # cancellation is still on its way and must not hit what follows the block.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        others = self.task.uncancel() > self._cancelling or self._host.interrupted()
        if error is None and others:
            raise asyncio.CancelledError  # theirs may have been the one that was just caught
        return cancelled and not others


async def to_the_end(call: Coroutine[Any, Any, T]) -> T:
    """Finish `call` even if its caller is cancelled meanwhile, then let the cancellation go on.

    A message cannot be half sent, and an activity whose answer is lost cannot be asked again.
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
