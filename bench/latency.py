"""From an HTTP request to the channel's call, against the SDK's own way from signal to activity."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from statistics import median, quantiles

from temporalio.client import Client

from bench.journeys import SendAtOnce
from bench.load import request, user
from bench.plan import Measured, Plan
from bench.raw import TASK_QUEUE, ByHand
from bench.report import Figure, compared
from bench.stage import Stage, stage, until
from domain.events import CartAbandoned, SurveyAnswered
from infra.database.accept import entry_effect
from workflows import Parameters

PER_SECOND = 20
_ANSWER = {"survey": "s1", "score": 9, "order_id": "o1"}

Samples = list[list[float]]
"""Seconds, by repeat."""


async def measure(plan: Plan) -> Measured:
    """Measure both at 20 a second, in turns of one second."""
    turns = 3 if plan.quick else 5
    ours: Samples = []
    theirs: Samples = []
    async with stage() as parts:
        plan.say("latency: preparing")
        await parts.start("api", "bench.processes", "api")
        await parts.start("worker", "bench.processes", "worker")
        await parts.start("raw", "bench.processes", "raw")
        client = await Client.connect(parts.settings.temporal_target)
        await _enroll(parts, client, plan.repeats * turns * PER_SECOND)
        async with _door(parts.settings.api_port) as door:
            numbers = iter(range(plan.repeats * turns * PER_SECOND))
            for repeat in range(plan.repeats):
                plan.say(f"latency, {repeat + 1} of {plan.repeats}")
                ours.append([])
                theirs.append([])
                for _ in range(turns):
                    block = [next(numbers) for _ in range(PER_SECOND)]
                    ours[-1] += await _paced(parts, "ours", block, door.post)
                    theirs[-1] += await _paced(parts, "raw", block, lambda n: _signal(client, n))
            acknowledged = median(door.acknowledged) * 1000
    return Measured(
        _figures(ours, theirs),
        [f"Of that way, the API's acknowledgement takes {acknowledged:.1f} ms (p50)."],
    )


def _figures(ours: Samples, theirs: Samples) -> Sequence[Figure]:
    def p50(samples: Samples) -> list[float]:
        return [median(repeat) * 1000 for repeat in samples]

    def p99(samples: Samples) -> float:
        return quantiles([s * 1000 for repeat in samples for s in repeat], n=100)[98]

    against = "SDK, signal to activity"
    return (
        compared(
            f"request to channel, p50 at {PER_SECOND}/s",
            "ms",
            p50(ours),
            against,
            p50(theirs),
            at_most=1.5,
        ),
        Figure(
            f"request to channel, p99 at {PER_SECOND}/s",
            p99(ours),
            "ms",
            against=against,
            against_value=p99(theirs),
            at_most=100,
        ),
    )


async def _enroll(parts: Stage, client: Client, count: int) -> None:
    """Let as many customers wait in the journey as workflows wait that are written by hand."""
    cart = CartAbandoned(cart_id="c1")
    entry = SendAtOnce.declaration.entry(cart, Parameters())
    assert entry is not None
    wish = {"entries": [entry_effect(entry)]}
    await parts.pool.execute(
        "insert into heard_name (name) values ($1) on conflict do nothing", SurveyAnswered.name
    )
    incoming = []
    for number in range(count):
        reachable = {"traits": {}, "addresses": {"push": f"ours-{number}"}}
        incoming.append(parts.event(number, "identify", {}, reachable))
        incoming.append(parts.event(number, cart.name, {"cart_id": "c1"}, wish))
    await parts.post(incoming)
    for number in range(count):
        await client.start_workflow(
            ByHand.run, f"raw-{number}", id=f"raw-{number}", task_queue=TASK_QUEUE
        )
    await parts.carried()
    await parts.quiet()


async def _paced(
    parts: Stage, name: str, numbers: Sequence[int], send: Callable[[int], Awaitable[None]]
) -> list[float]:
    """Send one after another at the pace, whether or not the last one has arrived.

    Each at a random moment of its own slot, because a steady beat falls into step with the
    server's own; the same moments for whatever is compared.
    """
    loop = asyncio.get_running_loop()
    moments = random.Random(numbers[0])
    sent: dict[str, float] = {}
    sending = []
    begin = loop.time()
    for place, number in enumerate(numbers):
        await asyncio.sleep(begin + (place + moments.random()) / PER_SECOND - loop.time())
        sent[f"{name}-{number}"] = time.monotonic()
        sending.append(asyncio.ensure_future(send(number)))
    await asyncio.gather(*sending)
    arrived: dict[str, float] = {}

    async def all_there() -> bool:
        for line in parts.records.read_text(encoding="ascii").splitlines():
            what, at = line.split()
            arrived[what] = float(at)
        return sent.keys() <= arrived.keys()

    await until(all_there, 20, "some of what was sent did not arrive")
    await asyncio.sleep(0.2)  # what follows the call is not the next turn's load
    return [arrived[what] - at for what, at in sent.items()]


async def _signal(client: Client, number: int) -> None:
    await client.get_workflow_handle(f"raw-{number}").signal(ByHand.survey_answered, _ANSWER)


class _Door:
    """Kept-alive connections to the API.

    Attributes:
        acknowledged: seconds from each request to its acknowledgement.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.acknowledged: list[float] = []

    async def post(self, number: int) -> None:
        """Post the answer of one customer.

        Raises:
            RuntimeError: it was not accepted.
        """
        reader, writer = (
            self._free.pop()
            if self._free
            else await asyncio.open_connection("127.0.0.1", self._port)
        )
        event = {"userId": user(number), "event": SurveyAnswered.name, "properties": _ANSWER}
        began = time.monotonic()
        writer.write(request("/v1/track", json.dumps(event).encode()))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}")
        self.acknowledged.append(time.monotonic() - began)
        if b" 200 " not in head:
            raise RuntimeError(head.decode())
        self._free.append((reader, writer))

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()


@contextlib.asynccontextmanager
async def _door(port: int) -> AsyncIterator[_Door]:
    door = _Door(port)
    try:
        yield door
    finally:
        door.close()
