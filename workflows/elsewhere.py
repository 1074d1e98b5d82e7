"""From one journey into another: to wait for its end, to start it, to hand the customer over."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import TypeAdapter

from activities.enrollments import EnrollmentActivities
from domain.enrollments import EnterAnswer, EnterRequest
from domain.events import Event, JourneyEnded
from domain.outcomes import Outcome, OutcomeKind
from workflows.enrollment import Enrollment
from workflows.journal import Step
from workflows.matching import Match
from workflows.short_calls import short_call
from workflows.waits import Waits


@dataclass(frozen=True, slots=True)
class Entered:
    """The customer is in the other journey, by this enrollment."""

    enrollment_id: str
    kind: Literal["entered"] = "entered"


@dataclass(frozen=True, slots=True)
class NotEntered:
    """The other journey's rules of entry refused, and why."""

    reason: str
    kind: Literal["not_entered"] = "not_entered"


@dataclass(frozen=True, slots=True)
class StillInside:
    """The other journey had not ended in time; it goes on."""

    enrollment_id: str
    kind: Literal["still_inside"] = "still_inside"


class Elsewhere:
    """The ways of one enrollment into other journeys."""

    def __init__(self, enrollment: Enrollment, waits: Waits) -> None:
        self._enrollment = enrollment
        self._waits = waits

    async def through(
        self, journey: str, event: Event, timeout: timedelta, name: str | None
    ) -> Outcome | NotEntered | StillInside:
        """See `Journey.through`."""
        entered = await self._enter(journey, event, name or f"through_{journey}", wait=True)
        if isinstance(entered, NotEntered):
            return entered
        ended = await self._waits.for_event(
            Match(JourneyEnded, lambda end: end.enrollment_id == entered.enrollment_id),
            timeout,
            None,
            f"{name or f'through_{journey}'}_ended",
        )
        if ended is None:
            return StillInside(entered.enrollment_id)
        return Outcome(kind=OutcomeKind(ended.outcome), reason=ended.reason)

    async def enter(self, journey: str, event: Event, name: str | None) -> Entered | NotEntered:
        """See `Journey.enter`."""
        return await self._enter(journey, event, name or f"enter_{journey}", wait=False)

    def hand_over(self, journey: str, event: Event) -> Outcome:
        """See `Journey.hand_over`."""
        self._enrollment.hand_over = self._request(journey, event, "hand_over", wait=False)
        return Outcome.completed(f"handed over to {journey}")

    async def _enter(
        self, journey: str, event: Event, name: str, *, wait: bool
    ) -> Entered | NotEntered:
        async def live(step: Step) -> Entered | NotEntered:
            self._enrollment.now_at(f"Entering {journey}")
            request = self._request(journey, event, step.name, wait=wait)
            answer = await self._enrollment.call(
                short_call(EnrollmentActivities.enter, request, f"enter {journey}")
            )
            return self._noted(journey, answer)

        return await self._enrollment.step(
            name, live, dump=_ENTERED.dump_python, load=_ENTERED.validate_python
        )

    def _noted(self, journey: str, answer: EnterAnswer) -> Entered | NotEntered:
        if answer.enrollment_id is None:
            reason = answer.refused or "refused"
            self._enrollment.note(f"**{journey}** not entered: {reason}")
            return NotEntered(reason)
        self._enrollment.note(f"→ **{journey}** entered")
        return Entered(answer.enrollment_id)

    def _request(self, journey: str, event: Event, step: str, *, wait: bool) -> EnterRequest:
        return EnterRequest(
            customer_id=self._enrollment.customer_id,
            enrollment_id=self._enrollment.start.enrollment_id,
            step=step,
            journey=journey,
            event_name=event.name,
            properties=event.model_dump(mode="json", exclude_none=True),
            wait=wait,
        )


_ENTERED: TypeAdapter[Entered | NotEntered] = TypeAdapter(Entered | NotEntered)
