"""Temporal Schedules: one for each journey with a schedule, kept as the code has it.

A schedule is changed only where it differs: a change makes Temporal forget what it still had to
make up for. What people do to one in the Temporal UI, such as pausing it, stays.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import structlog
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleHandle,
    ScheduleListActionStartWorkflow,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.client import Schedule as TemporalSchedule
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from domain.schedules import Schedule, ScheduledRun
from domain.temporal_names import ENROLL_SEGMENT, JOURNEY, JOURNEYS
from infra.temporal import ABSENT

_log = structlog.get_logger()

_PREFIX = "schedule/"
_WEEK = 7
_PAUSE = 1.0
_TRY_AGAIN = {*ABSENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.ABORTED}
"""Temporal is away, or another worker changes the same schedule at this moment."""


async def keep_schedules(client: Client, schedules: Mapping[str, Schedule]) -> None:
    """Make Temporal's schedules those of the code: create, change, remove.

    Any number of workers may do so at once. It takes as long as Temporal takes to answer.
    """
    while True:
        try:
            for journey, schedule in schedules.items():
                await _keep(client, journey, temporal_schedule(journey, schedule))
            await _remove_others(client, {_PREFIX + journey for journey in schedules})
        except RPCError as error:
            if error.status not in _TRY_AGAIN:
                raise
            _log.warning("schedules cannot be looked after yet", error=str(error))
            await asyncio.sleep(_PAUSE)
        else:
            return


def temporal_schedule(journey: str, schedule: Schedule) -> TemporalSchedule:
    """A schedule as Temporal has it: a workflow for each occurrence, and several may overlap."""
    begins, days = schedule.begins
    whom = schedule.segment_name or "everybody"
    words = f"{schedule}: {whom} enters {journey}, {schedule.rate} a second"
    return TemporalSchedule(
        action=ScheduleActionStartWorkflow(
            ENROLL_SEGMENT,
            ScheduledRun(journey=journey, ahead=schedule.ahead),
            id=_PREFIX + journey,
            task_queue=JOURNEYS,
            static_summary=words,
            typed_search_attributes=TypedSearchAttributes(
                [SearchAttributePair(SearchAttributeKey.for_keyword(JOURNEY), journey)]
            ),
        ),
        spec=ScheduleSpec(
            calendars=[
                ScheduleCalendarSpec(
                    second=[ScheduleRange(begins.second)],
                    minute=[ScheduleRange(begins.minute)],
                    hour=[ScheduleRange(begins.hour)],
                    # Temporal's week begins on Sunday.
                    day_of_week=[ScheduleRange((day + 1) % _WEEK) for day in days],
                    comment=words,
                )
            ]
        ),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=schedule.catch_up
        ),
    )


async def _keep(client: Client, journey: str, wanted: TemporalSchedule) -> None:
    try:
        await client.create_schedule(_PREFIX + journey, wanted)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(_PREFIX + journey)
        if _meaning((await handle.describe()).schedule) != _meaning(wanted):
            await _change(handle, wanted)
            _log.info("the schedule of a journey was changed", journey=journey)
    else:
        _log.info("the schedule of a journey was created", journey=journey)


async def _change(handle: ScheduleHandle, wanted: TemporalSchedule) -> None:
    def changed(before: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(wanted, state=before.description.schedule.state))

    await handle.update(changed)


async def _remove_others(client: Client, ours: set[str]) -> None:
    async for listed in await client.list_schedules():
        action = listed.schedule and listed.schedule.action
        if not isinstance(action, ScheduleListActionStartWorkflow):
            continue
        if action.workflow != ENROLL_SEGMENT or listed.id in ours:
            continue
        try:
            await client.get_schedule_handle(listed.id).delete()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # another worker was faster
                raise
        else:
            _log.info("the schedule of a journey was removed", schedule=listed.id)


def _meaning(schedule: TemporalSchedule) -> object:
    """What of a schedule must be as the code has it; the rest is Temporal's and the operators'."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    calendars = [
        (
            _numbers(c.second),
            _numbers(c.minute),
            _numbers(c.hour),
            _numbers(c.day_of_week),
            c.comment,
        )
        for c in schedule.spec.calendars
    ]
    return (calendars, action.workflow, action.task_queue, schedule.policy.catchup_window)


def _numbers(ranges: object) -> frozenset[int]:
    assert isinstance(ranges, list | tuple)
    return frozenset(
        number
        for one in ranges
        for number in range(one.start, max(one.end, one.start) + 1, one.step or 1)
    )
