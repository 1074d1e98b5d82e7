"""Ending an enrollment, entering another journey: decided under the customer's lock."""

from temporalio import activity

from domain.enrollments import EndAnswer, EndRequest, EnterAnswer, EnterRequest
from domain.ports import Enrollments


class EnrollmentActivities:
    """What an enrollment asks of its own record."""

    def __init__(self, enrollments: Enrollments) -> None:
        self._enrollments = enrollments

    @activity.defn(name="end the enrollment")
    async def end(self, request: EndRequest) -> EndAnswer:
        """End the enrollment, or say what it must hear first (semantics 14)."""
        return await self._enrollments.end(request)

    @activity.defn(name="enter another journey")
    async def enter(self, request: EnterRequest) -> EnterAnswer:
        """Take the customer into another journey, by its own rules of re-entry."""
        return await self._enrollments.enter(request)
