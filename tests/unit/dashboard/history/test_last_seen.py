"""When stations and cameras were last seen, and their last state."""

from typing import Any

import pytest
from sqlalchemy import Column, select

from dashboard.history import last_seen
from dashboard.history.last_seen import LastSeen
from dashboard.history.tables.received import cameras, stations
from dashboard.messages import Sender, State
from models.messages import DaemonState, StationStatus
from models.topics import StationTopics
from tests.unit.dashboard.history_file import PRESS, HistoryFile


class SenderTable:
    """The senders of a history."""

    def __init__(self, file: HistoryFile) -> None:
        self.file = file
        self.senders = LastSeen()

    def note(self, *senders: Sender) -> None:
        for each in senders:
            with self.file.database.write() as connection:
                self.senders.note(connection, [each], [])

    def keep(self, state: DaemonState, received_ms: int) -> None:
        status = StationStatus(state=state, boot_id="boot", version="1")
        with self.file.database.write() as connection:
            states = [State(sender(received_ms), status)]
            self.senders.note(connection, [], states)

    def station(self) -> tuple[int, int]:
        """Return when the station was seen and when its status changed."""
        ((heard_ms, said_ms),) = self.rows(stations.c.heard_ms, stations.c.said_ms)
        return heard_ms, said_ms

    def rows(self, *columns: Column[Any]) -> list[tuple[Any, ...]]:
        with self.file.database.read() as connection:
            return sorted(tuple(row) for row in connection.execute(select(*columns)))


def sender(received_ms: int, camera: str = "", *, is_retained: bool = False) -> Sender:
    return Sender(PRESS, camera, received_ms, is_retained)


@pytest.fixture
def table(file: HistoryFile) -> SenderTable:
    return SenderTable(file)


def test_newest_message_counts(table: SenderTable) -> None:
    for received_ms in (5, 9, 7):
        table.note(sender(received_ms))
    assert table.station() == (9, 0)


def test_retained_message_is_no_sign_of_life(table: SenderTable) -> None:
    table.note(sender(9, is_retained=True))
    assert table.station() == (0, 0)


def test_last_will_is_kept_and_is_no_sign_of_life(table: SenderTable) -> None:
    table.keep(DaemonState.READY, 5)
    table.keep(DaemonState.LOST, 9)
    assert table.station() == (5, 9)


def test_status_that_is_repeated_keeps_the_time_of_its_change(
    table: SenderTable,
) -> None:
    table.keep(DaemonState.READY, 5)
    table.keep(DaemonState.READY, 9)
    assert table.station() == (9, 5)


def test_message_of_a_camera_is_one_of_its_station_too(table: SenderTable) -> None:
    table.note(sender(5, "top"))
    assert table.rows(cameras.c.camera, cameras.c.heard_ms) == [("top", 5)]
    assert table.station() == (5, 0)


def test_camera_that_was_silent_for_longest_makes_room(
    table: SenderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "MAX_CAMERAS_PER_STATION", 2)
    for received_ms, camera in ((1, "top"), (2, "side"), (3, "top"), (4, "front")):
        table.note(sender(received_ms, camera))
    assert table.rows(cameras.c.camera) == [("front",), ("top",)]
    assert table.senders.forgotten == 1


def test_cameras_of_one_station_leave_room_for_those_of_others(
    table: SenderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "MAX_CAMERAS_PER_STATION", 2)
    other = StationTopics("plant", "line-1", "press-2")
    table.note(Sender(other, "top", 1, is_retained=False))
    for number in range(5):
        table.note(sender(2 + number, f"camera-{number}"))
    assert table.rows(cameras.c.station) == [("press-1",), ("press-1",), ("press-2",)]


def test_station_that_was_silent_for_longest_makes_room_with_its_cameras(
    table: SenderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "MAX_STATIONS", 2)
    for number in (1, 2, 3):
        topics = StationTopics("plant", "line-1", f"press-{number}")
        table.note(Sender(topics, "top", number, is_retained=False))
    for column in (stations.c.station, cameras.c.station):
        assert table.rows(column) == [("press-2",), ("press-3",)]
