"""A history in which things happen, and the receivers of notifications about them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dashboard.history.alarms import (
    AlarmState,
    acknowledge_alarm,
    clear_alarm,
    raise_alarm,
)
from dashboard.history.maintenance import start_maintenance
from dashboard.history.settings import add_version
from dashboard.history.state_log import StateLog
from dashboard.notify.notifier import NotifySender
from dashboard.notify.outbox import NotificationOutbox
from dashboard.notify.sources import NotificationSources
from dashboard.notify_settings import NotifySettings
from dashboard.plant_settings import PlantSettings
from models.messages import CameraState, CameraStatus
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile, read
from tests.unit.dashboard.history_file import alert_record as record_of

TOP = (PRESS.site, PRESS.line, PRESS.station, "top")
MINUTE_MS = 60_000


class PlantEvents:
    """A history, a clock and the receivers.

    Args:
        receivers: Settings of ``[[notify]]``.
    """

    def __init__(self, file: HistoryFile, *receivers: dict[str, Any]) -> None:
        self.file = file
        self.database = file.database
        self.now_ms = NOW_MS
        self.receivers = [NotifySettings.model_validate(each) for each in receivers]
        self.restart()
        self.sources.prepare()

    def restart(self) -> None:
        """Start the notifications of a new process."""
        self.sources = NotificationSources(self.database, self.receivers, self.clock)
        self.outboxes = [
            NotificationOutbox(self.database, each, self.clock)
            for each in self.receivers
        ]
        self.senders = [
            NotifySender(outbox, each, "Plant", "https://wall.plant", self.clock)
            for outbox, each in zip(self.outboxes, self.receivers, strict=True)
        ]

    def clock(self) -> int:
        return self.now_ms

    def turn(self) -> None:
        """Read what has happened, and try to send once."""
        self.now_ms += 1000
        self.sources.read()
        for sender in self.senders:
            sender.turn()

    def raise_alarm(
        self,
        kind: str = "share",
        station: str = PRESS.station,
        value: float = 12.5,
        limit: float = 5.0,
    ) -> int:
        where = (*TOP[:2], station, "top")
        alarm = AlarmState(0, *where, kind, self.now_ms, value, limit, 100)
        with self.database.write() as connection:
            return raise_alarm(connection, alarm).id

    def clear_alarm(self, alarm_id: int) -> None:
        with self.database.write() as connection:
            clear_alarm(connection, alarm_id, self.now_ms)

    def acknowledge(self, alarm_id: int) -> None:
        with self.database.write() as connection:
            acknowledge_alarm(connection, alarm_id, self.now_ms, "otto", "")

    def camera_says(self, state: CameraState, reason: str = "") -> None:
        self.now_ms += 1000
        status = CameraStatus(state=state, reason=reason, since=datetime.now(UTC))
        topic = PRESS.camera("top", "status")
        record = read(topic, status.model_dump_json(), self.now_ms)
        self.file.record(record)
        StateLog(self.database).note([record])

    def maintain(self, minutes: int) -> None:
        until_ms = self.now_ms + minutes * MINUTE_MS
        with self.database.write() as connection:
            start_maintenance(connection, TOP, self.now_ms, until_ms, "otto", "oil")

    def alert(self, seq: int) -> str:
        event = alert_event(PRESS, seq)
        received_ms = int(event.time.timestamp() * 1000)
        self.now_ms = max(self.now_ms, received_ms)
        self.file.record(record_of(event, received_ms=received_ms))
        return event.id

    def settings(self, **settings: Any) -> None:
        plant = PlantSettings.model_validate(settings)
        with self.database.write() as connection:
            add_version(connection, 1, NOW_MS, "test", plant)


def webhook(url: str, **settings: Any) -> dict[str, Any]:
    return {"name": "shift", "kind": "webhook", "url": url, **settings}


def secret_file(folder: Path, text: str) -> Path:
    path = folder / "secret"
    path.write_text(f"{text}\n", encoding="utf-8")
    return path
