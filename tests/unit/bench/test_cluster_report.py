"""The comparison of a line's own records with the history finds what is wrong."""

from pathlib import Path

from sqlalchemy import delete

from dashboard.history.tables.rollups import alert_minutes
from tests.simulators.cluster.report import ClusterReport, LineRecord, compare
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import (
    JPEG_SHA256,
    PRESS,
    HistoryFile,
    alert_record,
    image_record,
)


def test_whole_history_is_clean(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path)
    event = alert_event(PRESS, 1, part_id="a", thumbnail_sha256=JPEG_SHA256)
    file.record(image_record(event), alert_record(event))
    with file.database.read() as connection:
        result = compare(connection, LineRecord("line-1", 1, 1, 0, ["a"]))
    file.close()
    assert (result.alerts, result.noted, result.faults) == (1, 1, 0)
    assert ClusterReport(lines=[result]).is_clean


def test_what_is_lost_or_there_twice_is_counted(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path)
    for seq, part in ((1, "a"), (2, "b"), (4, "a")):
        file.record(alert_record(alert_event(PRESS, seq, part_id=part)))
    with file.database.write() as connection:
        connection.execute(delete(alert_minutes))
    record = LineRecord("line-1", starts=2, raised=5, left=1, noted=["a", "b", "c"])
    with file.database.read() as connection:
        result = compare(connection, record)
        other = compare(connection, LineRecord("line-2", 1, 0, 0, []))
    file.close()
    assert result.lost == 3, "positions 3 and 5, and part c"
    assert result.repeated == 1, "part a"
    assert result.without_picture == 3
    assert result.miscounted == 3
    assert result.left == 1
    assert other.alerts == 0, "rows of another line are not counted"
    assert not ClusterReport(lines=[result]).is_clean
    assert not ClusterReport(lines=[]).is_clean, "a run without lines shows nothing"
