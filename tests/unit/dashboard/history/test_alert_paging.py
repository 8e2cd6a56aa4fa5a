"""A reader of the list has every alert from its oldest key on, whatever arrives."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.history.alert_search import AlertFilter, AlertSearch, Found, ListKey
from models.topics import StationTopics
from tests.examples import example_count
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile, alert_record

SECOND = StationTopics("plant", "line-2", "press-2")
LABELS = ("scratch", "dent")


class Plant:
    """A history that alerts arrive in, in any order of their times."""

    def __init__(self, folder: Path) -> None:
        self.file = HistoryFile(folder)
        self.database = self.file.database
        self.seqs = {PRESS: 0, SECOND: 0}
        self.alerts: list[tuple[ListKey, StationTopics, str]] = []

    def commit(self, ages_s: list[int], station: StationTopics, label: str) -> None:
        records = []
        for age_s in ages_s:
            self.seqs[station] += 1
            at_ms = NOW_MS - age_s * 1000
            event = alert_event(
                *(station, self.seqs[station]),
                detections=(detection(label),),
                captured_at=datetime.fromtimestamp(at_ms / 1000, UTC),
            )
            records.append(alert_record(event))
        for n, age_s in zip(self.file.record(*records).alerts, ages_s, strict=True):
            self.alerts.append((ListKey(NOW_MS - age_s * 1000, n), station, label))

    def expected(self, wanted: AlertFilter) -> list[ListKey]:
        """Return the keys of all alerts that pass, by looking at each."""
        found = [
            key
            for key, station, label in self.alerts
            if wanted.lines in ((), (station.line,)) and wanted.labels in ((), (label,))
        ]
        return sorted(found, reverse=True)

    def close(self) -> None:
        self.file.close()


class Reader:
    """What the page does: the first page, older pages, and what has arrived."""

    def __init__(self, plant: Plant, wanted: AlertFilter, limit: int) -> None:
        self.plant, self.wanted, self.limit = plant, wanted, limit
        self.rows: set[ListKey] = set()
        first = self._ask(lambda search: search.page(wanted, limit))
        self.cursor, self.resume = first.newest, first.resume
        self._take(first)

    def _ask(self, query: Any) -> Found:
        with self.plant.database.read() as connection:
            answer: Found = query(AlertSearch(connection, NOW_MS))
            return answer

    def _take(self, found: Found) -> None:
        keys = [ListKey(each["happened_ms"], each["n"]) for each in found.alerts]
        assert len(set(keys)) == len(keys)
        self.rows.update(keys)

    def older(self) -> None:
        if self.resume is None:
            return
        start = self.resume
        page = self._ask(
            lambda search: search.page(self.wanted, self.limit, start=start)
        )
        self.resume = page.resume
        self._take(page)

    def arrived(self) -> None:
        answer = self._ask(
            lambda search: search.arrived(self.wanted, self.cursor, self.limit)
        )
        self.cursor = answer.newest
        self._take(answer)

    def catch_up(self) -> None:
        before = -1
        while self.cursor != before:
            before = self.cursor
            self.arrived()

    def shown(self) -> list[ListKey]:
        """Return the rows of the list; what is beyond the oldest page comes later."""
        rows = sorted(self.rows, reverse=True)
        if self.resume is None:
            return rows
        return [row for row in rows if row >= self.resume]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    found = Plant(tmp_path)
    yield found
    found.close()


COMMITS = st.tuples(
    st.just("commit"),
    st.lists(st.integers(0, 20), min_size=1, max_size=6),
    st.sampled_from([PRESS, SECOND]),
    st.sampled_from(LABELS),
)
STEPS = st.lists(
    COMMITS | st.just(("older",)) | st.just(("arrived",)), min_size=1, max_size=25
)
FILTERS = st.sampled_from(
    [
        AlertFilter(),
        AlertFilter(lines=("line-2",)),
        AlertFilter(labels=("dent",)),
        AlertFilter(lines=("line-1",), labels=("scratch",)),
    ]
)


@settings(deadline=None, max_examples=example_count(25))
@given(steps=STEPS, wanted=FILTERS, limit=st.integers(1, 5), before=STEPS)
def test_list_has_no_hole_whatever_arrives_while_it_is_read(
    steps: list[tuple[Any, ...]],
    wanted: AlertFilter,
    limit: int,
    before: list[tuple[Any, ...]],
) -> None:
    with TemporaryDirectory() as folder:
        plant = Plant(Path(folder))
        for step in before:
            if step[0] == "commit":
                plant.commit(*step[1:])
        reader = Reader(plant, wanted, limit)
        for step in steps:
            match step[0]:
                case "commit":
                    plant.commit(*step[1:])
                case "older":
                    reader.older()
                case _:
                    reader.arrived()
        reader.catch_up()
        expected = plant.expected(wanted)
        if reader.resume is not None:
            expected = [key for key in expected if key >= reader.resume]
        assert reader.shown() == expected
        while reader.resume is not None:
            reader.older()
        assert reader.shown() == plant.expected(wanted)
        plant.close()


def test_older_pages_are_complete_while_newer_alerts_arrive(plant: Plant) -> None:
    plant.commit(list(range(300, 0, -1)), PRESS, "scratch")
    reader = Reader(plant, AlertFilter(), 50)
    while reader.resume is not None:
        plant.commit([0] * 30, SECOND, "dent")
        reader.older()
    reader.catch_up()
    assert reader.shown() == plant.expected(AlertFilter())


@pytest.mark.fault(9)
def test_late_alert_appears_between_rows_that_are_shown(plant: Plant) -> None:
    plant.commit([30, 10], PRESS, "scratch")
    reader = Reader(plant, AlertFilter(), 50)
    plant.commit([20], SECOND, "scratch")
    reader.arrived()
    assert [key.n for key in reader.shown()] == [2, 3, 1]


def test_page_in_the_newer_direction_is_the_same_list(plant: Plant) -> None:
    plant.commit([9, 7, 5, 3, 1, 1], PRESS, "scratch")
    keys = plant.expected(AlertFilter())
    with plant.database.read() as connection:
        search = AlertSearch(connection, NOW_MS)
        newer = search.page(AlertFilter(), 2, start=keys[4], direction="newer")
    assert [each["n"] for each in newer.alerts] == [keys[3].n, keys[2].n]
    assert newer.resume == keys[2]
