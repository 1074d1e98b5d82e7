"""The journal: which steps of a journey's code are behind it, so that a new run can go on.

A workflow's history must not grow for ever. When it is long, the journey goes on in a new run
(continue-as-new): its code begins again from the top, every step that is behind it gives at
once what it gave then, and the step that was under way goes on with the deadline it had. A
journey's code is therefore run several times, as Temporal's replay does, and its author need
not know.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from domain.carried import StepRecord
from workflows.failures import reading


class Step:
    """One step: something that the journey's code awaits, under a name of its own.

    Attributes:
        name: unique in the enrollment.
        known: whether an earlier run had begun it.
        deadline: when it is over at the latest.
        state: what it must remember while it is under way, as JSON.
    """

    def __init__(self, name: str, record: StepRecord | None = None) -> None:
        self.name = name
        self.known = record is not None
        record = record or StepRecord()
        self.deadline: datetime | None = record.deadline
        self.state: Any = record.state
        self._ended = record.ended
        self._result: Any = record.result
        self._parts: Counter[str] = Counter()

    def part(self, name: str) -> "Step":
        """The next step of this name within this one; from the second on it is numbered."""
        self._parts[name] += 1
        count = self._parts[name]
        return Step(f"{self.name}_{name}" if count == 1 else f"{self.name}_{name}.{count}")

    def begin_parts_anew(self) -> None:
        """What is within it is done again, under the same names."""
        self._parts.clear()

    @property
    def done(self) -> bool:
        """Whether it gave its result."""
        return self._ended == "done"

    @property
    def failed(self) -> bool:
        """Whether it raised an error."""
        return self._ended == "failed"

    @property
    def cut(self) -> bool:
        """Whether a scope around it ended before it did."""
        return self._ended == "cut"

    @property
    def result(self) -> Any:
        """What it gave, or raised, as JSON."""
        return self._result

    def finish(self, result: Any) -> None:
        """It is behind the journey, and gave this, as JSON."""
        self._ended, self._result, self.state = "done", result, None

    def fail(self, error: Any) -> None:
        """It raised this, as JSON; the journey's code may go on."""
        self._ended, self._result, self.state = "failed", error, None

    def cut_off(self) -> None:
        """A scope around it ended first."""
        self._ended, self.state = "cut", None

    def record(self) -> StepRecord:
        """For the next run."""
        return StepRecord(
            ended=self._ended, deadline=self.deadline, state=self.state, result=self._result
        )


class Journal:
    """The steps of one enrollment, in the order in which they began.

    Args:
        carried: what the run before knew of them.

    Attributes:
        begun: how many steps this run has begun that no earlier one had.
    """

    def __init__(self, carried: Mapping[str, StepRecord]) -> None:
        self._carried = dict(carried)
        self._steps: dict[str, Step] = {}
        self._counts: Counter[str] = Counter()
        self.begun = 0

    def open(self, name: str) -> Step:
        """The next step of this name; from the second on it is numbered."""
        unique = self._next(name)
        while unique in self._steps:  # somebody named another step just so
            unique = self._next(name)
        step = Step(unique, self._carried.pop(unique, None))
        self._steps[unique] = step
        self.begun += not step.known
        return step

    def _next(self, name: str) -> str:
        self._counts[name] += 1
        count = self._counts[name]
        return name if count == 1 else f"{name}.{count}"

    def records(self) -> dict[str, StepRecord]:
        """For the next run."""
        return {name: step.record() for name, step in self._steps.items()}

    def counts(self) -> dict[str, int]:
        """How many steps of each name there have been."""
        return dict(self._counts)

    def go_back(self, counts: Mapping[str, int]) -> None:
        """Count on from here: what came after is behind and was forgotten."""
        self._counts = Counter(counts)

    def forget_after(self, step: Step) -> None:
        """Forget every step that began after this one."""
        while next(reversed(self._steps)) != step.name:
            self._steps.popitem()


class Rounds:
    """A loop that may go on for years: what a round did is forgotten when the next begins.

    Only its memory is kept from round to round. It gives the rounds' numbers, from 1 on.
    """

    def __init__(self, journal: Journal, name: str, memory: BaseModel, most: int | None) -> None:
        self._journal = journal
        self._name = name
        self._memory = memory
        self._most = most
        self._step: Step | None = None
        self._round = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        if self._step is None:
            self._step = self._journal.open(self._name)
            if self._step.known:
                return self._go_on(self._step)
        else:
            if self._journal.counts() == self._step.state["counts"]:
                raise RuntimeError(
                    f"a round of {self._step.name!r} waited for nothing: it would go on for ever"
                )
            self._journal.forget_after(self._step)
        self._round += 1
        memory = self._memory.model_dump(mode="json")
        if self._most is not None and self._round > self._most:
            self._step.finish({"memory": memory, "counts": self._journal.counts()})
            raise StopAsyncIteration
        counts = self._journal.counts()
        self._step.state = {"round": self._round, "memory": memory, "counts": counts}
        return self._round

    def _go_on(self, step: Step) -> int:
        """Go on in the round that an earlier run was in, or after the last."""
        kept = step.result if step.done else step.state
        with reading(step.name):
            self._remember(kept["memory"])
        self._journal.go_back(kept["counts"])
        if step.done:
            raise StopAsyncIteration
        self._round = int(kept["round"])
        return self._round

    def _remember(self, kept: object) -> None:
        memory = type(self._memory).model_validate(kept)
        for field in type(memory).model_fields:
            setattr(self._memory, field, getattr(memory, field))
