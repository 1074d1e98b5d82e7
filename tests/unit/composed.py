"""A journey that is composed of steps at random, and what may happen to it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel, Field
from temporalio import workflow

from domain.events import (
    CartAbandoned,
    Event,
    PurchaseMade,
    SurveyAnswered,
    TicketClosed,
    TicketOpened,
)
from tests.unit.specimens import REMINDER
from workflows import Journey, Outcome, Parameters, on, push

HOUR = timedelta(hours=1)


class Program(Parameters):
    """What the journey does: steps, each a list of its kind and what it takes."""

    steps: list[Any] = Field(default_factory=list)


class Said(BaseModel):
    """What was said so far."""

    lines: list[str] = Field(default_factory=list)


def _where(cart: str) -> Any:
    return (lambda purchase: purchase.cart_id == cart) if cart else None


def _name(event: Event | None) -> str:
    return str(event and f"{event.name} {event.event_id}")


@workflow.defn
class Composed(
    Journey[CartAbandoned, Program],
    listens=[PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed],
):
    """Does what it was told at its entry."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Do it, and say what each step gave."""
        said: list[str] = []
        await self._do(self.parameters.steps, cart, said)
        return Outcome.completed("; ".join(said))

    async def _do(self, steps: list[Any], cart: CartAbandoned, said: list[str]) -> None:
        for kind, *told in steps:
            said.append(f"{kind}: {await self._one(kind, told, cart, said)}")

    async def _one(self, kind: str, told: list[Any], cart: CartAbandoned, said: list[str]) -> str:  # noqa: C901, PLR0911 - one case a kind
        match kind, told:
            case "wait", [which, hours]:
                wanted = _where(which)
                return _name(await self.wait_for(PurchaseMade, where=wanted, timeout=hours * HOUR))
            case "first", [which, hours]:
                wanted = on(PurchaseMade, _where(which))
                return _name(await self.first_of(wanted, SurveyAnswered, timeout=hours * HOUR))
            case "all", [which, hours]:
                wanted = on(PurchaseMade, _where(which))
                both = await self.all_of(wanted, SurveyAnswered, timeout=hours * HOUR)
                return " ".join(map(_name, both or ()))
            case "quiet", [which, hours]:
                wanted = _where(which)
                quiet = await self.quiet(
                    PurchaseMade, where=wanted, duration=hours * HOUR, timeout=10 * HOUR
                )
                return f"{quiet.count} {_name(quiet.last)}"
            case "sleep", [hours]:
                return f"{(await self.sleep(hours * HOUR)).late}"
            case "send", []:
                return (await self.send(push(REMINDER, cart))).kind
            case "hold", []:
                await self.hold()
                return "over"
            case "ask", [hours]:
                reply = await self.ask(
                    "sales", "Call", choices=["yes"], deadline=hours * HOUR, escalate_to="boss"
                )
                return str(reply)
            case "until", [which, body]:
                async with self.until(PurchaseMade, where=_where(which)) as bought:
                    await self._do(body, cart, said)
                return _name(bought.event)
            case "answered", [body]:
                async with self.until(SurveyAnswered) as answered:
                    await self._do(body, cart, said)
                return _name(answered.event)
            case "rounds", [most, body]:
                memory = Said()
                async for _ in self.rounds(memory, most=most):
                    self.note("a round")
                    await self._do(body, cart, memory.lines)
                return f"({', '.join(memory.lines)})"
        raise AssertionError(kind)


HOURS = st.integers(1, 6)
WHICH = st.sampled_from(["", "", "a", "b"])
WAITS = st.tuples(st.just("wait"), WHICH, HOURS)


def scoped(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Blocks of steps that an event ends."""
    bodies = st.lists(steps, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("until"), WHICH, bodies), st.tuples(st.just("answered"), bodies)
    )


def _blocks(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bodies = st.lists(steps, min_size=1, max_size=3)
    return scoped(steps) | st.tuples(st.just("rounds"), st.integers(1, 3), bodies)


PLAIN = WAITS | st.tuples(st.just("sleep"), HOURS)
"""Waits, and nothing else."""

ANY = st.one_of(
    PLAIN,
    st.tuples(st.sampled_from(["first", "all", "quiet"]), WHICH, HOURS),
    st.tuples(st.just("ask"), HOURS),
    st.tuples(st.sampled_from(["send", "hold"])),
)

PROGRAMS = st.lists(st.recursive(ANY, _blocks, max_leaves=5), min_size=1, max_size=4)
"""Steps of every kind."""

SIMPLE = st.lists(st.recursive(PLAIN, scoped, max_leaves=5), min_size=1, max_size=4)
"""Waits, within blocks and without."""


@dataclass(frozen=True)
class Happening:
    """Something that happens.

    Attributes:
        after: hours since the one before; none: both come at once.
        what: the event; None: a person answers what is asked.
        how: whether its news arrives at once, twice, only with the next, or not at all.
        down: hours for which the worker is down before it.
    """

    after: float
    what: Event | None
    how: str = "at once"
    down: int = 0


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(PurchaseMade, order_id=st.just("o"), cart_id=st.sampled_from(["a", "b"])),
    st.builds(SurveyAnswered, survey=st.just("s"), score=st.just(1)),
)
TICKETS: st.SearchStrategy[Event] = st.one_of(
    st.builds(TicketOpened, ticket_id=st.sampled_from(["t1", "t2"])),
    st.builds(TicketClosed, ticket_id=st.sampled_from(["t1", "t2"])),
)
AFTER = st.sampled_from([0.0, 0.0, 0.5, 0.7, 1.3, 2.6, 6.0])
DOWN = st.sampled_from([0, 0, 0, 0, 3])
NEWS = st.sampled_from(["at once", "at once", "twice", "with the next"])

AT_ONCE = st.sampled_from(["at once", "twice"])

HELD = st.lists(
    st.builds(Happening, AFTER, EVENTS | TICKETS | st.none(), AT_ONCE, DOWN), max_size=10
)
"""With tickets; news arrive at once: held, the gate is asked more often in many runs, and tells."""

UNHEARD = st.lists(
    st.builds(Happening, AFTER, EVENTS | st.none(), NEWS | st.just("never"), DOWN), max_size=10
)
"""Without tickets; some news only the gate or the end tells."""

ONE_BY_ONE = st.lists(st.builds(Happening, st.sampled_from([0.25, 1.0, 2.25]), EVENTS), max_size=8)
"""Events, and nothing at the same moment."""


@dataclass
class Left(Exception):
    """A block ended."""

    scope: object


@dataclass
class Model:
    """What should happen, for steps that wait; events are (hour, number, event)."""

    coming: list[tuple[float, str, Event]]
    clock: float = 0
    inbox: list[tuple[str, Event]] = field(default_factory=list)
    scopes: list[tuple[str, str, list[str]]] = field(default_factory=list)

    def do(self, steps: list[Any], said: list[str]) -> list[str]:
        """What they say."""
        for kind, *told in steps:
            if kind in {"until", "answered"}:
                *which, body = told
                said.append(f"{kind}: {self._block(kind, ''.join(which), body, said)}")
            elif kind == "sleep":
                self._wait(None, told[0])
                said.append("sleep: 0:00:00")
            else:
                said.append(f"wait: {self._wait(('until', told[0]), told[1])}")
        return said

    def _wait(self, wanted: tuple[str, str] | None, hours: float) -> str | None:
        deadline = self.clock + hours
        while not (found := self._take(wanted)) and self.coming and self.coming[0][0] < deadline:
            self.clock, name, event = self.coming.pop(0)
            for scope in self.scopes:
                if _meant(scope[:2], event) and not scope[2]:
                    scope[2].append(name)
                    raise Left(scope)
            self.inbox.append((name, event))
        self.clock = self.clock if found else deadline
        return found

    def _take(self, wanted: tuple[str, str] | None) -> str | None:
        for name, event in self.inbox:
            if wanted is not None and _meant(wanted, event):
                self.inbox.remove((name, event))
                return name
        return None

    def _block(self, kind: str, which: str, body: list[Any], said: list[str]) -> str | None:
        scope: tuple[str, str, list[str]] = (kind, which, [])
        if found := self._take((kind, which)):
            return found
        self.scopes.append(scope)
        try:
            self.do(body, said)
        except Left as left:
            if left.scope is not scope:
                raise
        finally:
            self.scopes.pop()
        return scope[2][0] if scope[2] else None


def _meant(wanted: tuple[str, str], event: Event) -> bool:
    if wanted[0] == "answered":
        return isinstance(event, SurveyAnswered)
    return isinstance(event, PurchaseMade) and wanted[1] in {"", event.cart_id}
