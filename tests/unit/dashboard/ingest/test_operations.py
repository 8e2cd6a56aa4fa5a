import json
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import SQLAlchemyError

from dashboard.history import last_seen, model_orders
from dashboard.history.database import Database
from dashboard.history.model_orders import answers_of, note_order, order_of
from dashboard.ingest import operations
from dashboard.ingest.operations import OperationsWriter
from dashboard.messages import Message, read_message
from models.messages import (
    DaemonState,
    DesiredModel,
    PullState,
    ReportedModel,
    StationStatus,
)
from models.topics import StationTopics
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import (
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
    read,
)

STATION = (PRESS.site, PRESS.line, PRESS.station)
DESIRED = DesiredModel(
    name="boards", build=7, sha256="cd" * 32, url="https://releases.works/boards"
)

READY = read(
    PRESS.status,
    StationStatus(state=DaemonState.READY, boot_id="b", version="1").model_dump_json(),
)


@pytest.fixture
def database(file: HistoryFile) -> Database:
    file.record(READY)
    return file.database


def note(database: Database, *messages: tuple[str, bytes]) -> None:
    OperationsWriter(database).note(
        [Message(topic, payload, NOW_MS) for topic, payload in messages], []
    )


def answer(state: PullState, reason: str = "", refusal: str = "") -> bytes:
    reported = ReportedModel(
        state=state,
        desired_sha256=DESIRED.sha256,
        reason=reason,
        refusal=refusal,
        at=datetime.now(UTC),
    )
    return reported.model_dump_json().encode()


def test_answers_of_the_agent_are_kept_each_once(database: Database) -> None:
    note(database, (PRESS.reported_model, answer(PullState.INSTALLING)))
    note(database, (PRESS.reported_model, answer(PullState.INSTALLING)))
    refused = answer(PullState.REFUSED, "not signed", "signature")
    note(database, (PRESS.reported_model, refused))
    with database.read() as connection:
        answers = answers_of(connection, STATION)
    shown = [(each["state"], each["reason"], each["refusal"]) for each in answers]
    assert shown == [("refused", "not signed", "signature"), ("installing", "", "")]


def test_order_of_another_program_is_kept_without_a_user(database: Database) -> None:
    note(database, (PRESS.desired_model, DESIRED.model_dump_json().encode()))
    with database.read() as connection:
        order = order_of(connection, STATION)
    assert order
    assert (order["sha256"], order["user"]) == (DESIRED.sha256, "")
    note(database, (PRESS.desired_model, b""))
    with database.read() as connection:
        order = order_of(connection, STATION)
    assert order
    assert order["sha256"] == ""


def test_own_order_that_the_broker_repeats_keeps_its_user(database: Database) -> None:
    with database.write() as connection:
        note_order(connection, PRESS, NOW_MS, "anna", DESIRED)
    note(database, (PRESS.desired_model, DESIRED.model_dump_json().encode()))
    with database.read() as connection:
        order = order_of(connection, STATION)
    assert order
    assert order["user"] == "anna"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"[]",
        b"{}",
        b'{"state":' + b"[" * 5000,
        b'{"schema_version":99,"state":"idle","at":"2026-01-01T00:00:00Z"}',
        b"x" * 100_000,
    ],
    ids=["bytes", "list", "empty", "nested", "newer", "large"],
)
def test_hostile_answer_is_dropped(database: Database, payload: bytes) -> None:
    note(database, (PRESS.reported_model, payload), (PRESS.desired_model, payload))
    with database.read() as connection:
        assert answers_of(connection, STATION) == []
        assert order_of(connection, STATION) is None


def test_sender_whose_retained_state_was_deleted_leaves_the_pages(
    file: HistoryFile, database: Database
) -> None:
    for seq, camera in ((1, "top"), (2, "side")):
        file.record(alert_record(alert_event(PRESS, seq, camera)))
    topic = PRESS.camera("top", "status")
    assert read_message(Message(topic, b"", NOW_MS)) is None
    note(database, (topic, b""))
    [station] = file.history.stations(NOW_MS)
    assert [each["camera"] for each in station["cameras"]] == ["side"]
    note(database, (PRESS.status, b""))
    assert file.history.stations(NOW_MS) == []
    assert len(file.history.alerts(9)) == 2  # its alerts stay


def test_history_that_cannot_be_written_is_reported(
    file: HistoryFile, database: Database
) -> None:
    writer = OperationsWriter(database)
    message = Message(PRESS.reported_model, answer(PullState.IDLE), NOW_MS)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE model_answers")
    with pytest.raises(SQLAlchemyError):
        writer.note([message], [])


def test_value_that_the_history_cannot_hold_stops_no_other_message(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {**DESIRED.model_dump(), "build": 2**63}
    other = (PRESS.reported_model, answer(PullState.IDLE))
    note(database, (PRESS.desired_model, json.dumps(large).encode()), other)
    unchecked = DESIRED.model_copy(update={"build": 2**63})
    monkeypatch.setattr(operations, "_read", lambda *_: unchecked)
    note(database, (PRESS.desired_model, b"{}"))
    with database.read() as connection:
        assert order_of(connection, STATION) is None
        assert len(answers_of(connection, STATION)) == 1


def test_answers_of_one_station_are_limited_and_the_last_one_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_orders, "ANSWERS_PER_HOUR", 3)
    for number in range(9):
        reason = answer(PullState.WAITING, f"reason {number}")
        note(database, (PRESS.reported_model, reason))
    with database.read() as connection:
        reasons = [each["reason"] for each in answers_of(connection, STATION)]
    assert reasons == ["reason 8", "reason 1", "reason 0"]


def test_model_of_a_station_is_noted_when_the_station_is_known(
    file: HistoryFile,
) -> None:
    writer = OperationsWriter(file.database)
    desired = DESIRED.model_dump_json().encode()
    writer.note([Message(PRESS.desired_model, desired, NOW_MS)], [])
    with file.database.read() as connection:
        assert order_of(connection, STATION) is None
    file.record(READY)
    writer.note([], [READY])
    with file.database.read() as connection:
        assert order_of(connection, STATION)


@pytest.mark.parametrize(
    "change",
    [{"desired_sha256": "a" * 65}, {"desired_sha256": "a\0b"}],
    ids=["long", "nul"],
)
def test_answer_with_an_impossible_identity_is_dropped(
    database: Database, change: dict[str, str]
) -> None:
    payload = {**json.loads(answer(PullState.IDLE)), **change}
    note(database, (PRESS.reported_model, json.dumps(payload).encode()))
    with database.read() as connection:
        assert answers_of(connection, STATION) == []


def test_order_of_a_station_that_made_room_is_forgotten(
    file: HistoryFile, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_seen, "MAX_STATIONS", 1)
    note(database, (PRESS.desired_model, DESIRED.model_dump_json().encode()))
    other = StationTopics("plant", "line-1", "press-2")
    file.record(alert_record(alert_event(other, 1), NOW_MS + 1))
    with database.read() as connection:
        assert order_of(connection, STATION) is None
