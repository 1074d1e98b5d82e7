"""SIGTERM and Ctrl-C: once is asking, twice at once is asking, again is insisting."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.signals import SAME_SIGNAL
from tests.patience import PATIENCE

PROCESS = """
import asyncio
from cli.signals import until_signalled

async def work():
    try:
        print("ready", flush=True)
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep({tidying})
        print("tidied", flush=True)

until_signalled(work())
"""


def started(tidying: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS.format(tidying=tidying)],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_twice_at_once_is_one(second: signal.Signals) -> None:
    process = started(tidying=0.3)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(second)
    assert process.communicate(timeout=PATIENCE)[0] == "tidied\n"
    assert process.returncode == 0


def test_whoever_insists_is_obeyed() -> None:
    process = started(tidying=60)
    process.send_signal(signal.SIGTERM)
    time.sleep(SAME_SIGNAL + 0.1)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=PATIENCE)[0] == ""
    assert process.returncode == -signal.SIGTERM
