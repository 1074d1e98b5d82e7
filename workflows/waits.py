"""The waits of a journey: for events, for a time, for a moment where the customer is."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from temporalio import workflow

from domain import wording
from domain.customers import Customer
from domain.events import Event
from domain.local_time import Window, Zone, local_moment
from workflows.enrollment import Enrollment
from workflows.journal import Step
from workflows.matching import Match, dump_event, load_event

A = TypeVar("A", bound=Event)

Zones = Callable[[], Awaitable[Zone]]
"""Asks where the customer is now."""

_LOOK_AGAIN = timedelta(hours=6)
"""How often a wait for a local time looks whether the customer's time zone has changed."""


class TooLate(Exception):
    """A wait was over longer ago than its `at_most_late` allows: the system was down.

    Not caught, it ends the journey as `exited`.

    Args:
        what: the wait, in words.
        late: by how much.
    """

    def __init__(self, what: str, late: timedelta) -> None:
        super().__init__(f"{what}: over {wording.duration(late)} ago, too late to go on")
        self.late = late


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


@dataclass(frozen=True, slots=True)
class Quiet(Generic[A]):
    """Nothing more has happened for a while.

    Attributes:
        count: how many of the events there were.
        last: the last of them, or None where there was none.
    """

    count: int
    last: A | None


class Waits:
    """The waits of one enrollment.

    Args:
        enrollment: whose.
        customer: looks the customer up, as known now.
        fallback: the time zone of a customer of whom none is known.
    """

    def __init__(
        self,
        enrollment: Enrollment,
        customer: Callable[[], Awaitable[Customer]],
        fallback: str,
    ) -> None:
        self._enrollment = enrollment
        self._customer = customer
        self._fallback = fallback

    async def for_event(
        self, match: Match[A], timeout: timedelta, at_most_late: timedelta | None, name: str | None
    ) -> A | None:
        """See `Journey.wait_for`."""

        async def live(step: Step) -> A | None:
            return await self._taken(
                step, match.kind.name, lambda: match.first(self._untaken), timeout, at_most_late
            )

        return await self._enrollment.step(
            name or f"wait_for_{match.kind.name}",
            live,
            dump=dump_event,
            load=lambda data: load_event(match.kind, data),
        )

    async def for_first(
        self,
        matches: Sequence[Match[Any]],
        timeout: timedelta,
        at_most_late: timedelta | None,
        name: str | None,
    ) -> Event | None:
        """See `Journey.first_of`."""
        kinds = {match.kind.name: match.kind for match in matches}
        words = " or ".join(kinds)

        def found() -> Event | None:
            for event in self._untaken:
                if any(match.takes(event) for match in matches):
                    return event
            return None

        async def live(step: Step) -> Event | None:
            return await self._taken(step, words, found, timeout, at_most_late)

        return await self._enrollment.step(
            name or f"first_of_{'_or_'.join(kinds)}",
            live,
            dump=dump_event,
            load=lambda data: None if data is None else load_event(kinds[data["name"]], data),
        )

    async def for_all(
        self,
        matches: Sequence[Match[Any]],
        timeout: timedelta,
        at_most_late: timedelta | None,
        name: str | None,
    ) -> tuple[Event, ...] | None:
        """See `Journey.all_of`."""
        words = " and ".join(match.kind.name for match in matches)

        def found() -> tuple[Event, ...] | None:
            rest = list(self._untaken)
            taken: list[Event] = []
            for match in matches:
                event = match.first(rest)
                if event is None:
                    return None
                rest.remove(event)
                taken.append(event)
            return tuple(taken)

        async def live(step: Step) -> tuple[Event, ...] | None:
            await self._until_found(step, words, found, timeout, at_most_late)
            events = found()
            for event in events or ():
                self._untaken.remove(event)
            return events

        def load(data: list[Any] | None) -> tuple[Event, ...] | None:
            if data is None:
                return None
            pairs = zip(matches, data, strict=True)
            read = [load_event(match.kind, one) for match, one in pairs]
            return tuple(event for event in read if event is not None)

        return await self._enrollment.step(
            name or f"all_of_{words.replace(' ', '_')}",
            live,
            dump=lambda events: None if events is None else [dump_event(e) for e in events],
            load=load,
        )

    async def for_quiet(
        self, match: Match[A], duration: timedelta, most: timedelta | None, name: str | None
    ) -> Quiet[A]:
        """See `Journey.quiet`."""

        async def live(step: Step) -> Quiet[A]:
            began = workflow.now()
            step.state = step.state or {
                "count": 0,
                "last": None,
                "until": (began + duration).isoformat(),
            }
            if step.deadline is None and most is not None:
                step.deadline = began + most
            while True:
                until = datetime.fromisoformat(step.state["until"])
                if step.deadline is not None:
                    until = min(until, step.deadline)
                words = f"until there is no {match.kind.name} for {wording.duration(duration)}"
                self._enrollment.now_at(f"Waiting {words}", until)
                await self._enrollment.park(
                    lambda: match.first(self._untaken) is not None, until, f"waiting {words}"
                )
                event = match.first(self._untaken)
                if event is None:
                    return Quiet(step.state["count"], load_event(match.kind, step.state["last"]))
                self._untaken.remove(event)
                step.state = {
                    "count": step.state["count"] + 1,
                    "last": dump_event(event),
                    "until": (workflow.now() + duration).isoformat(),
                }
                if step.deadline is not None and workflow.now() >= step.deadline:
                    return Quiet(step.state["count"], event)

        return await self._enrollment.step(
            name or f"quiet_{match.kind.name}",
            live,
            dump=lambda quiet: {"count": quiet.count, "last": dump_event(quiet.last)},
            load=lambda data: Quiet(data["count"], load_event(match.kind, data["last"])),
        )

    async def for_time(
        self,
        duration: timedelta,
        summary: str | None,
        at_most_late: timedelta | None,
        name: str | None,
    ) -> Arrival:
        """See `Journey.sleep`."""
        words = summary or f"pause of {wording.duration(max(duration, timedelta(0)))}"

        async def live(step: Step) -> Arrival:
            if step.deadline is None:
                step.deadline = workflow.now() + max(duration, timedelta(0))
            return await self._moment(step, f"Sleeping: {words}", words, at_most_late)

        return await self._enrollment.step(
            name or "sleep", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def for_moment(
        self,
        moment: datetime,
        summary: str | None,
        at_most_late: timedelta | None,
        name: str | None,
    ) -> Arrival:
        """See `Journey.sleep_until`."""
        if moment.tzinfo is None:
            raise ValueError(
                f"sleep_until({moment}): a moment needs a time zone; for a time where the customer "
                "is, use sleep_until_local"
            )
        words = summary or f"until {wording.moment(moment)}"

        async def live(step: Step) -> Arrival:
            if moment <= workflow.now() and step.deadline is None:
                return self._passed(moment, words)
            step.deadline = moment
            return await self._moment(step, f"Sleeping {words}", words, at_most_late)

        return await self._enrollment.step(
            name or "sleep_until", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def for_local(
        self,
        clock: time,
        day: date | int,
        at_most_late: timedelta | None,
        name: str | None,
    ) -> Arrival:
        """See `Journey.sleep_until_local`."""

        async def live(step: Step) -> Arrival:
            where = await self._zone()
            if step.state is None:
                today = workflow.now().astimezone(where.info).date()
                on = day if isinstance(day, date) else today + timedelta(days=day)
                step.state = on.isoformat()
                moment = local_moment(on, clock, where)
                if moment <= workflow.now():
                    return self._passed(moment, f"until {on} {clock:%H:%M} in {where}")
            on = date.fromisoformat(step.state)
            return await self._local(
                step,
                where,
                lambda where: local_moment(on, clock, where),
                lambda where: f"until {on} {clock:%H:%M} in {where}",
                at_most_late,
            )

        return await self._enrollment.step(
            name or "sleep_until_local", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def for_window(
        self, window: Window, at_most_late: timedelta | None, name: str | None
    ) -> Arrival:
        """See `Journey.sleep_until_window`."""

        async def live(step: Step) -> Arrival:
            where = await self._zone()
            began = workflow.now()
            if step.deadline is None and window.is_open(began, where):
                return Arrival(began, passed=True)
            step.deadline = step.deadline or window.next_opening(began, where)
            return await self._local(
                step,
                where,
                lambda where: window.next_opening(workflow.now(), where),
                lambda where: f"until it is {window} in {where}",
                at_most_late,
                closes=lambda where: not window.is_open(workflow.now(), where),
            )

        return await self._enrollment.step(
            name or "sleep_until_window", live, dump=asdict, load=_ARRIVAL.validate_python
        )

    async def for_condition(
        self,
        condition: Callable[[Customer], bool],
        timeout: timedelta,
        look_again: timedelta,
        words: str,
        name: str | None,
    ) -> Customer | None:
        """See `Journey.when`."""

        async def live(step: Step) -> Customer | None:
            if step.deadline is None:
                step.deadline = workflow.now() + timeout
            while True:
                seen = self._enrollment.applied
                customer = await self._customer()
                if condition(customer):
                    return customer
                if workflow.now() >= step.deadline:
                    self._enrollment.note(f"not {words} within {wording.duration(timeout)}")
                    return None
                await self._enrollment.checkpoint()
                self._enrollment.now_at(f"Waiting until {words}", step.deadline)
                await self._enrollment.park(
                    lambda seen=seen: self._enrollment.applied != seen,  # type: ignore[misc]
                    min(step.deadline, workflow.now() + look_again),
                    f"waiting until {words}",
                )

        return await self._enrollment.step(
            name or "when",
            live,
            dump=lambda customer: None if customer is None else customer.model_dump(mode="json"),
            load=lambda data: None if data is None else Customer.model_validate(data),
        )

    @property
    def _untaken(self) -> list[Event]:
        return self._enrollment.untaken

    async def _taken(
        self,
        step: Step,
        words: str,
        found: Callable[[], A | None],
        timeout: timedelta,
        at_most_late: timedelta | None,
    ) -> A | None:
        await self._until_found(step, words, found, timeout, at_most_late)
        taken = found()
        if taken is not None:
            self._untaken.remove(taken)
        return taken

    async def _until_found(
        self,
        step: Step,
        words: str,
        found: Callable[[], object],
        timeout: timedelta,
        at_most_late: timedelta | None,
    ) -> None:
        if found() is not None:
            return
        if step.deadline is None:
            step.deadline = workflow.now() + timeout
        if timeout > timedelta(0):
            at_most = wording.duration(timeout)
            self._enrollment.now_at(f"Waiting for {words}", step.deadline)
            late = await self._enrollment.park(
                lambda: found() is not None,
                step.deadline,
                f"waiting for {words}, {at_most} at most",
            )
            if found() is None:
                _check(f"the wait for {words}", late, at_most_late)
        if found() is None:
            self._enrollment.note(f"no {words} within {wording.duration(timeout)}")

    async def _moment(
        self, step: Step, now_at: str, summary: str, at_most_late: timedelta | None
    ) -> Arrival:
        assert step.deadline is not None
        self._enrollment.now_at(now_at, step.deadline)
        late = await self._enrollment.park(lambda: False, step.deadline, summary)
        _check(summary, late, at_most_late)
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
        moved = False
        while True:
            if step.deadline is None:
                step.deadline = due(where)
                if moved and step.deadline <= workflow.now():
                    return self._passed(step.deadline, words(where))
            self._enrollment.now_at(f"Sleeping {words(where)}", step.deadline)
            look_again = min(step.deadline, workflow.now() + _LOOK_AGAIN)
            late = await self._enrollment.park(lambda: False, look_again, words(where))
            now_where = await self._zone()
            moved = now_where != where
            if moved or closes(where):
                where, step.deadline = now_where, None
            elif workflow.now() >= step.deadline:
                _check(words(where), late, at_most_late)
                return Arrival(step.deadline, late)

    async def _zone(self) -> Zone:
        customer = await self._customer()
        return Zone.of(customer.time_zone, self._fallback)

    def _passed(self, moment: datetime, words: str) -> Arrival:
        self._enrollment.note(f"{words}: that has passed")
        return Arrival(moment, passed=True)


def _check(what: str, late: timedelta, at_most: timedelta | None) -> None:
    if at_most is not None and late > at_most:
        raise TooLate(what, late)


_ARRIVAL = TypeAdapter(Arrival)
