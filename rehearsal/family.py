"""A workflow's children, and what it says to other workflows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus as Status
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from rehearsal.calls import NotPlayed
from rehearsal.protocol import commands, jobs
from rehearsal.protocol.jobs import Job
from rehearsal.protocol.values import Identity

if TYPE_CHECKING:
    from rehearsal.engine import Engine
    from rehearsal.execution import Execution

# In the words of Temporal's core.
_NOBODY_HEARS = ApplicationError(
    "Unable to signal external workflow because it was not found",
    type="ExternalWorkflowExecutionNotFound",
)
_NOBODY_STOPS = ApplicationError(
    "Unable to cancel external workflow because not found",
    type="ExternalWorkflowExecutionNotFound",
)


@dataclass(frozen=True)
class _Child:
    command: commands.StartChild
    execution: "Execution"


class Family:
    """The children of one workflow.

    Args:
        engine: runs them.
        parent: the workflow that starts them.
        tell: tells it what became of them.
        mistaken: told the mistake that parks one of them.
    """

    def __init__(
        self,
        engine: "Engine",
        parent: str,
        *,
        tell: Callable[[Job], None],
        mistaken: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._parent = parent
        self._tell = tell
        self._mistaken = mistaken
        self._children: dict[int, _Child] = {}
        self._waited_for: set[int] = set()

    def start(self, command: commands.StartChild, parent: Identity) -> None:
        """Start a child.

        Raises:
            NotPlayed: the rehearsal does not have it, or it would be tried again.
        """
        cls = self._engine.workflows.get(command.workflow_type)
        if cls is None:
            raise NotPlayed(
                f"{self._parent} starts the workflow {command.workflow_type!r}, which this "
                "rehearsal does not have: give it, as in Rehearsal(workflows=[…])"
            )
        if command.again:
            raise NotPlayed(
                f"{self._parent} starts {command.workflow_type} with {command.again}, which a "
                "rehearsal does not play: test this journey on Temporal's time-skipping server"
            )
        other = self._engine.executions.get(command.workflow_id)
        if other is not None and not other.over:
            self._tell(jobs.child_exists(command))
            return
        execution = self._engine.start_with(
            cls,
            command.workflow_id,
            command.arguments,
            queue=command.queue or parent.task_queue,
            attributes=command.attributes,
            parent=parent,
            ended=partial(self._ended, command),
            mistaken=self._mistaken,
        )
        self._children[command.seq] = _Child(command, execution)
        self._waited_for.add(command.seq)
        self._tell(jobs.child_starts(command.seq, execution.run_id))

    def cancel(self, seq: int) -> None:
        """The workflow does not want a child any more."""
        child = self._children.get(seq)
        if child is None or seq not in self._waited_for:
            return
        kinds = ChildWorkflowCancellationType
        when = child.command.when_cancelled
        if when is not kinds.ABANDON:
            child.execution.cancel()
        # Of the two that wait the SDK's core makes no difference.
        if when in (kinds.ABANDON, kinds.TRY_CANCEL):
            self._resolve(child.command, child.execution, CancelledError("Child cancelled"))

    def under_way(self) -> list["Execution"]:
        """The children that have not ended."""
        executions = (child.execution for child in self._children.values())
        return [execution for execution in executions if not execution.over]

    def close(self) -> None:
        """Its run is over: what it said of its children then becomes of them."""
        self._waited_for.clear()
        children, self._children = self._children, {}
        for child in children.values():
            if child.execution.over:
                continue
            match child.command.when_closed:
                case ParentClosePolicy.ABANDON:
                    pass
                case ParentClosePolicy.REQUEST_CANCEL:
                    child.execution.cancel()
                case _:
                    child.execution.terminate()

    def signal(self, command: commands.SignalOther) -> None:
        """Say something to another workflow, which may be a child."""
        other = self._engine.executions.get(command.workflow_id)
        if other is None or other.over:
            self._tell(jobs.signalled(command.seq, _NOBODY_HEARS))
            return
        other.receive(command.name, command.arguments)
        self._tell(jobs.signalled(command.seq, None))

    def cancel_other(self, command: commands.CancelOther) -> None:
        """Ask another workflow to stop."""
        other = self._engine.executions.get(command.workflow_id)
        if other is None or other.over:
            self._tell(jobs.cancel_asked(command.seq, _NOBODY_STOPS))
            return
        other.cancel()
        self._tell(jobs.cancel_asked(command.seq, None))

    def _ended(self, command: commands.StartChild, execution: "Execution") -> None:
        end: Payload | BaseException
        match execution.status:
            case Status.COMPLETED:
                end = execution.result if execution.result is not None else Payload()
            case Status.CANCELED:
                end = CancelledError("Workflow execution cancelled")
            case Status.TERMINATED:
                end = TerminatedError("Workflow execution terminated")
            case _:
                end = execution.failure or RuntimeError("the child failed")
        self._resolve(command, execution, end)

    def _resolve(
        self, command: commands.StartChild, execution: "Execution", end: Payload | BaseException
    ) -> None:
        if command.seq in self._waited_for:
            self._waited_for.discard(command.seq)
            self._tell(jobs.child_ends(command, execution.run_id, end))
