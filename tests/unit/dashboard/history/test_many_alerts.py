"""The list stays fast and complete in a long history."""

import csv
import io
import json
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from dashboard.history.alert_search import SCANNED, AlertFilter, AlertSearch, ListKey
from dashboard.history.analysis import Judged, Selection, judged, judged_by_station
from dashboard.history.tables.received import alerts, detections
from dashboard.plant_time import Span
from tests.simulators.station import alert_event
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile
from tests.unit.dashboard.sim_site import SimSite

COUNT = 100_000
RARE = COUNT // 3  # the place of the one alert of its class
LIMIT_S = 1.0  # of a page; the machine may be busy


@pytest.fixture(scope="module")
def long_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimSite]:
    folder = tmp_path_factory.mktemp("long")
    file = HistoryFile(folder)
    site = SimSite(file)
    document = json.loads(alert_event(PRESS, 1).model_dump_json())
    event = json.dumps({"data": document["data"]})
    common = {"stream_id": 1, "received_ms": NOW_MS, "event": event, "camera": "top"}
    place = {"site": "plant", "line": "line-1", "station": "press-1"}
    with site.database.write() as connection:
        for first in range(1, COUNT + 1, 10_000):
            numbers = range(first, first + 10_000)
            rows = [
                {"n": n, "id": f"s:{n}", "seq": n, "happened_ms": n * 1000}
                | common
                | place
                for n in numbers
            ]
            connection.execute(insert(alerts), rows)
            found = [
                {
                    "n": n,
                    "position": 0,
                    "happened_ms": n * 1000,
                    "label": "rare" if n == RARE else "scratch",
                    "score": 0.9,
                }
                for n in numbers
            ]
            connection.execute(insert(detections), found)
    yield site
    file.close()


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "line=line-1&station=press-1&camera=top&site=plant",
        "class=scratch",
        "class=rare",
        "class=never",
        "camera=never",
        "acknowledged=yes",
        "verdict=real-defect",
        "before=50000000.50000",
    ],
)
def test_page_of_a_long_history_is_there_at_once(
    long_site: SimSite, query: str
) -> None:
    started = time.perf_counter()
    assert get(long_site.app, f"/alerts?{query}").status == 200
    assert time.perf_counter() - started < LIMIT_S


@pytest.mark.parametrize("label", ["scratch", "rare"])
def test_alerts_of_one_class_are_counted_at_once(
    long_site: SimSite, label: str
) -> None:
    wanted = Selection((Span(0, (COUNT + 1) * 1000),), labels=(label,))
    started = time.perf_counter()
    with long_site.database.read() as connection:
        count = judged(connection, wanted)
        assert judged_by_station(connection, wanted) == {}
    assert count == Judged(1 if label == "rare" else COUNT - 1, 0, 0)
    assert time.perf_counter() - started < LIMIT_S


def test_search_that_finds_little_goes_on_from_where_it_stopped(
    long_site: SimSite,
) -> None:
    wanted = AlertFilter(labels=("rare",), cameras=("top",), lines=("line-1",))
    start: ListKey | None = None
    found: list[int] = []
    with long_site.database.read() as connection:
        search = AlertSearch(connection, NOW_MS)
        for _ in range(COUNT // SCANNED[-1] + 1):
            page = search.page(wanted, 50, start=start)
            found += [each["n"] for each in page.alerts]
            start = page.resume
            if start is None:
                break
        ids = search.ids(wanted, COUNT, 10)
    assert start is None
    assert found == [RARE]
    assert ids == [f"s:{RARE}"]


@pytest.mark.fault(70)
def test_table_of_a_long_history_comes_in_parts(long_site: SimSite) -> None:
    parts = 0

    def is_enough(body: bytes) -> bool:
        nonlocal parts
        parts += 1
        return len(body) > 1 << 20

    body = get(long_site.app, "/alerts.csv", enough=is_enough).body
    assert parts > 2
    rows = list(csv.reader(io.StringIO(body.decode(errors="replace"))))
    numbers = [int(row[0].partition(":")[2]) for row in rows[1:-1]]
    assert numbers == list(range(COUNT, COUNT - len(numbers), -1))
