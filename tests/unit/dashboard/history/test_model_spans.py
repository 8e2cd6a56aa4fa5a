"""Which build was in force when."""

import pytest
from sqlalchemy import insert

from dashboard.history.analysis import Selection
from dashboard.history.database import Database
from dashboard.history.model_spans import (
    FOREVER_MS,
    ModelSpan,
    by_time,
    changes_in,
    in_force,
    model_spans,
    spans_of_build,
)
from dashboard.history.tables.operations import model_changes
from dashboard.plant_time import Span
from tests.unit.dashboard.history_file import HistoryFile

PRESS, LID = ("plant", "line-1", "press-1"), ("plant", "line-2", "lid-1")


@pytest.fixture
def database(file: HistoryFile) -> Database:
    return file.database


def change(
    database: Database, at_ms: int, build: int, station: tuple[str, str, str] = PRESS
) -> None:
    site, line, name = station
    with database.write() as connection:
        connection.execute(
            insert(model_changes).values(
                site=site,
                line=line,
                station=name,
                at_ms=at_ms,
                name="boards",
                build=build,
                sha256="ab",
                variant="int8",
            )
        )


def spans(database: Database, wanted: Selection) -> list[ModelSpan]:
    with database.read() as connection:
        return model_spans(connection, wanted)


def test_build_is_in_force_until_the_next_one_of_its_station(
    database: Database,
) -> None:
    change(database, 10, 1)
    change(database, 20, 7, LID)
    change(database, 50, 2)
    change(database, 90, 3)
    wanted = Selection((Span(40, 80),))
    found = spans(database, wanted)
    assert [(each.build, each.span) for each in found] == [
        (1, Span(10, 50)),
        (7, Span(20, FOREVER_MS)),
        (2, Span(50, FOREVER_MS)),  # the change at 90 is after the selection
    ]
    assert [each.build for each in changes_in(found, wanted.span)] == [2]
    assert [each.build for each in in_force(found, wanted.span)] == [1, 7, 2]
    assert [each.build for each in in_force(found, Span(60, 80))] == [7, 2]


def test_build_that_comes_back_has_two_spans(database: Database) -> None:
    for at_ms, build in ((10, 1), (20, 2), (30, 1)):
        change(database, at_ms, build)
    wanted = Selection((Span(0, 15), Span(18, 100)))
    found = spans(database, wanted)
    assert spans_of_build(found, 1, wanted) == {
        PRESS: [Span(10, 15), Span(18, 20), Span(30, 100)]
    }
    assert spans_of_build(found, 9, wanted) == {}


def test_stations_that_are_not_selected_are_left_out(database: Database) -> None:
    change(database, 10, 1)
    change(database, 20, 7, LID)
    wanted = Selection((Span(0, 80),), lines=("line-2",))
    assert [each.build for each in spans(database, wanted)] == [7]
    assert spans(database, Selection(())) == []


def test_time_is_cut_where_a_station_changes() -> None:
    spans = {PRESS: [Span(0, 10), Span(20, 30)], LID: [Span(5, 20)]}
    assert by_time(spans) == {
        Span(0, 5): {PRESS},
        Span(5, 10): {PRESS, LID},
        Span(10, 20): {LID},
        Span(20, 30): {PRESS},
    }
    assert by_time({PRESS: [Span(0, 1), Span(5, 6)]}) == {
        Span(0, 1): {PRESS},
        Span(5, 6): {PRESS},
    }
    assert by_time({}) == {}
