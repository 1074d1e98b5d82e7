"""Entries by the clock: who it is time for, and enrolling them at a rate."""

import asyncio
import time
from datetime import date, datetime

from temporalio import activity

from domain.ports import ScheduledEntries
from domain.schedules import EnrollAnswer, EnrollRequest, Moment

_WITHIN = 20.0
"""Seconds after which an answer is given, so that the page in the Temporal UI moves on."""

_AT_ONCE = 100
_LOOK_AGAIN = 1.0


class EntryActivities:
    """What an occurrence of a schedule asks of the store."""

    def __init__(self, entries: ScheduledEntries) -> None:
        self._entries = entries

    @activity.defn(name="next moment")
    async def next_moment(self, journey: str, day: date, after: datetime | None) -> Moment | None:
        """The next moment at which it is time for somebody; None: for nobody any more."""
        return await self._entries.next_moment(journey, day, after)

    @activity.defn(name="enroll members")
    async def enroll(self, request: EnrollRequest) -> EnrollAnswer:
        """Enroll a moment's customers at its rate, for some seconds; says where to go on."""
        answer = EnrollAnswer(place=request.place)
        if activity.info().heartbeat_details:  # an earlier attempt came so far
            answer = EnrollAnswer.model_validate(activity.info().heartbeat_details[0])
        began, rate = time.monotonic(), request.moment.rate
        done = 0
        while answer.place is not None and time.monotonic() - began < _WITHIN:
            page = await self._entries.enroll(
                request.model_copy(update={"place": answer.place}), min(rate, _AT_ONCE)
            )
            waits = page.place == answer.place
            answer = EnrollAnswer(
                place=page.place,
                entered=answer.entered + page.entered,
                refused=answer.refused + page.refused,
            )
            activity.heartbeat(answer.model_dump())
            done += page.entered
            ahead = _LOOK_AGAIN if waits else done / rate - (time.monotonic() - began)
            if ahead > 0:
                await asyncio.sleep(ahead)
        return answer
