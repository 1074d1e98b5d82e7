"""Entries by the clock: the customers for whom it is time, and enrolling them."""

from collections.abc import Callable, Mapping
from datetime import date, datetime

import orjson

from domain.audiences import Audiences, Segment
from domain.enrollments import Entry
from domain.errors import JourneyError
from domain.events import Event, Occurrence, ScheduledEntry
from domain.schedules import EnrollAnswer, EnrollRequest, Moment, Schedule
from infra.database.accept import entry_effect
from infra.database.audiences import members_of
from infra.database.pool import Pool

_AT_ONCE = 500

_ZONES = "select distinct time_zone from customer where merged_into is null"

# Who has entered for this day already is passed by: it may be the second time that we look.
_NEXT = """
select c.id from customer c
where c.id > $1 and c.merged_into is null
    and ($2::text[] is null or c.time_zone = any ($2) or (c.time_zone is null and $3))
    and not exists (
        select 1 from event e where e.source_id = 0 and e.message_id = $4 || c.id)
order by c.id limit $5
"""

# Enough for the relay to do for some seconds: what happens to other customers goes first.
_QUEUED = 500
_IS_BEHIND = "select exists (select 1 from backlog where due_at <= now() offset $1 limit 1)"

_ENTER = "select entered, refused from enter_due($1, $2, $3, $4, $5, $6)"


class PostgresScheduledEntries:
    """Implements the port `ScheduledEntries`.

    Args:
        pool: the database.
        audiences: the segments that there are.
        schedules: by journey.
        entry: an event's wish to start a journey, or None where its predicate declines.

    Raises:
        JourneyError: a schedule is for a segment that nobody declared.
    """

    def __init__(
        self,
        pool: Pool,
        audiences: Audiences,
        schedules: Mapping[str, Schedule],
        entry: Callable[[str, Event], Entry | None],
    ) -> None:
        self._pool = pool
        self._audiences = audiences
        self._schedules = schedules
        self._entry = entry
        for journey, schedule in schedules.items():
            if isinstance(schedule.segment, Segment) and schedule.segment not in audiences.segments:
                raise JourneyError(
                    f"{journey} is scheduled for the segment {schedule.segment_name}: declare it in"
                    " a module in audiences/"
                )

    async def next_moment(self, journey: str, day: date, after: datetime | None) -> Moment | None:
        """The next moment at which it is time for somebody; None: for nobody any more."""
        schedule = self._schedules.get(journey)
        if schedule is None:
            return None  # a newer version of the code does without it
        rows = await self._pool.fetch(_ZONES) if schedule.in_customers_zone else []
        return schedule.next_moment(day, [row["time_zone"] for row in rows], after)

    async def enroll(self, request: EnrollRequest, most: int) -> EnrollAnswer:
        """Enroll some of a moment's customers, nobody twice for the same day."""
        schedule = self._schedules.get(request.journey)
        if schedule is None:
            return EnrollAnswer(place=None)
        prefix = f"schedule/{request.journey}/{request.day}/"
        properties = {
            "journey": request.journey,
            "day": request.day.isoformat(),
            "due_at": request.moment.at.isoformat(),
            "segment": schedule.segment_name,
        }
        event = ScheduledEntry.of(properties, Occurrence(prefix, request.moment.at))
        entry = self._entry(request.journey, event)
        if entry is None:
            return EnrollAnswer(place=None)
        if await self._pool.fetchval(_IS_BEHIND, _QUEUED):
            return EnrollAnswer(place=request.place)
        zones = request.moment.zones
        rows = await self._pool.fetch(
            _NEXT,
            request.place,
            None if zones is None else [zone for zone in zones if zone is not None],
            zones is not None and None in zones,
            prefix,
            _AT_ONCE,
        )
        candidates = [row["id"] for row in rows]
        members = await self._members(schedule.segment, candidates)
        more = len(candidates) == _AT_ONCE
        if len(members) > most:
            members, more = members[:most], True
            place = members[-1]
        else:
            place = candidates[-1] if candidates else request.place
        row = await self._pool.fetchrow(
            _ENTER,
            members,
            prefix,
            ScheduledEntry.name,
            orjson.dumps(properties).decode(),
            request.moment.at,
            orjson.dumps(entry_effect(entry)).decode(),
        )
        return EnrollAnswer(
            place=place if more else None, entered=row["entered"], refused=row["refused"]
        )

    async def _members(self, segment: Segment | str, candidates: list[str]) -> list[str]:
        if isinstance(segment, str):
            return candidates
        members = await members_of(self._pool, self._audiences, segment, candidates)
        return [customer for customer in candidates if customer in members]
