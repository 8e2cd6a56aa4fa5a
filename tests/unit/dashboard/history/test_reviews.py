from typing import Any

import pytest
from sqlalchemy import select

from dashboard.history.alert_search import AlertFilter, AlertSearch
from dashboard.history.database import Database
from dashboard.history.reviews import (
    COMMENT_MAX_CHARS,
    OperatorVerdict,
    Review,
    ReviewKind,
    UnknownAlertError,
    add_review,
    reviews_of,
)
from dashboard.history.tables.reviews import reviews
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile, alert_record

ACKNOWLEDGE = Review(ReviewKind.ACKNOWLEDGE)
FALSE_ALARM = Review(ReviewKind.VERDICT, OperatorVerdict.FALSE_ALARM)
REAL = Review(ReviewKind.VERDICT, OperatorVerdict.REAL)


@pytest.fixture
def database(file: HistoryFile) -> Database:
    return file.database


def add(file: HistoryFile, count: int) -> list[str]:
    events = [alert_event(PRESS, seq) for seq in range(1, count + 1)]
    file.record(*(alert_record(event) for event in events))
    return [event.id for event in events]


def do(
    database: Database,
    ids: list[str],
    review: Review,
    user: str = "ada",
    at_ms: int = 5,
) -> int:
    with database.write() as connection:
        return len(add_review(connection, user, ids, review, at_ms=at_ms))


def alert(database: Database, event_id: str) -> dict[str, Any]:
    with database.read() as connection:
        found = AlertSearch(connection, NOW_MS).alert(event_id)
    assert found is not None
    return found


def test_acknowledgement_keeps_who_and_when(
    file: HistoryFile, database: Database
) -> None:
    (event_id,) = add(file, 1)
    assert do(database, [event_id], ACKNOWLEDGE, at_ms=NOW_MS) == 1
    found = alert(database, event_id)
    assert (found["acknowledged_by"], found["acknowledged_ms"]) == ("ada", NOW_MS)


def test_second_acknowledgement_changes_nothing(
    file: HistoryFile, database: Database
) -> None:
    (event_id,) = add(file, 1)
    do(database, [event_id], ACKNOWLEDGE)
    assert do(database, [event_id], ACKNOWLEDGE, "bob") == 0
    assert alert(database, event_id)["acknowledged_by"] == "ada"


def test_withdrawn_acknowledgement_can_be_given_again(
    file: HistoryFile, database: Database
) -> None:
    (event_id,) = add(file, 1)
    do(database, [event_id], ACKNOWLEDGE)
    assert do(database, [event_id], Review(ReviewKind.WITHDRAW)) == 1
    assert alert(database, event_id)["acknowledged_ms"] is None
    assert do(database, [event_id], ACKNOWLEDGE, "bob") == 1
    assert alert(database, event_id)["acknowledged_by"] == "bob"


def test_conflicting_verdicts_are_both_kept_and_the_later_one_counts(
    file: HistoryFile, database: Database
) -> None:
    (event_id,) = add(file, 1)
    do(database, [event_id], REAL, "ada")
    do(database, [event_id], FALSE_ALARM, "bob")
    found = alert(database, event_id)
    assert (found["verdict"], found["judged_by"]) == ("false-alarm", "bob")
    assert found["verdicts"] == 2
    with database.read() as connection:
        kept = reviews_of(connection, event_id)
    assert [(each["reviewer"], each["verdict"]) for each in kept] == [
        ("ada", "real-defect"),
        ("bob", "false-alarm"),
    ]


def test_withdrawn_verdict_leaves_the_alert_unjudged(
    file: HistoryFile, database: Database
) -> None:
    (event_id,) = add(file, 1)
    do(database, [event_id], REAL)
    do(database, [event_id], Review(ReviewKind.VERDICT, OperatorVerdict.NONE))
    found = alert(database, event_id)
    assert (found["verdict"], found["judged_by"], found["verdicts"]) == (None, None, 2)


def test_other_class_keeps_its_name(file: HistoryFile, database: Database) -> None:
    (event_id,) = add(file, 1)
    other = Review(ReviewKind.VERDICT, OperatorVerdict.OTHER_CLASS, label="dent")
    do(database, [event_id], other)
    assert alert(database, event_id)["verdict_label"] == "dent"


def test_comments_are_counted(file: HistoryFile, database: Database) -> None:
    (event_id,) = add(file, 1)
    for text in ("one", "two"):
        do(database, [event_id], Review(ReviewKind.COMMENT, text=text))
    assert alert(database, event_id)["comments"] == 2


def test_many_alerts_are_changed_at_once(file: HistoryFile, database: Database) -> None:
    ids = add(file, 900)
    assert do(database, ids, ACKNOWLEDGE) == 900


def test_unknown_alert_changes_nothing(file: HistoryFile, database: Database) -> None:
    (event_id,) = add(file, 1)
    with pytest.raises(UnknownAlertError, match="nowhere:1"):
        do(database, [event_id, "nowhere:1"], ACKNOWLEDGE)
    assert alert(database, event_id)["acknowledged_ms"] is None
    with database.read() as connection:
        assert not connection.execute(select(reviews)).all()


@pytest.mark.parametrize(
    ("review", "fault"),
    [
        (Review(ReviewKind.VERDICT), "a verdict needs one of"),
        (Review(ReviewKind.COMMENT, OperatorVerdict.REAL, text="a"), "a verdict needs"),
        (
            Review(ReviewKind.VERDICT, OperatorVerdict.OTHER_CLASS),
            "needs the name of the class",
        ),
        (Review(ReviewKind.VERDICT, OperatorVerdict.REAL, label="x"), "other-class"),
        (Review(ReviewKind.COMMENT, text="  "), "needs a text"),
        (Review(ReviewKind.ACKNOWLEDGE, text="x"), "a comment, and only that"),
        (Review(ReviewKind.COMMENT, text="x" * (COMMENT_MAX_CHARS + 1)), "at most"),
    ],
)
def test_review_that_cannot_be_stored_says_why(review: Review, fault: str) -> None:
    assert fault in review.fault()


def test_filters_by_verdict_and_acknowledgement(
    file: HistoryFile, database: Database
) -> None:
    ids = add(file, 3)
    do(database, ids[:1], REAL)
    do(database, ids[1:2], ACKNOWLEDGE)

    def found(**changes: Any) -> list[str]:
        with database.read() as connection:
            search = AlertSearch(connection, NOW_MS)
            page = search.page(AlertFilter(**changes), 10)
        return sorted(each["id"] for each in page.alerts)

    assert found(verdicts=(OperatorVerdict.REAL,)) == ids[:1]
    assert found(verdicts=(OperatorVerdict.NONE,)) == ids[1:]
    both = (OperatorVerdict.NONE, OperatorVerdict.REAL)
    assert found(verdicts=both) == ids
    assert found(acknowledged=True) == ids[1:2]
    assert found(acknowledged=False) == [ids[0], ids[2]]
