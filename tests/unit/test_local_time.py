"""Windows by the clock where the customer is, through the clock changes of four zones (11)."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.local_time import EVERY_DAY, WEEKDAYS, Day, Window, Zone, local_moment, time_zone

MORNINGS = Window(time(9), time(11), Day.TUESDAY.to(Day.THURSDAY))
BERLIN, AUCKLAND = Zone("Europe/Berlin"), Zone("Pacific/Auckland")
NEW_YORK, LORD_HOWE = Zone("America/New_York"), Zone("Australia/Lord_Howe")


def there(zone: Zone, text: str, fold: int = 0) -> datetime:
    """When the clock there shows a local time, in UTC: it may show it twice."""
    return datetime.fromisoformat(text).replace(tzinfo=zone.info, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-02 12:00", "2026-03-03 09:00"),  # a Monday
        ("2026-03-03 08:59:59.999999", "2026-03-03 09:00"),
        ("2026-03-03 09:00", "2026-03-03 09:00"),
        ("2026-03-03 10:59:59.999999", "2026-03-03 10:59:59.999999"),
        ("2026-03-03 11:00", "2026-03-04 09:00"),
        ("2026-03-05 11:00", "2026-03-10 09:00"),  # Thursday is over: next Tuesday
    ],
)
@pytest.mark.parametrize("zone", [BERLIN, AUCKLAND, NEW_YORK, LORD_HOWE], ids=str)
def test_tuesday_to_thursday_9_to_11_where_she_is(zone: Zone, now: str, opens: str) -> None:
    assert MORNINGS.next_opening(there(zone, now), zone) == there(zone, opens)


@pytest.mark.parametrize(
    ("zone", "evening", "morning", "hours"),
    [
        (BERLIN, "2026-03-28 21:00", "2026-03-29 09:00", 11),
        (BERLIN, "2026-10-24 21:00", "2026-10-25 09:00", 13),
        (NEW_YORK, "2026-03-07 21:00", "2026-03-08 09:00", 11),
        (NEW_YORK, "2026-10-31 21:00", "2026-11-01 09:00", 13),
        (AUCKLAND, "2026-09-26 21:00", "2026-09-27 09:00", 11),
        (AUCKLAND, "2026-04-04 21:00", "2026-04-05 09:00", 13),
        (LORD_HOWE, "2026-10-03 21:00", "2026-10-04 09:00", 11.5),  # half an hour, at 2:00
        (LORD_HOWE, "2026-04-04 21:00", "2026-04-05 09:00", 12.5),
    ],
    ids=str,
)
def test_nine_in_the_morning_stays_nine_over_a_clock_change(
    zone: Zone, evening: str, morning: str, hours: float
) -> None:
    now = there(zone, evening)
    opens = Window(time(9), time(11)).next_opening(now, zone)
    assert opens == there(zone, morning)
    assert opens - now == timedelta(hours=hours)
    assert local_moment(date.fromisoformat(morning[:10]), time(9), zone) == opens


JUMP = "2026-03-28 23:00"  # in Berlin the clock jumps from 2:00 to 3:00 in this night
TWICE = "2026-10-25 00:00"  # and shows the hour from 2:00 to 3:00 twice in this one


@pytest.mark.parametrize(
    ("opens", "closes", "begins"),
    [
        (time(2, 30), time(4), "2026-03-29 03:00"),  # begins in the hour that is not there
        (time(2, 15), time(2, 45), "2026-03-30 02:15"),  # lies in it: not this night
        (time(1, 30), time(2, 30), "2026-03-29 01:30"),
        (time(2), time(3), "2026-03-30 02:00"),
        (time(3), time(4), "2026-03-29 03:00"),
    ],
)
def test_an_hour_that_is_not_there(opens: time, closes: time, begins: str) -> None:
    window = Window(opens, closes)
    assert window.next_opening(there(BERLIN, JUMP), BERLIN) == there(BERLIN, begins)


def test_an_hour_that_comes_twice_opens_its_windows_twice() -> None:
    window = Window(time(2, 15), time(2, 45))
    first = window.next_opening(there(BERLIN, TWICE), BERLIN)
    assert first == there(BERLIN, "2026-10-25 02:15")
    again = window.next_opening(first + timedelta(minutes=30), BERLIN)
    assert again == there(BERLIN, "2026-10-25 02:15", fold=1) == first + timedelta(hours=1)
    # Open when the clock goes back: it closes in the first hour and opens at the change.
    window = Window(time(1, 30), time(2, 30))
    assert window.next_opening(there(BERLIN, "2026-10-25 02:30"), BERLIN) == there(
        BERLIN, "2026-10-25 02:00", fold=1
    )


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    friday_night = Window(time(22), time(6), (Day.FRIDAY,))
    assert friday_night.is_open(there(BERLIN, "2026-03-07 05:59"), BERLIN)  # a Saturday
    assert not friday_night.is_open(there(BERLIN, "2026-03-06 05:59"), BERLIN)
    assert friday_night.next_opening(there(BERLIN, "2026-03-07 06:00"), BERLIN) == there(
        BERLIN, "2026-03-13 22:00"
    )


def test_a_day_that_a_country_left_out() -> None:
    samoa = Zone("Pacific/Apia")  # there was no Friday, 30 December 2011
    fridays = Window(time(9), time(11), (Day.FRIDAY,))
    assert fridays.next_opening(there(samoa, "2011-12-29 12:00"), samoa) == there(
        samoa, "2012-01-06 09:00"
    )
    assert local_moment(date(2011, 12, 30), time(9), samoa) == there(samoa, "2011-12-31 00:00")


def test_a_moment_that_the_clock_jumps_over_is_the_jump_and_of_two_it_is_the_first() -> None:
    assert local_moment(date(2026, 3, 29), time(2, 30), BERLIN) == there(BERLIN, "2026-03-29 03:00")
    first = local_moment(date(2026, 10, 25), time(2, 30), BERLIN)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_the_whole_day_and_the_whole_week() -> None:
    now = there(BERLIN, "2026-03-07 12:00")  # a Saturday
    assert Window().next_opening(now, BERLIN) == now
    assert Window(days=WEEKDAYS).next_opening(now, BERLIN) == there(BERLIN, "2026-03-09 00:00")


@pytest.mark.parametrize(
    "told", [None, "", "Nowhere/Town", "../../etc/passwd", "zone.tab", "a" * 99]
)
def test_without_a_zone_of_her_own_the_fallback_is_taken_and_said(told: str | None) -> None:
    zone = Zone.of(told, "Europe/Berlin")
    assert zone.name == "Europe/Berlin"
    assert zone.why
    assert Zone.of("Pacific/Auckland", "Europe/Berlin") == AUCKLAND
    with pytest.raises(ValueError, match="not an IANA time zone"):
        Zone.of(told, "Mars/Base")


@pytest.mark.parametrize("name", ["Etc/GMT+12", "America/Port-au-Prince", "UTC", "Asia/Kathmandu"])
def test_zones_are_found_in_the_pinned_database(name: str) -> None:
    assert time_zone(name) is not None


def test_a_window_that_never_opens_or_has_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        Window(days=())
    with pytest.raises(ValueError, match="without a zone"):
        Window(time(9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (MORNINGS, "Tuesday to Thursday 09:00-11:00"),
        (Window(time(22), time(6)), "every day 22:00-06:00"),
        (Window(days=(Day.SUNDAY, Day.SATURDAY)), "Saturday, Sunday"),
        (Window(time(9), time(10), (Day.MONDAY, Day.WEDNESDAY, Day.FRIDAY)),
         "Monday, Wednesday, Friday 09:00-10:00"),
    ],
)  # fmt: skip
def test_a_window_in_words(window: Window, words: str) -> None:
    assert str(window) == words


ZONES = st.sampled_from([BERLIN, AUCKLAND, NEW_YORK, LORD_HOWE, Zone("Asia/Kathmandu")])
WINDOWS = st.builds(
    Window,
    opens=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    closes=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    days=st.sets(st.sampled_from(EVERY_DAY), min_size=1).map(tuple),
)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@settings(deadline=None)
@given(WINDOWS, ZONES, st.integers(0, 366 * 24 * 60))
@example(Window(time(2, 15), time(2, 45)), BERLIN, 87 * 24 * 60 + 23 * 60)
def test_it_is_open_at_the_opening_and_never_before(
    window: Window, zone: Zone, minutes: int
) -> None:
    now = YEAR + timedelta(minutes=minutes)
    opens = window.next_opening(now, zone)
    assert opens >= now
    assert window.is_open(opens, zone)
    # The model: the first minute whose clock shows a time within the window.
    looked_at = now
    while looked_at < min(opens, now + timedelta(days=2)):
        assert not window.is_open(looked_at, zone), looked_at
        looked_at += timedelta(minutes=1)
