"""The catalog finds journeys by their folders."""

import importlib.util
import sys
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from temporalio import workflow

from domain.errors import BadParameters, JourneyError
from domain.events import CartAbandoned, Event, PageAbandoned
from journeys.catalog import Catalog, discover
from rehearsal import Rehearsal
from tests.unit.specimens import EitherStarts, OneSend
from workflows import Journey, Outcome, Parameters
from workflows.templates import check_template_files


async def test_the_copies_that_the_sandbox_makes_are_not_found() -> None:
    async with Rehearsal(sandboxed=True) as rehearsal:
        await rehearsal.play(discover()[0], CartAbandoned(cart_id="c1"))
        names = [cls.declaration.name for cls in discover()]
    assert names == [
        "abandoned_cart",
        "back_in_stock",
        "loyalty",
        "onboarding",
        "post_purchase_survey",
        "quote_follow_up",
        "renewal",
        "search_help",
        "ticket_care",
        "win_back",
    ]


def test_two_journeys_of_one_name_are_refused() -> None:
    with pytest.raises(JourneyError, match="two journeys are called 'one_send'"):
        Catalog([OneSend, OneSend])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"no_such": {}}, "no_such"),
        ({"abandoned_cart": {"no_such": 1}}, "no_such"),
        ({"abandoned_cart": {"patience": "soon"}}, "patience"),
    ],
)
def test_a_wrong_parameter_is_named(overrides: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(BadParameters, match=said):
        Catalog(discover(), overrides)


@pytest.mark.parametrize(
    ("line", "decorator", "signature", "body", "said"),
    [
        (
            "Journey[CartAbandoned]",
            "@workflow.run",
            "self, cart: CartAbandoned",
            "await self.wait_for(PurchaseMade, timeout=DAY)",
            r"add it to `listens=\[…\]`",
        ),
        (
            "Journey[CartAbandoned]",
            "",
            "self, cart: CartAbandoned",
            "await self.sleep(DAY)",
            "decorate it with @workflow.run",
        ),
        (
            "Journey[CartAbandoned]",
            "@workflow.run",
            "self, purchase: PurchaseMade",
            "await self.sleep(DAY)",
            "for the event that starts it",
        ),
        (
            "Journey",
            "@workflow.run",
            "self, cart: CartAbandoned",
            "await self.sleep(DAY)",
            "say which event starts it",
        ),
        (
            "Journey[CartAbandoned | PurchaseMade]",
            "@workflow.run",
            "self, cart: CartAbandoned",
            "await self.sleep(DAY)",
            r"event: CartAbandoned \| PurchaseMade\) -> Outcome`, for every event that starts it",
        ),
        (
            "Journey[CartAbandoned | None]",
            "@workflow.run",
            "self, cart: CartAbandoned | None",
            "await self.sleep(DAY)",
            r"`Journey\[MyEvent \| MyOtherEvent\]`",
        ),
        (
            "Journey[Event]",
            "@workflow.run",
            "self, event: Event",
            "await self.sleep(DAY)",
            "say which event starts it",
        ),
        (
            "Journey[CartAbandoned], schedule=Schedule(at=time(9), segment=EVERYBODY)",
            "@workflow.run",
            "self, cart: CartAbandoned",
            "await self.sleep(DAY)",
            r"has a schedule: write `Journey\[CartAbandoned \| ScheduledEntry\]` for its event",
        ),
        (
            "Journey[ScheduledEntry]",
            "@workflow.run",
            "self, due: ScheduledEntry",
            "await self.sleep(DAY)",
            r"has none: add `schedule=Schedule\(at=…, segment=…\)` to the class line",
        ),
        (
            "Journey[CartAbandoned], entries_per_day=0",
            "@workflow.run",
            "self, cart: CartAbandoned",
            "await self.sleep(DAY)",
            r"`entries_per_day=`: .*at least 1",
        ),
        (
            "Journey[CartAbandoned | PurchaseMade], key=cart_of",
            "@workflow.run",
            "self, event: CartAbandoned | PurchaseMade",
            "await self.sleep(DAY)",
            r"`key=` must also take PurchaseMade.*`CartAbandoned \| PurchaseMade`",
        ),
        (
            "Journey[CartAbandoned]",
            "@workflow.run",
            "self, cart: CartAbandoned",
            "n = 0\n        async for _ in self.rounds(Parameters()):\n            n += 1",
            "a loop of rounds changes 'n'.*make it a field of the loop's memory",
        ),
    ],
)
def test_a_mistake_is_found_at_import(
    tmp_path: Path, line: str, decorator: str, signature: str, body: str, said: str
) -> None:
    source = tmp_path / "mistaken.py"
    source.write_text(
        f"""
from datetime import time, timedelta
from temporalio import workflow
from domain.events import CartAbandoned, Event, PurchaseMade, ScheduledEntry
from workflows import EVERYBODY, Journey, Outcome, Parameters, Schedule
def cart_of(cart: CartAbandoned) -> str:
    return cart.cart_id
DAY = timedelta(days=1)
class Mistaken({line}):
    {decorator}
    async def run({signature}) -> Outcome:
        {body}
        return Outcome.completed()
"""
    )
    spec = importlib.util.spec_from_file_location("mistaken", source)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["mistaken"] = importlib.util.module_from_spec(spec)
    try:
        with pytest.raises(JourneyError, match=said):
            spec.loader.exec_module(sys.modules["mistaken"])
    finally:
        del sys.modules["mistaken"]


E = TypeVar("E", bound=Event)


class Patience(Parameters):
    """Of a family of journeys."""

    after: timedelta = timedelta(hours=1)


class Patient(Journey[E, Patience]):
    """What several journeys share."""

    async def be_patient(self) -> None:
        """Wait."""
        await self.sleep(self.parameters.after)


@workflow.defn
class PatientCart(Patient[CartAbandoned]):
    """One of them."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Be patient."""
        await self.be_patient()
        return Outcome.completed(cart.cart_id)


def test_journeys_may_share_a_base_class_that_has_their_parameters() -> None:
    declaration = PatientCart.declaration
    assert (declaration.triggers, declaration.parameters) == ((CartAbandoned,), Patience)


@pytest.mark.parametrize(
    ("channel", "file", "said"),
    [
        ("push", "note.email.jinja", r"letter/templates/note.push.jinja: create it"),
        ("email", "other.email.jinja", r"letter/templates/note.email.jinja: create it"),
    ],
)
def test_a_template_that_is_not_there_is_found_before_anything_starts(
    tmp_path: Path, channel: str, file: str, said: str
) -> None:
    folder = tmp_path / "letter/templates"
    folder.mkdir(parents=True)
    (folder / file).touch()
    source = tmp_path / "letter/__init__.py"
    source.write_text(
        "from domain.events import CartAbandoned\n"
        f"from workflows import Template, {channel}\n"
        'NOTE = Template("letter/note", CartAbandoned)\n'
        f"def note(cart): return {channel}(NOTE, cart)\n"
    )
    spec = importlib.util.spec_from_file_location("letter", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(JourneyError, match=said):
        check_template_files(module, tmp_path)
    (folder / f"note.{channel}.jinja").touch()
    check_template_files(module, tmp_path)


def test_a_journey_may_start_by_several_events() -> None:
    catalog = Catalog([EitherStarts])
    for event, key in ((CartAbandoned(cart_id="c1"), "c1"), (PageAbandoned(url="/pricing"), "")):
        (entry,) = catalog.entries(event)
        assert (entry.journey, entry.key) == ("either_starts", key)
    assert catalog.entries(PageAbandoned()) == ()
    assert {"cart_abandoned", "page_abandoned"} <= catalog.heard_names()


async def test_a_journey_is_given_whichever_event_started_it(rehearsal: Rehearsal) -> None:
    for event, said in (
        (CartAbandoned(cart_id="c1"), "cart c1"),
        (PageAbandoned(url="/pricing"), "page /pricing"),
    ):
        play = await rehearsal.play(EitherStarts, event)
        assert (await play.ends()).reason == said
