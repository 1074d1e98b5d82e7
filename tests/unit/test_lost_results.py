"""What a step has left to a new run, and the code cannot read any more, parks the journey (17, 18).

Each journey is begun as in a second run, with what the first one left.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio import workflow

from domain.carried import Carried, StepRecord, StoryRecord
from domain.enrollments import Start
from domain.events import CartAbandoned, Envelope, PurchaseMade, SurveyAnswered, TicketOpened
from rehearsal import Rehearsal
from rehearsal.execution import Execution
from workflows import Journey, Outcome, Parameters

DAY = timedelta(days=1)
_AT = "2026-01-05T09:00:00+00:00"


class What(Parameters):
    """Which step the journey takes."""

    what: str = ""


class Bought(BaseModel):
    """What a loop remembers."""

    orders: int


@workflow.defn
class ReadsAgain(
    Journey[CartAbandoned, What], listens=[PurchaseMade, SurveyAnswered, TicketOpened], key=None
):
    """Takes one step, and says what it gave."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Take it."""
        said: object = cart.cart_id
        match self.parameters.what:
            case "wait_for":
                said = await self.wait_for(PurchaseMade, timeout=DAY, step="news")
            case "first_of":
                said = await self.first_of(PurchaseMade, SurveyAnswered, timeout=DAY, step="news")
            case "all_of":
                said = await self.all_of(PurchaseMade, SurveyAnswered, timeout=DAY, step="news")
            case "quiet":
                said = await self.quiet(PurchaseMade, duration=DAY, step="news")
            case "until":
                async with self.until(PurchaseMade, step="news") as bought:
                    await self.sleep(DAY)
                said = bought.event
            case "step":
                said = await self.step("news", float, _work)
            case _:
                bought_so_far = Bought(orders=0)
                async for _ in self.rounds(bought_so_far, step="news"):
                    await self.sleep(DAY)
        await self.sleep(DAY, step="afterwards")
        return Outcome.completed(str(said))


async def _work() -> float:
    return 1.0


def _event(name: str, **properties: Any) -> dict[str, Any]:
    return asdict(Envelope(2, name, "e2", _AT, properties))


async def _second_run(
    rehearsal: Rehearsal, what: str, news: StepRecord, *untaken: Envelope
) -> Execution:
    play = await rehearsal.play(ReadsAgain, CartAbandoned(cart_id="c1"))
    story = StoryRecord(now="", since=None, until=None, notes=[], forgotten=0)
    carried = Carried(
        run=1,
        entered_at=datetime.fromisoformat(_AT),
        heard=2,
        untaken=list(untaken),
        steps={"news": news},
        story=story,
    )
    start = Start(
        enrollment_id=play.enrollment.enrollment_id,
        customer_id=play.who.customer_id,
        journey="reads_again",
        parameters={"what": what},
        events=[Envelope(1, "cart_abandoned", "e1", _AT, {"cart_id": "c1"})],
        carried=carried,
    )
    execution = rehearsal.engine.start(ReadsAgain, "second run", start)
    await rehearsal.engine.settle()
    return execution


def _gave(result: Any) -> StepRecord:
    return StepRecord(ended="done", result=result)


BOUGHT = _event("purchase_made", order_id="o1")
CHANGED = _event("purchase_made", ordered="o1")
NEEDED = "purchase_made: properties.order_id: Field required"

LOST = [
    ("wait_for", _gave(CHANGED), NEEDED),
    ("wait_for", _gave(_event("survey_answered", survey="s", score=1)), "survey_answered is not"),
    ("first_of", _gave(CHANGED), NEEDED),
    ("first_of", _gave(_event("ticket_opened", ticket_id="t1")), "ticket_opened is not what is"),
    ("first_of", _gave(_event("cart_stolen")), "there is no event type cart_stolen any more"),
    ("all_of", _gave([BOUGHT]), "it waited for 1 then, and for 2 now"),
    ("all_of", _gave([BOUGHT, CHANGED]), "purchase_made is not what is waited for there now"),
    ("until", _gave({"event": CHANGED, "others": False}), NEEDED),
    ("step", _gave("much"), "float: Input should be a valid number"),
    (
        "quiet",
        StepRecord(
            deadline=None, state={"count": 1, "last": CHANGED, "until": "2026-01-05T09:30:00+00:00"}
        ),
        NEEDED,
    ),
    (
        "rounds",
        StepRecord(state={"round": 2, "memory": {"order": 1}, "counts": {"news": 1}}),
        "Bought: orders: Field required",
    ),
]


@pytest.mark.parametrize(("what", "news", "why"), LOST)
async def test_17_what_a_step_left_and_cannot_be_read_parks_the_journey_and_says_what_to_do(
    rehearsal: Rehearsal, what: str, news: StepRecord, why: str
) -> None:
    execution = await _second_run(rehearsal, what, news)
    assert execution.parked
    said = str(execution.mistake)
    assert said.startswith("the step 'news' has left, in an earlier run, what this code cannot")
    assert why in said
    assert "the journey goes on from there" in said


@pytest.mark.parametrize("what", ["wait_for", "first_of"])
async def test_18_what_can_be_read_is_as_it_was(rehearsal: Rehearsal, what: str) -> None:
    execution = await _second_run(rehearsal, what, _gave(BOUGHT))
    assert [each.what for each in execution.awaits()] == ["afterwards: pause of 1 day"]
    await rehearsal.passes(DAY)
    _, enrollment = rehearsal.store.records.find(rehearsal.plays[0].enrollment.enrollment_id)
    assert enrollment.outcome is not None
    assert "order_id='o1'" in enrollment.outcome.reason


async def test_4_an_untaken_event_that_a_new_run_cannot_read_is_shown_to_support(
    rehearsal: Rehearsal,
) -> None:
    untaken = Envelope(2, "purchase_made", "e2", _AT, {"ordered": "o1"})
    execution = await _second_run(rehearsal, "wait_for", StepRecord(), untaken)
    assert not execution.parked
    story = (await execution.query("status"))["story"]
    assert "⚠ **purchase_made** `e2` could not be read and is left out" in story
