"""What mypy and pyright, both strict, say about how a journey is entered."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from tests.parts import BIN

REPOSITORY = Path(__file__).resolve().parents[2]

CODE = """
from datetime import time, timedelta

from temporalio import workflow

from audiences.purchases import orders_90d
from domain.audiences import Segment, about
from domain.events import CartAbandoned, PageAbandoned, ScheduledEntry, SegmentEntered
from workflows import (
    ALWAYS,
    EVERYBODY,
    WEEKDAYS,
    Journey,
    Outcome,
    Parameters,
    PerDay,
    ReEntry,
    Schedule,
)

frequent = Segment(lambda customer: customer[orders_90d] >= 3)


class Patience(Parameters):
    patience: timedelta = timedelta(hours=1)


def cart_of(event: CartAbandoned | PageAbandoned) -> str:
    return event.cart_id if isinstance(event, CartAbandoned) else ""


@workflow.defn
class Either(
    Journey[CartAbandoned | PageAbandoned, Patience],
    key=cart_of,
    where=lambda event: event.event_id != "",
    re_entry=ReEntry(pause=timedelta(days=30)),
    entries_per_day=1000,
):
    @workflow.run
    async def run(self, event: CartAbandoned | PageAbandoned) -> Outcome:
        await self.sleep(self.parameters.patience)
        match event:
            case CartAbandoned():
                return Outcome.completed(event.cart_id)
            case PageAbandoned():
                return Outcome.completed(event.url or "")


@workflow.defn
class Morning(
    Journey[ScheduledEntry | SegmentEntered],
    where=lambda event: isinstance(event, ScheduledEntry) or about(frequent)(event),
    schedule=Schedule(at=time(9), segment=frequent, days=WEEKDAYS, in_customers_zone=True),
    re_entry=ALWAYS,
    entries_per_day=PerDay(1000, "Europe/Berlin"),
):
    @workflow.run
    async def run(self, event: ScheduledEntry | SegmentEntered) -> Outcome:
        return Outcome.completed(event.segment or "")


@workflow.defn
class OneOfTwo(Journey[CartAbandoned | PageAbandoned]):
    @workflow.run
    async def run(self, event: CartAbandoned) -> Outcome:  # error
        return Outcome.completed(event.cart_id)


@workflow.defn
class Unnarrowed(Journey[CartAbandoned | PageAbandoned]):
    @workflow.run
    async def run(self, event: CartAbandoned | PageAbandoned) -> Outcome:
        return Outcome.completed(event.cart_id)  # error


class NoEvent(Journey[str]):  # error
    ...


Schedule(at=time(9))  # error
Schedule(at=9, segment=EVERYBODY)  # error
Schedule(at=time(9), segment="vip")  # error


class Wrong(Journey[CartAbandoned], entries_per_day="many"):  # error
    ...


class AlsoWrong(Journey[CartAbandoned], re_entry=True):  # error
    ...
"""
EXPECTED = {n for n, line in enumerate(CODE.splitlines(), 1) if line.endswith("# error")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "entered.py"
    written.write_text(CODE)
    return written


async def test_mypy_takes_what_is_right_and_refuses_what_is_wrong(file: Path) -> None:
    said = await _run(sys.executable, "-m", "mypy", "--no-error-summary", str(file))
    errors = {int(found[1]): found[2] for found in re.finditer(r"\.py:(\d+): error: (.*)", said)}
    assert errors.keys() == EXPECTED, said


async def test_pyright_takes_what_is_right_and_refuses_what_is_wrong(file: Path) -> None:
    configuration = {
        "include": [str(file)],
        "extraPaths": [str(REPOSITORY)],
        "typeCheckingMode": "strict",
    }
    (file.parent / "pyrightconfig.json").write_text(json.dumps(configuration))
    where = ("--pythonpath", sys.executable, "-p", str(file.parent))
    said = await _run(str(BIN / "basedpyright"), "--outputjson", *where)
    errors = [d for d in json.loads(said)["generalDiagnostics"] if d["severity"] == "error"]
    assert {d["range"]["start"]["line"] + 1 for d in errors} == EXPECTED, [
        (d["range"]["start"]["line"] + 1, d["message"]) for d in errors
    ]


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()
