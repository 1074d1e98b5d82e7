"""What goes wrong and when: a plan that follows from the seed alone, and its execution."""

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.installation import APIS, POSTGRES, RELAYS, TEMPORAL, WORKERS, Installation
from tests.mailbox import Mailbox


class Fault(StrEnum):
    """The kinds of faults."""

    KILL_API = "kill -9 of an api"
    KILL_RELAY = "kill -9 of a relay"
    KILL_WORKER = "kill -9 of a worker"
    KILL_TEMPORAL = "kill -9 of Temporal"
    KILL_POSTGRES = "kill -9 of PostgreSQL"
    KILL_BACKEND = "kill -9 of one PostgreSQL backend"
    STOP_RELAY = "a relay stopped beyond its lease"
    STOP_API = "an api stopped"
    STOP_WORKER = "a worker stopped"
    STOP_TEMPORAL = "Temporal stopped"
    PROVIDER = "a provider fails"


_TARGETS = {
    Fault.KILL_API: APIS,
    Fault.KILL_RELAY: RELAYS,
    Fault.KILL_WORKER: WORKERS,
    Fault.KILL_TEMPORAL: (TEMPORAL,),
    Fault.KILL_POSTGRES: (POSTGRES,),
    Fault.KILL_BACKEND: (POSTGRES,),
    Fault.STOP_RELAY: RELAYS,
    Fault.STOP_API: APIS,
    Fault.STOP_WORKER: WORKERS,
    Fault.STOP_TEMPORAL: (TEMPORAL,),
    Fault.PROVIDER: ("push", "webhook"),
}
_STOPS = {Fault.STOP_RELAY, Fault.STOP_API, Fault.STOP_WORKER, Fault.STOP_TEMPORAL}
_ROUND = 22.0
_PAUSE = 1.0
_UNDER_WAY = 0.7
_PROVIDER_FAULTS = ("drop_after_accept", "drop_before_accept", "503", "slow")


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault.

    Attributes:
        at: seconds after the load began.
        target: a process, or a channel.
        seconds: how long the target is away.
        detail: which backend (a number from 0 to 1), or which of a provider's faults.
    """

    at: float
    fault: Fault
    target: str
    seconds: float
    detail: str = ""

    def __str__(self) -> str:
        words = f"{self.fault}: {self.target}"
        return words + (f", {self.seconds:.1f} s" if self.seconds else f", {self.detail}")


def plan(seed: int, seconds: float, lease: float, longest_stop: float) -> list[Strike]:
    """Every kind of fault in every round, in an order and at times of the seed's choosing.

    Args:
        seconds: how long the load lasts; a round takes what 22 seconds give, at least one.
        lease: the relays' lease in seconds: a stopped relay sleeps longer.
        longest_stop: of a relay, in seconds.
    """
    dice = random.Random(f"{seed} chaos")
    rounds = max(1, int(seconds / _ROUND))
    away = dict.fromkeys((*APIS, *RELAYS, *WORKERS, TEMPORAL, POSTGRES, "push", "webhook"), 0.0)
    strikes: list[Strike] = []
    for number in range(rounds):
        kinds = [*Fault, Fault.PROVIDER]
        dice.shuffle(kinds)
        for place, fault in enumerate(kinds):
            at = (number + (place + dice.random()) / len(kinds)) * seconds / rounds
            duration, detail = _how(dice, fault, lease, longest_stop)
            # Nothing is away any more when the load ends; the first second is calm.
            at = max(1.0, min(at, seconds - duration - 1))
            target = dice.choice(_TARGETS[fault])
            if away[target] > at:  # one process suffers one fault at a time
                target = min(_TARGETS[fault], key=lambda name: away[name])
                at = max(at, away[target])
            if number and at + duration > seconds:
                continue
            away[target] = at + duration + _PAUSE
            strikes.append(Strike(at, fault, target, duration, detail))
    return sorted(strikes, key=lambda strike: strike.at)


def _how(dice: random.Random, fault: Fault, lease: float, longest_stop: float) -> tuple[float, str]:
    """For how long, and in what way."""
    if fault is Fault.STOP_RELAY:
        return min(lease * dice.uniform(1.2, 3), longest_stop), ""
    if fault in _STOPS:
        # Some longer than a client's patience and a worker's heartbeat, some not.
        return dice.uniform(0.5, 8), ""
    if fault is Fault.KILL_BACKEND:
        return 0.0, f"{dice.random():.3f}"
    if fault is Fault.PROVIDER:
        return 0.0, dice.choice(_PROVIDER_FAULTS)
    return dice.uniform(0.2, 2), ""


class Chaos:
    """Carries a plan out.

    Args:
        tell: hears of each fault as it strikes.
    """

    def __init__(
        self, installation: Installation, mailbox: Mailbox, tell: Callable[[str], None]
    ) -> None:
        self.struck: Counter[Fault] = Counter()
        self._installation = installation
        self._mailbox = mailbox
        self._tell = tell
        # One process suffers one fault at a time.
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def carry_out(self, strikes: list[Strike]) -> None:
        """Let everything go wrong; returns when everything runs again."""
        began = asyncio.get_running_loop().time()

        async def one(strike: Strike) -> None:
            await asyncio.sleep(began + strike.at - asyncio.get_running_loop().time())
            async with self._locks[strike.target]:
                self._tell(str(strike))
                self.struck[strike.fault] += 1
                await self._carry_out(strike)

        async with asyncio.TaskGroup() as faults:
            for strike in strikes:
                faults.create_task(one(strike))

    async def _carry_out(self, strike: Strike) -> None:
        house, target = self._installation, strike.target
        if strike.fault is Fault.PROVIDER:
            await self._mailbox.fault(target, strike.detail, times=2, seconds=1)
        elif strike.fault is Fault.KILL_BACKEND:
            house.kill_backend(float(strike.detail))
            await asyncio.sleep(1)
        elif strike.fault in _STOPS:
            async with self._in_the_middle(strike.fault):
                house.stop(target)
            await asyncio.sleep(strike.seconds)
            house.let_go_on(target)
        else:
            async with self._in_the_middle(strike.fault):
                await house.kill(target)
            await asyncio.sleep(strike.seconds)
            await house.start(target)

    @contextlib.asynccontextmanager
    async def _in_the_middle(self, fault: Fault) -> AsyncIterator[None]:
        """Let the fault meet work under way: a relay with claims in its hand, a worker that sends.

        What they do takes milliseconds; a fault at any moment would mostly meet them idle.
        """
        if fault in {Fault.KILL_RELAY, Fault.STOP_RELAY}:
            async with self._locks[TEMPORAL]:
                self._installation.stop(TEMPORAL)
                await asyncio.sleep(_UNDER_WAY)
                yield
                self._installation.let_go_on(TEMPORAL)
            return
        if fault is Fault.KILL_WORKER:
            for channel in ("push", "webhook"):
                await self._mailbox.fault(channel, "slow", times=2, seconds=3 * _UNDER_WAY)
            await asyncio.sleep(_UNDER_WAY)
        yield
