"""An occurrence of a journey's schedule: the segment is enrolled when it is time, at a rate."""

from datetime import UTC, datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

from activities.entries import EntryActivities
from domain import wording
from domain.schedules import EnrollRequest, Moment, ScheduledRun
from domain.temporal_names import ENROLL_SEGMENT

_SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
_SHORT = timedelta(seconds=30)
_PAGE = timedelta(minutes=5)
_SILENCE = timedelta(seconds=60)
_RETRY = RetryPolicy(maximum_interval=timedelta(minutes=1))
_LINES = 60


@workflow.defn(name=ENROLL_SEGMENT)
class EnrollSegment:
    """Goes through the moments of a day, and at each through the customers it is time for."""

    @workflow.run
    async def run(self, run: ScheduledRun) -> ScheduledRun:
        """Enroll whom it is time for, until it has been that time everywhere."""
        self._run = run
        if run.day is None:
            run.day = (_started_for() + run.ahead).astimezone(UTC).date()
        steps = 0
        while await self._step(run):
            steps += 1
            if steps == run.pages:
                workflow.continue_as_new(run)
        self._say("over")
        return run

    async def _step(self, run: ScheduledRun) -> bool:
        """Wait for a moment or enroll some of its customers; False where all is done."""
        if run.moment is None:
            return await self._next_moment(run)
        await self._enroll(run, run.moment)
        return True

    async def _next_moment(self, run: ScheduledRun) -> bool:
        """Wait for the next moment; False where there is none any more."""
        moment = await workflow.execute_activity_method(
            EntryActivities.next_moment,
            args=[run.journey, run.day, run.after],
            start_to_close_timeout=_SHORT,
            retry_policy=_RETRY,
            summary=f"when is it time next on {run.day}?",
        )
        if moment is None:
            return False
        wait = moment.at - workflow.now()
        if wait > timedelta(0):
            self._say(f"waiting for {moment.words}, {wording.moment(moment.at)}")
            await workflow.sleep(wait, summary=moment.words)
        run.after = moment.at
        late = workflow.now() - moment.at
        if late > moment.skip_if_late:
            run.skipped += 1
            self._note(f"{moment.words}: skipped, {wording.duration(late)} late")
        else:
            run.moment, run.place = moment, ""
            self._note(f"{moment.words}: begun")
        return True

    async def _enroll(self, run: ScheduledRun, moment: Moment) -> None:
        assert run.day is not None
        self._say(f"enrolling: {moment.words}, {run.entered} have entered")
        answer = await workflow.execute_activity_method(
            EntryActivities.enroll,
            EnrollRequest(journey=run.journey, day=run.day, moment=moment, place=run.place),
            start_to_close_timeout=_PAGE,
            heartbeat_timeout=_SILENCE,
            retry_policy=_RETRY,
            summary=f"{moment.words}, at {moment.rate} a second"
            + (f", after {run.place}" if run.place else ""),
        )
        run.entered += answer.entered
        run.refused += answer.refused
        if answer.place is None:
            run.moment, run.place = None, ""
            self._note(f"{moment.words}: done; {run.entered} entered, {run.refused} refused so far")
        else:
            run.place = answer.place

    def _note(self, line: str) -> None:
        self._run.story.append(f"| {workflow.now():%Y-%m-%d %H:%M:%S} | {line} |")
        del self._run.story[:-_LINES]
        self._say(line)

    def _say(self, now: str) -> None:
        run = self._run
        lines = [
            f"### `{run.journey}` enrolls by its schedule, for {run.day}",
            f"**Now:** {now}  ",
            f"**So far:** {run.entered} entered, {run.refused} refused  ",
            "",
            "| When (UTC) | What happened |",
            "|---|---|",
            *run.story,
        ]
        workflow.set_current_details("\n".join(lines))


def _started_for() -> datetime:
    """The moment for which the schedule started this, however late; else the start itself."""
    info = workflow.info()
    return info.typed_search_attributes.get(_SCHEDULED) or info.start_time
