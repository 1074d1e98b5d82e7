"""Values as they travel, and what a run may know of itself."""

from dataclasses import dataclass
from datetime import datetime

from temporalio.common import TypedSearchAttributes

from infra.converter import DATA_CONVERTER

CONVERTER = DATA_CONVERTER.payload_converter
FAILURES = DATA_CONVERTER.failure_converter
NAMESPACE = "rehearsal"
SEED = 1
"""Of `workflow.uuid4()` and `workflow.random()`: the same in every run and replay."""


@dataclass(frozen=True)
class Identity:
    """What a workflow's run may know of itself.

    Attributes:
        parent: the workflow whose child it is, or None.
    """

    workflow_id: str
    workflow_type: str
    run_id: str
    first_run_id: str
    continued_run_id: str | None
    task_queue: str
    attributes: TypedSearchAttributes
    started_at: datetime
    parent: "Identity | None" = None
