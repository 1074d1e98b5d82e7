"""Hearing: the waits of a journey for events, and the blocks that events end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from temporalio import workflow

from domain import wording
from domain.events import Event
from workflows.failures import reading
from workflows.journal import Step
from workflows.lateness import check_lateness
from workflows.matching import Match, dump_event, load_event
from workflows.scopes import Until
from workflows.verbs.base import Verbs

A = TypeVar("A", bound=Event)


@dataclass(frozen=True, slots=True)
class Quiet(Generic[A]):
    """Nothing more has happened for a while.

    Attributes:
        count: how many of the events there were.
        last: the last of them, or None where there was none.
    """

    count: int
    last: A | None


class Hears(Verbs):
    """Waits for events."""

    async def wait_for(
        self,
        event: type[A],
        /,
        *,
        timeout: timedelta,
        where: Callable[[A], bool] | None = None,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | None:
        """Take the oldest such event not yet taken, or None at the timeout.

        What one wait took, no other wait gets. An event and a timeout at the same moment:
        the event wins. An event that was there before is found at once.

        Args:
            event: the event type, one of those the journey listens to.
            timeout: how long to wait at most; zero to look only.
            where: whether this one is meant, such as "the purchase of this cart".
            at_most_late: how much later than it was due the timeout may be noticed, because
                the system was down; None for however late.
            step: the wait's name.

        Raises:
            UndeclaredEvent: the journey does not listen to it.
            TooLate: see `at_most_late`.
        """
        self._check_declared(event)
        return await self._for_event(Match(event, where), timeout, at_most_late, step)

    async def quiet(
        self,
        event: type[A],
        /,
        *,
        duration: timedelta,
        where: Callable[[A], bool] | None = None,
        timeout: timedelta | None = None,
        step: str | None = None,
    ) -> Quiet[A]:
        """Wait until there has been no such event for a while; each one begins the while anew.

        Args:
            event: the event type; every one that comes is taken.
            duration: how long it must be quiet.
            where: whether this one counts.
            timeout: after this time it is over, quiet or not.
            step: the wait's name.

        Raises:
            UndeclaredEvent: the journey does not listen to it.
        """
        self._check_declared(event)
        match = Match(event, where)

        async def live(this: Step) -> Quiet[A]:
            began = workflow.now()
            this.state = this.state or {
                "count": 0,
                "last": None,
                "until": (began + duration).isoformat(),
            }
            if this.deadline is None and timeout is not None:
                this.deadline = began + timeout
            while True:
                until = datetime.fromisoformat(this.state["until"])
                if this.deadline is not None:
                    until = min(until, this.deadline)
                words = f"until there is no {match.kind.name} for {wording.duration(duration)}"
                self._enrollment.now_at(f"Waiting {words}", until)
                await self._enrollment.park(
                    lambda: match.first(self._enrollment.untaken) is not None,
                    until,
                    f"waiting {words}",
                )
                event = match.first(self._enrollment.untaken)
                if event is None:
                    with reading(this.name):
                        last = load_event(match.kind, this.state["last"])
                    return Quiet(this.state["count"], last)
                self._enrollment.untaken.remove(event)
                this.state = {
                    "count": this.state["count"] + 1,
                    "last": dump_event(event),
                    "until": (workflow.now() + duration).isoformat(),
                }
                if this.deadline is not None and workflow.now() >= this.deadline:
                    return Quiet(this.state["count"], event)

        return await self._enrollment.step(
            step or f"quiet_{match.kind.name}",
            live,
            dump=lambda quiet: {"count": quiet.count, "last": dump_event(quiet.last)},
            load=lambda data: Quiet(data["count"], load_event(match.kind, data["last"])),
        )

    def until(
        self,
        event: type[A],
        /,
        *,
        where: Callable[[A], bool] | None = None,
        step: str | None = None,
    ) -> Until[A]:
        """Leave the block at the first such event, even in the middle of a wait.

        Looks at what has arrived untaken when it is entered. Nested blocks: the outermost
        match wins. A send under way finishes and is counted first.

            async with self.until(PurchaseMade, where=same_cart) as purchase:
                await self.sleep(timedelta(days=1))
            return Outcome.converted() if purchase else Outcome.completed()

        Args:
            event: the event type, one of those the journey listens to.
            where: whether this one is meant.
            step: the block's name.

        Raises:
            UndeclaredEvent: the journey does not listen to it.
        """
        self._check_declared(event)
        return Until(self._enrollment, Match(event, where), step or f"until_{event.name}")

    async def _for_event(
        self, match: Match[A], timeout: timedelta, at_most_late: timedelta | None, name: str | None
    ) -> A | None:

        def live(this: Step) -> Awaitable[A | None]:  # every frame is kept while it waits
            return self._taken(
                this,
                match.kind.name,
                lambda: match.first(self._enrollment.untaken),
                timeout,
                at_most_late,
            )

        return await self._enrollment.step(
            name or f"wait_for_{match.kind.name}",
            live,
            dump=dump_event,
            load=lambda data: load_event(match.kind, data),
        )

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
            self._enrollment.untaken.remove(taken)
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
                f"{words}, {at_most} at most",
            )
            if found() is None:
                check_lateness(f"the wait for {words}", late, at_most_late)
        if found() is None:
            self._enrollment.note(f"no {words} within {wording.duration(timeout)}")
