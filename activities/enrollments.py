"""Ending an enrollment: a decision like sending, taken under the customer's lock."""

from temporalio import activity

from domain.enrollments import EndAnswer, EndRequest
from domain.ports import Enrollments


class EnrollmentActivities:
    """What an enrollment asks of its own record."""

    def __init__(self, enrollments: Enrollments) -> None:
        self._enrollments = enrollments

    @activity.defn(name="end the enrollment")
    async def end(self, request: EndRequest) -> EndAnswer:
        """End the enrollment, or say what it must hear first (semantics 14)."""
        return await self._enrollments.end(request)
