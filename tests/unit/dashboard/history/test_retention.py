"""A wrong clock deletes nothing that was acknowledged."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from dashboard.config import HistorySettings
from dashboard.history.database import Database
from dashboard.history.full_picture_cache import (
    PICTURES_OF,
    PictureKind,
    keep_full_picture,
)
from dashboard.history.learning import leave_out
from dashboard.history.retention import SPEED_MAX
from dashboard.history.reviews import (
    OperatorVerdict,
    Review,
    ReviewKind,
    UnknownAlertError,
    add_review,
)
from dashboard.history.rollups import correct_sums
from dashboard.history.tables.alarms import alarm_changes
from dashboard.history.tables.full_pictures import full_pictures
from dashboard.history.tables.learning import learning_marks
from dashboard.history.tables.reviews import alert_states, reviews
from dashboard.messages import Alert, PartVerdict
from models.topics import StationTopics
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import (
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
    read,
)

DAY_MS = 24 * 3600 * 1000
YEAR_MS = 365 * DAY_MS
KEEP_DAYS = 365


def opened(file: HistoryFile) -> None:
    """Let the dashboard run for long, up to a moment."""
    file.prune(NOW_MS, 100 * YEAR_MS, KEEP_DAYS, KEEP_DAYS)


def alert(seq: int, received_ms: int) -> Alert:
    return alert_record(alert_event(PRESS, seq), received_ms)


def pruned(file: HistoryFile, now_ms: int, ran_ms: int = 0) -> int:
    return file.prune(now_ms, ran_ms, KEEP_DAYS, KEEP_DAYS)


def test_clock_two_years_ahead_deletes_nothing_for_weeks(file: HistoryFile) -> None:
    opened(file)
    file.record(alert(1, NOW_MS))
    ahead_ms = NOW_MS + 2 * YEAR_MS
    for start in range(5):  # it is started again and again, and alerts come in
        file.restart()
        assert pruned(file, ahead_ms) == 0
        file.record(alert(2 + start, ahead_ms))
        assert pruned(file, ahead_ms + DAY_MS, DAY_MS) == 0
    assert len(file.history.alerts(10)) == 6


def test_clock_that_was_not_set_yet_deletes_nothing_once_it_is(
    file: HistoryFile,
) -> None:
    opened(file)
    file.record(alert(1, NOW_MS))
    file.restart()
    assert pruned(file, 0) == 0
    file.record(alert(2, 5000))  # received in 1970
    for _ in range(3):
        assert pruned(file, NOW_MS + DAY_MS, DAY_MS) == 0
    assert len(file.history.alerts(10)) == 2


def test_new_history_started_in_1970_keeps_its_alerts(file: HistoryFile) -> None:
    pruned(file, 0)
    file.record(alert(1, 5000))
    for _ in range(20):
        assert pruned(file, NOW_MS, DAY_MS) == 0


def test_clock_of_an_older_version_is_that_of_its_newest_row(file: HistoryFile) -> None:
    file.record(alert(1, NOW_MS - 2 * YEAR_MS), alert(2, NOW_MS))
    file.restart()
    assert file.prune(NOW_MS + 2 * YEAR_MS, 0, keep_days=300, keep_images_days=300) == 1
    assert [each["seq"] for each in file.history.alerts(10)] == [2]


def test_what_people_did_with_an_alert_goes_with_it(file: HistoryFile) -> None:
    opened(file)
    new_ms = NOW_MS + 200 * DAY_MS
    for seq, at_ms in ((1, NOW_MS), (2, new_ms)):
        file.record(each := alert(seq, at_ms))
        event_id = each.event.id
        limits = {"at_ms": new_ms, "most_bytes": 1 << 20, "keep_days": 999}
        change = {"alarm_id": 1, "at_ms": at_ms, "change": "raised", "user": ""}
        comment = Review(ReviewKind.COMMENT, text="seen")
        with file.database.write() as connection:
            add_review(connection, "ada", [event_id], comment, at_ms=at_ms)
            leave_out(connection, [event_id], "ada")
            for kind in PictureKind:
                keep_full_picture(
                    connection, event_id, event_id.encode(), kind, **limits
                )
            connection.execute(alarm_changes.insert().values(**change))
    then_ms = NOW_MS + (KEEP_DAYS + 1) * DAY_MS
    settings = HistorySettings(keep_days=KEEP_DAYS, keep_images_days=KEEP_DAYS)
    file.store.prune(then_ms, YEAR_MS, settings.kept_days())
    with file.database.read() as connection:
        for table in (reviews, alert_states, learning_marks, *PICTURES_OF.values()):
            ids = connection.execute(select(table.c.event_id)).scalars().all()
            assert ids == [event_id], table.name
        for other in (full_pictures, alarm_changes):
            assert len(connection.execute(select(other)).all()) == 1, other.name
    file.store.prune(new_ms + YEAR_MS + DAY_MS, YEAR_MS, settings.kept_days())
    with file.database.read() as connection:
        assert connection.execute(select(full_pictures)).all() == []


def test_review_never_falls_between_the_sums_and_the_removal_of_its_alert(
    file: HistoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be lost in silence: not in the sums, and gone with the alert."""
    record = alert(1, NOW_MS)
    file.record(record)
    other = Database(file.location, busy_limit_s=0.02)
    false_alarm = Review(ReviewKind.VERDICT, OperatorVerdict.FALSE_ALARM)

    def review() -> None:
        with other.write() as connection:
            add_review(connection, "ada", [record.event.id], false_alarm, at_ms=1)

    def correct(connection: Connection, cursors: Sequence[int]) -> None:
        correct_sums(connection, cursors)
        with pytest.raises(SQLAlchemyError):
            review()  # the page says that it is not done

    monkeypatch.setattr("dashboard.history.retention.correct_sums", correct)
    opened(file)
    assert pruned(file, NOW_MS + 2 * YEAR_MS, YEAR_MS) >= 1
    with pytest.raises(UnknownAlertError):
        review()
    other.close()


def test_nights_and_weekends_are_caught_up(file: HistoryFile) -> None:
    """It runs one shift on five days a week, and deletes within a day all the same."""
    opened(file)
    file.record(alert(1, NOW_MS))
    day = 0
    while file.history.alerts(1):
        day += 1
        file.restart()
        for ran_ms in (0, DAY_MS // 3 * (day % 7 < 5)):
            file.prune(NOW_MS + day * DAY_MS, ran_ms, 30, 30)
        assert day < 40
    assert 30 <= day <= 34


def test_deletion_catches_up_within_days_after_three_weeks_without_power(
    file: HistoryFile,
) -> None:
    opened(file)
    file.record(alert(1, NOW_MS))
    back_ms = NOW_MS + (KEEP_DAYS + 21) * DAY_MS
    file.restart()
    file.prune(back_ms, (KEEP_DAYS + 21) * DAY_MS // SPEED_MAX // 2, 999, 999)
    assert pruned(file, back_ms) == 0
    assert pruned(file, back_ms, (KEEP_DAYS + 30) * DAY_MS // SPEED_MAX) == 1


@pytest.mark.parametrize("is_synchronized", [True, False])
def test_verdict_counts_when_it_happened_only_by_a_clock_that_is_right(
    *, is_synchronized: bool
) -> None:
    captured = datetime.fromtimestamp(NOW_MS / 1000 - 7200, UTC).isoformat()
    flag = "true" if is_synchronized else "false"
    text = f"""{{
        "id": "press-1-00ff:1", "source": "graftline/plant/line-1/press-1",
        "time": "{captured}", "type": "graftline.verdict.v1", "data": {{
            "seq": 1, "stream": "press-1-00ff", "site": "plant", "line": "line-1",
            "station": "press-1", "boot_id": "b", "camera": "top", "part_id": "p",
            "frame_id": 1, "verdict": "ok", "captured_at": "{captured}",
            "clock_synchronized": {flag}
        }}
    }}"""
    topics = StationTopics("plant", "line-1", "press-1")
    record = read(topics.camera("top", "verdict"), text)
    assert isinstance(record, PartVerdict)
    assert record.happened_ms == NOW_MS - 7_200_000 * is_synchronized
