"""What a workflow wants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ScheduleActivity,
    ScheduleLocalActivity,
    StartChildWorkflowExecution,
    WorkflowCommand,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import RetryPolicy, TypedSearchAttributes
from temporalio.converter import decode_typed_search_attributes
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from rehearsal.protocol.values import CONVERTER, FAILURES


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
class StartChild:
    """Start a child workflow.

    Attributes:
        queue: its task queue; empty: the parent's.
        when_cancelled: what becomes of it when the parent cancels it.
        when_closed: what becomes of it when the parent ends before it does.
        again: how it says to be tried or started again, or empty.
    """

    seq: int
    workflow_id: str
    workflow_type: str
    arguments: Sequence[Payload]
    queue: str
    attributes: TypedSearchAttributes
    when_cancelled: ChildWorkflowCancellationType
    when_closed: ParentClosePolicy
    again: str


@dataclass(frozen=True, slots=True)
class CancelChild:
    """Ask a child to stop, as it was said when it was started."""

    seq: int


@dataclass(frozen=True, slots=True)
class SignalOther:
    """Signal another workflow, a child among them."""

    seq: int
    workflow_id: str
    name: str
    arguments: Sequence[Payload]


@dataclass(frozen=True, slots=True)
class CancelOther:
    """Ask another workflow to stop."""

    seq: int
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """What needs no doing: a signal that is taken back has arrived already."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A command that is not played here, such as a Nexus operation."""

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
    | StartChild
    | CancelChild
    | SignalOther
    | CancelOther
    | Nothing
    | Foreign
)


def as_bytes(completion: WorkflowActivationCompletion) -> list[bytes]:
    """What the workflow wants, for comparing."""
    return [
        command.SerializeToString(deterministic=True) for command in completion.successful.commands
    ]


def wanted(completion: WorkflowActivationCompletion) -> Iterator[Command]:
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
        case "start_child_workflow_execution":
            return _start_child(command.start_child_workflow_execution)
        case "cancel_child_workflow_execution":
            return CancelChild(command.cancel_child_workflow_execution.child_workflow_seq)
        case "signal_external_workflow_execution":
            signal = command.signal_external_workflow_execution
            other = signal.child_workflow_id or signal.workflow_execution.workflow_id
            return SignalOther(signal.seq, other, signal.signal_name, list(signal.args))
        case "request_cancel_external_workflow_execution":
            request = command.request_cancel_external_workflow_execution
            return CancelOther(request.seq, request.workflow_execution.workflow_id)
        case "cancel_signal_workflow":
            return Nothing()
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
    remote = isinstance(asked, ScheduleActivity)
    policy = asked.HasField("retry_policy")
    return Schedule(
        seq=asked.seq,
        activity_id=asked.activity_id,
        name=asked.activity_type,
        arguments=list(asked.arguments),
        local=not remote,
        queue=asked.task_queue if isinstance(asked, ScheduleActivity) else "",
        retry=RetryPolicy.from_proto(asked.retry_policy) if policy else RetryPolicy(),
        within=_limit(asked.schedule_to_close_timeout),
        start_to_close=_limit(asked.start_to_close_timeout),
        heartbeat=_limit(asked.heartbeat_timeout) if isinstance(asked, ScheduleActivity) else None,
        abandon=asked.cancellation_type == ActivityCancellationType.ABANDON,
        patient=asked.cancellation_type == ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )


def _start_child(asked: StartChildWorkflowExecution) -> StartChild:
    again = "a retry policy" if asked.HasField("retry_policy") else ""
    return StartChild(
        seq=asked.seq,
        workflow_id=asked.workflow_id,
        workflow_type=asked.workflow_type,
        arguments=list(asked.input),
        queue=asked.task_queue,
        attributes=decode_typed_search_attributes(asked.search_attributes),
        when_cancelled=ChildWorkflowCancellationType(asked.cancellation_type),
        when_closed=ParentClosePolicy(asked.parent_close_policy),
        again="a cron schedule" if asked.cron_schedule else again,
    )


def _limit(told: Duration) -> timedelta | None:
    return told.ToTimedelta() or None


def _summary(command: WorkflowCommand) -> str:
    if not command.user_metadata.HasField("summary"):
        return ""
    return str(CONVERTER.from_payload(command.user_metadata.summary, str))


def query_answer(completion: WorkflowActivationCompletion) -> Payload | BaseException:
    """What a query was answered."""
    for command in completion.successful.commands:
        if command.HasField("respond_to_query"):
            answer = command.respond_to_query
            if answer.HasField("failed"):
                return FAILURES.from_failure(answer.failed, CONVERTER)
            return answer.succeeded.response
    raise AssertionError(f"a query was not answered: {completion}")
