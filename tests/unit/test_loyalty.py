"""The story of a regular customer, for ten years (C15, C18)."""

from datetime import timedelta

import pytest

from domain.events import AccountDeleted, PurchaseMade, SegmentEntered
from domain.outcomes import OutcomeKind
from journeys.loyalty import Loyalty
from rehearsal import NotEntered, Rehearsal

REGULAR = SegmentEntered(segment="regular", evidence={"orders": 3})
DAY = timedelta(days=1)
YEAR = timedelta(days=365, hours=6)


async def test_ten_years_with_an_order_a_month(stage: Rehearsal) -> None:
    play = await stage.play(Loyalty, REGULAR)
    for month in range(120):
        await play.happens(PurchaseMade(order_id=f"o{month}"))
        await play.passes(YEAR / 12)
    assert (await play.ends()).reason == "years: 10, orders: 120"
    assert len([name for name in play.sent if name.startswith("gift")]) == 12
    assert len([name for name in play.sent if name.startswith("anniversary")]) == 10
    first, *_, last = [mail for mail in play.handed if mail.step.startswith("anniversary")]
    assert first.subject == "1 year with you"
    assert last.subject == "10 years with you"
    assert "and 120 orders" in last.text


async def test_ten_years_without_a_word_from_the_customer(stage: Rehearsal) -> None:
    began = stage.now
    play = await stage.play(Loyalty, REGULAR)
    assert (await play.ends()).reason == "years: 10, orders: 0"
    assert stage.now - began >= 10 * YEAR
    assert len(play.sent) == 10


async def test_every_tenth_order_brings_a_gift_when_the_customer_is_awake(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Loyalty, REGULAR, time_zone="Europe/Berlin")
    await play.at("2026-02-01 23:00")
    for n in range(10):
        await play.happens(PurchaseMade(order_id=f"o{n}"))
    assert play.sent == []
    await play.at("2026-02-02 09:00")
    assert play.sent == ["gift/email"]
    assert play.handed[0].subject == "10 orders: this one is on us"


async def test_c15_each_year_anew_value_chooses_between_a_call_and_a_mail(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Loyalty, REGULAR)
    await play.passes(YEAR + DAY)
    assert play.sent == ["anniversary/email"]
    play.who.segments = ("high_value",)
    await play.passes(YEAR)
    (task,) = play.tasks
    assert (task.role, task.request.title) == ("concierge", "Say thank you: 2 years, 0 orders")
    await play.answers("reached", by="kim")
    play.who.segments = ()
    await play.passes(YEAR)
    assert [name for name in play.sent if name.endswith("/email")] == [
        "anniversary/email",
        "anniversary.2/email",
    ]


async def test_c15_whom_nobody_reaches_gets_the_mail(stage: Rehearsal) -> None:
    play = await stage.play(Loyalty, REGULAR, segments=("high_value",))
    await play.passes(YEAR + DAY)
    await play.answers("not reached", by="kim")
    assert play.sent == ["ask_concierge_told/webhook", "anniversary/email"]


async def test_orders_during_a_call_are_counted(stage: Rehearsal) -> None:
    play = await stage.play(Loyalty, REGULAR, segments=("high_value",))
    await play.passes(YEAR + DAY)
    for n in range(3):
        await play.happens(PurchaseMade(order_id=f"o{n}"))
    await play.answers("reached", by="kim")
    await play.happens(AccountDeleted())
    assert (await play.ends()).reason == "left; years: 1, orders: 3"


async def test_who_deletes_the_account_is_gone(stage: Rehearsal) -> None:
    play = await stage.play(Loyalty, REGULAR)
    await play.passes(100 * DAY)
    await play.happens(AccountDeleted())
    assert (await play.ends()).kind is OutcomeKind.EXITED


async def test_c18_the_third_order_starts_it_once_in_a_lifetime(stage: Rehearsal) -> None:
    with pytest.raises(NotEntered, match="says no"):
        await stage.play(Loyalty, SegmentEntered(segment="lapsing"))
    play = await stage.play(Loyalty, REGULAR)
    await play.happens(AccountDeleted())
    with pytest.raises(NotEntered, match="only once"):
        await stage.play(Loyalty, REGULAR, who=play.who)
