"""Tasks: what a journey asks of people."""

from temporalio import activity

from domain.ports import Tasks
from domain.tasks import OpenedTask, TaskRequest, TaskSettlement


class TaskActivities:
    """Opens tasks for people, and records what became of them."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    @activity.defn(name="open a task")
    async def open(self, request: TaskRequest) -> OpenedTask:
        """Open a task, or find the one that this step has opened, with its answer."""
        return await self._tasks.open(request)

    @activity.defn(name="settle a task")
    async def settle(self, settlement: TaskSettlement) -> None:
        """Record that a task was answered, escalated, has expired or is withdrawn."""
        await self._tasks.settle(settlement)
