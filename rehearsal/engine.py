"""What a server and a worker do for workflows, in this process and in virtual time."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.worker import WorkflowRunner

from domain import wording
from rehearsal.calls import Activities, Call
from rehearsal.clock import Clock
from rehearsal.execution import Execution
from rehearsal.protocol.values import CONVERTER

_PATIENCE = 10.0
_HEAD, _TAIL = 20, 60  # lines


class Busy(AssertionError):
    """An activity has not answered for a long time; the real time, not the virtual one."""


@dataclass(frozen=True)
class Line:
    """One line of the timeline.

    Attributes:
        of: the workflow's id, or empty.
    """

    at: datetime
    of: str
    what: str

    def __str__(self) -> str:
        return f"{wording.moment(self.at)}  {self.what}"


def shortened(lines: list[str]) -> list[str]:
    """A long timeline without its middle."""
    if len(lines) <= _HEAD + _TAIL:
        return lines
    left_out = f"… {len(lines) - _HEAD - _TAIL} lines …"
    return [*lines[:_HEAD], left_out, *lines[-_TAIL:]]


class Engine:
    """Runs workflows: hands them what happens, does what they ask for, and keeps the time.

    Args:
        clock: the time, for workflows, activities and the store alike.
        activities: by name.
        workflows: those that others may start as their children, by name.
        runner: what runs workflows; by default without a sandbox.
        replays: after each activation, play everything again from the start and compare.
        suggests_new: tell workflows at every chance that their history is long.
    """

    def __init__(
        self,
        clock: Clock,
        activities: Activities,
        runner: WorkflowRunner | None = None,
        *,
        workflows: Mapping[str, type] = MappingProxyType({}),
        replays: bool = False,
        suggests_new: bool = False,
    ) -> None:
        self.clock = clock
        self.activities = activities
        self.workflows = workflows
        self.runner = runner
        self.replays = replays
        self.suggests_new = suggests_new
        self.executions: dict[str, Execution] = {}
        self.lines: list[Line] = []
        self._turns: set[Execution] = set()

    def start(self, cls: type, workflow_id: str, argument: Any, **about: Any) -> Execution:
        """Start a workflow; see `Execution`."""
        return self.start_with(cls, workflow_id, CONVERTER.to_payloads([argument]), **about)

    def start_with(
        self, cls: type, workflow_id: str, arguments: Sequence[Payload], **about: Any
    ) -> Execution:
        """Start a workflow with its arguments as they travel."""
        execution = Execution(self, cls, workflow_id, arguments, **about)
        self.executions[workflow_id] = execution
        return execution

    def note(self, of: str, what: str) -> None:
        """Add a line to the timeline."""
        self.lines.append(Line(self.clock(), of, what))

    def turn(self, execution: Execution) -> None:
        """Let a workflow have its turn, together with what else happens in this moment."""
        if execution not in self._turns:
            self._turns.add(execution)
            self.soon(partial(self._take, execution))

    def soon(self, do: Callable[[], None]) -> None:
        """Do it outside of any task, as the inside of a workflow needs it."""
        asyncio.get_running_loop().call_soon(do, context=Context())

    def _take(self, execution: Execution) -> None:
        self._turns.discard(execution)
        execution.take_turn()

    def running(self) -> Iterator[Call]:
        """The activities that are under way."""
        return (call for each in self.executions.values() for call in each.running())

    async def settle(self) -> None:
        """Do all that is due, until everybody waits for time or for events.

        Asked within an activity, such as by a channel that makes something happen while it
        delivers, it does nothing: whoever waits for that activity settles it all.

        Raises:
            Busy: an activity does not answer.
        """
        if activity.in_activity():
            return
        while True:
            await self._rest()
            if not self.clock.ring() and not self._turns:
                return

    async def _rest(self) -> None:
        while self._turns or any(True for _ in self.running()):
            if self._turns:
                await asyncio.sleep(0)
                continue
            tasks = [call.task for call in self.running() if call.task is not None]
            done, _ = await asyncio.wait(
                tasks, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                names = ", ".join(call.command.name for call in self.running())
                raise Busy(f"no answer for {_PATIENCE:.0f} seconds of real time from: {names}")
            await asyncio.sleep(0)

    async def pass_until(self, end: datetime, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, from one due thing to the next.

        Args:
            end: until when at most.
            stop: asked whenever everything has settled: is it enough?
        """
        await self.settle()
        while not stop():
            at = self.clock.next()
            if at is None or at > end:
                self.clock.move(end)
                return
            self.clock.move(at)
            await self.settle()

    async def close(self) -> None:
        """End everything."""
        tasks = [call.task for call in self.running() if call.task is not None]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def let_go() -> None:
            for execution in self.executions.values():
                execution.let_go()
            done.set_result(None)

        self.soon(let_go)
        await done
        await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["Busy", "Engine", "Line"]
