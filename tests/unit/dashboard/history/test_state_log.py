from datetime import UTC, datetime

import pytest

from dashboard.history import state_log
from dashboard.history.database import Database
from dashboard.history.forget import forget_sender
from dashboard.history.state_log import (
    CHANGES_PER_HOUR,
    SILENT,
    SILENT_MS,
    StateLog,
    changes_of,
    models_of,
    prune_operations,
)
from dashboard.messages import Record
from models.messages import CameraState, CameraStatus, DaemonState, StationStatus
from models.topics import StationTopics
from tests.simulators.station import MODEL
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile, read

STATION = (PRESS.site, PRESS.line, PRESS.station)
OTHER = StationTopics("plant", "line-1", "press-2")
MINUTE_MS = 60_000


@pytest.fixture
def database(file: HistoryFile) -> Database:
    file.record(
        *(
            camera_says(CameraState.UP, 0, camera=camera, topics=topics)
            for topics in (PRESS, OTHER)
            for camera in ("top", *(f"made-up-{n}" for n in range(9)))
        )
    )
    return file.database


def station_says(
    state: DaemonState, at_ms: int = NOW_MS, reason: str = "", build: int = 1
) -> Record:
    model = MODEL.model_copy(update={"build": build, "sha256": f"{build:064}"})
    status = StationStatus(
        state=state, reason=reason, boot_id="b", version="1", model=model
    )
    return read(PRESS.status, status.model_dump_json(), at_ms)


def camera_says(
    state: CameraState,
    at_ms: int = NOW_MS,
    reason: str = "",
    camera: str = "top",
    topics: StationTopics = PRESS,
) -> Record:
    status = CameraStatus(state=state, reason=reason, since=datetime.now(UTC))
    topic = topics.camera(camera, "status")
    return read(topic, status.model_dump_json(), at_ms)


def logged(
    database: Database, camera: str = "", from_ms: int = 0, of: StationTopics = PRESS
) -> list[tuple[int, str, str]]:
    with database.read() as connection:
        station = (of.site, of.line, of.station)
        found = changes_of(connection, station, from_ms, NOW_MS * 2)
    return [(each.at_ms, each.state, each.reason) for each in found.get(camera, [])]


def test_each_change_is_written_once_with_its_reason(database: Database) -> None:
    log = StateLog(database)
    log.note([station_says(DaemonState.READY), station_says(DaemonState.READY)])
    log.note([camera_says(CameraState.LOST, NOW_MS + 5, "no frame")])
    log.note([camera_says(CameraState.LOST, NOW_MS + 9, "no frame")])
    log.note([camera_says(CameraState.UP, NOW_MS + 20)])
    assert logged(database) == [(NOW_MS, "ready", "")]
    assert logged(database, "top") == [
        (NOW_MS + 5, "lost", "no frame"),
        (NOW_MS + 20, "up", ""),
    ]


def test_restart_of_the_dashboard_writes_no_change_again(database: Database) -> None:
    StateLog(database).note([station_says(DaemonState.READY)])
    StateLog(database).note([station_says(DaemonState.READY, NOW_MS + 10)])
    assert logged(database) == [(NOW_MS, "ready", "")]


def test_time_without_a_message_is_silence_and_not_the_last_state(
    database: Database,
) -> None:
    log = StateLog(database)
    later_ms = NOW_MS + SILENT_MS
    log.note([station_says(DaemonState.READY)])
    log.note([station_says(DaemonState.READY, later_ms)])
    log.note([station_says(DaemonState.READY, later_ms + SILENT_MS - 1)])
    assert logged(database) == [
        (NOW_MS, "ready", ""),
        (NOW_MS, SILENT, ""),
        (later_ms, "ready", ""),
    ]


@pytest.mark.parametrize("state", [DaemonState.LOST, DaemonState.DISCONNECTED])
def test_station_that_was_gone_is_not_silent(
    database: Database, state: DaemonState
) -> None:
    log = StateLog(database)
    log.note([station_says(DaemonState.READY), station_says(state, NOW_MS + 1)])
    log.note([station_says(DaemonState.READY, NOW_MS + SILENT_MS * 9)])
    assert [state for _, state, _ in logged(database)] == ["ready", state, "ready"]


def test_flapping_camera_does_not_fill_the_history(database: Database) -> None:
    log = StateLog(database)
    for number in range(CHANGES_PER_HOUR + 50):
        log.note([camera_says(CameraState.LOST, NOW_MS, f"reason {number}")])
    assert len(logged(database, "top")) == CHANGES_PER_HOUR


def test_made_up_cameras_of_one_station_silence_no_other_station(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_log, "STATION_CHANGES_PER_HOUR", 3)
    log = StateLog(database)
    log.note([camera_says(CameraState.UP, camera=f"made-up-{n}") for n in range(9)])
    log.note([camera_says(CameraState.LOST, topics=OTHER)])
    log.note([station_says(DaemonState.LOST)])
    assert [len(logged(database, f"made-up-{n}")) for n in (2, 3)] == [1, 0]
    assert len(logged(database, "top", of=OTHER)) == 1
    assert [state for _, state, _ in logged(database)] == ["lost"]


def test_change_beyond_the_limit_is_written_in_the_next_hour(
    database: Database,
) -> None:
    log = StateLog(database)
    for number in range(CHANGES_PER_HOUR):
        log.note([camera_says(CameraState.UP, NOW_MS, f"reason {number}")])
    log.note([camera_says(CameraState.LOST, NOW_MS)])
    log.note([camera_says(CameraState.LOST, NOW_MS + 60 * MINUTE_MS)])
    assert logged(database, "top")[-1] == (NOW_MS + 60 * MINUTE_MS, "lost", "")


def test_state_before_a_span_starts_it(database: Database) -> None:
    log = StateLog(database)
    log.note([camera_says(CameraState.UP), camera_says(CameraState.LOST, NOW_MS + 5)])
    assert logged(database, "top", NOW_MS + 3) == [
        (NOW_MS, "up", ""),
        (NOW_MS + 5, "lost", ""),
    ]
    assert logged(database, "top", NOW_MS + 9) == [(NOW_MS + 5, "lost", "")]


def test_other_model_is_noted_with_its_time(database: Database) -> None:
    log = StateLog(database)
    for at_ms, build in ((0, 1), (10, 1), (20, 2), (30, 1)):
        log.note([station_says(DaemonState.READY, NOW_MS + at_ms, build=build)])
    with database.read() as connection:
        changes = models_of(connection, STATION)
    found = [(row["at_ms"] - NOW_MS, row["build"]) for row in changes]
    assert found == [(30, 1), (20, 2), (0, 1)]


def test_text_that_no_database_can_hold_is_replaced(database: Database) -> None:
    StateLog(database).note([camera_says(CameraState.LOST, reason="a\0b")])
    assert logged(database, "top") == [(NOW_MS, "lost", "a\ufffdb")]


def test_last_state_of_a_sender_is_kept_however_old_it_is(database: Database) -> None:
    log = StateLog(database)
    log.note([station_says(DaemonState.INIT), station_says(DaemonState.READY)])
    with database.write() as connection:
        assert prune_operations(connection, NOW_MS * 2) == 1
    assert logged(database) == [(NOW_MS, "ready", "")]


def test_sender_that_the_pages_do_not_show_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_log, "SENDERS_MAX", 1)
    log, loads = StateLog(database), []
    monkeypatch.setattr(log, "_load", lambda: loads.append(1))
    log.note([camera_says(CameraState.UP, camera="unknown")])
    assert logged(database, "unknown") == []
    log.note([station_says(DaemonState.READY), camera_says(CameraState.UP)])
    with database.write() as connection:
        assert prune_operations(connection, NOW_MS * 2) == 0
        forget_sender(connection, PRESS, "top")
        assert prune_operations(connection, NOW_MS * 2) == 1
        forget_sender(connection, PRESS, "")
        assert prune_operations(connection, NOW_MS * 2) == 2
    assert not loads, "what the tables hold is not read with every message"


def test_two_dashboards_on_one_history_write_each_change_once(
    database: Database,
) -> None:
    logs = [StateLog(database), StateLog(database)]
    for at_ms, state in (
        (NOW_MS, CameraState.UP),
        (NOW_MS + 10, CameraState.LOST),
        (NOW_MS + 20, CameraState.UP),
    ):
        for late_ms, log in enumerate(logs):
            log.note([camera_says(state, at_ms + late_ms)])
    assert [at_ms for at_ms, _, _ in logged(database, "top")] == [
        NOW_MS,
        NOW_MS + 10,
        NOW_MS + 20,
    ]
    for at_ms in (NOW_MS, NOW_MS + SILENT_MS):
        for log in logs:
            log.note([station_says(DaemonState.READY, at_ms)])
    assert [state for _, state, _ in logged(database)] == ["ready", SILENT, "ready"]
    with database.read() as connection:
        assert len(models_of(connection, STATION)) == 1
