"""Asking people: a task for a role, a deadline, an answer; and somebody else where none comes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities.tasks import TaskActivities
from domain.messages import Message
from domain.tasks import TaskAnswer, TaskRequest, TaskSettlement
from workflows.enrollment import Enrollment
from workflows.journal import Step
from workflows.sending import Sender
from workflows.short_calls import short_call


@dataclass(frozen=True, slots=True)
class Reply:
    """A person's answer.

    Attributes:
        choice: what was answered.
        by: who did.
        note: what they added.
        role: whose task it was then.
    """

    choice: str
    by: str
    note: str | None = None
    role: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked.

    Attributes:
        role: who should answer, such as `sales`.
        title: what is to be done, in a line.
        details: what one must know to do it.
        choices: the answers there are; none: any text.
        deadline: how long an answer is waited for.
        escalate_to: the role that gets the task where the first has not answered in time.
        escalate_after: when; by default after half of the deadline.
        tell: a message that tells the role, such as a webhook; its template has the task as
            `event.task`.
    """

    role: str
    title: str
    details: str
    choices: tuple[str, ...]
    deadline: timedelta
    escalate_to: str | None
    escalate_after: timedelta | None
    tell: Message | None


class People:
    """The tasks that one enrollment has people do."""

    def __init__(self, enrollment: Enrollment, sender: Sender) -> None:
        self._enrollment = enrollment
        self._sender = sender
        self._open: dict[str, _OpenTask] = {}
        # An answer may come before the code is where the run before had left it.
        carried = enrollment.start.carried
        for record in carried.steps.values() if carried else ():
            match record.state:
                case {"task": str(task_id), "choices": list(choices)}:
                    self._open[task_id] = _OpenTask(task_id, choices)

    async def ask(self, question: Question, name: str | None) -> Reply | None:
        """See `Journey.ask`."""

        async def live(step: Step) -> Reply | None:
            if step.state is None:
                await self._enrollment.call(self._begin(step, question))
            task = self._open[step.state["task"]]
            reply = await self._answered(step, question, task)
            self._open.pop(task.id, None)
            return reply

        async def undo(step: Step) -> None:
            if step.state is None:
                return
            task = self._open.pop(step.state["task"])
            if not task.settled:
                await self._settle(task, TaskSettlement(task_id=task.id, state="withdrawn"))

        return await self._enrollment.step(
            name or f"ask_{question.role}",
            live,
            dump=lambda reply: None if reply is None else asdict(reply),
            load=_REPLY.validate_python,
            undo=undo,
        )

    # Answering, as an update.

    def check(self, raw: RawValue | None) -> None:
        """Check an answer before it is let into the history.

        Raises:
            ValueError: it answers nothing that is asked; the text says what to send.
        """
        self._read(raw)

    async def take(self, raw: RawValue | None) -> dict[str, str]:
        """Take an answer; returns when it is in the store.

        Raises:
            ApplicationError: the journey does not wait for it any more.
        """
        answer, task = self._read(raw)
        task.answer = answer
        await workflow.wait_condition(lambda: task.settled)
        if task.state != "answered":
            raise ApplicationError("nobody waits for an answer any more", non_retryable=True)
        return {"task_id": task.id, "state": task.state}

    def _read(self, raw: RawValue | None) -> "tuple[TaskAnswer, _OpenTask]":
        waiting = [task for task in self._open.values() if task.answer is None]
        try:
            data = workflow.payload_converter().from_payload(raw.payload) if raw else {}
            said = {"by": "somebody in the Temporal UI"} | data
            if len(waiting) == 1:
                said = {"task_id": waiting[0].id} | said
            answer = TaskAnswer.model_validate(said)
        except (ValidationError, TypeError, RuntimeError) as error:
            raise ValueError(
                f'send {{"task_id": "tsk_…", "choice": "…", "by": "your name"}}: {error}'
            ) from None
        task = self._open.get(answer.task_id)
        if task is None:
            asked = ", ".join(self._open) or "nothing"
            raise ValueError(f"task {answer.task_id} is not asked now; {asked} is")
        if task.answer is not None:
            raise ValueError(f"it was answered already by {task.answer.by}")
        if task.choices and answer.choice not in task.choices:
            raise ValueError(f"choice: one of {', '.join(task.choices)} is asked for")
        return answer, task

    # How it works.

    async def _begin(self, step: Step, question: Question) -> None:
        now = workflow.now()
        step.deadline = now + question.deadline
        start = self._enrollment.start
        opened = await short_call(
            TaskActivities.open,
            TaskRequest(
                enrollment_id=start.enrollment_id,
                customer_id=self._enrollment.customer_id,
                journey=start.journey,
                step=step.name,
                role=question.role,
                title=question.title,
                details=question.details,
                choices=list(question.choices),
                deadline=step.deadline,
                asked_at=now,
            ),
            f"ask {question.role}: {question.title}",
        )
        task = self._open[opened.task_id] = _OpenTask(opened.task_id, list(question.choices))
        # After a reset it may be settled already: what a person has answered is not asked again.
        task.answer = opened.answer
        if opened.state == "expired":
            step.deadline = now
        escalate_at = None
        if question.escalate_to is not None and opened.state == "open":
            after = question.escalate_after
            if after is None:
                after = question.deadline / 2
            # Later than the deadline nobody is asked any more.
            escalate_at = now + after if after < question.deadline else None
        step.state = {
            "task": task.id,
            "choices": list(question.choices),
            "role": question.role,
            "escalate_at": escalate_at and escalate_at.isoformat(),
            "told": False,
        }
        self._enrollment.note(f"☎ **{question.role}** asked: {question.title} `{task.id}`")

    async def _answered(self, step: Step, question: Question, task: "_OpenTask") -> Reply | None:
        assert step.deadline is not None
        while True:
            state = step.state
            if question.tell is not None and not state["told"]:
                await self._tell(step, question.tell, question)
                step.state = state = state | {"told": True}
            escalate_at = state["escalate_at"]
            until = datetime.fromisoformat(escalate_at) if escalate_at else step.deadline
            words = f"{state['role']} to answer: {question.title}"
            self._enrollment.now_at(f"Waiting for {words}", until)
            await self._enrollment.park(
                lambda: task.answer is not None, until, f"waiting for {words}"
            )
            if task.answer is not None:
                return await self._reply(task, task.answer, state["role"])
            if escalate_at is None:
                await self._settle(task, TaskSettlement(task_id=task.id, state="expired"))
                self._enrollment.note(f"☎ nobody answered: {question.title}")
                return None
            await self._escalate(task, step, question)

    async def _tell(self, step: Step, message: Message, question: Question) -> None:
        role = step.state["role"]
        about = {
            "id": step.state["task"],
            "role": role,
            "title": question.title,
            "details": question.details,
            "choices": list(question.choices),
            "deadline": step.deadline and step.deadline.isoformat(),
        }
        to = role if message.to is not None and role != question.role else message.to
        told = message.model_copy(update={"data": message.data | {"task": about}, "to": to})
        suffix = "told" if role == question.role else "escalated"
        await self._sender.deliver(f"{step.name}_{suffix}", [told])

    async def _escalate(self, task: "_OpenTask", step: Step, question: Question) -> None:
        to = question.escalate_to
        await self._enrollment.call(
            short_call(
                TaskActivities.settle,
                TaskSettlement(task_id=task.id, state="escalated", role=to, deadline=step.deadline),
                f"escalate to {to}: {question.title}",
            )
        )
        self._enrollment.note(f"☎ not answered in time, now **{to}** is asked: {question.title}")
        step.state = step.state | {"role": to, "escalate_at": None, "told": False}

    async def _reply(self, task: "_OpenTask", answer: TaskAnswer, role: str) -> Reply:
        said: dict[str, Any] = {"choice": answer.choice}
        if answer.note is not None:
            said["note"] = answer.note
        await self._settle(
            task,
            TaskSettlement(task_id=task.id, state="answered", answer=said, by=answer.by),
        )
        self._enrollment.note(f"☎ **{answer.by}** answered: {answer.choice}")
        return Reply(answer.choice, answer.by, answer.note, role)

    async def _settle(self, task: "_OpenTask", settlement: TaskSettlement) -> None:
        async def settled() -> None:
            words = f"task {settlement.state}"
            await short_call(TaskActivities.settle, settlement, words)
            # Whatever ends the wait meanwhile: whoever answered hears what the store has.
            task.state, task.settled = settlement.state, True

        await self._enrollment.call(settled())


class _OpenTask:
    """A task that is asked now."""

    def __init__(self, task_id: str, choices: Sequence[str]) -> None:
        self.id = task_id
        self.choices = tuple(choices)
        self.answer: TaskAnswer | None = None
        self.state = "open"
        self.settled = False


_REPLY: TypeAdapter[Reply | None] = TypeAdapter(Reply | None)
