"""The load generator: raw sockets, one request under way on each connection.

    python -m bench.load generate '{"port": 8000, "kinds": [["/noop", "page_seen", 20000], …], …}'
    python -m bench.load pace '{"port": 8000, "kind": …, "rate": 1000, …}'

prints one line of JSON. `generate` takes turns between kinds of request every half second or so, so
that whatever else the machine does meanwhile is the same for all of them. Every response is
checked; one that is not 200 ends the run.
"""

import asyncio
import base64
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from random import getrandbits
from typing import Any, NamedTuple

import uvloop

_PRIME = 7919
_HOST = "127.0.0.1"
_WARM_UP = 0.1
_ANY_ID = "0" * 32
PROPERTIES = {"order_id": "another", "survey": "s1", "score": 9, "total": 81.5, "sku": "lamp-1"}
"""What any event of a benchmark has; `another` is an order that no journey is about."""


class Kind(NamedTuple):
    """A kind of request: `event` posted to `path`, spread over so many customers.

    Attributes:
        batch: events a request, each of another customer; 1: a single call without a batch.
    """

    path: str
    event: str
    customers: int
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        kinds: the kinds of request, in turn.
        connections: how many, each with one request under way.
        turns: how many for each kind.
        seconds: how long a turn is counted, after a short warm-up that is not.
    """

    port: int
    kinds: Sequence[Kind]
    connections: int = 32
    turns: int = 5
    seconds: float = 0.6


@dataclass(frozen=True, slots=True)
class Pace:
    """What to send at a steady pace, whether or not answers come: as callers do.

    Attributes:
        rate: requests a second.
        connections: as many requests can be under way; a request that finds none free waits,
            and its waiting counts.
    """

    port: int
    kind: Kind
    rate: float
    seconds: float
    connections: int = 256


@dataclass(frozen=True, slots=True)
class Counted:
    """What was answered; `rates` a second for each kind, `cpu` the generator's share of a core."""

    rates: Sequence[float]
    cpu: Sequence[float]


def request(path: str, body: bytes, key: str = "dev") -> bytes:
    """One request as bytes."""
    credentials = base64.b64encode(f"{key}:".encode()).decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {_HOST}\r\nAuthorization: Basic {credentials}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def user(number: int) -> str:
    """A customer's user id; all have the same length."""
    return f"customer-{number:06d}"


def message_id() -> str:
    """A message id. Random, as stock libraries make them, so its place in an index is any."""
    return f"{getrandbits(128):032x}"


class _Connection(asyncio.Protocol):
    def __init__(self, kind: Kind, number: int, failed: "asyncio.Future[None]") -> None:
        one = {
            "userId": user(0),
            "messageId": _ANY_ID,
            "event": kind.event,
            "properties": PROPERTIES,
        }
        body: dict[str, Any] = one
        if kind.batch > 1:
            body = {"batch": [{"type": "track", **one} for _ in range(kind.batch)]}
        raw = request(kind.path, json.dumps(body).encode()).replace(b"%", b"%%")
        # The same length with every number, so that sending one is one formatting.
        self._template = raw.replace(user(0).encode(), b"customer-%06d")
        self._template = self._template.replace(_ANY_ID.encode(), b"%032x")
        self._customers = kind.customers
        self._batch = kind.batch
        self._unread = 0  # bytes of an answer that have not come yet
        self._customer = number * 104_729
        self._failed = failed
        self._going = False
        self._sent = 0.0
        self.waiting = False
        self.answered = 0
        self.took: list[float] = []
        self.when_free: Callable[[], None] = lambda: None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._unread:
            if data[9:12] != b"200":
                if not self._failed.done():
                    self._failed.set_exception(RuntimeError(data.decode(errors="replace")))
                return
            head, _, _ = data.partition(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._unread = len(head) + 4 + int(length)
        self._unread -= len(data)
        if not self._unread:
            self.answered += self._batch
            if self._going:
                self._send()
            else:
                self.waiting = False
                self.took.append(time.monotonic() - self._sent)
                self.when_free()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._failed.done():
            self._failed.set_exception(ConnectionError("a connection was lost"))

    def go(self) -> None:
        self._going = self.waiting = True
        self._send()

    def stop(self) -> None:
        self._going = False

    def once(self, due: float) -> None:
        """Send one request, which was due at a moment."""
        self.waiting = True
        self._sent = due
        self._send()

    def _send(self) -> None:
        numbers: list[int] = []
        for _ in range(self._batch):
            self._customer = (self._customer + _PRIME) % self._customers
            numbers += (self._customer, getrandbits(128))
        self._transport.write(self._template % tuple(numbers))


async def generate(load: Load) -> Counted:
    """Send as fast as answers come.

    Raises:
        RuntimeError: an answer was not 200.
        ConnectionError: a connection was lost.
    """
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    groups: list[list[_Connection]] = []
    for kind in load.kinds:
        group = [_Connection(Kind(*kind), number, failed) for number in range(load.connections)]
        for connection in group:
            await loop.create_connection(lambda c=connection: c, _HOST, load.port)  # type: ignore[misc]
        groups.append(group)

    async def pause(seconds: float) -> None:
        await asyncio.wait({failed}, timeout=seconds)
        if failed.done():
            failed.result()

    answered, elapsed, cpu = ([0.0] * len(groups) for _ in range(3))
    for _ in range(load.turns):
        for index, group in enumerate(groups):
            for connection in group:
                connection.go()
            await pause(_WARM_UP)
            before = time.monotonic(), time.process_time(), sum(c.answered for c in group)
            await pause(load.seconds)
            after = time.monotonic(), time.process_time(), sum(c.answered for c in group)
            for connection in group:
                connection.stop()
            while any(connection.waiting for connection in group):
                await pause(0.005)
            elapsed[index] += after[0] - before[0]
            cpu[index] += after[1] - before[1]
            answered[index] += after[2] - before[2]
    return Counted(
        [count / seconds for count, seconds in zip(answered, elapsed, strict=True)],
        [used / seconds for used, seconds in zip(cpu, elapsed, strict=True)],
    )


async def keep_pace(pace: Pace) -> list[float]:
    """Send at the pace. Returns the seconds from when each was due to its answer.

    Raises:
        RuntimeError: an answer was not 200.
        ConnectionError: a connection was lost.
    """
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    kind = Kind(*pace.kind)
    everyone = [_Connection(kind, number, failed) for number in range(pace.connections)]
    free = deque(everyone)
    due: deque[float] = deque()

    def send() -> None:
        while free and due:
            free.popleft().once(due.popleft())

    for connection in everyone:
        await loop.create_connection(lambda c=connection: c, _HOST, pace.port)  # type: ignore[misc]

        def is_free(connection: _Connection = connection) -> None:
            free.append(connection)
            send()

        connection.when_free = is_free
    began, count = time.monotonic(), 0
    while (now := time.monotonic()) < began + pace.seconds or due or len(free) < len(everyone):
        while count < min(now - began, pace.seconds) * pace.rate:
            due.append(began + count / pace.rate)
            count += 1
        send()
        await asyncio.wait({failed}, timeout=0.001)
        if failed.done():
            failed.result()
    return [seconds for connection in everyone for seconds in connection.took]


async def run(load: Load) -> Counted:
    """Generate in a process of its own."""
    return Counted(**await _apart("generate", load))


async def run_pace(pace: Pace) -> list[float]:
    """Keep a pace from a process of its own."""
    took: list[float] = await _apart("pace", pace)
    return took


async def _apart(what: str, plan: Load | Pace) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.load",
        what,
        json.dumps(asdict(plan)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the load generator failed; its own words are above")
    return json.loads(output)


class _Answerer(asyncio.Protocol):
    _ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"success":true}'

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        self._transport.write(self._ANSWER)


async def answer(port: int) -> None:
    """Answer everything with the same bytes: what the generator is measured against."""
    server = await asyncio.get_running_loop().create_server(_Answerer, _HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    _, _what, _plan = sys.argv
    if _what == "answer":
        uvloop.run(answer(int(_plan)))
    elif _what == "pace":
        print(json.dumps(uvloop.run(keep_pace(Pace(**json.loads(_plan))))))
    else:
        print(json.dumps(asdict(uvloop.run(generate(Load(**json.loads(_plan)))))))
