"""Groups of parts by time."""

from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.plant_time import (
    DAY,
    MS_PER_HOUR,
    UTC_TIME,
    PlantTime,
    ShiftHours,
    Span,
)
from dashboard.web.analysis.groups import (
    GROUPS_MAX,
    Step,
    TimeGroups,
    bucket_of,
    groups_of,
    step_for,
)
from tests.examples import example_count

BERLIN = PlantTime(
    "Europe/Berlin",
    [ShiftHours("day", "06:10", "18:00"), ShiftHours("night", "18:00", "06:10")],
)
LATER_MS = 2**50


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("step", "count"),
    [
        (Step.MINUTES_15, 96),
        (Step.HOUR, 24),
        (Step.HOURS_4, 6),
        (Step.SHIFT, 3),
        (Step.DAY, 1),
    ],
)
def test_day_has_so_many_groups(step: Step, count: int) -> None:
    day = BERLIN.day_span(date(2026, 11, 30))
    assert len(groups_of([day], BERLIN, step, LATER_MS).spans) == count


@pytest.mark.fault(58)
@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_day_on_which_the_clocks_change_has_its_hours(day: str, hours: int) -> None:
    span = BERLIN.day_span(date.fromisoformat(day))
    assert len(groups_of([span], BERLIN, Step.HOUR, LATER_MS).spans) == hours


def test_groups_end_with_the_present() -> None:
    day = UTC_TIME.day_span(date(2026, 11, 30))
    now_ms = ms("2026-11-30T05:30+00:00")
    found = groups_of([day], UTC_TIME, Step.HOUR, now_ms).spans
    assert len(found) == 6
    assert found[-1].end_ms == ms("2026-11-30T06:00+00:00")


def test_groups_of_other_times_are_left_out() -> None:
    spans = [
        Span(ms(f"2026-11-{day}T06:00+00:00"), ms(f"2026-11-{day}T08:00+00:00"))
        for day in (28, 30)
    ]
    found = groups_of(spans, UTC_TIME, Step.HOUR, LATER_MS)
    assert len(found.spans) == 4
    assert found.index_of(ms("2026-11-29T06:00+00:00") // found.bucket_ms) is None


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
    st.dates(date(2000, 1, 1), date(2040, 1, 1)),
    st.sampled_from(list(Step)),
    st.integers(0, 3 * 24 * 60),
)
@settings(max_examples=example_count(80), deadline=None)
def test_every_bucket_is_in_one_group(
    zone: str, day: date, step: Step, minute: int
) -> None:
    shifts = BERLIN.shifts if step is Step.SHIFT else [DAY]
    plant = PlantTime(zone, shifts)
    start_ms = plant.day_span(day).start_ms
    span = Span(start_ms, start_ms + 3 * 24 * MS_PER_HOUR)
    groups = groups_of([span], plant, step, LATER_MS)
    at_ms = min(start_ms + minute * 60_000, span.end_ms - 1)
    index = groups.index_of(at_ms // groups.bucket_ms)
    assert index is not None
    assert groups.spans[index].start_ms <= at_ms < groups.spans[index].end_ms


@pytest.mark.parametrize(
    ("days", "step"),
    [(1, Step.MINUTES_15), (7, Step.HOUR), (30, Step.HOURS_4), (400, Step.DAY)],
)
def test_step_leaves_the_chart_readable(days: int, step: Step) -> None:
    span = Span(0, days * 24 * MS_PER_HOUR)
    assert step_for([span], UTC_TIME, LATER_MS) is step
    count = len(groups_of([span], UTC_TIME, step, LATER_MS).spans)
    assert count <= GROUPS_MAX or step is Step.DAY


def test_without_spans_there_are_no_groups() -> None:
    found = groups_of([], UTC_TIME, Step.HOUR, LATER_MS)
    assert found.spans == ()
    assert found.index_of(0) is None
    assert bucket_of([]) == MS_PER_HOUR
    assert TimeGroups((), 1).index_of(5) is None
