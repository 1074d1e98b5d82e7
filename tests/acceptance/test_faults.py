"""Everything is killed and stopped under load; nothing is lost, nothing doubled (G1 to G4).

`make faults` runs the same for longer, and with other seeds.
"""

import sys

import pytest

from tests.faults.chaos import Fault
from tests.faults.report import table
from tests.faults.run import Wish, run

pytestmark = pytest.mark.acceptance


async def test_whatever_is_killed_every_event_counts_once_and_in_order() -> None:
    wish = Wish(seed=3, seconds=20, lease=3, customers=15, clients=16, rate=50)
    result = await run(wish, lambda line: print(line, file=sys.stdout))  # noqa: T201
    print(table(result))  # noqa: T201 - for whoever reads a failure
    assert result.verdict.wrong == {}
    assert result.log.refused == []
    # It did happen: faults of every kind, under load, with journeys that ended and began anew.
    assert set(result.struck) == set(Fault)
    assert result.log.count == len(result.log.posted) > 200
    assert result.log.answers["503"] + result.log.answers["ReadTimeout"] > 0
    assert sum(one.ordinal > 1 for one in result.facts.enrolled) > 5
    assert len(result.facts.received) > 3
