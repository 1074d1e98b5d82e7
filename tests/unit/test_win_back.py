"""The story of the win-back (C6, C17, C18)."""

from datetime import timedelta

import pytest

from domain.events import EmailLinkClicked, Product, PurchaseMade, SegmentEntered
from domain.outcomes import OutcomeKind
from journeys.win_back import WinBack
from rehearsal import NotEntered, Play, Rehearsal

LAPSING = SegmentEntered(segment="lapsing", evidence={"orders": 2, "days_since_order": 60})
CLICKED = EmailLinkClicked(link_url="https://shop.example/lamps")
EVERYBODY = {"held_out": 0}
DAY = timedelta(days=1)


def _days(play: Play) -> list[int]:
    """On which days after the entry mails were sent."""
    return [(mail.at - play.handed[0].at) // DAY for mail in play.handed]


async def test_c18_only_the_segment_that_is_meant_starts_it(stage: Rehearsal) -> None:
    with pytest.raises(NotEntered):
        await stage.play(WinBack, SegmentEntered(segment="high_value"))


async def test_c6_each_ignored_mail_doubles_the_pause_and_three_are_enough(
    stage: Rehearsal,
) -> None:
    play = await stage.play(WinBack, LAPSING, parameters=EVERYBODY)
    assert (await play.ends()).reason == "3 mails ignored: left in peace"
    assert play.sent == ["we_miss_you/email", "what_is_new/email", "what_is_new.2/email"]
    assert _days(play) == [0, 4, 12]


async def test_c6_a_click_brings_the_usual_cadence_back(stage: Rehearsal) -> None:
    play = await stage.play(WinBack, LAPSING, parameters=EVERYBODY)
    await play.passes(4 * DAY)  # ignored: the pause after the second mail is eight days
    await play.passes(3 * DAY)
    await play.happens(CLICKED)  # on the seventh day: four days later, and not sixteen
    await play.passes(4 * DAY)
    assert _days(play) == [0, 4, 11]
    await play.passes(4 * DAY)
    assert _days(play) == [0, 4, 11, 15]


async def test_c6_who_reads_is_not_disturbed(stage: Rehearsal) -> None:
    play = await stage.play(WinBack, LAPSING, parameters=EVERYBODY)
    for _ in range(5):
        await play.passes(3 * DAY)
        await play.happens(CLICKED)
    assert _days(play) == [0]
    await play.passes(4 * DAY)
    assert _days(play) == [0, 19]


@pytest.mark.parametrize(
    ("orders", "between", "days"),
    [
        (5, 360, [0, 22, 67]),  # an order every ninety days
        (3, 730, [0, 60, 120]),  # one a year: no pause is longer than two months
        (2, 7, [0, 4, 12]),  # one a week: none is shorter than four days
    ],
)
async def test_c17_the_same_journey_spaced_by_what_was_bought_before(
    stage: Rehearsal, orders: int, between: int, days: list[int]
) -> None:
    last = stage.now - 60 * DAY
    computed = {
        "orders": orders,
        "first_order_at": (last - between * DAY).isoformat(),
        "last_order_at": last.isoformat(),
    }
    play = await stage.play(WinBack, LAPSING, parameters=EVERYBODY, computed=computed)
    await play.ends()
    assert _days(play) == days


async def test_a_purchase_ends_it(stage: Rehearsal) -> None:
    play = await stage.play(WinBack, LAPSING, parameters=EVERYBODY)
    await play.passes(2 * DAY)
    await play.happens(PurchaseMade(order_id="o1"))
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == ["we_miss_you/email"]


async def test_the_first_mail_names_what_was_bought_last(stage: Rehearsal) -> None:
    ada = stage.customer()
    ada.acknowledge(PurchaseMade(order_id="o1", products=(Product(name="Kettle"),)))
    ada.acknowledge(PurchaseMade(order_id="o2", products=(Product(name="Lamp"),)))
    await stage.passes(60 * DAY)
    play = await stage.play(WinBack, LAPSING, who=ada, parameters=EVERYBODY)
    assert "your last order (Lamp)" in play.handed[0].text


async def test_c26_who_is_held_out_gets_nothing_and_it_is_known(stage: Rehearsal) -> None:
    play = await stage.play(WinBack, LAPSING, parameters={"held_out": 1})
    assert (await play.ends()).kind is OutcomeKind.EXITED
    assert play.sent == []
    assert play.who.variants == {"win_back holdout": "held_out"}
