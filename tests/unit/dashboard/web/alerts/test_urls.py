from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from dashboard.history.alert_search import AlertFilter, ListKey, Shelved
from dashboard.history.reviews import OperatorVerdict
from dashboard.plant_time import PlantTime, ShiftHours
from dashboard.web.alerts.urls import (
    NAMES,
    ListUrl,
    key_text,
    read_key,
    read_list_url,
)

BERLIN = PlantTime(
    "Europe/Berlin",
    [ShiftHours("early", "06:00", "14:00"), ShiftHours("late", "14:00", "22:00")],
)
NOW_MS = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp() * 1000)


def read(query: str) -> ListUrl:
    return read_list_url(QueryParams(query), BERLIN, NOW_MS)


def iso(ms: int | None) -> str:
    assert ms is not None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def test_url_without_a_query_shows_everything_that_is_not_shelved() -> None:
    url = read("")
    assert url.wanted == AlertFilter(shelved=Shelved.NO)
    assert (url.query, url.is_grouped) == ("", True)


def test_every_name_is_read() -> None:
    url = read(
        "site=plant&line=l1&line=l2&station=s&camera=top&class=a%20b&build=17"
        "&part=p%2F1&verdict=false-alarm&verdict=none&acknowledged=no&shelved=all"
        "&group=no"
    )
    assert url.wanted == AlertFilter(
        sites=("plant",),
        lines=("l1", "l2"),
        stations=("s",),
        cameras=("top",),
        labels=("a b",),
        builds=(17,),
        parts=("p/1",),
        verdicts=(OperatorVerdict.FALSE_ALARM, OperatorVerdict.NONE),
        acknowledged=False,
        shelved=Shelved.ALL,
    )
    assert not url.is_grouped


def test_times_are_by_the_clocks_of_the_plant() -> None:
    wanted = read("from=2026-11-30T06:00&to=2026-11-30T07:30").wanted
    assert iso(wanted.since_ms) == "2026-11-30T05:00:00+00:00"
    assert iso(wanted.until_ms) == "2026-11-30T06:30:00+00:00"


def test_span_has_a_name() -> None:
    wanted = read("span=last-shift").wanted
    assert iso(wanted.since_ms) == "2026-11-29T13:00:00+00:00"
    assert iso(wanted.until_ms) == "2026-11-29T21:00:00+00:00"


def test_shift_is_one_of_each_day_of_a_span() -> None:
    wanted = read("shift=early&span=7d").wanted
    assert wanted.shifts is not None
    assert len(wanted.shifts) == 7
    assert iso(wanted.shifts[0][0]) == "2026-11-24T05:00:00+00:00"


@pytest.mark.fault(58)
def test_shift_of_the_night_with_25_hours_is_taken_once() -> None:
    night = PlantTime("Europe/Berlin", [ShiftHours("night", "22:00", "06:00")])
    query = QueryParams("shift=night&from=2026-10-24T12:00&to=2026-10-25T12:00")
    wanted = read_list_url(query, night, NOW_MS).wanted
    assert wanted.shifts is not None
    ((start_ms, end_ms),) = wanted.shifts
    assert (end_ms - start_ms) / 3_600_000 == 9


def test_unknown_names_are_ignored() -> None:
    assert read("lang=de&utm=1&before=17.4").query == ""


@pytest.mark.parametrize(
    "query",
    [
        "line=..%2Fetc",
        "station=UPPER",
        "camera=" + "x" * 33,
        "class=" + "x" * 501,
        "part=%00",
        "build=-1",
        "build=1e9",
        "build=" + "9" * 19,
        "verdict=maybe",
        "acknowledged=1",
        "shelved=perhaps",
        "group=",
        "span=forever",
        "from=yesterday",
        "to=2026-11-30",
        "from=2026-11-30&to=2026-11-29",
        "shift=night",
        "&".join(f"line=l{n}" for n in range(21)),
    ],
)
def test_value_that_does_not_fit_is_refused_or_ignored(query: str) -> None:
    if query == "group=":
        assert read(query).is_grouped
        return
    with pytest.raises(HTTPException) as refused:
        read(query)
    assert refused.value.status_code == 400
    assert refused.value.detail


QUERIES = st.lists(
    st.sampled_from(
        [
            *("line=l1", "line=l2", "station=s", "class=%3Cb%3E", "class=a%26b=c"),
            *(
                "build=5",
                "part=%2B1",
                "verdict=none",
                "acknowledged=yes",
                "shelved=yes",
            ),
            *("span=8h", "group=no", "lang=de"),
        ]
    )
)


@given(QUERIES)
def test_canonical_query_means_the_same_list(pairs: list[str]) -> None:
    url = read("&".join(pairs))
    again = read(url.query)
    assert again.wanted == url.wanted
    assert again.query == url.query
    names = [name for name, _ in parse_qsl(url.query)]
    assert names == sorted(names, key=NAMES.index)


def test_query_with_another_value_keeps_the_others() -> None:
    url = read("line=l1&shelved=yes&class=a")
    assert url.query_with(shelved="all") == "line=l1&class=a&shelved=all"
    assert url.query_with(line=None) == "class=a&shelved=yes"


def test_place_in_the_list_is_read_as_it_is_written() -> None:
    key = ListKey(1_763_900_000_000, 17)
    assert read_key(key_text(key)) == key
    assert read_key(None) is None


@pytest.mark.parametrize(
    "text", ["x", "1", "1.", ".1", "1.-1", "1.2.3", "1.9" + "9" * 20]
)
def test_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(HTTPException):
        read_key(text)
