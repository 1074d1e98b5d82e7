"""Timing: the waits of a journey for a time, also one where the customer is."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta

from pydantic import TypeAdapter
from temporalio import workflow

from domain import wording
from domain.local_time import Window, Zone, local_moment
from workflows.journal import Step
from workflows.lateness import check_lateness
from workflows.verbs.base import Verbs

_LOOK_AGAIN = timedelta(hours=6)
"""How often a wait for a local time looks whether the customer's time zone has changed."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A wait for a moment is over.

    Attributes:
        due: the moment, in UTC.
        late: how much later it was noticed than it came.
        passed: whether the moment had passed before the wait began, which then did not wait.
    """

    due: datetime
    late: timedelta = timedelta(0)
    passed: bool = False


_ARRIVAL = TypeAdapter(Arrival)


class Waits(Verbs):
    """Waits for a time."""

    async def sleep(
        self,
        duration: timedelta,
        summary: str | None = None,
        *,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait for a time; an enclosing `until` can end it.

        Args:
            duration: how long; zero or less returns at once.
            summary: what for, in words, for the Temporal UI.
            at_most_late: as for `wait_for`.
            step: the wait's name.
        """
        words = summary or f"pause of {wording.duration(max(duration, timedelta(0)))}"

        async def live(this: Step) -> Arrival:
            if this.deadline is None:
                this.deadline = workflow.now() + max(duration, timedelta(0))
            return await self._moment(this, f"Sleeping: {words}", words, at_most_late)

        return await self._enrollment.step(
            step or "sleep", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def sleep_until(
        self,
        moment: datetime,
        summary: str | None = None,
        *,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait until a moment. One that has passed returns at once, and says so in `passed`.

        Raises:
            ValueError: the moment has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError(
                f"sleep_until({moment}): a moment needs a time zone; for a time where the customer "
                "is, use sleep_until_local"
            )
        words = summary or f"until {wording.moment(moment)}"

        async def live(this: Step) -> Arrival:
            if moment <= workflow.now() and this.deadline is None:
                return self._passed(moment, words)
            this.deadline = moment
            return await self._moment(this, f"Sleeping {words}", words, at_most_late)

        return await self._enrollment.step(
            step or "sleep_until", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def sleep_until_local(
        self,
        clock: time,
        *,
        day: date | int = 0,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait until the clock where the customer is shows a time.

        It goes with a customer who moves to another time zone meanwhile, through both clock
        changes: a time that the clock jumps over is the moment of the jump, of a time that
        comes twice it is the first. One that has passed returns at once and says so.

        Args:
            clock: the time there, such as `time(9)`.
            day: a date there, or in how many days from today: 1 is tomorrow.
            at_most_late: as for `wait_for`.
            step: the wait's name.
        """

        async def live(this: Step) -> Arrival:
            where = await self._zone()
            if this.state is None:
                today = workflow.now().astimezone(where.info).date()
                on = day if isinstance(day, date) else today + timedelta(days=day)
                this.state = {"on": on.isoformat(), "zone": where.name}
                moment = local_moment(on, clock, where)
                if moment <= workflow.now():
                    return self._passed(moment, f"until {on} {clock:%H:%M} in {where}")
            on = date.fromisoformat(this.state["on"])
            return await self._local(
                this,
                where,
                lambda where: local_moment(on, clock, where),
                lambda where: f"until {on} {clock:%H:%M} in {where}",
                at_most_late,
            )

        return await self._enrollment.step(
            step or "sleep_until_local", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def sleep_until_window(
        self,
        window: Window,
        *,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Arrival:
        """Wait until a window of the week is open where the customer is; none if it is.

            await self.sleep_until_window(Window(time(9), time(11), Day.TUESDAY.to(Day.THURSDAY)))

        Where the window has closed again before anybody could notice, it waits for the next.
        """

        async def live(this: Step) -> Arrival:
            where = await self._zone()
            began = workflow.now()
            if this.state is None:
                if window.is_open(began, where):
                    return Arrival(began, passed=True)
                this.state = {"zone": where.name}
            return await self._local(
                this,
                where,
                lambda where: window.next_opening(workflow.now(), where),
                lambda where: f"until it is {window} in {where}",
                at_most_late,
                closes=lambda where: not window.is_open(workflow.now(), where),
            )

        return await self._enrollment.step(
            step or "sleep_until_window", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def now(self) -> datetime:
        """The time at this step, in UTC; the same one whenever the code is run again."""

        async def live(_: object) -> datetime:
            return workflow.now()

        return await self._enrollment.step(
            "now", live, dump=datetime.isoformat, load=datetime.fromisoformat
        )

    async def _moment(
        self, step: Step, now_at: str, summary: str, at_most_late: timedelta | None
    ) -> Arrival:
        assert step.deadline is not None
        self._enrollment.now_at(now_at, step.deadline)
        late = await self._enrollment.park(lambda: False, step.deadline, summary)
        check_lateness(summary, late, at_most_late)
        return Arrival(step.deadline, late)

    async def _local(
        self,
        step: Step,
        where: Zone,
        due: Callable[[Zone], datetime],
        words: Callable[[Zone], str],
        at_most_late: timedelta | None,
        closes: Callable[[Zone], bool] = lambda _: False,  # whether the moment has gone by again
    ) -> Arrival:
        """Wait for a moment that depends on where the customer is, who may move meanwhile."""
        # Also between two runs.
        moved = step.state["zone"] != where.name
        if moved:
            step.deadline = None
        while True:
            if step.deadline is None:
                step.deadline = due(where)
                if moved and step.deadline <= workflow.now():
                    return self._passed(step.deadline, words(where))
            self._enrollment.now_at(f"Sleeping {words(where)}", step.deadline)
            look_again = min(step.deadline, workflow.now() + _LOOK_AGAIN)
            late = await self._enrollment.park(
                lambda: False, look_again, words(where), looks=look_again < step.deadline
            )
            now_where = await self._zone()
            moved = now_where != where
            if moved or closes(where):
                where, step.deadline = now_where, None
                step.state = step.state | {"zone": where.name}
            elif workflow.now() >= step.deadline:
                check_lateness(words(where), late, at_most_late)
                return Arrival(step.deadline, late)

    async def _zone(self) -> Zone:
        customer = await self._look_up()
        return Zone.of(customer.time_zone, self.parameters.time_zone)

    def _passed(self, moment: datetime, words: str) -> Arrival:
        self._enrollment.note(f"{words}: that has passed")
        return Arrival(moment, passed=True)
