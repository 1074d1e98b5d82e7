"""When a journey takes in a segment by the clock, through clock changes and around the world."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audiences import Segment
from domain.local_time import EVERY_DAY, WEEKDAYS, Day, Zone
from domain.schedules import EVERYBODY, Moment, Schedule
from infra.schedules import temporal_schedule

ZONES = (
    "Pacific/Kiritimati",
    "Pacific/Auckland",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "Europe/London",
    "UTC",
    "America/St_Johns",
    "America/New_York",
    "Etc/GMT+12",
)
NINE = Schedule(at=time(9), segment=EVERYBODY, in_customers_zone=True)


def moment_in(zone: str, day: date, schedule: Schedule = NINE) -> datetime:
    found = schedule.next_moment(day, [zone], None)
    assert found is not None
    return found.at


@pytest.mark.parametrize(
    ("zone", "day", "at"),
    [
        # Auckland's summer ends on 5 April 2026 and begins on 27 September.
        ("Pacific/Auckland", date(2026, 4, 4), "2026-04-03T20:00"),
        ("Pacific/Auckland", date(2026, 4, 5), "2026-04-04T21:00"),
        ("Pacific/Auckland", date(2026, 9, 26), "2026-09-25T21:00"),
        ("Pacific/Auckland", date(2026, 9, 27), "2026-09-26T20:00"),
        # Berlin's the other way round, on 29 March and 25 October.
        ("Europe/Berlin", date(2026, 3, 28), "2026-03-28T08:00"),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-29T07:00"),
        ("Europe/Berlin", date(2026, 10, 24), "2026-10-24T07:00"),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-25T08:00"),
    ],
)
def test_nine_is_nine_on_the_clock_there_on_both_sides_of_a_change(
    zone: str, day: date, at: str
) -> None:
    expected = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert moment_in(zone, day) == expected
    # The same where the zone is the schedule's own.
    assert moment_in("ignored", day, Schedule(at=time(9), segment=EVERYBODY, zone=zone)) == expected


def test_a_time_that_is_jumped_over_is_the_jump_and_of_one_that_comes_twice_the_first() -> None:
    at = Schedule(at=time(2, 30), segment=EVERYBODY, zone="Europe/Berlin")
    assert moment_in("", date(2026, 3, 29), at) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert moment_in("", date(2026, 10, 25), at) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@given(
    day=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
    at=st.times().map(lambda t: t.replace(microsecond=0)),
    zone=st.sampled_from(ZONES),
    everywhere=st.booleans(),
)
def test_an_occurrence_begins_before_it_is_time_anywhere_and_knows_its_day(
    day: date, at: time, zone: str, everywhere: bool
) -> None:
    schedule = Schedule(at=at, segment=EVERYBODY, zone=zone, in_customers_zone=everywhere)
    begins, days = schedule.begins
    # What Temporal does, which knows only UTC.
    started = [
        datetime.combine(day + timedelta(days=n), begins, UTC)
        for n in (-1, 0, 1)
        if (datetime.combine(day + timedelta(days=n), begins, UTC) + schedule.ahead).date() == day
    ]
    assert len(started) == 1
    for there in ZONES if everywhere else [zone]:
        due = moment_in(there, day, schedule)
        assert started[0] <= due
        # Whoever is made up for within the window is still within it.
        assert due + schedule.skip_if_late <= started[0] + schedule.catch_up
        assert due.astimezone(Zone(there).info).date() == day
    assert set(days) == set(EVERY_DAY)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 9, 23])
def test_the_days_are_those_on_the_clock_that_counts(zone: str, hour: int) -> None:
    for everywhere in (True, False):
        schedule = Schedule(
            at=time(hour),
            days=(Day.MONDAY,),
            segment=EVERYBODY,
            zone=zone,
            in_customers_zone=everywhere,
        )
        begins, (there,) = schedule.begins
        monday = date(2026, 3, 2)
        started = next(
            at
            for n in range(7)
            if (at := datetime.combine(date(2026, 2, 27) + timedelta(n), begins, UTC)).weekday()
            == there
        )
        assert (started + schedule.ahead).date() == monday


def test_the_moments_of_a_day_come_in_order_each_with_its_zones() -> None:
    told = ["Europe/Berlin", "Europe/Rome", None, "Pacific/Auckland", "Mars/Olympus", "Etc/GMT+12"]
    day, after, found = date(2026, 7, 1), None, list[Moment]()
    while moment := NINE.next_moment(day, told, after):
        found.append(moment)
        after = moment.at
    assert [(m.at.hour, m.at.day, m.zones) for m in found] == [
        (21, 30, ["Pacific/Auckland"]),
        (7, 1, ["Europe/Berlin", "Europe/Rome"]),
        (9, 1, [None, "Mars/Olympus"]),
        (21, 1, ["Etc/GMT+12"]),
    ]
    assert found[1].words == "09:00 in Europe/Berlin and Europe/Rome"


def test_temporal_is_told_a_time_in_utc_which_has_no_clock_changes() -> None:
    schedule = Schedule(at=time(9, 30), segment=EVERYBODY, days=WEEKDAYS, zone="Pacific/Auckland")
    told = temporal_schedule("newsletter", schedule)
    (calendar,) = told.spec.calendars
    assert told.spec.time_zone_name is None
    assert [r.start for r in (*calendar.hour, *calendar.minute)] == [20, 30]
    assert [r.start for r in calendar.day_of_week] == [0, 1, 2, 3, 4]  # from Sunday
    assert calendar.comment == (
        "Monday to Friday at 09:30 (Pacific/Auckland): everybody enters newsletter, 50 a second"
    )


lapsing = Segment(lambda _: True)


def test_a_schedule_says_whom_it_is_for() -> None:
    assert Schedule(at=time(9), segment=lapsing).segment_name == "lapsing"
    assert str(NINE) == "every day at 09:00 where the customer is"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"at": time(9, tzinfo=UTC)}, "without a zone"),
        ({"at": time(9, 0, 0, 1)}, "to the second"),
        ({"days": ()}, "at least one day"),
        ({"zone": "Mars/Olympus"}, "not an IANA time zone"),
        ({"rate": 0}, "a schedule's rate"),
        ({"skip_if_late": timedelta(days=2)}, "from a minute to a day"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_none(wrong: dict[str, object], said: str) -> None:
    given_: dict[str, object] = {"at": time(9), "segment": EVERYBODY, **wrong}
    with pytest.raises(ValueError, match=said):
        Schedule(**given_)  # type: ignore[arg-type]
