"""The URL of the charts."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from dashboard.plant_time import PlantTime, ShiftHours, Span
from dashboard.statistics.run_rules import Rule
from dashboard.web.analysis.groups import Step
from dashboard.web.analysis.urls import ChartUrl, read_chart_url
from tests.examples import example_count

PLANT = PlantTime(
    "Europe/Berlin",
    [ShiftHours("early", "06:00", "14:00"), ShiftHours("late", "14:00", "22:00")],
)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NOW = ms("2026-11-30T15:30+01:00")


def read(query: str) -> ChartUrl:
    return read_chart_url(QueryParams(query), PLANT, NOW)


def test_without_a_query_today_is_shown() -> None:
    url = read("")
    day = Span(ms("2026-11-30T00:00+01:00"), ms("2026-12-01T00:00+01:00"))
    assert url.wanted.spans == (day,)
    assert (url.step, url.rules) == (Step.MINUTES_15, (Rule("1"), Rule("4")))


def test_names_are_those_of_the_list_of_alerts() -> None:
    url = read("line=line-1&line=line-2&camera=top&class=a%26b&build=17&span=7d")
    assert url.wanted.lines == ("line-1", "line-2")
    assert (url.wanted.cameras, url.wanted.labels) == (("top",), ("a&b",))
    assert url.wanted.builds == (17,)
    assert url.step is Step.HOUR
    assert read(url.query) == url
    assert read(url.list_query).wanted == url.wanted


def test_shift_selects_its_hours_of_every_day() -> None:
    url = read("shift=early&from=2026-11-28&to=2026-11-29")
    assert url.wanted.spans == tuple(
        Span(ms(f"2026-11-{day}T06:00+01:00"), ms(f"2026-11-{day}T14:00+01:00"))
        for day in (28, 29)
    )


def test_query_can_be_changed_in_one_name() -> None:
    url = read("line=line-1&span=7d&rules=")
    assert url.rules == ()
    assert read(url.query_with(step="day")).step is Step.DAY
    assert read(url.query_with(line=None)).wanted.lines == ()
    assert read(url.query_with(step="day")).rules == ()


def test_compared_builds_are_ordered() -> None:
    assert read("compare=9&compare=7").compared == (7, 9)
    assert read("").compared == ()


@pytest.mark.parametrize(
    "query",
    [
        "step=2h",
        "rules=5",
        "rules=11111",
        "compare=7",
        "compare=7&compare=7",
        "compare=a&compare=b",
        "compare=1&compare=" + "9" * 30,
        "line=../etc",
        "span=never",
        "from=2026-11-30&to=2026-11-01",
        "shift=none-such",
        "shift=early&from=2026-11-30T20:00&to=2026-11-30T21:00",
        "build=-1",
        "class=" + "x" * 501,
    ],
)
def test_value_that_does_not_fit_is_refused(query: str) -> None:
    with pytest.raises(HTTPException) as refusal:
        read(query)
    assert refusal.value.status_code == 400
    assert refusal.value.detail


NAMES = ("line", "class", "build", "span", "from", "to", "shift", "step", "rules")


@given(st.lists(st.tuples(st.sampled_from((*NAMES, "compare", "x")), st.text())))
@settings(max_examples=example_count(150), deadline=None)
def test_any_query_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        url = read_chart_url(QueryParams(pairs), PLANT, NOW)
    except HTTPException:
        return
    assert url.wanted.spans
    assert read(url.query) == url
