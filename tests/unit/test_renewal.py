"""The story of a contract that ends on a day (C15, C21)."""

from datetime import date, timedelta

import pytest

from domain.events import ContractCancelled, ContractRenewed, ContractSigned
from domain.outcomes import OutcomeKind
from journeys.renewal import Renewal
from rehearsal import Rehearsal

# It is Monday, 5 January 2026, 10:00 UTC.
SIGNED = ContractSigned.of(
    {
        "contract_id": "k1",
        "ends_on": "2026-06-30",
        "plan": "Business",
        "price": 480,
        "currency": "EUR",
    }
)
RENEWED = ContractRenewed(contract_id="k1", ends_on=date(2027, 6, 30))
DAY = timedelta(days=1)


async def test_two_notices_in_working_hours_where_the_customer_is(stage: Rehearsal) -> None:
    play = await stage.play(Renewal, SIGNED, time_zone="America/New_York")
    await play.at("2026-05-01 08:59")  # a Friday, sixty days before the end
    assert play.sent == []
    await play.at("2026-05-01 09:00")
    assert play.sent == ["notice/email"]
    assert play.handed[0].subject == "Your contract ends on 30 June 2026"
    assert "your contract Business ends" in play.handed[0].text
    await play.at("2026-06-16 09:00")
    assert play.sent == ["notice/email", "last_notice/email"]
    assert (await play.ends()).reason == "it has ended"
    assert f"{stage.now:%Y-%m-%d %H:%M}" == "2026-07-01 04:00"


@pytest.mark.parametrize("moves_on", ["2026-02-01", "2026-04-30"])
async def test_who_moves_is_reminded_by_the_clock_there(stage: Rehearsal, moves_on: str) -> None:
    play = await stage.play(Renewal, SIGNED, time_zone="America/Los_Angeles")
    await play.at(f"{moves_on} 01:00")
    await stage.moves(play.who, "Pacific/Auckland")
    await play.at("2026-05-01 08:59")
    assert play.sent == []
    await play.at("2026-05-01 09:00")
    assert play.sent == ["notice/email"]


async def test_where_the_customer_is_is_not_asked_for_months_ahead(stage: Rehearsal) -> None:
    play = await stage.play(Renewal, SIGNED)
    (awaited,) = play.awaits
    assert awaited.until is not None
    assert awaited.until - stage.now > 100 * DAY


async def test_a_notice_that_falls_on_a_weekend_comes_on_monday(stage: Rehearsal) -> None:
    sunday = SIGNED.model_copy(update={"ends_on": date(2026, 7, 2)})
    play = await stage.play(Renewal, sunday, time_zone="Europe/Berlin")
    await play.at("2026-05-03 12:00")
    assert play.sent == []
    await play.at("2026-05-04 09:00")
    assert play.sent == ["notice/email"]


async def test_the_first_notice_comes_on_the_day_that_the_customer_asked_for(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Renewal, SIGNED, traits={"remind_on": "2026-03-10"})
    await play.at("2026-03-10 09:00")
    assert play.sent == ["notice/email"]


async def test_a_day_that_is_none_is_as_if_none_had_been_told(stage: Rehearsal) -> None:
    play = await stage.play(Renewal, SIGNED, traits={"remind_on": "in spring"})
    await play.at("2026-05-01 09:00")
    assert play.sent == ["notice/email"]


async def test_a_notice_whose_day_has_passed_is_not_made_up_for(stage: Rehearsal) -> None:
    short = SIGNED.model_copy(update={"ends_on": date(2026, 2, 1)})
    play = await stage.play(Renewal, short)
    assert (await play.ends()).reason == "it has ended"
    assert play.sent == ["last_notice/email"]


@pytest.mark.parametrize(("on", "sent"), [("2026-03-01", 0), ("2026-05-20", 1), ("2026-06-20", 2)])
async def test_a_renewal_ends_it_wherever_it_stands(stage: Rehearsal, on: str, sent: int) -> None:
    play = await stage.play(Renewal, SIGNED)
    await play.at(f"{on} 12:00")
    await play.happens(RENEWED)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert len(play.sent) == sent


async def test_the_next_term_is_a_journey_of_its_own(stage: Rehearsal) -> None:
    first = await stage.play(Renewal, SIGNED)
    await first.happens(RENEWED)
    second = await stage.play(Renewal, RENEWED, who=first.who)
    await second.at("2027-05-03 09:00")
    assert first.sent == []
    assert second.handed[0].subject == "Your contract ends on 30 June 2027"


async def test_c21_a_renewal_of_an_earlier_term_that_comes_late_renews_nothing(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Renewal, SIGNED)
    await play.happens(ContractRenewed(contract_id="k1", ends_on=date(2026, 6, 30)))
    await play.happens(ContractRenewed(contract_id="k2", ends_on=date(2027, 6, 30)))
    await play.at("2026-05-01 09:00")
    assert play.sent == ["notice/email"]


async def test_who_has_given_notice_is_not_reminded(stage: Rehearsal) -> None:
    play = await stage.play(Renewal, SIGNED)
    await play.happens(ContractCancelled(contract_id="k1"))
    assert (await play.ends()).kind is OutcomeKind.EXITED
    assert play.sent == []


async def test_c15_who_has_become_worth_it_since_is_called_and_not_written_to(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Renewal, SIGNED)
    await play.at("2026-06-01 12:00")
    play.who.segments = ("high_value",)
    await play.at("2026-06-16 09:00")
    (task,) = play.tasks
    assert task.role == "accounts"
    assert task.request.title == "Contract k1 ends on 2026-06-30: call the customer"
    await play.answers("renews", by="ann")
    await play.happens(RENEWED)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == ["notice/email", "ask_accounts_told/webhook"]


async def test_c14_who_is_not_called_in_time_gets_the_mail_after_all(stage: Rehearsal) -> None:
    play = await stage.play(Renewal, SIGNED, segments=("high_value",))
    await play.at("2026-06-18 09:00")
    assert [task.role for task in play.tasks] == ["accounts_lead"]
    await play.at("2026-06-19 09:00")
    assert play.sent[-1] == "last_notice/email"
