"""One run: parts up, load and faults at once, quiet, the verdict."""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.acknowledgements import Acknowledgements
from tests.faults.chaos import Chaos, Fault, plan
from tests.faults.facts import Facts, gather_facts, wait_until_quiet
from tests.faults.installation import Installation, installation
from tests.faults.judge import Verdict, judge
from tests.faults.load import Load
from tests.mailbox import Mailbox, running_mailbox

_TELL_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What to run. The same wish gives the same clients and the same faults at the same times.

    Attributes:
        seconds: how long the load and the faults last.
        lease: the relays' lease in seconds; the one inside api-1 has production's.
        longest_stop: of a relay, in seconds.
        rate: events a second, roughly.
        patience: seconds until all must be quiet afterwards.
    """

    seed: int
    seconds: float
    lease: float = 20.0
    longest_stop: float = 75.0
    customers: int = 40
    clients: int = 12
    rate: float = 40.0
    patience: float = 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    wish: Wish
    log: Acknowledgements
    facts: Facts
    verdict: Verdict
    struck: Counter[Fault]
    deaths: list[str]
    took: float


async def run(wish: Wish, tell: Callable[[str], None]) -> Result:
    """Run, and judge. Logs are shown and their directory is kept if something is wrong.

    Args:
        tell: hears how it goes, line by line.
    """
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="sojourn-faults-"))
    kept = True
    try:
        async with (
            running_mailbox(directory / "mailbox") as mailbox,
            installation(directory, mailbox, wish.lease) as house,
        ):
            tell(f"everything is up after {time.monotonic() - began:.0f} s")
            try:
                result = await _play(wish, house, mailbox, tell, began)
            except BaseException:
                tell(house.last_words())
                raise
        kept = bool(result.verdict.wrong)
        return result
    finally:
        if kept:
            tell(f"the logs are in {directory / 'logs'}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


async def _play(
    wish: Wish,
    house: Installation,
    mailbox: Mailbox,
    tell: Callable[[str], None],
    began: float,
) -> Result:
    load = Load(
        wish.seed, house.urls, customers=wish.customers, clients=wish.clients, rate=wish.rate
    )
    await load.introduce()
    loaded = time.monotonic()

    def say(what: str) -> None:
        tell(f"{time.monotonic() - loaded:6.1f} s  {what}")

    chaos = Chaos(house, mailbox, say)
    progress = asyncio.create_task(_tell_progress(load.log, say))
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(load.run(wish.seconds))
            both.create_task(
                chaos.carry_out(plan(wish.seed, wish.seconds, wish.lease, wish.longest_stop))
            )
    finally:
        progress.cancel()
    say(f"the load is over: {_counts(load.log)}")
    unsettled = await wait_until_quiet(house.database_url, wish.patience, say)
    say("quiet" if not unsettled else "not quiet: " + "; ".join(unsettled))
    facts = await gather_facts(
        house.database_url,
        await house.client(),
        mailbox,
        list(load.log.posted.values()),
        unsettled,
        within=wish.patience,
    )
    return Result(
        wish,
        load.log,
        facts,
        judge(facts),
        chaos.struck,
        list(house.deaths),
        time.monotonic() - began,
    )


async def _tell_progress(log: Acknowledgements, say: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(_TELL_EVERY)
        say(_counts(log))


def _counts(log: Acknowledgements) -> str:
    return f"{len(log.posted)} events posted, {log.count} acknowledged"
