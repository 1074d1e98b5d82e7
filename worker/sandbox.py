"""The sandbox that journeys run in: made once for a module, not anew for each enrollment.

The SDK imports a workflow's module again for every instance, so that no two share a global
variable. For a journey that is two fifths of what a worker does, and most of what a waiting
enrollment weighs. Here the instances of a module share one restricted import of it: what would
not replay is stopped as before, and that a journey's module has no variables to share is
checked when it is imported (`workflows.checks`).
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._in_sandbox import InSandbox
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext
from temporalio.workflow import Info, unsafe

# Pure packages of ours and what they use: shared by all journeys in the process rather than
# imported anew. The journeys' own modules stay in the sandbox, which stops what would not replay.
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


class _Here(threading.local, RestrictionContext):
    """Whether a workflow is running in this thread: several do, in the same sandbox."""


class _Module:
    """A journey's module as it is in the sandbox."""

    def __init__(self, name: str, restrictions: SandboxRestrictions) -> None:
        self._here = _Here()
        self._importer = Importer(restrictions, self._here, workflow_module_name=name)
        with self._entered():
            self._module = __import__(name, fromlist=["*"])

    def workflow(self, name: str) -> Any:
        """One of its workflow classes."""
        return getattr(self._module, name)

    @contextlib.contextmanager
    def running(self, *, activation: bool = False) -> Iterator[None]:
        """What is done within is done by a running workflow, and restricted."""
        self._here.is_runtime, self._here.in_activation = True, activation
        try:
            with self._entered():
                yield
        finally:
            self._here.is_runtime = self._here.in_activation = False

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        unsafe._set_in_sandbox(True)  # noqa: SLF001 - as the SDK's own sandbox does
        try:
            with self._importer.applied():
                yield
        finally:
            unsafe._set_in_sandbox(False)  # noqa: SLF001


@dataclass(frozen=True)
class _Runner(SandboxedWorkflowRunner):
    _modules: dict[str, _Module] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        cls = det.defn.cls
        with self._lock:
            module = self._modules.get(cls.__module__)
            if module is None:
                module = _Module(cls.__module__, self.restrictions)
                self._modules[cls.__module__] = module
        return _Instance(module, det, self)


class _Instance(WorkflowInstance):
    """A journey in the sandbox that answers from outside of it whose payload one is.

    A journey's payloads are about its customer, whatever command they belong to, so the answer
    is always the workflow itself.
    """

    def __init__(self, module: _Module, det: WorkflowInstanceDetails, runner: _Runner) -> None:
        self._module = module
        self._info = det.info
        self._context = WorkflowSerializationContext(det.info.namespace, det.info.workflow_id)
        self._thread_id: int | None = None
        with module.running():
            workflow = module.workflow(det.defn.cls.__name__)
            self._inner = InSandbox(det, runner.runner_class, workflow)

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        self._thread_id = threading.get_ident()
        try:
            with self._module.running(activation=True):
                return self._inner.activate(act)
        finally:
            self._thread_id = None

    def get_serialization_context(self, _: Any) -> SerializationContext | None:
        return self._context

    def get_external_store_context(self, _: Any) -> StorageDriverStoreContext:
        return _NO_STORE

    def get_info(self) -> Info:
        return self._info

    def get_thread_id(self) -> int | None:
        return self._thread_id
