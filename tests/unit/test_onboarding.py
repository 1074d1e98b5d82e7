"""The story of the onboarding (C16, C19, C20)."""

from datetime import timedelta
from itertools import product

from domain.customers import Customer
from domain.events import InviteSent, PurchaseMade, SignedUp
from domain.outcomes import OutcomeKind
from infra.templates import JinjaRenderer
from journeys.onboarding import LESSONS, Onboarding
from rehearsal import Rehearsal
from workflows import email

ADA = SignedUp(username="ada")
INVITED = InviteSent(invitee_email="ben@example.test")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


async def test_a_welcome_at_once_and_a_lesson_at_ten_where_the_customer_is(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Onboarding, ADA, time_zone="Pacific/Auckland")
    assert play.sent == ["welcome/email"]
    await play.at("2026-01-06 09:59")
    assert play.sent == ["welcome/email"]
    await play.at("2026-01-06 10:00")
    assert play.sent == ["welcome/email", "first lesson/email"]
    assert play.handed[-1].subject == "Your first ten minutes"


async def test_the_second_lesson_waits_for_office_hours_in_the_middle_of_a_week(
    stage: Rehearsal,
) -> None:
    # It is Monday. The first lesson is on Tuesday, three days later it is Friday.
    play = await stage.play(Onboarding, ADA, time_zone="America/New_York")
    await play.at("2026-01-13 08:59")
    assert play.sent[-1] == "first lesson/email"
    await play.at("2026-01-13 09:00")
    assert play.sent[-1] == "second lesson/email"


async def test_c16_who_has_become_a_team_since_gets_a_teams_second_lesson(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Onboarding, ADA)
    await play.passes(2 * DAY)
    assert play.handed[-1].subject == "Your first ten minutes"
    play.who.segments = ("teams",)
    await play.passes(7 * DAY)
    assert play.handed[-1].subject == "Who does what: roles in your team"


async def test_c16_a_team_is_a_team_from_the_start_where_it_says_so(stage: Rehearsal) -> None:
    play = await stage.play(Onboarding, ADA, segments=("teams",))
    await play.passes(2 * DAY)
    assert play.handed[-1].subject == "Better together: invite a colleague"


async def test_c20_who_invites_colleagues_on_the_first_day_is_past_the_first_lesson(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Onboarding, ADA, time_zone="Europe/Berlin")
    await play.happens(INVITED)
    play.who.segments = ("teams",)
    # On Tuesday at ten the second lesson's hours are open already.
    await play.at("2026-01-06 10:00")
    assert play.sent == ["welcome/email", "second lesson/email"]
    assert play.handed[-1].subject == "Who does what: roles in your team"


async def test_c20_an_invitation_after_the_first_lesson_brings_the_second_sooner(
    stage: Rehearsal,
) -> None:
    play = await stage.play(Onboarding, ADA)
    await play.passes(DAY)
    assert play.sent[-1] == "first lesson/email"
    await play.happens(INVITED)
    assert play.sent[-1] == "second lesson/email"


async def test_a_purchase_ends_it_wherever_it_stands(stage: Rehearsal) -> None:
    for days, sent in ((0, 1), (2, 2), (10, 3), (16, 4)):
        play = await stage.play(Onboarding, ADA)
        await play.passes(days * DAY)
        await play.happens(PurchaseMade(order_id="o1"))
        assert (await play.ends()).kind is OutcomeKind.CONVERTED
        assert len(play.sent) == sent


async def test_the_last_word_is_dealt_once_and_for_all(stage: Rehearsal) -> None:
    for last_word in ("help", "offer"):
        ada = stage.customer()
        ada.variants["onboarding's last word"] = last_word
        play = await stage.play(Onboarding, ADA, who=ada)
        assert (await play.ends()).kind is OutcomeKind.COMPLETED
        assert play.sent[-1] == f"{last_word}/email"


def test_c19_the_table_of_lessons_has_a_mail_for_every_persona() -> None:
    assert set(LESSONS) == set(product(("first", "second"), ("alone", "team")))
    nobody = Customer(id="cus_1")
    subjects = {
        JinjaRenderer().render(email(template, ADA), nobody).subject
        for template in LESSONS.values()
    }
    assert len(subjects) == len(LESSONS)
