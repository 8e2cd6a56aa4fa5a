"""A history in a temporary folder, fed without a broker."""

import hashlib
from pathlib import Path

from dashboard.config import HistorySettings
from dashboard.history.database import Database
from dashboard.history.queries import History
from dashboard.history.store import Committed, Store
from dashboard.messages import Alert, Message, Record, read_message
from dashboard.postgresql_login import PostgresqlLogin
from models.messages import AlertEvent
from models.topics import StationTopics

PRESS = StationTopics("plant", "line-1", "press-1")
JPEG = b"\xff\xd8\xff\xe0 made up"
JPEG_SHA256 = hashlib.sha256(JPEG).hexdigest()
NOW_MS = 1_763_900_000_000


class HistoryFile:
    """A store and the history that reads it.

    Args:
        location: A folder for an SQLite file, or the login to a database.
    """

    def __init__(self, location: Path | PostgresqlLogin, max_mb: int = 0) -> None:
        is_folder = isinstance(location, Path)
        self.location = location / "history.sqlite3" if is_folder else location
        self.database = Database(self.location, max_mb=max_mb, busy_limit_s=0.02)
        self.store = Store(self.database)
        self.history = History(self.database)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        assert isinstance(self.location, Path)
        return self.location

    def record(self, *records: Record) -> Committed:
        return self.store.record(records)

    def restart(self) -> Store:
        """Open it again, as a dashboard that was restarted does."""
        self.close()
        self.database = Database(self.location, busy_limit_s=0.02)
        self.store, self.history = Store(self.database), History(self.database)
        return self.store

    def prune(
        self, now_ms: int, ran_ms: int, keep_days: int, keep_images_days: int
    ) -> int:
        """Remove a chunk of what is older than some days."""
        settings = HistorySettings(
            keep_days=keep_days,
            keep_images_days=keep_images_days,
            keep_sums_days=100 * 365,  # the events of some tests are of 1970
        )
        return self.store.prune(now_ms, ran_ms, settings.kept_days())

    def close(self) -> None:
        self.database.close()


def read(topic: str, payload: bytes | str, received_ms: int = NOW_MS) -> Record:
    """Return the record of a message that fits."""
    payload = payload.encode() if isinstance(payload, str) else payload
    record = read_message(Message(topic, payload, received_ms))
    assert isinstance(record, Record), record
    return record


def alert_record(event: AlertEvent, received_ms: int = NOW_MS) -> Alert:
    """Return an alert as it comes in."""
    data = event.data
    topics = StationTopics(data.site, data.line, data.station)
    topic = topics.camera(data.camera, "alert")
    record = read(topic, event.model_dump_json(), received_ms)
    assert isinstance(record, Alert)
    return record


def image_record(event: AlertEvent, jpeg: bytes = JPEG) -> Record:
    """Return the picture of an alert as it comes in."""
    data = event.data
    topics = StationTopics(data.site, data.line, data.station)
    return read(topics.camera(data.camera, f"image/{event.id}"), jpeg)
