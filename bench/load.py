"""The load generator: raw sockets, one request under way on each connection.

    python -m bench.load '{"port": 8000, "kinds": [["/noop", "page_seen", 20000], …], …}'

prints one line of JSON. It takes turns between kinds of request every half second or so, so
that whatever else the machine does meanwhile is the same for all of them. Every response is
checked; one that is not 200 ends the run.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import uvloop

_PRIME = 7919
_HOST = "127.0.0.1"
_WARM_UP = 0.1
# What any event of a benchmark may have; `another` is an order that no journey is about.
_PROPERTIES = {"order_id": "another", "survey": "s1", "score": 9, "total": 81.5, "sku": "lamp-1"}


class Kind(NamedTuple):
    """A kind of request: `event` posted to `path`, spread over so many customers."""

    path: str
    event: str
    customers: int


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        kinds: the kinds of request, in turn.
        prefix: of message ids, different for every run.
        connections: how many, each with one request under way.
        turns: how many for each kind.
        seconds: how long a turn is counted, after a short warm-up that is not.
    """

    port: int
    kinds: Sequence[Kind]
    prefix: str
    connections: int = 32
    turns: int = 5
    seconds: float = 0.6


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


class _Connection(asyncio.Protocol):
    def __init__(
        self, kind: Kind, prefix: str, number: int, failed: "asyncio.Future[None]"
    ) -> None:
        body = {
            "userId": user(0),
            "messageId": f"{prefix}-{number:03d}-00000000",
            "event": kind.event,
            "properties": _PROPERTIES,
        }
        raw = request(kind.path, json.dumps(body).encode()).replace(b"%", b"%%")
        # The same length with every number, so that sending one is one formatting.
        self._template = raw.replace(user(0).encode(), b"customer-%06d")
        self._template = self._template.replace(b"-00000000", b"-%08d")
        self._customers = kind.customers
        self._customer = number * 104_729
        self._failed = failed
        self._going = False
        self.waiting = False
        self.answered = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data[:5] == b"HTTP/" and data[9:12] != b"200":
            if not self._failed.done():
                self._failed.set_exception(RuntimeError(data.decode(errors="replace")))
            return
        if data[-1:] == b"}":  # the head may come in a segment of its own
            self.answered += 1
            if self._going:
                self._send()
            else:
                self.waiting = False

    def connection_lost(self, _: Exception | None) -> None:
        if not self._failed.done():
            self._failed.set_exception(ConnectionError("a connection was lost"))

    def go(self) -> None:
        self._going = self.waiting = True
        self._send()

    def stop(self) -> None:
        self._going = False

    def _send(self) -> None:
        self._customer = (self._customer + _PRIME) % self._customers
        self._transport.write(self._template % (self._customer, self.answered))


async def generate(load: Load) -> Counted:
    """Send as fast as answers come.

    Raises:
        RuntimeError: an answer was not 200.
        ConnectionError: a connection was lost.
    """
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    groups: list[list[_Connection]] = []
    for index, kind in enumerate(load.kinds):
        prefix = f"{load.prefix}-{index}"
        group = [
            _Connection(Kind(*kind), prefix, number, failed) for number in range(load.connections)
        ]
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


async def run(load: Load) -> Counted:
    """Generate in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", json.dumps(asdict(load)), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the load generator failed; its own words are above")
    return Counted(**json.loads(output))


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
    if sys.argv[1] == "answer":
        uvloop.run(answer(int(sys.argv[2])))
    else:
        print(json.dumps(asdict(uvloop.run(generate(Load(**json.loads(sys.argv[1])))))))
