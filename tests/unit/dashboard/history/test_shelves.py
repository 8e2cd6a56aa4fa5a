from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.history.alert_search import AlertFilter, AlertSearch, Shelved
from dashboard.history.database import Database
from dashboard.history.shelves import (
    MAX_DAYS,
    MAX_IN_FORCE,
    MS_PER_DAY,
    Shelf,
    ShelfRefusedError,
    end_shelf,
    put_on_shelf,
    shelf_of,
    shelves_in_force,
)
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile, alert_record

HOUR_MS = 3_600_000
SHELF = Shelf(
    *(0, NOW_MS, NOW_MS + HOUR_MS, "ada", "tool change"), line="line-1", label="scratch"
)


@pytest.fixture
def database(file: HistoryFile) -> Database:
    return file.database


def add(file: HistoryFile, seq: int, at_ms: int, *labels: str) -> str:
    event = alert_event(
        *(PRESS, seq),
        detections=tuple(detection(label) for label in labels),
        captured_at=datetime.fromtimestamp(at_ms / 1000, UTC),
    )
    file.record(alert_record(event, received_ms=at_ms))
    return event.id


def put(database: Database, shelf: Shelf = SHELF) -> int:
    with database.write() as connection:
        return put_on_shelf(connection, shelf)


def listed(
    database: Database, at_ms: int, shelved: Shelved = Shelved.NO
) -> list[tuple[str, int | None]]:
    with database.read() as connection:
        search = AlertSearch(connection, at_ms)
        page = search.page(AlertFilter(shelved=shelved), 50)
    return [(each["id"], each["shelf"]) for each in page.alerts]


def test_shelf_hides_what_it_covers_until_its_end(
    file: HistoryFile, database: Database
) -> None:
    before = add(file, 1, NOW_MS - 1, "scratch")
    hidden = add(file, 2, NOW_MS + 1, "scratch")
    other = add(file, 3, NOW_MS + 2, "dent")
    k = put(database)
    during = NOW_MS + 10
    assert listed(database, during) == [(other, None), (before, None)]
    assert listed(database, during, Shelved.YES) == [(hidden, k)]
    assert len(listed(database, during, Shelved.ALL)) == 3
    assert len(listed(database, SHELF.until_ms)) == 3
    assert listed(database, SHELF.until_ms, Shelved.YES) == []


def test_alert_with_a_detection_that_is_not_covered_is_not_hidden(
    file: HistoryFile, database: Database
) -> None:
    put(database)
    both = add(file, 1, NOW_MS + 1, "scratch", "dent")
    assert listed(database, NOW_MS + 10) == [(both, None)]
    put(database, replace(SHELF, label="dent"))
    assert listed(database, NOW_MS + 10) == []


def test_shelf_that_is_ended_hides_nothing(
    file: HistoryFile, database: Database
) -> None:
    event_id = add(file, 1, NOW_MS + 1, "scratch")
    k = put(database)
    with database.write() as connection:
        end_shelf(connection, k, "bob", NOW_MS + 5)
    assert listed(database, NOW_MS + 10) == [(event_id, None)]
    with database.write() as connection, pytest.raises(ShelfRefusedError):
        end_shelf(connection, k, "bob", NOW_MS + 6)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"reason": "  "}, "needs a reason"),
        ({"line": "", "label": ""}, "hide every alert"),
        ({"until_ms": NOW_MS}, "ends in the future"),
        ({"until_ms": NOW_MS + MAX_DAYS * MS_PER_DAY + 1}, "at most 31 days"),
    ],
)
def test_shelf_without_reason_place_or_end_is_refused(
    database: Database, changes: dict[str, object], fault: str
) -> None:
    with database.write() as connection, pytest.raises(ShelfRefusedError, match=fault):
        put_on_shelf(connection, replace(SHELF, **changes))  # type: ignore[arg-type]


def test_shelves_have_a_largest_number(database: Database) -> None:
    for _ in range(MAX_IN_FORCE):
        put(database)
    with pytest.raises(ShelfRefusedError, match="end some of them"):
        put(database)


LABELS = ("scratch", "dent", "hole")
SHELVES = st.lists(
    st.builds(
        Shelf,
        k=st.just(0),
        created_ms=st.just(NOW_MS),
        until_ms=st.just(NOW_MS + 50),
        creator=st.just("ada"),
        reason=st.just("why"),
        line=st.sampled_from(["line-1", "line-2"]),
        camera=st.sampled_from(["", "top", "side"]),
        label=st.sampled_from(["", *LABELS]),
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=15)
@given(
    drawn=SHELVES,
    alerts=st.lists(
        st.tuples(st.integers(-5, 60), st.lists(st.sampled_from(LABELS), min_size=1)),
        max_size=5,
    ),
)
def test_query_hides_exactly_what_the_rule_hides(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[Shelf],
    alerts: list[tuple[int, list[str]]],
) -> None:
    file = HistoryFile(tmp_path_factory.mktemp("history"))
    database = file.database
    for seq, (age_ms, labels) in enumerate(alerts, 1):
        add(file, seq, NOW_MS + age_ms, *labels)
    for shelf in drawn:
        put(database, shelf)
    at_ms = NOW_MS + 40
    with database.read() as connection:
        search = AlertSearch(connection, at_ms)
        every = search.page(AlertFilter(shelved=Shelved.ALL), 50).alerts
        in_force = shelves_in_force(connection, at_ms)
    hidden = {each["id"] for each in every if shelf_of(each, in_force)}
    shown = {each["id"] for each in every} - hidden
    assert {each[0] for each in listed(database, at_ms)} == shown
    assert {each[0] for each in listed(database, at_ms, Shelved.YES)} == hidden
    file.close()
