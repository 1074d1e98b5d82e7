"""`python -m bench`: measure, show the table, write results/latest.json."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable

from bench import (
    accepting,
    batching,
    completing,
    endurance,
    footprint,
    latency,
    rehearsing,
    relaying,
)
from bench.plan import Measured, Plan
from bench.report import Figure, table, write
from cli.leaving import leave_after

MEASUREMENTS: dict[str, Callable[[Plan], Awaitable[Measured]]] = {
    "accepting": accepting.measure,
    "batching": batching.measure,
    "relaying": relaying.measure,
    "endurance": endurance.measure,
    "latency": latency.measure,
    "completing": completing.measure,
    "start": footprint.measure_start,
    "memory": footprint.measure_memory,
    "rehearsing": rehearsing.measure,
}


async def _run(plan: Plan, names: list[str]) -> None:
    figures: list[Figure] = []
    notes: list[str] = []
    for name in names:
        measured = await MEASUREMENTS[name](plan)
        figures += measured.figures
        notes += measured.notes
    print()
    print(table(figures))
    print()
    print("\n".join(notes))
    print(f"\nWritten to {write(figures, notes, quick=plan.quick)}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three repeats instead of five")
    parser.add_argument("--only", choices=MEASUREMENTS, help="one measurement alone")
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("SOJOURN_")]:
        del os.environ[name]  # a developer's own settings are not what is measured
    names = [arguments.only] if arguments.only else list(MEASUREMENTS)
    asyncio.run(_run(Plan(arguments.quick), names))


if __name__ == "__main__":
    leave_after(main)
