"""A journey's short questions to the store: local activities, which spare the server a way."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow

R = TypeVar("R")
T = TypeVar("T")

_SHORT = timedelta(seconds=10)


def short_call(
    activity: Callable[[Any, R], Awaitable[T]], request: R, summary: str
) -> Awaitable[T]:
    """Ask the store; tried again until it answers.

    Args:
        activity: the method of one of our classes of activities.
        request: its argument.
        summary: the question in words.
    """
    return workflow.execute_local_activity_method(
        activity,
        request,
        start_to_close_timeout=_SHORT,
        local_retry_threshold=_SHORT,
        summary=summary,
    )
