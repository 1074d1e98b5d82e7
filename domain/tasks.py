"""Tasks: what a journey asks of a person, and what became of it."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AwareDatetime, BaseModel, Field

TaskState: TypeAlias = Literal["open", "answered", "expired", "withdrawn"]
"""`expired`: its deadline passed without an answer. `withdrawn`: nobody waits for it any more, and
it is open again if its step asks once more."""

ANSWER_TASK = "answer_task"
"""The update by which an enrollment's workflow takes an answer."""


STORABLE = r"^[^\u0000]*$"
"""Text that the store takes; with a zero byte it would be tried again and again."""

_Text = Annotated[str, Field(pattern=STORABLE)]


class TaskRequest(BaseModel):
    """A journey asks a person for something; the same step asks once.

    Attributes:
        role: who should answer, such as `sales`.
        title: what is to be done, in a line.
        details: what one must know to do it.
        choices: the answers there are; none: any text.
        deadline: until when it is waited for.
        asked_at: when the step asked. A task that was withdrawn before that is asked again; one
            that was withdrawn later is not, for this is an attempt that others have overtaken.
    """

    enrollment_id: str
    customer_id: str
    journey: str
    step: str
    role: str
    title: str
    details: str = ""
    choices: list[str] = Field(default_factory=list)
    deadline: AwareDatetime | None = None
    asked_at: AwareDatetime | None = None


class TaskSettlement(BaseModel):
    """What became of a task.

    Attributes:
        state: `escalated`: it belongs to another role from now on, and is still open.
        answer: what was answered, such as `{"choice": "yes", "note": "on the phone"}`.
        by: who did it.
        role: to whom it is escalated.
        deadline: until when that role's answer is waited for.
    """

    task_id: str
    state: Literal["answered", "expired", "withdrawn", "escalated"]
    answer: dict[str, Any] | None = None
    by: str | None = None
    role: str | None = None
    deadline: AwareDatetime | None = None


class TaskAnswer(BaseModel):
    """A person's answer on its way to the workflow that asked, as the update's argument."""

    task_id: str
    choice: _Text
    by: _Text
    note: _Text | None = None


class OpenedTask(BaseModel):
    """A step's task, which after a reset may be one that has been settled before.

    Attributes:
        answer: what a person has answered already, and need not be asked again.
    """

    task_id: str
    state: TaskState = "open"
    answer: TaskAnswer | None = None

    @classmethod
    def of(
        cls, task_id: str, state: TaskState, answer: dict[str, Any] | None, by: str | None
    ) -> Self:
        """A task as its settlement has left it."""
        match answer:
            case {"choice": str(choice), **more} if state == "answered":
                said = TaskAnswer(
                    task_id=task_id, choice=choice, by=by or "", note=more.get("note")
                )
                return cls(task_id=task_id, state=state, answer=said)
        return cls(task_id=task_id, state=state)
