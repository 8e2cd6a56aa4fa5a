"""When stations and cameras were last seen, and their last state."""

import sqlite3
from collections.abc import Iterator

import pytest

from dashboard.history import last_seen
from dashboard.history.last_seen import LastSeen
from dashboard.history.schema import TABLES
from dashboard.messages import Sender, State
from models.messages import DaemonState, StationStatus
from models.topics import StationTopics
from tests.unit.dashboard.history_file import PRESS


class SenderTable:
    """The senders of an empty history."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript(TABLES)
        self.senders = LastSeen(self.connection)

    def keep(self, state: DaemonState, received_ms: int) -> None:
        status = StationStatus(state=state, boot_id="boot", version="1")
        self.senders.keep(State(sender(received_ms), status))

    def station(self) -> tuple[int, int]:
        """Return when the station was seen and when its status changed."""
        row = self.connection.execute("SELECT heard_ms, said_ms FROM stations")
        heard_ms, said_ms = row.fetchone()
        return heard_ms, said_ms


def sender(received_ms: int, camera: str = "", *, is_retained: bool = False) -> Sender:
    return Sender(PRESS, camera, received_ms, is_retained)


@pytest.fixture
def table() -> Iterator[SenderTable]:
    result = SenderTable()
    yield result
    result.connection.close()


def test_newest_message_counts(table: SenderTable) -> None:
    for received_ms in (5, 9, 7):
        table.senders.note(sender(received_ms))
    assert table.station() == (9, 0)


def test_retained_message_is_no_sign_of_life(table: SenderTable) -> None:
    table.senders.note(sender(9, is_retained=True))
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
    table.senders.note(sender(5, "top"))
    cameras = table.connection.execute("SELECT camera, heard_ms FROM cameras")
    assert cameras.fetchall() == [("top", 5)]
    assert table.station() == (5, 0)


def test_camera_that_was_silent_for_longest_makes_room(
    table: SenderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "MAX_CAMERAS_PER_STATION", 2)
    for received_ms, camera in ((1, "top"), (2, "side"), (3, "top"), (4, "front")):
        table.senders.note(sender(received_ms, camera))
    cameras = table.connection.execute("SELECT camera FROM cameras ORDER BY camera")
    assert cameras.fetchall() == [("front",), ("top",)]
    assert table.senders.forgotten == 1


def test_cameras_of_one_station_leave_room_for_those_of_others(
    table: SenderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "MAX_CAMERAS_PER_STATION", 2)
    other = StationTopics("plant", "line-1", "press-2")
    table.senders.note(Sender(other, "top", 1, is_retained=False))
    for number in range(5):
        table.senders.note(sender(2 + number, f"camera-{number}"))
    cameras = table.connection.execute(
        "SELECT station, count(*) FROM cameras GROUP BY station"
    )
    assert cameras.fetchall() == [("press-1", 2), ("press-2", 1)]


def test_station_that_was_silent_for_longest_makes_room_with_its_cameras(
    table: SenderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "MAX_STATIONS", 2)
    for number in (1, 2, 3):
        topics = StationTopics("plant", "line-1", f"press-{number}")
        table.senders.note(Sender(topics, "top", number, is_retained=False))
    for name in ("stations", "cameras"):
        rows = table.connection.execute(f"SELECT station FROM {name}")  # noqa: S608
        assert sorted(rows.fetchall()) == [("press-2",), ("press-3",)]
