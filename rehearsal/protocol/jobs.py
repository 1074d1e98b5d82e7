"""What happens to a workflow."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.child_workflow import StartChildWorkflowExecutionFailedCause as Exists
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.exceptions import CancelledError

from rehearsal.protocol.commands import Schedule, StartChild
from rehearsal.protocol.values import CONVERTER, FAILURES, NAMESPACE, SEED, Identity

Job = WorkflowActivationJob


def starts(identity: Identity, arguments: Sequence[Payload], at: datetime) -> Job:
    """The job that starts a workflow."""
    job = Job()
    init = job.initialize_workflow
    init.workflow_type, init.workflow_id = identity.workflow_type, identity.workflow_id
    init.arguments.extend(arguments)
    init.randomness_seed = SEED
    init.attempt = 1
    init.first_execution_run_id = identity.first_run_id
    init.start_time.FromDatetime(at)
    return job


def fires(seq: int) -> Job:
    """The job that fires a timer."""
    job = Job()
    job.fire_timer.seq = seq
    return job


def signals(name: str, arguments: Sequence[Payload], event: int) -> Job:
    """The job that brings a signal, which is in the history under this number."""
    job = Job()
    job.signal_workflow.signal_name = name
    job.signal_workflow.originating_event_id = event
    job.signal_workflow.input.extend(arguments)
    return job


def asks(name: str, arguments: Sequence[Any]) -> Job:
    """The job that asks a query; nothing else may stand beside it."""
    job = Job()
    job.query_workflow.query_id = "query"
    job.query_workflow.query_type = name
    job.query_workflow.arguments.extend(CONVERTER.to_payloads(arguments))
    return job


def updates(update_id: str, name: str, arguments: Sequence[Any]) -> Job:
    """The job that brings an update, with its validator."""
    job = Job()
    job.do_update.id = job.do_update.protocol_instance_id = update_id
    job.do_update.name = name
    job.do_update.input.extend(CONVERTER.to_payloads(arguments))
    job.do_update.run_validator = True
    return job


def cancels(reason: str = "") -> Job:
    """The job that cancels the workflow."""
    job = Job()
    job.cancel_workflow.reason = reason
    return job


def answers(command: Schedule, value: Payload) -> Job:
    """The job that brings an activity's result."""
    job = _resolves(command)
    job.resolve_activity.result.completed.result.CopyFrom(value)
    return job


def fails(command: Schedule, error: BaseException) -> Job:
    """The job that brings an activity's failure."""
    job = _resolves(command)
    _wrap(command, error, job.resolve_activity.result.failed.failure)
    return job


def stops(command: Schedule) -> Job:
    """The job that says that an activity is cancelled."""
    job = _resolves(command)
    _wrap(command, CancelledError("cancelled"), job.resolve_activity.result.cancelled.failure)
    return job


def _resolves(command: Schedule) -> Job:
    job = Job()
    job.resolve_activity.seq = command.seq
    job.resolve_activity.is_local = command.local
    return job


def _wrap(command: Schedule, error: BaseException, failure: Failure) -> None:
    failure.message = "activity error"
    failure.activity_failure_info.activity_type.name = command.name
    failure.activity_failure_info.activity_id = command.activity_id
    FAILURES.to_failure(error, CONVERTER, failure.cause)


def child_starts(seq: int, run_id: str) -> Job:
    """The job that says that a child has started."""
    job = Job()
    job.resolve_child_workflow_execution_start.seq = seq
    job.resolve_child_workflow_execution_start.succeeded.run_id = run_id
    return job


def child_exists(command: StartChild) -> Job:
    """The job that says that there is a workflow with a child's id already."""
    job = Job()
    job.resolve_child_workflow_execution_start.seq = command.seq
    failed = job.resolve_child_workflow_execution_start.failed
    failed.workflow_id, failed.workflow_type = command.workflow_id, command.workflow_type
    failed.cause = Exists.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
    return job


def child_ends(command: StartChild, run_id: str, end: Payload | BaseException) -> Job:
    """The job that brings a child's result, or what it ended with otherwise."""
    job = Job()
    job.resolve_child_workflow_execution.seq = command.seq
    result = job.resolve_child_workflow_execution.result
    if isinstance(end, Payload):
        result.completed.result.CopyFrom(end)
        return job
    failure = (result.cancelled if isinstance(end, CancelledError) else result.failed).failure
    failure.message = "Child Workflow execution failed"
    about = failure.child_workflow_execution_failure_info
    about.namespace = NAMESPACE
    about.workflow_execution.workflow_id = command.workflow_id
    about.workflow_execution.run_id = run_id
    about.workflow_type.name = command.workflow_type
    FAILURES.to_failure(end, CONVERTER, failure.cause)
    return job


def signalled(seq: int, error: BaseException | None) -> Job:
    """The job that says that a signal to another workflow has arrived, or why not."""
    job = Job()
    job.resolve_signal_external_workflow.seq = seq
    if error is not None:
        FAILURES.to_failure(error, CONVERTER, job.resolve_signal_external_workflow.failure)
    return job


def cancel_asked(seq: int, error: BaseException | None) -> Job:
    """The job that says that another workflow is asked to stop, or why not."""
    job = Job()
    job.resolve_request_cancel_external_workflow.seq = seq
    if error is not None:
        failure = job.resolve_request_cancel_external_workflow.failure
        FAILURES.to_failure(error, CONVERTER, failure)
    return job
