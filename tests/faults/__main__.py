"""`python -m tests.faults`: break everything for a while, and count what is lost or doubled."""

import argparse
import asyncio
import os
import random
import signal
import sys
from typing import NoReturn

from cli.leaving import leave_after
from tests.faults.report import table
from tests.faults.run import Wish, run


def main() -> NoReturn:
    """Read the arguments, run, and say how it went; exit code 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="of load and faults")
    parser.add_argument("--seed", type=int, default=None, help="by default a random one")
    parser.add_argument("--lease", type=float, default=20, help="of the relays, in seconds")
    parser.add_argument("--longest-stop", type=float, default=75, help="of a relay, in seconds")
    parser.add_argument("--customers", type=int, default=40)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--rate", type=float, default=40, help="events a second, roughly")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("SOJOURN_")]:
        del os.environ[name]  # a developer's own settings are not what is tested
    seed = given.seed if given.seed is not None else random.randrange(10_000)
    wish = Wish(
        seed=seed,
        seconds=given.seconds,
        lease=given.lease,
        longest_stop=given.longest_stop,
        customers=given.customers,
        clients=given.clients,
        rate=given.rate,
    )
    # A terminated run still ends the processes that it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _say(f"seed {seed}")
    result = asyncio.run(run(wish, _say))
    _say("\n" + table(result))
    sys.exit(1 if result.verdict.wrong else 0)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    leave_after(main)
