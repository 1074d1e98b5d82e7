"""Hearing several: the waits for the first of several events, and for all of them."""

from datetime import timedelta
from typing import Any, TypeVar, overload

from domain.errors import Refused
from domain.events import Event
from workflows.journal import Step
from workflows.matching import Match, dump_event, load_event, matches
from workflows.verbs.hearing import Hears

A = TypeVar("A", bound=Event)
B = TypeVar("B", bound=Event)
C = TypeVar("C", bound=Event)
D = TypeVar("D", bound=Event)
E = TypeVar("E", bound=Event)

On = type[A] | Match[A]
"""An event type, or `on(type, condition)`."""


class HearsSeveral(Hears):
    """Waits for events of several types; the type checkers know which, up to five."""

    @overload
    async def first_of(
        self,
        a: On[A],
        b: On[B],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | B | None: ...

    @overload
    async def first_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | B | C | None: ...

    @overload
    async def first_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        d: On[D],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | B | C | D | None: ...

    @overload
    async def first_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        d: On[D],
        e: On[E],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> A | B | C | D | E | None: ...

    async def first_of(
        self,
        *events: Any,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> Event | None:
        """Take the oldest event of several types, or None at the timeout. As `wait_for`.

        match await self.first_of(PurchaseMade, on(TicketOpened, about_it), timeout=DAY):
            case PurchaseMade(): ...
            case TicketOpened(): ...
            case None: ...

        Args:
            events: from two to five event types, or `on(type, condition)`.
            timeout: how long to wait at most; zero to look only.
            at_most_late: as for `wait_for`.
            step: the wait's name.

        Raises:
            UndeclaredEvent: the journey does not listen to one of them.
            TooLate: see `at_most_late`.
        """
        meant = matches(events)
        self._check_declared(*(match.kind for match in meant))
        kinds = tuple(dict.fromkeys(match.kind for match in meant))
        names = [kind.name for kind in kinds]
        words = " or ".join(names)

        def found() -> Event | None:
            for event in self._enrollment.untaken:
                if any(match.takes(event) for match in meant):
                    return event
            return None

        async def live(this: Step) -> Event | None:
            return await self._taken(this, words, found, timeout, at_most_late)

        return await self._enrollment.step(
            step or f"first_of_{'_or_'.join(names)}",
            live,
            dump=dump_event,
            load=lambda data: load_event(kinds, data),
        )

    @overload
    async def all_of(
        self,
        a: On[A],
        b: On[B],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[A, B] | None: ...

    @overload
    async def all_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[A, B, C] | None: ...

    @overload
    async def all_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        d: On[D],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[A, B, C, D] | None: ...

    @overload
    async def all_of(
        self,
        a: On[A],
        b: On[B],
        c: On[C],
        d: On[D],
        e: On[E],
        /,
        *,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[A, B, C, D, E] | None: ...

    async def all_of(
        self,
        *events: Any,
        timeout: timedelta,
        at_most_late: timedelta | None = None,
        step: str | None = None,
    ) -> tuple[Event, ...] | None:
        """Take one event of each, in whatever order they come, or None at the timeout.

        At the timeout none is taken: those that came can be asked for by a later wait.
        As `wait_for` otherwise.

        Args:
            events: from two to five event types, or `on(type, condition)`.
            timeout: how long to wait at most; zero to look only.
            at_most_late: as for `wait_for`.
            step: the wait's name.

        Raises:
            UndeclaredEvent: the journey does not listen to one of them.
            TooLate: see `at_most_late`.
        """
        meant = matches(events)
        self._check_declared(*(match.kind for match in meant))
        words = " and ".join(match.kind.name for match in meant)

        def found() -> tuple[Event, ...] | None:
            rest = list(self._enrollment.untaken)
            taken: list[Event] = []
            for match in meant:
                event = match.first(rest)
                if event is None:
                    return None
                rest.remove(event)
                taken.append(event)
            return tuple(taken)

        async def live(this: Step) -> tuple[Event, ...] | None:
            await self._until_found(this, words, found, timeout, at_most_late)
            events = found()
            for event in events or ():
                self._enrollment.untaken.remove(event)
            return events

        def load(data: list[Any] | None) -> tuple[Event, ...] | None:
            if data is None:
                return None
            if len(data) != len(meant):
                raise Refused(f"it waited for {len(data)} then, and for {len(meant)} now")
            pairs = zip(meant, data, strict=True)
            read = [load_event(match.kind, one) for match, one in pairs]
            return tuple(event for event in read if event is not None)

        return await self._enrollment.step(
            step or f"all_of_{words.replace(' ', '_')}",
            live,
            dump=lambda events: None if events is None else [dump_event(e) for e in events],
            load=load,
        )
