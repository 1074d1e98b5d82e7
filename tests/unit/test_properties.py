"""Any small journey, whatever happens to it: in one run as in many, and as a model says (18).

pytest tests/unit/test_properties.py --hypothesis-profile search --hypothesis-seed 7
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from domain.events import CartAbandoned, Envelope, TicketClosed
from rehearsal import Play, Rehearsal
from tests.unit.composed import (
    HELD,
    HOUR,
    ONE_BY_ONE,
    PROGRAMS,
    SIMPLE,
    UNHEARD,
    Composed,
    Happening,
    Model,
)

CART = CartAbandoned(cart_id="c1")


@dataclass
class Told:
    """What can be seen of a journey, on the way and at its end."""

    reason: str
    sent: list[str]
    ledger: list[tuple[str, str, str]]
    tasks: list[str]
    story: str
    on_the_way: list[object]


def _same_in_every_run(status: dict[str, Any]) -> object:
    story = [line for line in status["story"].splitlines() if not line.startswith("**Until")]
    return story, status["heard"], status["missing"], status["untaken"], status["scopes"]


async def _happens(play: Play, happenings: list[Happening]) -> list[object]:
    """All of it, and what is to be seen in between."""
    seen: list[object] = []
    waiting: list[Envelope] = []
    for each in happenings:
        if each.down or each.after:
            await asyncio.sleep(0)  # what comes at once comes before the time moves
            await play.settles()
        if each.down:
            await play.stage.is_down(each.down * HOUR)
        if each.after:
            await play.passes(each.after * HOUR)
            seen.append(_same_in_every_run(await play.query("status")))
        if each.what is not None and play.outcome is None:
            waiting = await _news(play, each, waiting)
        elif any(task.state == "open" for task in play.tasks):
            try:
                await play.answers("yes")
            except ApplicationError as refused:
                seen.append(str(refused))
    for envelope in waiting:
        play.execution.signal(envelope.name, [envelope])
    await play.settles()
    while play.who.holds:
        await play.happens(TicketClosed(ticket_id=play.who.holds[0].split()[1]))
    return seen


async def _news(play: Play, each: Happening, waiting: list[Envelope]) -> list[Envelope]:
    """An event is acknowledged, and perhaps told. Returns what is to be told later."""
    assert each.what is not None
    envelope = play.acknowledge(each.what)
    if each.how == "never":
        return waiting
    if each.how == "with the next":
        return [*waiting, envelope]
    for told in (envelope, *waiting[::-1]) * (2 if each.how == "twice" else 1):  # newest first
        # At once, or after the turn in which a run ends: before the first of the next.
        play.stage.engine.soon(partial(play.execution.signal, told.name, [told]))
    return []


async def _tell(
    program: list[Any], happenings: list[Happening], run_length: int | None, *, replays: bool
) -> tuple[Told, int]:
    async with Rehearsal(replays=replays) as rehearsal:
        play = await rehearsal.play(
            Composed, CART, parameters={"steps": program}, run_length=run_length
        )
        seen = await _happens(play, happenings)
        reason = (await play.ends()).reason
        tasks = [f"{task.state} {task.role}" for task in play.tasks]
        story = await play.story()
        return Told(reason, play.sent, play.who.said(), tasks, story, seen), play.execution.runs


@given(
    program=PROGRAMS,
    happenings=HELD | UNHEARD,
    run_length=st.sampled_from([0, 0, 10, 20, 35]),
    replays=st.booleans(),
)
def test_18_a_journey_goes_in_many_runs_as_in_one(
    program: list[Any], happenings: list[Happening], run_length: int, *, replays: bool
) -> None:
    in_one, _ = asyncio.run(_tell(program, happenings, None, replays=False))
    in_many, _ = asyncio.run(_tell(program, happenings, run_length, replays=replays))
    assert in_many == in_one


@given(program=SIMPLE, happenings=ONE_BY_ONE, run_length=st.sampled_from([None, 0]))
def test_8_9_waits_and_blocks_give_what_the_model_says(
    program: list[Any], happenings: list[Happening], run_length: int | None
) -> None:
    told, _ = asyncio.run(_tell(program, happenings, run_length, replays=False))
    hour, coming = 0.0, []
    for number, each in enumerate(happenings, 2):
        hour += each.after
        assert each.what is not None
        coming.append((hour, f"{each.what.name} e{number}", each.what))
    assert told.reason == "; ".join(Model(coming).do(program, []))
