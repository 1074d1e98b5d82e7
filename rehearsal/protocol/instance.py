"""A workflow instance: made, told what happens, and let go."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.api.common.v1 import Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import MetricMeter, Priority, TypedSearchAttributes
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowRunner
from temporalio.worker import WorkflowInstanceDetails as Details

from infra.converter import DATA_CONVERTER
from rehearsal.protocol.jobs import Job
from rehearsal.protocol.values import NAMESPACE, SEED, Identity


def make(
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
            self,
            exception: BaseException,
            payload_converter: PayloadConverter,
            failure: Failure,
        ) -> None:
            on_error(exception)
            super().to_failure(exception, payload_converter, failure)

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
        parent=_parent(identity.parent),
        root=_root(identity.parent),
        priority=Priority.default,
        raw_memo={},
        retry_policy=None,
        run_id=identity.run_id,
        run_timeout=None,
        search_attributes={},
        start_time=identity.started_at,
        task_queue=identity.task_queue,
        task_timeout=timedelta(seconds=10),
        # Its own: the SDK changes it in place, and a replay begins with what the run began with.
        typed_search_attributes=TypedSearchAttributes(list(identity.attributes)),
        workflow_id=identity.workflow_id,
        workflow_start_time=identity.started_at,
        workflow_type=identity.workflow_type,
    )
    return runner.create_instance(
        Details(
            payload_converter_factory=DATA_CONVERTER.payload_converter_class,
            failure_converter_class=Telling,
            interceptor_classes=[],
            defn=definition,
            info=info,
            randomness_seed=SEED,
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


def workflow_type(cls: type) -> str:
    """The name of a workflow.

    Raises:
        ValueError: the class is none.
    """
    return workflow._Definition.must_from_class(cls).name or cls.__name__  # noqa: SLF001


def _parent(parent: Identity | None) -> workflow.ParentInfo | None:
    if parent is None:
        return None
    return workflow.ParentInfo(
        namespace=NAMESPACE, run_id=parent.run_id, workflow_id=parent.workflow_id
    )


def _root(parent: Identity | None) -> workflow.RootInfo | None:
    if parent is None:
        return None
    while parent.parent is not None:
        parent = parent.parent
    return workflow.RootInfo(run_id=parent.first_run_id, workflow_id=parent.workflow_id)


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


def evict(made: WorkflowInstance) -> None:
    """Let an instance go, with its tasks."""
    job = Job()
    job.remove_from_cache.SetInParent()
    activate(made, WorkflowActivation(jobs=[job]))


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
