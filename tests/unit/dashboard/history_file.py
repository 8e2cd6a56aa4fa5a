"""A history in a temporary folder, fed without a broker."""

import hashlib
from pathlib import Path

from dashboard.history.queries import History
from dashboard.history.store import Committed, Store
from dashboard.messages import Alert, Message, Record, read_message
from models.messages import AlertEvent
from models.topics import StationTopics

PRESS = StationTopics("plant", "line-1", "press-1")
JPEG = b"\xff\xd8\xff\xe0 made up"
JPEG_SHA256 = hashlib.sha256(JPEG).hexdigest()
NOW_MS = 1_763_900_000_000


class HistoryFile:
    """A store and the history that reads it."""

    def __init__(self, folder: Path, max_mb: int = 0) -> None:
        self.path = folder / "history.sqlite3"
        self.store = Store(self.path, max_mb, busy_timeout_s=0.02)
        self.history = History(self.path)

    def record(self, *records: Record) -> Committed:
        return self.store.record(records)


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
