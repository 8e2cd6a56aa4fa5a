"""Maintenance windows: parsing, and when they are open."""

from datetime import datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.fleet.windows import Window, is_open, parse_window
from tests.examples import example_count

MONDAY = datetime(2026, 3, 2)  # noqa: DTZ001 (the wall clock of the workstation)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("text", "day", "hour", "expected"),
    [
        ("22:00-05:00", 0, 22, True),
        ("22:00-05:00", 1, 4, True),
        ("22:00-05:00", 1, 5, False),
        ("22:00-05:00", 1, 12, False),
        ("09:00-17:00", 0, 9, True),
        ("09:00-17:00", 0, 17, False),
        ("Sat-Sun 06:00-18:00", 5, 6, True),
        ("Sat-Sun 06:00-18:00", 4, 6, False),
        ("Sun 22:00-05:00", 6, 23, True),
        ("Sun 22:00-05:00", 0, 4, True),  # the night after Sunday
        ("Sun 22:00-05:00", 0, 22, False),
        ("Sun 22:00-05:00", 6, 4, False),  # the night after Saturday
        ("Fri-Mon 06:00-07:00", 0, 6, True),
        ("Fri-Mon 06:00-07:00", 2, 6, False),
    ],
)
def test_window_is_open_at_its_time(
    text: str, day: int, hour: int, expected: bool
) -> None:
    assert parse_window(text).is_open(at(day, hour)) is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected HH:MM"),
        ("always", "expected HH:MM"),
        ("22-5", "expected HH:MM"),
        ("22:00-25:00", "25:00 is no time of the day"),
        ("22:00-22:00", "opens and closes at the same time"),
        ("Caturday 06:00-07:00", "expected HH:MM"),
        ("Cat 06:00-07:00", "Cat is no day"),
        ("22:00-05:00\n", "expected"),
    ],
)
def test_text_that_is_no_window_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_window(text.replace("\n", "\n22:00-05:00"))


def test_pc_without_a_window_may_always_be_flashed() -> None:
    assert is_open((), at(0, 12))
    assert not is_open((parse_window("22:00-05:00"),), at(0, 12))


times = st.times().map(lambda moment: moment.replace(second=0, microsecond=0))


@settings(max_examples=example_count(50), deadline=None)
@given(opens=times, closes=times, minute=st.integers(0, 7 * 24 * 60 - 1))
def test_window_and_the_time_between_two_windows_are_the_whole_week(
    opens: time, closes: time, minute: int
) -> None:
    if opens == closes:
        return
    night = parse_window(f"{opens:%H:%M}-{closes:%H:%M}")
    day = parse_window(f"{closes:%H:%M}-{opens:%H:%M}")
    now = MONDAY + timedelta(minutes=minute)
    assert night.is_open(now) != day.is_open(now)


@pytest.mark.parametrize(
    "text", ["22:00-05:00", "Sat-Sun 06:00-18:00", "Mon 01:00-02:00"]
)
def test_window_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse_window(text)) == text


def test_days_are_read_in_any_case() -> None:
    assert parse_window("SAT 06:00-07:00") == Window(frozenset({5}), time(6), time(7))
