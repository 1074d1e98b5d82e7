"""The relay against one raw signal an event, and a backlog after Temporal was away."""

import asyncio
import time

from temporalio.client import Client

from bench.journeys import Listen
from bench.plan import Measured, Plan
from bench.raw import TASK_QUEUE, Keeps
from bench.report import Figure, compared
from bench.stage import Stage, stage
from domain.events import CartAbandoned, SurveyAnswered
from infra.database.accept import entry_effect
from infra.relay import IN_FLIGHT, Relay
from workflows import Parameters

PENDING = 10
_ENROLLED = 200
_ANSWER = {"survey": "s1", "score": 9, "order_id": "o1"}


async def measure(plan: Plan) -> Measured:
    """Measure in turn, then drain a backlog."""
    ours: list[float] = []
    theirs: list[float] = []
    backlog = 10_000 if plan.quick else 100_000
    async with stage() as parts:
        plan.say("relaying: preparing")
        client = await Client.connect(parts.settings.temporal_target)
        relay = Relay(parts.pool, client)
        await parts.start("worker", "bench.processes", "worker")
        await parts.start("raw", "bench.processes", "raw")
        await _enroll(parts, relay, 10 * _ENROLLED)
        for number in range(_ENROLLED):
            await client.start_workflow(Keeps.run, id=f"keeps-{number}", task_queue=TASK_QUEUE)
        await parts.quiet()
        for repeat in range(plan.repeats):
            plan.say(f"relaying, {repeat + 1} of {plan.repeats}")
            theirs.append(await _signal(client))
            await parts.quiet()
            await _wait(parts, _ENROLLED, PENDING)
            ours.append(PENDING * _ENROLLED / await _carry(parts, relay))
            await parts.quiet()
        plan.say(f"relaying: a backlog of {backlog:,} events")
        await _wait(parts, 10 * _ENROLLED, backlog // (10 * _ENROLLED))
        drained = await _carry(parts, relay)
    return Measured(
        [
            compared(
                f"events relayed, {PENDING} pending a customer",
                "/s",
                ours,
                "one signal an event",
                theirs,
                at_least=5,
            ),
            Figure(f"a backlog of {backlog:,} events drained", drained, "s"),
        ],
        [f"The backlog was spread over {10 * _ENROLLED:,} customers."],
    )


async def _enroll(parts: Stage, relay: Relay, count: int) -> None:
    cart = CartAbandoned(cart_id="c1")
    entry = Listen.declaration.entry(cart, Parameters())
    assert entry is not None
    await parts.pool.execute(
        "insert into heard_name (name) values ($1) on conflict do nothing", SurveyAnswered.name
    )
    wish = {"entries": [entry_effect(entry)]}
    await parts.post(
        [parts.event(number, cart.name, {"cart_id": "c1"}, wish) for number in range(count)]
    )
    await _carry(parts, relay)


async def _wait(parts: Stage, customers: int, events: int) -> None:
    """Let events wait for the relay."""
    for _ in range(events):
        await parts.post(
            [parts.event(number, SurveyAnswered.name, _ANSWER) for number in range(customers)]
        )


async def _carry(parts: Stage, relay: Relay) -> float:
    """Let the relay work until nothing waits. Returns seconds."""
    began = time.monotonic()
    working = asyncio.create_task(relay.run())
    try:
        await parts.carried(within=900)
        return time.monotonic() - began
    finally:
        working.cancel()
        await asyncio.wait({working})


async def _signal(client: Client) -> float:
    """As many signals under way as the relay has. Returns events/s."""
    waiting = [number for _ in range(PENDING) for number in range(_ENROLLED)]

    async def one() -> None:
        while waiting:
            handle = client.get_workflow_handle(f"keeps-{waiting.pop()}")
            await handle.signal(Keeps.survey_answered, _ANSWER)

    began, count = time.monotonic(), len(waiting)
    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))
    return count / (time.monotonic() - began)
