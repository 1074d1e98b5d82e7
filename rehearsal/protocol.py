"""What goes into a workflow instance of the SDK, and what comes out of it.

The only module that knows the SDK's inside: names that begin with an underscore, and those of
`temporalio.bridge`. pyproject.toml pins the SDK to a minor version for them, and the tests of
`rehearsal` against a server say whether another version still means the same.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import (
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ScheduleActivity,
    ScheduleLocalActivity,
    WorkflowCommand,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import MetricMeter, Priority, RetryPolicy, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DefaultFailureConverter,
    PayloadConverter,
    decode_typed_search_attributes,
)
from temporalio.exceptions import CancelledError
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowRunner
from temporalio.worker import WorkflowInstanceDetails as Details

Job = WorkflowActivationJob
CONVERTER = pydantic_data_converter.payload_converter
FAILURES = pydantic_data_converter.failure_converter
NAMESPACE = "rehearsal"
_SEED = 1


@dataclass(frozen=True)
class Identity:
    """What a workflow's run may know of itself."""

    workflow_id: str
    workflow_type: str
    run_id: str
    first_run_id: str
    continued_run_id: str | None
    task_queue: str
    attributes: TypedSearchAttributes
    started_at: datetime


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Fire timer `seq` in `after`; `summary` is what it is for, in words."""

    seq: int
    after: timedelta
    summary: str


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Do not fire it."""

    seq: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Run an activity.

    Attributes:
        within: how long all attempts together may take, or None.
        abandon: a cancelled one is left to itself.
        patient: a cancelled one is waited for.
    """

    seq: int
    activity_id: str
    name: str
    arguments: Sequence[Payload]
    local: bool
    queue: str
    retry: RetryPolicy
    within: timedelta | None
    start_to_close: timedelta | None
    heartbeat: timedelta | None
    abandon: bool
    patient: bool
    summary: str


@dataclass(frozen=True, slots=True)
class CancelActivity:
    """Ask an activity to stop."""

    seq: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An update was accepted, or is done; `error` where it was refused or failed."""

    update_id: str
    accepted: bool = False
    value: Payload | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    """Change search attributes."""

    attributes: TypedSearchAttributes


@dataclass(frozen=True, slots=True)
class Patch:
    """The code asked for a patch, and it applies."""

    name: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The workflow has ended with a result."""

    value: Payload


@dataclass(frozen=True, slots=True)
class Fail:
    """The workflow has ended as failed."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The workflow has ended as cancelled."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on in a new run, from these arguments."""

    workflow_type: str
    arguments: Sequence[Payload]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A command that is not played here, such as a child workflow."""

    kind: str


Command = (
    StartTimer
    | CancelTimer
    | Schedule
    | CancelActivity
    | Answer
    | Upsert
    | Patch
    | Complete
    | Fail
    | Cancelled
    | Continue
    | Foreign
)


def instance(
    cls: type,
    identity: Identity,
    runner: WorkflowRunner | None,
    on_error: Callable[[BaseException], None],
) -> WorkflowInstance:
    """A workflow instance, as a worker makes one.

    Args:
        cls: the workflow's class.
        identity: what it may know of itself.
        runner: what runs it; by default without a sandbox.
        on_error: told every error that the instance hands over, with its own traceback.
    """

    class Telling(DefaultFailureConverter):
        def to_failure(
            self, exception: BaseException, converter: PayloadConverter, failure: Failure
        ) -> None:
            on_error(exception)
            super().to_failure(exception, converter, failure)

    definition = workflow._Definition.must_from_class(cls)  # noqa: SLF001
    runner = runner or UnsandboxedWorkflowRunner()
    runner.prepare_workflow(definition)
    info = workflow.Info(
        attempt=1,
        continued_run_id=identity.continued_run_id,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id=identity.first_run_id,
        headers={},
        namespace=NAMESPACE,
        original_execution_run_id=identity.run_id,
        parent=None,
        root=None,
        priority=Priority.default,
        raw_memo={},
        retry_policy=None,
        run_id=identity.run_id,
        run_timeout=None,
        search_attributes={},
        start_time=identity.started_at,
        task_queue=identity.task_queue,
        task_timeout=timedelta(seconds=10),
        typed_search_attributes=identity.attributes,
        workflow_id=identity.workflow_id,
        workflow_start_time=identity.started_at,
        workflow_type=identity.workflow_type,
    )
    return runner.create_instance(
        Details(
            payload_converter_factory=pydantic_data_converter.payload_converter_class,
            failure_converter_class=Telling,
            interceptor_classes=[],
            defn=definition,
            info=info,
            randomness_seed=_SEED,
            extern_functions={
                "__temporal_get_metric_meter": lambda: MetricMeter.noop,
                "__temporal_assert_local_activity_valid": lambda _: None,
            },
            disable_eager_activity_execution=True,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
        )
    )


def activation(
    run_id: str, at: datetime, jobs: Sequence[Job], length: int, *, suggest_new: bool
) -> WorkflowActivation:
    """What a worker is told at once.

    Args:
        run_id: the run.
        at: the time, which `workflow.now()` will be.
        jobs: what happened.
        length: of the history so far, in events.
        suggest_new: whether the history is long enough to continue as new.
    """
    act = WorkflowActivation(
        run_id=run_id, history_length=length, continue_as_new_suggested=suggest_new, jobs=jobs
    )
    act.timestamp.FromDatetime(at)
    return act


def activate(made: WorkflowInstance, act: WorkflowActivation) -> WorkflowActivationCompletion:
    """Let an instance do its work; call it outside of any task, as `loop.call_soon` does.

    The instance is an event loop of its own, and leaves none running behind it.
    """
    loop = asyncio._get_running_loop()  # noqa: SLF001
    try:
        return made.activate(act)
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001


def evict(made: WorkflowInstance, run_id: str) -> None:
    """Let an instance go, with its tasks."""
    job = Job()
    job.remove_from_cache.SetInParent()
    activate(made, WorkflowActivation(run_id=run_id, jobs=[job]))


def replayed(act: WorkflowActivation, patches: Sequence[str]) -> WorkflowActivation:
    """The same activation, as a worker is told it again when it has lost the instance.

    Args:
        act: the activation.
        patches: those that the instance asked for when it was told first.
    """
    again = WorkflowActivation()
    again.CopyFrom(act)
    again.is_replaying = True
    del again.jobs[:]
    for name in patches:
        again.jobs.add().notify_has_patch.patch_id = name
    again.jobs.extend(act.jobs)
    return again


def starts(identity: Identity, arguments: Sequence[Payload], at: datetime) -> Job:
    """The job that starts a workflow."""
    job = Job()
    init = job.initialize_workflow
    init.workflow_type, init.workflow_id = identity.workflow_type, identity.workflow_id
    init.arguments.extend(arguments)
    init.randomness_seed = _SEED
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


def query_answer(completion: WorkflowActivationCompletion) -> Payload | BaseException:
    """What a query was answered."""
    for command in completion.successful.commands:
        if command.HasField("respond_to_query"):
            answer = command.respond_to_query
            if answer.HasField("failed"):
                return FAILURES.from_failure(answer.failed, CONVERTER)
            return answer.succeeded.response
    raise AssertionError(f"a query was not answered: {completion}")


def as_bytes(completion: WorkflowActivationCompletion) -> list[bytes]:
    """What the workflow wants, for comparing."""
    return [
        command.SerializeToString(deterministic=True) for command in completion.successful.commands
    ]


def commands(completion: WorkflowActivationCompletion) -> Iterator[Command]:
    """What the workflow wants, in its order."""
    for command in completion.successful.commands:
        yield _command(command)


def _command(command: WorkflowCommand) -> Command:  # noqa: C901, PLR0911, PLR0912 - a case a kind
    match command.WhichOneof("variant"):
        case "start_timer":
            timer = command.start_timer
            after = timer.start_to_fire_timeout.ToTimedelta()
            return StartTimer(timer.seq, after, _summary(command))
        case "cancel_timer":
            return CancelTimer(command.cancel_timer.seq)
        case "schedule_activity":
            return _schedule(command.schedule_activity, _summary(command))
        case "schedule_local_activity":
            return _schedule(command.schedule_local_activity, _summary(command))
        case "request_cancel_activity":
            return CancelActivity(command.request_cancel_activity.seq)
        case "request_cancel_local_activity":
            return CancelActivity(command.request_cancel_local_activity.seq)
        case "update_response":
            return _answer(command)
        case "upsert_workflow_search_attributes":
            changed = command.upsert_workflow_search_attributes.search_attributes
            return Upsert(decode_typed_search_attributes(changed))
        case "set_patch_marker":
            return Patch(command.set_patch_marker.patch_id)
        case "complete_workflow_execution":
            return Complete(command.complete_workflow_execution.result)
        case "fail_workflow_execution":
            failure = command.fail_workflow_execution.failure
            return Fail(FAILURES.from_failure(failure, CONVERTER))
        case "cancel_workflow_execution":
            return Cancelled()
        case "continue_as_new_workflow_execution":
            new = command.continue_as_new_workflow_execution
            return Continue(new.workflow_type, list(new.arguments))
        case kind:
            return Foreign(str(kind))


def _answer(command: WorkflowCommand) -> Answer:
    response = command.update_response
    if response.HasField("accepted"):
        return Answer(response.protocol_instance_id, accepted=True)
    if response.HasField("rejected"):
        error = FAILURES.from_failure(response.rejected, CONVERTER)
        return Answer(response.protocol_instance_id, error=error)
    return Answer(response.protocol_instance_id, value=response.completed)


def _schedule(asked: ScheduleActivity | ScheduleLocalActivity, summary: str) -> Schedule:
    def limit(name: str) -> timedelta | None:
        return getattr(asked, name).ToTimedelta() if asked.HasField(name) else None  # type: ignore[arg-type]

    remote = isinstance(asked, ScheduleActivity)
    return Schedule(
        seq=asked.seq,
        activity_id=asked.activity_id,
        name=asked.activity_type,
        arguments=list(asked.arguments),
        local=not remote,
        queue=asked.task_queue if isinstance(asked, ScheduleActivity) else "",
        retry=RetryPolicy.from_proto(asked.retry_policy)
        if asked.HasField("retry_policy")
        else RetryPolicy(),
        within=limit("schedule_to_close_timeout"),
        start_to_close=limit("start_to_close_timeout"),
        heartbeat=limit("heartbeat_timeout") if remote else None,
        abandon=asked.cancellation_type == ActivityCancellationType.ABANDON,
        patient=asked.cancellation_type == ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )


def _summary(command: WorkflowCommand) -> str:
    if not command.user_metadata.HasField("summary"):
        return ""
    return str(CONVERTER.from_payload(command.user_metadata.summary, str))
