"""A journey's module keeps no variable that its enrollments would share."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import JourneyError

_MODULE = """
from collections import Counter
from datetime import timedelta

from temporalio import workflow

from domain.events import CartAbandoned
from workflows import Journey, Outcome

SEEN: Counter[str] = Counter()
WEIGHTS = {{"plain": 1, "witty": 2}}
ORDER = ["witty", "plain"]
NESTED: dict[str, dict[str, int]] = {{"seen": {{}}}}


@workflow.defn
class Counts(Journey[CartAbandoned]):
    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        {line}
        return Outcome.completed()
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "counts_of_a_test.py"
    sys.modules.pop("counts_of_a_test", None)


def _import(path: Path, line: str) -> None:
    path.write_text(_MODULE.format(line=line), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("counts_of_a_test", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["counts_of_a_test"] = made
    spec.loader.exec_module(made)


@pytest.mark.parametrize(
    "line",
    [
        "SEEN[cart.cart_id] += 1",
        "SEEN.update([cart.cart_id])",
        "global WEIGHTS",
        "del WEIGHTS['plain']",
        "WEIGHTS['plain'] = 2",
        "ORDER.sort()",
        "ORDER.reverse()",
        "NESTED['seen']['c1'] = 1",
        "NESTED['seen'].update(c1=1)",
    ],
)
def test_a_variable_that_all_enrollments_would_share_is_found_at_import(
    module: Path, line: str
) -> None:
    with pytest.raises(JourneyError, match="all enrollments would share it"):
        _import(module, line)


def test_constants_may_be_read_and_ones_own_be_changed(module: Path) -> None:
    _import(module, "mine = dict(WEIGHTS); mine['plain'] = SEEN[cart.cart_id]; mine.pop('witty')")


def test_what_is_ones_own_may_have_the_name_of_a_constant(module: Path) -> None:
    _import(module, "ORDER = [cart.cart_id]; ORDER.append('c2')")
