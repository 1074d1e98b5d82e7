"""docs/enter-a-journey.md: its examples are journeys, and its table of re-entry is what holds."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from domain.events import CartAbandoned, PageAbandoned, ScheduledEntry, SegmentEntered
from journeys.catalog import Catalog
from tests.integration.test_entry_rules import refusal
from workflows import Journey

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "enter-a-journey.md").read_text()


def test_every_example_is_a_journey(tmp_path: Path) -> None:
    source = tmp_path / "entered.py"
    source.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    spec = importlib.util.spec_from_file_location("entered", source)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["entered"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["entered"]
    found: list[type[Journey[Any, Any]]] = [
        value for name, value in vars(module).items() if name != "Journey" and _is_journey(value)
    ]
    catalog = Catalog(found)
    triggers = {cls.declaration.name: cls.declaration.triggers for cls in found}
    assert triggers == {
        "big_cart": (CartAbandoned,),
        "left_something": (CartAbandoned, PageAbandoned),
        "welcome": (SegmentEntered,),
        "morning_news": (ScheduledEntry,),
    }
    assert catalog.entry("big_cart", CartAbandoned(cart_id="c1", total=499)) is None
    (left,) = catalog.entries(PageAbandoned(url="/lamps"))
    assert left.key == "/lamps"
    assert catalog.entries(SegmentEntered(segment="another")) == ()
    assert list(catalog.schedules()) == ["morning_news"]


def _is_journey(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Journey)


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ("`ONCE`", "once"),
        ("`AFTER_EXIT` (the default)", "after exit"),
        ("`ReEntry(pause=timedelta(days=30))`", "after a pause"),
        ("`ALWAYS`", "always"),
    ],
)
def test_the_table_of_re_entry_is_the_one_that_is_tested(line: str, policy: str) -> None:
    befores = ("live", "ended just now", "ended before the pause is over", "ended long ago")
    codes = (refusal(policy, before) for before in befores)
    cells = " | ".join("enters" if code is None else f"`{code}`" for code in codes)
    assert f"| {line} | {cells} |" in PAGE
