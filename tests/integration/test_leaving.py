"""A process that has spoken to Temporal ends with the exit code that it chose."""

import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]

# Answers are on their way when it ends: threads of the SDK that come to a house taken apart.
IN_THE_MIDST = """
import asyncio, sys
from temporalio.client import Client
from cli.leaving import leave_after

async def ask():
    client = await Client.connect("{address}")
    calls = [asyncio.ensure_future(client.count_workflows()) for _ in range(50)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

def main():
    asyncio.run(ask())
    print("said")
    sys.exit(1)

leave_after(main)
"""


def ended(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_answers_that_come_at_the_end_neither_abort_nor_hold_it(
    temporal: WorkflowEnvironment,
) -> None:
    address = temporal.client.service_client.config.target_host
    for _ in range(3):
        done = ended(IN_THE_MIDST.format(address=address))
        assert (done.returncode, done.stdout, done.stderr) == (1, "said\n", "")


@pytest.mark.parametrize(
    ("main", "code", "told"),
    [
        ("lambda: None", 0, ""),
        ("lambda: sys.exit()", 0, ""),
        ("lambda: sys.exit(7)", 7, ""),
        ("lambda: sys.exit('this stands in the way')", 1, "this stands in the way\n"),
        ("lambda: 1 / 0", 1, "ZeroDivisionError: division by zero\n"),
    ],
)
def test_the_exit_code_is_what_the_interpreter_would_have_made_it(
    main: str, code: int, told: str
) -> None:
    done = ended(f"import sys; from cli.leaving import leave_after; leave_after({main})")
    assert done.returncode == code
    assert done.stderr.endswith(told)
