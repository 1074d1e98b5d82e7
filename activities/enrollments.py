"""Ending an enrollment, entering another journey: decided under the customer's lock."""

from temporalio import activity

from domain.enrollments import EndAnswer, EndRequest, EnterAnswer, EnterRequest
from domain.errors import Refused
from domain.ports import Enrollments, Journeys


class EnrollmentActivities:
    """What an enrollment asks of its own record."""

    def __init__(self, enrollments: Enrollments, journeys: Journeys) -> None:
        self._enrollments = enrollments
        self._journeys = journeys

    @activity.defn(name="end the enrollment")
    async def end(self, request: EndRequest) -> EndAnswer:
        """End the enrollment, or say what it must hear first (semantics 14).

        Where its customer cannot be handed over, because there is no such journey or it does
        not begin by this event, it ends all the same, and the answer says why not.
        """
        if request.hand_over is None:
            return await self._enrollments.end(request)
        try:
            wished = self._with_entry(request.hand_over)
        except Refused as error:
            answer = await self._enrollments.end(request.model_copy(update={"hand_over": None}))
            refused = EnterAnswer(refused=error.reason)
            return answer.model_copy(update={"handed_over": refused if answer.ended else None})
        return await self._enrollments.end(request.model_copy(update={"hand_over": wished}))

    @activity.defn(name="enter another journey")
    async def enter(self, request: EnterRequest) -> EnterAnswer:
        """Take the customer into another journey, by its own rules of re-entry."""
        try:
            wished = self._with_entry(request)
        except Refused as error:
            return EnterAnswer(refused=error.reason)
        return await self._enrollments.enter(wished)

    def _with_entry(self, request: EnterRequest) -> EnterRequest:
        entry = self._journeys.wish(request.journey, request.event_name, request.properties)
        return request.model_copy(update={"entry": entry})
