"""Journeys completed a second, and what one that waits weighs, against a workflow by hand.

Both are begun by the same calls to Temporal, wait for the same signal, send the same message
through the same gate, and end in the same store; neither has the API or the relay in its way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.journeys import WORDS, SendAtOnce
from bench.plan import Measured, Plan
from bench.raw import TASK_QUEUE, SendByHand
from bench.report import Figure, compared
from bench.stage import Stage, stage, until
from domain.enrollments import Start
from domain.events import CartAbandoned, Envelope, SurveyAnswered
from domain.messages import SendRequest, push
from infra.database.accept import entry_effect
from workflows import Parameters
from workflows.queues import JOURNEYS

_IN_FLIGHT = 16
_WAITING = 500
_ROUNDS = 5
_WARM = 20
_CART = CartAbandoned(cart_id="c1")
_ANSWER = {"survey": "s1", "score": 9}


@dataclass(frozen=True)
class _Enrolled:
    enrollment_id: str
    customer_id: str


async def measure(plan: Plan) -> Measured:
    """Complete journeys in turns; then let a thousand of each wait, and look at the workers."""
    turn = 100 if plan.quick else 200
    ours: list[float] = []
    theirs: list[float] = []
    async with stage() as parts:
        plan.say("completing: preparing")
        client, some = await _prepare(parts, 2 * turn * (plan.repeats + 1))
        for begin in (_begin_ours, _begin_theirs):  # both warm
            await _complete(parts, client, begin, some(turn))
        for repeat in range(plan.repeats):
            plan.say(f"completing, {repeat + 1} of {plan.repeats}")
            ours.append(await _complete(parts, client, _begin_ours, some(turn)))
            theirs.append(await _complete(parts, client, _begin_theirs, some(turn)))
    # With fresh workers: what those that have ended gave back would hide what is taken.
    async with stage() as parts:
        client, some = await _prepare(parts, 2 * (_ROUNDS * _WAITING + _WARM))
        for begin in (_begin_ours, _begin_theirs):
            await _complete(parts, client, begin, some(_WARM))
        weights = await _weigh(plan, parts, client, some)
    return Measured(
        [
            compared("journeys completed", "/s", ours, "a workflow by hand", theirs, at_least=0.9),
            weights,
        ]
    )


Some = Callable[[int], list[_Enrolled]]


async def _prepare(parts: Stage, count: int) -> tuple[Client, Some]:
    """Both workers, and what takes so many enrolled customers, some at a time."""
    await parts.start("worker", "bench.processes", "worker")
    await parts.start("by-hand", "bench.processes", "by-hand")
    client = await Client.connect(
        parts.settings.temporal_target, data_converter=pydantic_data_converter
    )
    rows = iter(await _enroll(parts, count))
    return client, lambda number: [next(rows) for _ in range(number)]


async def _enroll(parts: Stage, count: int) -> list[_Enrolled]:
    """Customers in the store, enrolled, whose workflows nobody has started."""
    entry = SendAtOnce.declaration.entry(_CART, Parameters())
    assert entry is not None
    wish = {"entries": [entry_effect(entry)]}
    incoming = []
    for number in range(count):
        reachable = {"traits": {}, "addresses": {"push": f"p-{number}"}}
        incoming.append(parts.event(number, "identify", {}, reachable))
        incoming.append(parts.event(number, _CART.name, {"cart_id": "c1"}, wish))
    await parts.post(incoming)
    found = await parts.pool.fetch("select id, customer_id from enrollment order by id")
    return [_Enrolled(row["id"], row["customer_id"]) for row in found]


Begin = Callable[[Client, _Enrolled], Awaitable[None]]


async def _begin_ours(client: Client, one: _Enrolled) -> None:
    start = Start(
        enrollment_id=one.enrollment_id,
        customer_id=one.customer_id,
        journey=SendAtOnce.declaration.name,
        parameters={},
        events=[Envelope(1, _CART.name, "e1", "2026-01-01T00:00:00+00:00", {"cart_id": "c1"})],
    )
    await client.start_workflow(
        SendAtOnce.__name__, start, id=one.enrollment_id, task_queue=JOURNEYS
    )


async def _begin_theirs(client: Client, one: _Enrolled) -> None:
    request = SendRequest(
        enrollment_id=one.enrollment_id,
        customer_id=one.customer_id,
        journey=SendAtOnce.declaration.name,
        step="reminder",
        heard=0,
        messages=[push(WORDS, _CART)],
    )
    await client.start_workflow(
        SendByHand.__name__,
        request.model_dump(mode="json"),
        id=one.enrollment_id,
        task_queue=TASK_QUEUE,
    )


async def _complete(
    parts: Stage, client: Client, begin: Begin, enrolled: Sequence[_Enrolled]
) -> float:
    """Begin them, tell each what it waits for, wait until all have ended. Returns how many a s."""
    began = time.monotonic()
    await _each(enrolled, lambda one: begin(client, one))
    await _each(enrolled, lambda one: _tell(client, one))
    ids = [one.enrollment_id for one in enrolled]

    async def all_ended() -> bool:
        ended: int = await parts.pool.fetchval(
            "select count(*) from enrollment where id = any($1) and state <> 'live'", ids
        )
        return ended == len(ids)

    await until(all_ended, 120, "some journeys did not end")
    return len(enrolled) / (time.monotonic() - began)


async def _tell(client: Client, one: _Enrolled) -> None:
    told = Envelope(2, SurveyAnswered.name, "e2", "2026-01-01T00:00:01+00:00", _ANSWER)
    await client.get_workflow_handle(one.enrollment_id).signal(SurveyAnswered.name, [told])


async def _each(enrolled: Sequence[_Enrolled], do: Callable[[_Enrolled], Awaitable[None]]) -> None:
    hands = asyncio.Semaphore(_IN_FLIGHT)

    async def one_of(one: _Enrolled) -> None:
        async with hands:
            await do(one)

    await asyncio.gather(*(one_of(one) for one in enrolled))


async def _weigh(plan: Plan, parts: Stage, client: Client, some: Some) -> Figure:
    """What one that waits adds to its worker, in kB: in turn, with ever more of them waiting."""
    weights: dict[str, list[float]] = {"worker": [], "by-hand": []}
    sides: dict[str, Any] = {"worker": _begin_ours, "by-hand": _begin_theirs}
    for round_ in range(_ROUNDS):
        plan.say(f"{_WAITING:,} more begin to wait, {round_ + 1} of {_ROUNDS}")
        for name, begin in sides.items():
            await parts.quiet()
            before = parts.memory()[name][1]
            await _each(some(_WAITING), lambda one, begin=begin: begin(client, one))  # type: ignore[misc]
            await parts.quiet(180)
            weights[name].append((parts.memory()[name][1] - before) * 1000 / _WAITING)
    return compared(
        "memory of one that waits, in the worker",
        "kB",
        weights["worker"],
        "a workflow by hand",
        weights["by-hand"],
        at_most=1.3,
    )
