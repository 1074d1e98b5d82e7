"""The Python of the documentation: all of it is type-checked, and the reference is played."""

import ast
import asyncio
import importlib.util
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from temporalio import activity

import domain.events
from domain.events import CartAbandoned, PurchaseMade, SurveyAnswered
from rehearsal import Rehearsal
from tests.parts import BIN
from workflows import Journey

_ROOT = Path(__file__).parents[2]
_EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_REFERENCE = "docs/authoring.md"
_FIRST = "docs/write-a-journey.md"
_PAGES = sorted(
    path.relative_to(_ROOT).as_posix()
    for path in (_ROOT / "README.md", *_ROOT.glob("docs/**/*.md"))
    if _EXAMPLE.search(path.read_text())
)
_UNUSED = "# pyright: reportUnusedImport=false, reportUnusedVariable=false\n"
_USUAL = """
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pydantic import BaseModel, Field
from temporalio import workflow
from domain.audiences import *
from domain.events import {events}
from journeys.abandoned_cart import GENTLE_REMINDER, REMINDER, CartParameters
from journeys.post_purchase_survey import SURVEY
from rehearsal import Rehearsal
from workflows import *
"""
"""What the examples of a page may take for granted that does not say it."""
_WITHIN = {
    "docs/test-a-journey.md": "async def example{}(Broken: type[Journey[CartAbandoned]], "
    "rehearsal: Rehearsal, event: CartAbandoned) -> None:\n",
}
"""What a piece of code stands in that is no module; elsewhere in a journey."""
_JOURNEY = """
@workflow.defn
class Example{}(
    Journey[CartAbandoned],
    listens=[
        PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed, PageAbandoned, EmailDelivered,
        EmailBounced,
    ],
    key=lambda cart: cart.cart_id,
):
    \"\"\"An example.\"\"\"

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
"""


def _module(page: str) -> str:
    """The examples of a page, as one module."""
    examples = _EXAMPLE.findall((_ROOT / page).read_text())
    declared = set(re.findall(r"^class (\w+)", "\n".join(examples), re.MULTILINE))
    taken = ", ".join(name for name in domain.events.__all__ if name not in declared)
    usual = "" if page == _REFERENCE else _USUAL.format(events=taken)
    parts = [_UNUSED, usual, "from domain.events import TicketClosed\n"]
    for number, example in enumerate(examples):
        if _is_module(example):
            parts.append(example)
            continue
        if page in _WITHIN:
            parts.append(_WITHIN[page].format(number) + textwrap.indent(example, "    "))
            continue
        code = textwrap.indent(f"{example}return Outcome.completed()\n", " " * 8)
        parts.append(_JOURNEY.format(number) + code)
    return "\n".join(parts)


def _is_module(example: str) -> bool:
    """Whether it stands by itself: it declares something and awaits nothing outside of it."""
    outside = [
        node
        for node in ast.parse(example).body
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return not any(
        isinstance(inner, ast.Await | ast.AsyncWith | ast.AsyncFor)
        for node in outside
        for inner in ast.walk(node)
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every page's examples, a module each, in a copy of what a project with them looks like."""
    folder = tmp_path_factory.mktemp("docs")
    for page in _PAGES:
        module = _module(page).replace("from journeys.thank_you", f"from {_name(_FIRST)}")
        (folder / f"{_name(page)}.py").write_text(module)
    return folder


def _name(page: str) -> str:
    return "page_" + re.sub(r"\W", "_", page.removesuffix(".md").removeprefix("docs/"))


async def test_every_example_passes_mypy(written: Path) -> None:
    pages = [str(written / f"{_name(page)}.py") for page in _PAGES]
    said = await _run(sys.executable, "-m", "mypy", "--no-error-summary", *pages)
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert not errors, "\n".join(errors)


async def test_every_example_passes_pyright(written: Path) -> None:
    settings = {"include": [str(written)], "extraPaths": [str(_ROOT)], "typeCheckingMode": "strict"}
    (written / "pyrightconfig.json").write_text(json.dumps(settings))
    where = ("--pythonpath", sys.executable, "-p", str(written))
    said = await _run(str(BIN / "basedpyright"), "--outputjson", *where)
    errors = [
        (Path(d["file"]).name, d["range"]["start"]["line"] + 1, d["message"])
        for d in json.loads(said)["generalDiagnostics"]
        if d["severity"] == "error" and not d["message"].endswith("is imported more than once")
    ]
    assert not errors


def _imported(written: Path, page: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_name(page), written / f"{_name(page)}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[_name(page)] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference(written: Path) -> Iterator[ModuleType]:
    """The reference, imported: every example of it is a journey."""
    yield _imported(written, _REFERENCE)
    del sys.modules[_name(_REFERENCE)]


@activity.defn(name="score_cart")
async def _score_cart(cart_id: str) -> float:
    return len(cart_id) / 2


async def test_every_example_of_the_reference_can_be_played(reference: ModuleType) -> None:
    found: list[type[Journey[Any, Any]]] = [
        value for name, value in vars(reference).items() if name.startswith("Example")
    ]
    assert len(found) > 20
    order = PurchaseMade(order_id="o1", cart_id="c1")
    answer = SurveyAnswered(survey="s", score=9)
    for cls in found:
        for heard in ([], [order], [answer, order]):
            stage = Rehearsal(journeys=[reference.Thanks], activities=[_score_cart])
            async with stage as rehearsal:
                play = await rehearsal.play(cls, CartAbandoned(cart_id="c1"), traits={"tier": "no"})
                for event in heard:
                    await play.happens(event)
                assert (await play.ends()).kind in {"completed", "converted", "exited"}


@pytest.mark.parametrize(("at", "hours"), [("2026-04-01 09:00", 0), ("2026-06-01 09:00", 7 * 24)])
async def test_who_entered_before_a_change_goes_the_old_way(
    written: Path, at: str, hours: int
) -> None:
    module = _imported(written, "docs/change-a-running-journey.md")
    async with Rehearsal(at=at, replays=True, continues=True) as rehearsal:
        began = rehearsal.now
        purchase = PurchaseMade(order_id="o1")
        play = await rehearsal.play(module.AskedLater, purchase, addresses={"email": "a@b.test"})
        await play.ends()
        assert [mail.at - began for mail in play.handed] == [timedelta(hours=hours)]


def test_the_reference_has_every_verb() -> None:
    text = (_ROOT / _REFERENCE).read_text()
    verbs = {
        name
        for base in Journey.__mro__
        if base.__module__.startswith("workflows.")
        for name, value in vars(base).items()
        if not name.startswith("_") and callable(value) and name != "run"
    }
    assert {verb for verb in verbs if f"self.{verb}(" not in text} == set()


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()
