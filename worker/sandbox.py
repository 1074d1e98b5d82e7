"""The sandbox that journeys run in, with the SDK's own errands kept out of it."""

from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import (
    SerializationContext,
    StorageDriverStoreContext,
    WorkflowSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

# Pure packages of ours and what they use: shared by all journeys in the process rather than
# imported anew for each. The journeys' own modules stay in the sandbox, which stops what
# would not replay.
_SHARED = (
    "activities",
    "annotated_types",
    "audiences",
    "cel",
    "domain",
    "pydantic",
    "pydantic_core",
    "workflows",
)

_NO_STORE = StorageDriverStoreContext(target=None)


def sandbox() -> SandboxedWorkflowRunner:
    """The sandbox that journeys run in."""
    return _Runner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*_SHARED))


class _Runner(SandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(super().create_instance(det), det.info)


class _Instance(WorkflowInstance):
    """A journey in the sandbox that answers from outside of it whose payload one is.

    The SDK asks several times for each payload and compiles a line of code each time to enter
    the sandbox: a fifth of what a worker did. A journey's payloads are about its customer,
    whatever command they belong to, so the answer is always the workflow itself.
    """

    def __init__(self, inner: WorkflowInstance, info: Info) -> None:
        self._inner = inner
        self._context = WorkflowSerializationContext(info.namespace, info.workflow_id)

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._inner.activate(act)

    def get_serialization_context(self, _: Any) -> SerializationContext | None:
        return self._context

    def get_external_store_context(self, _: Any) -> StorageDriverStoreContext:
        return _NO_STORE

    def get_info(self) -> Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()
