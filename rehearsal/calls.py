"""Activities as the engine calls them: the real functions, tried again as their policy says."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from domain import wording
from domain.errors import JourneyError
from rehearsal.clock import Clock, Due
from rehearsal.protocol.commands import Schedule
from rehearsal.protocol.jobs import Job, answers, fails, stops
from rehearsal.protocol.values import CONVERTER, NAMESPACE, Identity


class NotPlayed(AssertionError):
    """The workflow asks for something that a rehearsal does not have."""


Activities = dict[str, Callable[..., Any]]


def by_name(functions: list[Callable[..., Any]]) -> Activities:
    """Activities by the names under which workflows call them.

    Raises:
        TypeError: one is not decorated.
    """
    return {_definition(function).name or "": function for function in functions}


def _definition(function: Callable[..., Any]) -> Any:
    return activity._Definition.must_from_callable(function)  # noqa: SLF001 - no public way


class Call:
    """One activity that a workflow asked for, with all its attempts.

    An attempt takes no virtual time; the pauses between attempts do.

    Attributes:
        attempt: the attempt that runs or ran last, from 1.
        retry_at: when the next attempt is due, or None.
        error: what the last attempt failed with, or None.
    """

    def __init__(
        self,
        command: Schedule,
        function: Callable[..., Any],
        clock: Clock,
        identity: Identity,
        *,
        resolve: Callable[["Call", Job], None],
        note: Callable[[str], None],
        mistaken: Callable[[BaseException], None],
    ) -> None:
        self.command = command
        self.attempt = 0
        self.error: BaseException | None = None
        self.retry_at: Due | None = None
        self._function = function
        self._clock = clock
        self._identity = identity
        self._resolve = resolve
        self._note = note
        self._mistaken = mistaken
        self._asked_at = clock()
        self._beats: tuple[Any, ...] = ()
        self._environment = ActivityEnvironment()
        self.task: asyncio.Task[Any] | None = None

    @property
    def running(self) -> bool:
        """Whether an attempt is under way, so that something else will happen by itself."""
        return self.task is not None

    def begin(self) -> None:
        """Make the next attempt."""
        self.attempt += 1
        self.retry_at = None
        environment = self._environment = ActivityEnvironment()
        environment.payload_converter = CONVERTER
        environment.on_heartbeat = self._beat
        environment.info = self._info(environment.info)
        self.task = asyncio.get_running_loop().create_task(self._run(environment))
        self.task.add_done_callback(self._finished)

    def cancel(self) -> None:
        """Ask it to stop; says so to the workflow unless that waits for the end."""
        if self.retry_at is not None:
            self.retry_at.off = True
        if not self.command.abandon:
            self._environment.cancel()
        if not (self.command.patient and self.running):
            self._resolve(self, stops(self.command))

    def drop(self) -> None:
        """End it, without a word to anybody."""
        if self.retry_at is not None:
            self.retry_at.off = True
        if self.task is not None:
            self.task.remove_done_callback(self._finished)
            self.task.cancel()

    async def _run(self, environment: ActivityEnvironment) -> Any:
        types = _definition(self._function).arg_types
        arguments = CONVERTER.from_payloads(self.command.arguments, types)
        answer = environment.run(self._function, *arguments)
        return await answer if inspect.isawaitable(answer) else answer

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self.task = None
        if task.cancelled():
            self._resolve(self, stops(self.command))
            return
        self.error = task.exception()
        if self.error is None:
            value = CONVERTER.to_payloads([task.result()])[0]
            self._resolve(self, answers(self.command, value))
            return
        if isinstance(self.error, (JourneyError, NotPlayed)):
            self._mistaken(self.error)
        pause = self._pause(self.error)
        name = f"{self.command.name}, attempt {self.attempt}"
        if pause is None:
            self._note(f"{name} failed for good: {self.error}")
            self._resolve(self, fails(self.command, self.error))
        else:
            self._note(f"{name} failed: {self.error}; again in {wording.duration(pause)}")
            self.retry_at = self._clock.later(pause, self.begin)

    def _pause(self, error: BaseException) -> timedelta | None:
        """How long until the next attempt, or None where there is none."""
        policy = self.command.retry
        kind, told = type(error).__name__, None
        if isinstance(error, ApplicationError):
            kind, told = error.type or kind, error.next_retry_delay
            if error.non_retryable:
                return None
        if kind in (policy.non_retryable_error_types or ()):
            return None
        if policy.maximum_attempts and self.attempt >= policy.maximum_attempts:
            return None
        longest = policy.maximum_interval or 100 * policy.initial_interval
        pause = told or _grown(policy.initial_interval, policy.backoff_coefficient, self, longest)
        within = self.command.within
        if within is not None and self._clock() + pause > self._asked_at + within:
            return None
        return pause

    def _beat(self, *details: Any) -> None:
        self._beats = details

    def _info(self, blank: activity.Info) -> activity.Info:
        command, identity, now = self.command, self._identity, self._clock()
        return replace(
            blank,
            activity_id=command.activity_id,
            activity_type=command.name,
            attempt=self.attempt,
            current_attempt_scheduled_time=now,
            heartbeat_details=list(self._beats),
            heartbeat_timeout=command.heartbeat,
            is_local=command.local,
            namespace=NAMESPACE,
            schedule_to_close_timeout=command.within,
            scheduled_time=self._asked_at,
            start_to_close_timeout=command.start_to_close,
            started_time=now,
            task_queue=command.queue or identity.task_queue,
            workflow_id=identity.workflow_id,
            workflow_namespace=NAMESPACE,
            workflow_run_id=identity.run_id,
            workflow_type=identity.workflow_type,
            retry_policy=command.retry,
        )


def _grown(first: timedelta, by: float, call: Call, longest: timedelta) -> timedelta:
    seconds = longest.total_seconds()
    pause = first.total_seconds()
    for _ in range(call.attempt - 1):
        pause *= by
        if pause >= seconds:
            return longest
    return timedelta(seconds=min(pause, seconds))
