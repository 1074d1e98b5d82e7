"""What a run was told and what it wanted, to see whether it would want the same again."""

from collections.abc import Callable
from dataclasses import dataclass

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance

from rehearsal.protocol import commands, instance


class NotDeterministic(AssertionError):
    """Played again from the start, the workflow wanted something else than before."""


@dataclass
class _Step:
    told: WorkflowActivation
    wanted: list[bytes]
    patches: list[str]


class Record:
    """The steps of one run."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []

    def add(self, told: WorkflowActivation, completion: WorkflowActivationCompletion) -> None:
        """Add a step."""
        patches = [
            want.name for want in commands.wanted(completion) if isinstance(want, commands.Patch)
        ]
        self._steps.append(_Step(told, commands.as_bytes(completion), patches))

    def check(self, name: str, make: Callable[[], WorkflowInstance]) -> None:
        """Play all steps again, with a new instance.

        Args:
            name: the workflow's, to be told.
            make: makes an instance.

        Raises:
            NotDeterministic: it wants something else than before.
        """
        again = make()
        try:
            for step in self._steps:
                told = instance.replayed(step.told, step.patches)
                completion = instance.activate(again, told)
                failed = completion.HasField("failed")
                if failed or commands.as_bytes(completion) != step.wanted:
                    raise NotDeterministic(
                        f"{name}, played again, wants something else at "
                        f"{told.timestamp.ToJsonString()}: {list(commands.wanted(completion))}"
                    )
        finally:
            instance.evict(again)
