"""A full history makes room at the cost of the station that uses the most."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from dashboard.history.retention import MS_PER_DAY
from dashboard.messages import Record, RejectionReason
from models.topics import StationTopics
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history_file import (
    JPEG_SHA256,
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
    image_record,
)

FLOOD = StationTopics("plant", "line-1", "press-2")
PICTURE = b"\xff\xd8\xff" + bytes(100_000)
PICTURE_SHA256 = hashlib.sha256(PICTURE).hexdigest()


def alert_with_picture(station: StationTopics, seq: int) -> list[Record]:
    event = alert_event(station, seq, thumbnail_sha256=PICTURE_SHA256)
    return [image_record(event, PICTURE), alert_record(event)]


def send_all(file: HistoryFile, groups: list[list[Record]]) -> None:
    for records in groups:
        file.record(*records)


def test_history_without_pictures_has_no_room(file: HistoryFile) -> None:
    assert file.store.make_room() == 0


def test_oldest_pictures_of_the_largest_station_go(file: HistoryFile) -> None:
    mine = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(image_record(mine), alert_record(mine))
    for seq in range(1, 61):
        file.record(*alert_with_picture(FLOOD, seq))
    assert file.store.make_room() == 50
    assert file.history.picture(mine.id) is not None
    kept = [seq for seq in range(1, 61) if file.history.picture(f"press-2-00ff:{seq}")]
    assert kept == list(range(51, 61))
    assert len(file.history.alerts(100)) == 61


def test_picture_of_a_single_station_waits_for_its_alert(file: HistoryFile) -> None:
    file.record(image_record(alert_event(PRESS, 1), PICTURE))
    assert file.store.make_room() == 0
    file.record(alert_record(alert_event(FLOOD, 1)))
    assert file.store.make_room() == 1, "another station needs the room"


@pytest.mark.parametrize("is_announced", [True, False], ids=["alerts", "no alerts"])
def test_pictures_of_one_station_keep_no_alert_of_another_away(
    tmp_path: Path, *, is_announced: bool
) -> None:
    small = HistoryFile(tmp_path, max_mb=3)
    mine = alert_event(PRESS, 1)
    small.record(alert_record(mine))
    sent = [alert_with_picture(FLOOD, seq) for seq in range(1, 40)]
    with pytest.raises(OperationalError, match="full"):
        send_all(small, [each if is_announced else each[:1] for each in sent])
    assert small.store.make_room() > 0
    assert small.record(alert_record(alert_event(PRESS, 2))).acks
    small.close()


def test_pictures_of_a_stream_that_ends_with_a_colon_are_those_of_its_station(
    file: HistoryFile,
) -> None:
    mine = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(image_record(mine), alert_record(mine))
    for seq in range(1, 61):
        event = alert_event(
            FLOOD,
            seq,
            stream=f"{mine.data.stream}:",
            thumbnail_sha256=PICTURE_SHA256,
        )
        file.record(image_record(event, PICTURE), alert_record(event))
    assert file.store.make_room() == 50
    assert file.store.make_room() == 10
    assert file.history.picture(mine.id) is not None


def large_alert(station: StationTopics, seq: int) -> Record:
    """Return an alert of 120 kB without a picture."""
    boxes = (detection("x" * 400),) * 220
    return alert_record(alert_event(station, seq, detections=boxes))


@pytest.mark.fault(78)
def test_station_that_holds_the_most_waits_and_no_other_does(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path, max_mb=10)
    mine = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(image_record(mine), alert_record(mine))
    seq, last = 1, large_alert(FLOOD, 1)
    file.record(last)
    while not file.store.is_short_of_room():
        seq += 1
        last = large_alert(FLOOD, seq)
        file.record(last)
    assert file.store.make_room() == 0, "the picture of the other station stays"
    refused = file.record(large_alert(FLOOD, seq + 1))
    assert [each.reason for each in refused.rejections] == [RejectionReason.NO_ROOM]
    assert refused.acks == []
    assert file.record(last).acks, "what is stored is acknowledged again"
    taken = file.record(*(alert_record(alert_event(PRESS, n)) for n in range(2, 300)))
    assert not taken.rejections
    assert len(taken.alerts) == 298
    assert file.history.picture(mine.id) is not None
    file.close()


def test_station_waits_no_more_when_there_is_room(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path, max_mb=10)
    file.record(alert_record(alert_event(PRESS, 1)))
    seq = 0
    while not file.store.is_short_of_room():
        seq += 1
        file.record(large_alert(FLOOD, seq))
    file.store.make_room()
    assert file.record(large_alert(FLOOD, seq + 1)).rejections
    later_ms = NOW_MS + 10 * MS_PER_DAY
    while file.prune(later_ms, later_ms, 1, 1):
        pass
    assert not file.store.is_short_of_room()
    assert not file.record(large_alert(FLOOD, seq + 1)).rejections
    file.close()


def test_station_that_is_alone_does_not_wait(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path, max_mb=10)
    seq = 0
    while not file.store.is_short_of_room():
        seq += 1
        file.record(large_alert(FLOOD, seq))
    assert file.store.make_room() == 0
    assert not file.record(large_alert(FLOOD, seq + 1)).rejections
    file.close()
