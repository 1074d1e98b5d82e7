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
class SendByHand:
    """As `bench.journeys.SendAtOnce`, by hand: the same activities, and nothing around them."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []

    @workflow.signal
    def survey_answered(self, events: list[dict[str, Any]]) -> None:
        """Hear of the answer."""
        self._events += events

    @workflow.run
    async def run(self, request: dict[str, Any]) -> str:
        """Wait, send, end.

        Args:
            request: a `SendRequest`, but for what is heard.
        """
        with contextlib.suppress(asyncio.TimeoutError):
            await workflow.wait_condition(lambda: bool(self._events), timeout=timedelta(hours=1))
        heard = 1 + len(self._events)
        await workflow.execute_activity(
            "send", request | {"heard": heard}, start_to_close_timeout=timedelta(seconds=60)
        )
        ending = {key: request[key] for key in ("enrollment_id", "customer_id")}
        await workflow.execute_local_activity(
            "end the enrollment",
            ending | {"heard": heard, "outcome": {"kind": "completed"}},
            start_to_close_timeout=timedelta(seconds=10),
        )
        return "completed"


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
