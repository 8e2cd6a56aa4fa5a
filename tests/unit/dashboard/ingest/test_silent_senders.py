"""Stations and cameras that have sent nothing for days."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dashboard.config import LinesSettings
from dashboard.history.model_orders import note_order, order_of
from dashboard.history.tables.audit import entries
from dashboard.ingest.silent_senders import MS_PER_DAY, WAIT_S, SilentSenders
from dashboard.messages import Message, Record, read_message
from dashboard.outgoing import Outgoing
from models.messages import (
    CameraState,
    CameraStatus,
    DaemonState,
    DesiredModel,
    StationStatus,
)
from models.topics import StationTopics
from tests.unit.dashboard.history_file import NOW_MS, HistoryFile
from tests.unit.dashboard.sim_broker import SimBroker

HERE = StationTopics("plant", "line-1", "press-1")
GONE = StationTopics("plant", "line-1", "press-2")
DISCOVERY = "homeassistant/device/graftline-plant-line-1-{}/config"


class Floor:
    """A history, a broker, and clocks that a test moves on."""

    def __init__(self, file: HistoryFile, **settings: object) -> None:
        self.file, self.now_s, self.now_ms = file, 0.0, NOW_MS
        outgoing = Outgoing()
        self.broker = SimBroker(outgoing)
        self.silent = SilentSenders(
            file.database,
            outgoing,
            LinesSettings.model_validate(settings),
            lambda: self.now_s,
            lambda: self.now_ms,
        )

    def hear(
        self, topics: StationTopics, camera: str = "", *, is_retained: bool = False
    ) -> None:
        at = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        message: StationStatus | CameraStatus
        topic = topics.status
        if camera:
            topic = topics.camera(camera, "status")
            message = CameraStatus(state=CameraState.UP, since=at)
        else:
            message = StationStatus(state=DaemonState.READY, boot_id="b", version="1")
        payload = message.model_dump_json().encode()
        record = read_message(
            Message(topic, payload, self.now_ms, is_retained=is_retained)
        )
        assert isinstance(record, Record)
        self.file.record(record)

    def pass_days(self, days: float) -> None:
        self.now_ms += round(days * MS_PER_DAY)
        self.now_s += days * 24 * 3600

    def shown(self) -> list[str]:
        return [
            "/".join(filter(None, (station["station"], camera)))
            for station in self.file.history.stations(self.now_ms)
            for camera in ("", *(each["camera"] for each in station["cameras"]))
        ]


def test_what_is_silent_for_weeks_leaves_pages_broker_and_home_assistant(
    file: HistoryFile,
) -> None:
    floor = Floor(file)
    for topics, camera in ((HERE, "top"), (HERE, "old"), (GONE, "top")):
        floor.hear(topics, camera)
    floor.pass_days(31)
    floor.hear(HERE, "top")
    assert floor.silent.check() == 2
    assert floor.shown() == ["press-1", "press-1/top"]
    kept = [topic for topic, payload, retain in floor.broker.sent if retain]
    assert HERE.camera("old", "status") in kept
    assert {GONE.camera("top", "status"), GONE.status, GONE.desired_model} <= set(kept)
    assert HERE.camera("top", "status") not in kept
    assert HERE.status not in kept
    assert DISCOVERY.format("press-2") in kept
    (removal,) = [
        payload
        for topic, payload, _ in floor.broker.sent
        if topic == DISCOVERY.format("press-1")
    ]
    assert b"old-image" in removal
    with file.database.read() as connection:
        subjects = set(connection.execute(select(entries.c.subject)).scalars())
    assert subjects == {"plant/line-1/press-1/old", "plant/line-1/press-2"}


@pytest.mark.parametrize("case", ["no station is heard", "just started", "never"])
def test_nothing_is_forgotten_while_the_dashboard_or_broker_may_have_been_away(
    file: HistoryFile, case: str
) -> None:
    floor = Floor(file, forget_after_days=0 if case == "never" else 30)
    floor.hear(HERE, "top")
    floor.hear(GONE, "top")
    floor.pass_days(40)
    if case != "no station is heard":
        floor.hear(HERE, "top")
    if case == "just started":
        floor.now_s = WAIT_S - 1
    assert floor.silent.check() == 0
    assert len(floor.shown()) == 4


def test_retained_message_counts_by_what_it_says(file: HistoryFile) -> None:
    floor = Floor(file)
    floor.hear(HERE, "renamed", is_retained=True)
    floor.hear(GONE, is_retained=True)
    floor.pass_days(29)
    floor.hear(HERE, "top")
    assert floor.silent.check() == 0
    floor.pass_days(2)
    floor.hear(HERE, "top")
    assert floor.silent.check() == 2
    assert floor.shown() == ["press-1", "press-1/top"]


def test_order_of_a_station_that_never_came_is_taken_back(file: HistoryFile) -> None:
    floor = Floor(file)
    order = DesiredModel(name="boards", build=9, sha256="cd" * 32, url="https://a/b")
    with file.database.write() as connection:
        note_order(connection, GONE, NOW_MS, "eve", order)
    floor.pass_days(29)
    floor.hear(HERE, "top")
    assert floor.silent.check() == 0
    floor.pass_days(2)
    floor.hear(HERE, "top")
    assert floor.silent.check() == 1
    assert (GONE.desired_model, b"", True) in floor.broker.sent
    with file.database.read() as connection:
        assert order_of(connection, (GONE.site, GONE.line, GONE.station)) is None


def test_it_checks_once_an_hour_and_survives_a_history_that_is_away(
    file: HistoryFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    floor = Floor(file)
    floor.hear(GONE, "top")
    floor.pass_days(31)
    floor.hear(HERE, "top")
    with monkeypatch.context() as broken:
        error = OperationalError("", {}, Exception("disk I/O error"))
        database = SimpleNamespace(read=lambda: (_ for _ in ()).throw(error))
        broken.setattr(floor.silent, "_database", database)
        assert floor.silent.check() == 0
    assert "silent_senders_kept reason=disk I/O error" in caplog.text
    assert floor.silent.check() == 0, "an hour has not passed"
    floor.now_s += WAIT_S
    assert floor.silent.check() == 1
