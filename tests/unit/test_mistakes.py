"""Mistakes in a journey's code are found at import, and what is right is not taken for one."""

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

from domain.errors import JourneyError

_HEAD = """
import asyncio, itertools, random, time, uuid
import datetime as dt
from asyncio import gather
from datetime import date, datetime, timedelta
from pydantic import BaseModel
from temporalio import workflow
from temporalio import workflow as wf
from temporalio.workflow import sleep as nap
from domain import events
from domain.events import CartAbandoned, PurchaseMade, TicketClosed, TicketOpened
from workflows import ALWAYS, ONCE, Journey, Outcome, Template, email, on

DAY = timedelta(days=1)
BOTH = (PurchaseMade, TicketOpened)
NOTE = Template("wrong/note", PurchaseMade)


class Bought(BaseModel):
    orders: int = 0
    seen: list[str] = []


async def ticket_of(customer, days):
    return await customer.wait_for(TicketOpened, timeout=days)


async def purchase_of(journey):
    return await journey.wait_for(PurchaseMade, timeout=DAY)


async def patient(journey):
    while True:
        await journey.sleep(DAY)


async def outside(journey):
    return await wf.execute_activity("x")


class Mixin:
    async def tickets(self):
        return await self.wait_for(TicketOpened, timeout=DAY)


class Written(BASES, LINE):
    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
BODY
        return Outcome.completed()

    async def _helper(self):
HELPER
"""


def _import(
    folder: Path,
    body: str,
    *,
    helper: str = "pass",
    members: str = "",
    bases: str = "Journey[CartAbandoned]",
    line: str = "listens=[PurchaseMade]",
) -> None:
    code = _HEAD.replace("BASES", bases).replace("LINE", line)
    code = code.replace("BODY", textwrap.indent(textwrap.dedent(body).strip(), " " * 8))
    code = code.replace("HELPER", textwrap.indent(textwrap.dedent(helper).strip(), " " * 8))
    code += textwrap.indent(members, " " * 4) + "\n"
    source = folder / "written.py"
    source.write_text(code)
    spec = importlib.util.spec_from_file_location("written", source)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["written"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(sys.modules["written"])
    finally:
        del sys.modules["written"]


_UNDECLARED = r"waits for TicketOpened but does not listen to it: add it to `listens=\[…\]`"
_LOOP = r"line \d+: write the `while` that waits as `async for _ in self.rounds"
_LEAVES = r"a loop of rounds changes '{}', which a new run would not know"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("await self.wait_for(TicketOpened, timeout=DAY)", _UNDECLARED),
        ("await self.wait_for(events.TicketOpened, timeout=DAY)", _UNDECLARED),
        ("await self.first_of(PurchaseMade, on(TicketOpened), timeout=DAY)", _UNDECLARED),
        ("await self.first_of(*BOTH, timeout=DAY)", _UNDECLARED),
        ("for kind in (PurchaseMade, TicketOpened): await self.quiet(kind, duration=DAY)", None),
        ("[await self.wait_for(one, timeout=DAY) for one in BOTH]", _UNDECLARED),
        ("kind = TicketOpened\nawait self.wait_for(kind, timeout=DAY)", _UNDECLARED),
        ("async with self.until(TicketOpened): await self.sleep(DAY)", _UNDECLARED),
        ("async def later(): await self.wait_for(TicketOpened, timeout=DAY)", _UNDECLARED),
        ("await ticket_of(self, DAY)", _UNDECLARED),
        ("await ticket_of(days=DAY, customer=self)", _UNDECLARED),
        ("while True:\n    await self.sleep(DAY)", _LOOP),
        ("while not (await self.customer()).traits:\n    pass", _LOOP),
        ("while True:\n    async with self.until(PurchaseMade): pass", _LOOP),
        ("while cart:\n    [await self.sleep(DAY) for _ in range(3)]", _LOOP),
        ("while cart:\n    await self._helper()", _LOOP),
        ("await patient(self)", _LOOP),
        ("for n in itertools.count():\n    await self.sleep(DAY)", "endless `for`"),
        ("for tag in {'a', 'b'}:\n    await self.sleep(DAY)", r"`for … in sorted\(…\)`"),
        ("await workflow.sleep(DAY)", r"lambda: workflow.sleep\(…\)\)` for `workflow.sleep\(…\)`"),
        ("await wf.execute_activity('x')", "outside of a step it would be done again"),
        ("await nap(DAY)", "outside of a step it would be done again"),
        ("await outside(self)", "outside of a step it would be done again"),
        ("await asyncio.sleep(1)", r"write `await self.sleep\(…\)` for `asyncio.sleep\(…\)`"),
        ("await gather(self.sleep(DAY), self.sleep(DAY))", r"`self.all_of\(…\)`"),
        ("until = workflow.now() + DAY", r"write `await self.now\(\)` for `workflow.now\(…\)`"),
        (
            "datetime.now()",
            r"write `await self.now\(\)` for `datetime.now\(…\)`: it gives something",
        ),
        ("dt.datetime.utcnow()", r"write `await self.now\(\)`"),
        ("date.today()", r"write `await self.now\(\)`"),
        ("still = lambda: datetime.now()", r"write `await self.now\(\)`"),
        ("await self.step('x', float, lambda: time.time())", r"write `await self.now\(\)`"),
        ("random.choice([1, 2])", r"write `await self.split\(…\)`"),
        ("uuid.uuid4()", r"write `await self.split\(…\)`"),
        ("open('x')", r"with an activity for `open\(…\)`"),
        (
            "await self.send(email(NOTE, cart))",
            "'wrong/note' is written for PurchaseMade, and `cart`",
        ),
    ],
)
def test_a_mistake_in_the_code_is_found_at_import(
    tmp_path: Path, body: str, said: str | None
) -> None:
    with pytest.raises(JourneyError, match=said or _UNDECLARED):
        _import(tmp_path, body)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("count = 0\nasync for _ in self.rounds(bought):\n    count += 1", "count"),
        (
            "async for _ in self.rounds(bought):\n    last = await self.now()\nself.note(last)",
            "last",
        ),
        ("async for n in self.rounds(bought):\n    await self.now()\nself.note(n)", "n"),
        (
            (
                "async for _ in self.rounds(bought):\n    match await self.now():\n"
                "        case last: pass\nself.note(last)"
            ),
            "last",
        ),
        ("seen = []\nasync for _ in self.rounds(bought):\n    seen.append(1)", "seen"),
        ("seen = {}\nasync for _ in self.rounds(bought):\n    seen['x'] = 1", "seen"),
        ("async for _ in self.rounds(bought):\n    self.last = 1", "self.last"),
        ("async for _ in self.rounds(bought):\n    cart = None", "cart"),
        ("async for _ in self.rounds(bought):\n    bought = Bought()", "bought"),
        (
            (
                "inner = Bought()\nasync for _ in self.rounds(bought):\n"
                "    async for _ in self.rounds(inner):\n        bought.orders += 1"
            ),
            "bought",
        ),
    ],
)
def test_what_leaves_a_round_is_named_at_import(tmp_path: Path, body: str, name: str) -> None:
    with pytest.raises(JourneyError, match=_LEAVES.format(name)):
        _import(tmp_path, f"bought = Bought()\n{body}")


@pytest.mark.parametrize(
    "body",
    [
        "await purchase_of(self)",
        "await self.look_back(TicketOpened, within=DAY)",
        "for kind in (PurchaseMade,):\n    await self.wait_for(kind, timeout=DAY)",
        "for _ in range(3):\n    await self.sleep(DAY)",
        "for n in itertools.count():\n    if n > 3: break",
        "count = 3\nwhile count:\n    count -= 1",
        (
            "async def work():\n    return await workflow.execute_activity('x')\n"
            "await self.step('x', float, work)"
        ),
        (
            "async def work():\n    while True: await workflow.sleep(DAY)\n"
            "await self.step('x', float, lambda: work())"
        ),
        "await self.step('x', float, lambda: asyncio.gather(workflow.sleep(DAY)))",
        "await self.step('x', float, self._helper)",
        (
            "until = await self.now() + DAY\n"
            "await self.send(email(NOTE, None), still=lambda: workflow.now() < until)"
        ),
        "workflow.patched('x')\nworkflow.logger.info('x')",
        "async def others():\n    yield 1\nasync for one in others():\n    cart = one",
        # Names of their own: of comprehensions, of lambdas, of functions within.
        (
            "x = [one for one in range(3)]\nasync for _ in self.rounds(Bought()):\n"
            "    y = [one for one in range(3)]\n    await self.now()\nz = [one for one in range(3)]"
        ),
        (
            "one = 1\nasync for _ in self.rounds(Bought()):\n    f = lambda one: one\n"
            "    def g(): one = 2\n    await self.now()\nself.note(one)"
        ),
        (
            "async for _ in self.rounds(Bought()):\n    last = await self.now()\n"
            "    seen = [last]\n    seen.append(1)\nlast = 1\nself.note(last)"
        ),
        (
            "bought = Bought()\nasync for _ in self.rounds(bought):\n    bought.orders += 1\n"
            "    bought.seen.append('x')\n    await self.now()\nself.note(bought.orders)"
        ),
        "tournament = cart\nasync for x in tournament.rounds():\n    cart = x",
        "random = cart\nrandom.choice(1)",
    ],
)
def test_what_is_right_is_not_taken_for_a_mistake(tmp_path: Path, body: str) -> None:
    helper = "last = await workflow.execute_activity('x')\nreturn last"
    if "_helper" not in body:
        helper = "last = seen = one = bought = 1\nreturn last, seen, one, bought"
    _import(tmp_path, body, helper=helper)


def test_waits_of_base_classes_and_of_other_methods_are_found(tmp_path: Path) -> None:
    with pytest.raises(JourneyError, match=_UNDECLARED):
        _import(tmp_path, "await self.tickets()", bases="Mixin, Journey[CartAbandoned]")
    helper = "await self.wait_for(TicketOpened, timeout=DAY)"
    with pytest.raises(JourneyError, match=_UNDECLARED):
        _import(tmp_path, "await self._helper()", helper=helper)
    _import(
        tmp_path,
        "await self.tickets()",
        bases="Mixin, Journey[CartAbandoned]",
        line="listens=[TicketOpened]",
    )


_THIS_CART = (
    "await self.wait_for(PurchaseMade, where=lambda p: p.cart_id == cart.cart_id, timeout=DAY)"
)


@pytest.mark.parametrize(
    "body",
    [
        _THIS_CART,
        (
            "def this(p): return p.buys(cart)\n"
            "await self.wait_for(PurchaseMade, where=this, timeout=DAY)"
        ),
        "await self.first_of(on(PurchaseMade, lambda p: p.buys(cart)), PurchaseMade, timeout=DAY)",
    ],
)
def test_a_journey_about_one_thing_of_several_needs_a_key(tmp_path: Path, body: str) -> None:
    with pytest.raises(JourneyError, match=r"Write `key=lambda cart: …`.*or `key=None` where one"):
        _import(tmp_path, body)
    for meant in ("key=None", "key=lambda cart: cart.cart_id", "re_entry=ONCE", "re_entry=ALWAYS"):
        _import(tmp_path, body, line=f"listens=[PurchaseMade], {meant}")


@pytest.mark.parametrize("name", ["now", "note", "_people", "step"])
def test_a_journey_cannot_take_the_names_that_journey_needs(tmp_path: Path, name: str) -> None:
    with pytest.raises(JourneyError, match=f"choose another name for `{name}`"):
        _import(tmp_path, "pass", members=f"def {name}(self): pass")


def test_a_journey_begins_in_run(tmp_path: Path) -> None:
    with pytest.raises(JourneyError, match="a journey has no `__init__`: begin in `run`"):
        _import(tmp_path, "pass", members="def __init__(self): pass")
