"""Drives a journey's code: through its runs, and to an end that is a decision."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from activities.enrollments import EnrollmentActivities
from domain.enrollments import EndRequest
from domain.outcomes import Outcome, OutcomeKind
from workflows import attributes
from workflows.enrollment import Enrollment
from workflows.lateness import TooLate
from workflows.short_calls import short_call


class JourneyFailed(Exception):
    """Raised by a journey's own code to end it as failed.

    Any other exception is a bug: it parks the journey, which goes on from the same place
    when the fixed code is deployed (semantics 17).
    """


class JourneyBug(Exception):
    """A journey's code raised what it should have handled; the journey parks."""


async def drive(
    enrollment: Enrollment, name: str, authored: Callable[[], Awaitable[Outcome]]
) -> Outcome:
    """Run a journey's code to its end, over as many runs of the workflow as it takes.

    Args:
        enrollment: whose.
        name: the journey's class, for what a mistake of its author's is called.
        authored: the code.

    Raises:
        ApplicationError: the journey failed, as it says itself.
        asyncio.CancelledError: a person cancelled it, and it has ended.
        JourneyBug: parks the journey.
    """
    outcome = await _told(enrollment, name, authored)
    with contextlib.suppress(asyncio.CancelledError):  # too late, it is ending already
        await enrollment.call(_end(enrollment, outcome))
    if outcome.kind is OutcomeKind.CANCELLED:
        raise asyncio.CancelledError
    if outcome.kind is OutcomeKind.FAILED:
        raise ApplicationError(outcome.reason, type="JourneyFailed", non_retryable=True)
    return outcome


async def _told(
    enrollment: Enrollment, name: str, authored: Callable[[], Awaitable[Outcome]]
) -> Outcome:
    """Run the code, and say how it ended.

    Raises:
        JourneyBug: see `drive`.
    """
    try:
        outcome = await _through_runs(enrollment, authored)
    except JourneyFailed as failure:
        return Outcome(kind=OutcomeKind.FAILED, reason=str(failure))
    except TooLate as late:
        return Outcome.exited(str(late))
    except (asyncio.CancelledError, FailureError, TimeoutError) as error:
        if not is_cancelled_exception(error):
            # Temporal would end the journey as failed; it is a bug like any other.
            raise JourneyBug(f"{name}.run raised {error!r}") from error
        if enrollment.superseded:
            return Outcome(kind=OutcomeKind.MERGED, reason="the older enrollment goes on")
        return Outcome(kind=OutcomeKind.CANCELLED, reason="cancelled in Temporal")
    if not isinstance(outcome, Outcome):
        raise TypeError(f"{name}.run must return an Outcome, got {outcome!r}")
    return outcome


async def _through_runs(
    enrollment: Enrollment, authored: Callable[[], Awaitable[Outcome]]
) -> Outcome:
    """Run the code in a task of its own, which is left where it is when a new run goes on.

    So nothing in the code sees the change of run: no exception passes through it.
    """

    async def code() -> Outcome:
        await enrollment.checkpoint()
        return await authored()

    enrollment.task = task = asyncio.ensure_future(code())
    while not task.done():
        try:
            await workflow.wait_condition(lambda: task.done() or enrollment.may_move())
        except asyncio.CancelledError:
            enrollment.cancel()
        if not task.done() and enrollment.may_move():
            workflow.continue_as_new(enrollment.next_start())
    return task.result()


async def _end(enrollment: Enrollment, outcome: Outcome) -> None:
    """Ending is a decision like sending: what was acknowledged is heard first."""
    enrollment.go_live()
    enrollment.now_at(f"Ending: {outcome.kind}")
    over = enrollment.hand_over
    while True:
        request = EndRequest(
            enrollment_id=enrollment.start.enrollment_id,
            customer_id=enrollment.customer_id,
            heard=enrollment.heard,
            outcome=outcome,
            hand_over=over[1] if over is not None and over[0] == outcome else None,
        )
        answer = await short_call(EnrollmentActivities.end, request, f"end as {outcome.kind}")
        if answer.ended:
            break
        enrollment.hear(answer.news)
    if answer.handed_over is not None:
        refused = answer.handed_over.refused
        enrollment.note(f"not handed over: {refused}" if refused else "→ handed over")
    workflow.upsert_search_attributes([attributes.STATE.value_set(outcome.kind.value)])
    enrollment.note(f"**{outcome.kind}** {outcome.reason}".strip())
    enrollment.now_at(f"Ended: {outcome.kind}" + (f", {outcome.reason}" if outcome.reason else ""))
