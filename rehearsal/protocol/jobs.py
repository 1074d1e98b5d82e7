"""What happens to a workflow."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.exceptions import CancelledError

from rehearsal.protocol.commands import Schedule
from rehearsal.protocol.values import CONVERTER, FAILURES, SEED, Identity

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


def signals(name: str, arguments: Sequence[Any], event: int) -> Job:
    """The job that brings a signal, which is in the history under this number."""
    job = Job()
    job.signal_workflow.signal_name = name
    job.signal_workflow.originating_event_id = event
    job.signal_workflow.input.extend(CONVERTER.to_payloads(arguments))
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
