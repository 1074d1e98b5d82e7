"""Leading: the customer into other journeys: through one and back, or over to it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import TypeAdapter

from activities.enrollments import EnrollmentActivities
from domain.enrollments import EnterAnswer, EnterRequest
from domain.events import Event, JourneyEnded
from domain.outcomes import Outcome, OutcomeKind
from workflows.journal import Step
from workflows.matching import Match
from workflows.short_calls import short_call
from workflows.verbs.hearing import Hears

if TYPE_CHECKING:
    from workflows.journey import Journey

A = TypeVar("A", bound=Event)

_HAND_OVER = "hand_over"
"""The name under which the store knows where an enrollment has handed over to."""


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


class Leads(Hears):
    """Leads the customer into other journeys."""

    async def through(
        self,
        journey: "type[Journey[A, Any]]",
        event: A,
        /,
        *,
        timeout: timedelta,
        step: str | None = None,
    ) -> Outcome | NotEntered | StillInside:
        """Take the customer through another journey, and wait for its end.

        It is an enrollment like any other, by that journey's own rules of entry.

        Args:
            journey: the other journey.
            event: an event that starts it; no other journey hears it.
            timeout: how long to wait; the other journey goes on after that.
            step: the step's name; not `hand_over`.

        Returns:
            Its outcome, or `NotEntered` with the reason, or `StillInside`.
        """
        name = step or f"through_{journey.declaration.name}"
        entered = await self._enter(journey.declaration.name, event, name, wait=True)
        if isinstance(entered, NotEntered):
            return entered
        ended = await self._for_event(
            Match(JourneyEnded, lambda end: end.enrollment_id == entered.enrollment_id),
            timeout,
            None,
            f"{name}_ended",
        )
        if ended is None:
            return StillInside(entered.enrollment_id)
        return Outcome(kind=OutcomeKind(ended.outcome), reason=ended.reason)

    async def enter(
        self, journey: "type[Journey[A, Any]]", event: A, /, *, step: str | None = None
    ) -> Entered | NotEntered:
        """Take the customer into another journey, and go on in this one at once.

        Args:
            journey: the other journey.
            event: an event that starts it; no other journey hears it.
            step: the step's name; not `hand_over`.
        """
        name = journey.declaration.name
        return await self._enter(name, event, step or f"enter_{name}", wait=False)

    def hand_over(self, journey: "type[Journey[A, Any]]", event: A, /) -> Outcome:
        """End here, and go on in another journey: one ends and the other begins at once.

            return self.hand_over(Loyalty, purchase)

        Whoever ends otherwise after all is not handed over.

        Args:
            journey: the other journey.
            event: an event that starts it; no other journey hears it.
        """
        name = journey.declaration.name
        request = self._request(name, event, _HAND_OVER, wait=False)
        outcome = Outcome.completed(f"handed over to {name}")
        self._enrollment.hand_over = outcome, request
        return outcome

    async def _enter(
        self, journey: str, event: Event, name: str, *, wait: bool
    ) -> Entered | NotEntered:
        if name == _HAND_OVER:
            raise ValueError(
                f"the step that enters {journey} has the name {name!r}, by which a hand-over is "
                "known: it would be taken for done; give the step another name"
            )

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
