"""Lint finds in a journey what would not replay, and names what to write instead."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts import BIN

_ROOT = Path(__file__).parents[2]
_HEAD = """
import asyncio
import os
import time
import uuid
from datetime import date, datetime

from temporalio import workflow


async def run(self):
"""


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("datetime.now()", "await self.now()"),
        ("datetime.utcnow()", "await self.now()"),
        ("date.today()", "await self.now()"),
        ("time.time()", "await self.now()"),
        ("import random", "await self.split(…)"),
        ("from random import choice", "await self.split(…)"),
        ("from uuid import uuid4", "self.step"),
        ("uuid.uuid4()", "self.step"),
        ("await asyncio.sleep(1)", "await self.sleep(…)"),
        ("await asyncio.gather()", "await self.first_of(…)"),
        ("await asyncio.wait_for(f(), 1)", "await self.wait_for(…, timeout=…)"),
        ("import requests", "an activity"),
        ("import httpx", "an activity"),
        ("os.environ['X']", "Parameters"),
        ("os.getenv('X')", "Parameters"),
        ("import logging", "self.note(…)"),
        ("workflow.logger.info('x')", "self.note(…)"),
    ],
)
def test_lint_bans_what_would_not_replay_and_names_what_to_write(
    tmp_path: Path, line: str, instead: str
) -> None:
    folder = tmp_path / "journeys"
    folder.mkdir()
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    shutil.copy(_ROOT / "journeys/ruff.toml", folder)
    (folder / "wrong.py").write_text(f"{_HEAD}    {line}\n")
    ran = subprocess.run(
        [str(BIN / "ruff"), "check", "--no-cache", "--output-format", "json", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    last = len(f"{_HEAD}{line}".splitlines())
    banned = [
        found["message"]
        for found in json.loads(ran.stdout)
        if found["code"] == "TID251" and found["location"]["row"] == last
    ]
    assert len(banned) == 1, ran.stdout
    assert instead in banned[0]
