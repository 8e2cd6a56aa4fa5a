"""Days and shifts by the clocks of the plant."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.plant_time import (
    DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    SPAN_MAX_DAYS,
    SPAN_WORDS,
    UTC_TIME,
    PlantTime,
    ShiftHours,
    Span,
    faults_of,
    is_zone,
)
from tests.examples import example_count

THREE = (
    ShiftHours("early", "06:00", "14:00"),
    ShiftHours("late", "14:00", "22:00"),
    ShiftHours("night", "22:00", "06:00"),
)
BERLIN = PlantTime("Europe/Berlin", THREE)
ONE_DAY = timedelta(days=1)
zones = st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime"}))
dates = st.dates(date(1975, 1, 1), date(2090, 1, 1))
moments = st.integers(157_766_400_000, 3_786_912_000_000)  # 1975 to 2090


def tiling(minutes: list[int]) -> list[ShiftHours]:
    """Return shifts that follow each other around the clock."""
    at = [f"{minute // 60:02}:{minute % 60:02}" for minute in sorted(minutes)]
    ends = [*at[1:], at[0]]
    return [
        ShiftHours(f"shift {start}", start, end)
        for start, end in zip(at, ends, strict=True)
    ]


day_tilings = st.lists(
    st.integers(0, 24 * 60 - 1), min_size=1, max_size=6, unique=True
).map(tiling)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@given(zones, dates)
@settings(max_examples=example_count(150), deadline=None)
def test_days_follow_each_other_without_gap_and_overlap(zone: str, day: date) -> None:
    plant = PlantTime(zone, [DAY])
    spans = [plant.day_span(day + n * ONE_DAY) for n in range(3)]
    assert spans[0].end_ms == spans[1].start_ms
    assert spans[1].end_ms == spans[2].start_ms
    assert all(0 <= each.length_ms <= 49 * MS_PER_HOUR for each in spans)


@given(zones, moments, day_tilings)
@settings(max_examples=example_count(150), deadline=None)
def test_each_moment_is_in_one_day_and_in_one_shift_that_goes_around_the_clock(
    zone: str, moment: int, shifts: list[ShiftHours]
) -> None:
    plant = PlantTime(zone, shifts)
    day = plant.date_of(moment)
    span = plant.day_span(day)
    assert span.start_ms <= moment < span.end_ms
    around = [
        each
        for n in range(-2, 3)
        for each in plant.shift_spans(day + n * ONE_DAY)
        if each.span.start_ms <= moment < each.span.end_ms
    ]
    assert len(around) == 1
    assert plant.shift_of(moment) == around[0]


@given(zones, dates, st.integers(1, 40), day_tilings)
@settings(max_examples=example_count(60), deadline=None)
def test_sums_of_shifts_are_the_sum_of_the_span(
    zone: str, day: date, count: int, shifts: list[ShiftHours]
) -> None:
    plant = PlantTime(zone, shifts)
    within = Span(
        plant.day_span(day).start_ms, plant.day_span(day + count * ONE_DAY).end_ms
    )
    parts = [
        part
        for shift in plant.shifts
        for part in plant.spans_of_shift(shift.name, within)
    ]
    assert sum(part.length_ms for part in parts) == within.length_ms
    by_day = [plant.day_span(each).length_ms for each in plant.days(within)]
    assert sum(by_day) == within.length_ms


@given(zones, dates, st.integers(0, 1439), st.integers(0, 1439))
@settings(max_examples=example_count(150), deadline=None)
def test_later_time_of_day_is_no_earlier_moment(
    zone: str, day: date, one: int, other: int
) -> None:
    plant = PlantTime(zone, [DAY])
    midnight = datetime.combine(day, datetime.min.time())
    first, second = sorted((one, other))
    assert plant.moment(midnight + first * timedelta(minutes=1)) <= plant.moment(
        midnight + second * timedelta(minutes=1)
    )


@given(zones, moments)
@settings(max_examples=example_count(150), deadline=None)
def test_local_time_leads_back_to_its_moment_or_to_the_first_of_two(
    zone: str, moment: int
) -> None:
    plant = PlantTime(zone, [DAY])
    local = plant.local(moment)
    found = plant.moment(local.replace(tzinfo=None))
    assert plant.local(found).replace(tzinfo=None, fold=0) == local.replace(
        tzinfo=None, fold=0
    )
    assert found == moment if not local.fold else found < moment


@pytest.mark.fault(58)
@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-30", 24)]
)
def test_day_has_the_hours_of_the_clocks(day: str, hours: int) -> None:
    found = BERLIN.day_span(date.fromisoformat(day))
    assert found.length_ms == hours * MS_PER_HOUR


@pytest.mark.fault(58)
@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-11-29", 8)]
)
def test_night_shift_over_the_change_of_the_clocks_counts_each_hour_once(
    day: str, hours: int
) -> None:
    start = date.fromisoformat(day)
    night = BERLIN.shift_spans(start)[2]
    assert (night.name, night.date) == ("night", start)
    assert night.span.length_ms == hours * MS_PER_HOUR
    every_minute = range(night.span.start_ms, night.span.end_ms, 60_000)
    assert {BERLIN.shift_of(each) for each in every_minute} == {night}


def test_night_shift_belongs_to_the_day_on_which_it_starts() -> None:
    found = BERLIN.shift_of(ms("2026-12-01T03:00+01:00"))
    assert found is not None
    assert (found.name, found.date) == ("night", date(2026, 11, 30))


def test_midnight_that_the_clocks_skip_is_the_moment_of_the_change() -> None:
    plant = PlantTime("Africa/Cairo", [DAY])  # 2026-04-24: 00:00 becomes 01:00
    day = plant.day_span(date(2026, 4, 24))
    assert day.length_ms == 23 * MS_PER_HOUR
    assert plant.local(day.start_ms).hour == 1


def test_day_that_a_zone_skips_has_no_length() -> None:
    plant = PlantTime("Pacific/Apia", [DAY])
    assert plant.day_span(date(2011, 12, 30)).length_ms == 0


def test_moment_between_two_shifts_is_in_none() -> None:
    plant = PlantTime("UTC", [ShiftHours("early", "06:00", "14:00")])
    assert plant.shift_of(ms("2026-11-30T14:00+00:00")) is None
    assert plant.shift_of(ms("2026-11-30T13:59+00:00")) is not None
    within = plant.day_span(date(2026, 11, 30))
    assert [each.length_ms for each in plant.spans_of_shift("early", within)] == [
        8 * MS_PER_HOUR
    ]
    assert plant.spans_of_shift("late", within) == []


NOW = ms("2026-11-30T15:30+01:00")  # in the late shift of Berlin


@pytest.mark.parametrize(
    ("word", "first", "last"),
    [
        ("this-shift", "2026-11-30T14:00+01:00", "2026-11-30T22:00+01:00"),
        ("last-shift", "2026-11-30T06:00+01:00", "2026-11-30T14:00+01:00"),
        ("today", "2026-11-30T00:00+01:00", "2026-12-01T00:00+01:00"),
        ("yesterday", "2026-11-29T00:00+01:00", "2026-11-30T00:00+01:00"),
        ("7d", "2026-11-24T00:00+01:00", "2026-12-01T00:00+01:00"),
        ("8h", "2026-11-30T07:30+01:00", "2026-11-30T15:30+01:00"),
    ],
)
def test_name_of_a_span_means_these_hours(word: str, first: str, last: str) -> None:
    assert BERLIN.span_of(word, NOW) == Span(ms(first), ms(last))


def test_every_name_that_pages_offer_is_a_span() -> None:
    assert all(BERLIN.span_of(word, NOW).length_ms > 0 for word in SPAN_WORDS)


@given(zones, moments, day_tilings)
@settings(max_examples=example_count(60), deadline=None)
def test_shift_after_the_end_of_a_shift_is_the_next_one(
    zone: str, moment: int, shifts: list[ShiftHours]
) -> None:
    plant = PlantTime(zone, shifts)
    this = plant.shift_of(moment)
    assert this is not None
    after = plant.first_shift_after(this.span.end_ms)
    assert after.span.start_ms == this.span.end_ms
    assert plant.last_shift_before(this.span.start_ms).span.end_ms == (
        this.span.start_ms
    )


def test_between_two_shifts_this_shift_is_the_one_that_ended_last() -> None:
    plant = PlantTime("UTC", [ShiftHours("early", "06:00", "14:00")])
    now = ms("2026-11-30T15:30+00:00")
    early = plant.shift_spans(date(2026, 11, 30))[0].span
    assert plant.span_of("this-shift", now) == early
    assert plant.span_of("last-shift", now).end_ms == early.end_ms - 24 * MS_PER_HOUR


@pytest.mark.parametrize(
    ("first", "last", "start", "end"),
    [
        (
            "2026-11-29",
            "2026-11-30",
            "2026-11-29T00:00+01:00",
            "2026-12-01T00:00+01:00",
        ),
        (
            *("2026-11-29T06:00", "2026-11-29T14:00"),
            *("2026-11-29T06:00+01:00", "2026-11-29T14:00+01:00"),
        ),
        (
            *("2026-11-29T06:00Z", "2026-11-29T14:00+02:00"),
            *("2026-11-29T06:00+00:00", "2026-11-29T12:00+00:00"),
        ),
        ("2026-11-30", "", "2026-11-30T00:00+01:00", "2026-11-30T15:30+01:00"),
    ],
)
def test_times_of_the_url_are_by_the_clocks_of_the_plant(
    first: str, last: str, start: str, end: str
) -> None:
    assert BERLIN.span_between(first, last, NOW) == Span(ms(start), ms(end))


@pytest.mark.parametrize("word", ["", "0d", "999d", "-1d", "tomorrow", "7 d", "1e3h"])
def test_other_name_of_a_span_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="span"):
        BERLIN.span_of(word, NOW)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-11-30", "2026-11-29"),
        ("2026-11-30T10:00", "2026-11-30T10:00"),
        ("2020-01-01", "2026-11-30"),
        ("2026-02-30", "2026-11-30"),
        ("9999-12-31", ""),
        ("0001-01-01", "0001-01-02"),
        ("now", ""),
        ("", "2026-11-30"),
        ("2026-11-30T24:61", ""),
        ("\u0662026-11-30", ""),
    ],
)
def test_other_times_of_the_url_are_refused(first: str, last: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        BERLIN.span_between(first, last, NOW)


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=example_count(200), deadline=None)
def test_any_text_of_the_url_is_a_span_or_refused(first: str, last: str) -> None:
    for read in (
        lambda: BERLIN.span_of(first, NOW),
        lambda: BERLIN.span_between(first, last, NOW),
    ):
        try:
            span = read()
        except ValueError:
            continue
        most_ms = (SPAN_MAX_DAYS + 1) * 24 * MS_PER_HOUR
        assert 0 < span.length_ms <= most_ms


@pytest.mark.parametrize(
    ("zone", "shifts", "fault"),
    [
        ("Mars/Olympus", [DAY], "'Mars/Olympus' is not a time zone."),
        ("../etc/passwd", [DAY], "'../etc/passwd' is not a time zone."),
        ("", [DAY], "'' is not a time zone."),
        ("UTC", [DAY] * 13, "There are 13 shifts; the most is 12."),
        ("UTC", [DAY, DAY], "Two shifts have the name 'day'."),
        ("UTC", [ShiftHours("a", "6:00", "14:00")], "not a time of day"),
        ("UTC", [ShiftHours("a", "24:00", "06:00")], "starts at 24:00; write 00:00."),
        (
            "UTC",
            [ShiftHours("a", "06:00", "14:00"), ShiftHours("b", "13:59", "22:00")],
            "The shifts 'a' and 'b' overlap.",
        ),
        (
            "UTC",
            [ShiftHours("a", "06:00", "14:00"), ShiftHours("b", "22:00", "06:01")],
            "The shifts 'b' and 'a' overlap.",
        ),
    ],
)
def test_fault_of_zone_or_shifts_is_reported(
    zone: str, shifts: list[ShiftHours], fault: str
) -> None:
    assert fault in " ".join(faults_of(zone, shifts))
    with pytest.raises(ValueError, match=r"."):
        PlantTime(zone, shifts)


@pytest.mark.parametrize("shifts", [[DAY], THREE, [ShiftHours("x", "07:00", "07:00")]])
def test_shifts_that_do_not_overlap_are_valid(shifts: list[ShiftHours]) -> None:
    assert faults_of("Europe/Berlin", shifts) == []


def test_plant_that_has_defined_nothing_counts_in_utc() -> None:
    midnight = datetime(2026, 11, 30, tzinfo=UTC)
    found = UTC_TIME.shift_of(int(midnight.timestamp() * 1000))
    assert found is not None
    assert (found.name, found.span.length_ms) == ("day", 24 * 60 * MS_PER_MINUTE)
    assert is_zone(UTC_TIME.zone)
