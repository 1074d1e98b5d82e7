"""The same story written by hand against the SDK alone: what the runtime is compared with."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from temporalio import workflow

TASK_QUEUE = "bench-raw"
ACTIVITY = "record"


@workflow.defn
class ByHand:
    """Wait for one signal, call one activity."""

    def __init__(self) -> None:
        self._event: dict[str, Any] | None = None

    @workflow.signal
    def survey_answered(self, event: dict[str, Any]) -> None:
        """Hear of the answer."""
        self._event = event

    @workflow.run
    async def run(self, customer: str) -> None:
        """Wait, call, end."""
        with contextlib.suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._event is not None, timeout=timedelta(hours=1)
            )
        await workflow.execute_activity(
            ACTIVITY, customer, start_to_close_timeout=timedelta(seconds=30)
        )


@workflow.defn
class Keeps:
    """Keep what is signalled, as a journey keeps what it has not asked for yet."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []

    @workflow.signal
    def survey_answered(self, event: dict[str, Any]) -> None:
        """Hear of an answer."""
        self._events.append(event)

    @workflow.run
    async def run(self) -> None:
        """Wait for ever."""
        await workflow.wait_condition(lambda: False)
