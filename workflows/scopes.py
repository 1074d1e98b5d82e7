"""`until`: a block that an event ends early, even in the middle of a wait."""

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from temporalio.exceptions import is_cancelled_exception

from domain.events import Event
from workflows.enrollment import Enrollment
from workflows.failures import reading
from workflows.journal import Step
from workflows.matching import Match, dump_event, load_event

A = TypeVar("A", bound=Event)


class Until(Generic[A]):
    """A block that ends at the first matching event; shaped after `asyncio.timeout`.

    Truthy if the event came. `event` is that event, or None. It interrupts every wait
    inside the block and never a send half-way: the send finishes, is counted, then the
    block ends.
    """

    def __init__(self, enrollment: Enrollment, match: Match[A], name: str) -> None:
        self._enrollment = enrollment
        self._match = match
        self._name = name
        self._step: Step | None = None
        self._left_before = False
        self._cancelling = 0
        self.task: asyncio.Task[Any] | None = None
        self.event: A | None = None

    def __bool__(self) -> bool:
        return self.event is not None

    def __repr__(self) -> str:
        return f"until({self._match.kind.name}{', ended' if self else ''})"

    def offer(self, event: Event) -> bool:
        """Take the event if it ends this block."""
        if self.event is not None or self.task is None:
            return False
        self.event = self._match.first([event])
        if self.event is None:
            return False
        self.task.cancel()
        return True

    async def __aenter__(self) -> Self:
        self._step = self._enrollment.journal.open(self._name)
        if self._step.done:
            # An earlier run has left this block: its steps give again what they gave.
            with reading(self._step.name):
                self.event = load_event(self._match.kind, self._step.result["event"])
            self._left_before = True
            return self
        if not self._step.known:
            self._enrollment.go_live()
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
        self._enrollment.enter_scope(self, look_back=not self._step.known)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        assert self._step is not None
        cancelled = error is not None and is_cancelled_exception(error)
        if self._left_before:
            others = self._step.result["others"]
            if error is None and others:
                raise asyncio.CancelledError
            return cancelled and self.event is not None and not others
        others = await self._leave(cancelled=cancelled)
        # Where something else ends what is around this block, a new run must do so again.
        self._step.finish({"event": dump_event(self.event), "others": others})
        if error is None and others:
            raise asyncio.CancelledError  # theirs may have been the one that was just caught
        return cancelled and self.event is not None and not others

    async def _leave(self, *, cancelled: bool) -> bool:
        """Take back the cancellation that was ours. Returns whether there are others."""
        if self.task is None:
            return False
        self._enrollment.leave_scope(self)
        if self.event is None:
            return False
        if not cancelled:
            # The event came, but the body had no wait left that it could interrupt: the
            # cancellation is still on its way and must not hit what follows the block.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return self.task.uncancel() > self._cancelling or self._enrollment.interrupted()
