"""The last state of every station and camera, and when each was last seen."""

import sqlite3
from typing import assert_never

from dashboard.history.acknowledged_ranges import RecordRefusedError
from dashboard.messages import RejectionReason, Sender, State
from models.messages import CameraStats, CameraStatus, DaemonState, StationStatus

# Limits for the whole plant. A larger number is an attack or a mistake, and no page
# could show it.
MAX_STATIONS = 256
MAX_CAMERAS = 512


class LastSeen:
    """The senders. Every call is inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def note(self, sender: Sender, *, is_alive: bool = True) -> None:
        """Note that a sender was seen.

        Args:
            sender: A retained message does not count as seen.
            is_alive: False for a last will, which the broker publishes.

        Raises:
            RecordRefusedError: There are too many senders already.
        """
        seen_ms = sender.received_ms if is_alive and not sender.is_retained else 0
        topics = sender.topics
        station = (topics.site, topics.line, topics.station)
        known = self._db.execute(
            "UPDATE stations SET heard_ms = max(heard_ms, ?)"
            " WHERE site = ? AND line = ? AND station = ?",
            (seen_ms, *station),
        )
        if not known.rowcount:
            self._check_room("stations", MAX_STATIONS)
            self._db.execute(
                "INSERT INTO stations (site, line, station, heard_ms)"
                " VALUES (?, ?, ?, ?)",
                (*station, seen_ms),
            )
        if sender.camera:
            self._note_camera((*station, sender.camera), seen_ms)

    def keep(self, record: State) -> None:
        """Keep the last state of a station or a camera.

        Raises:
            RecordRefusedError: There are too many senders already.
        """
        sender, message = record.sender, record.message
        topics = sender.topics
        where = (topics.site, topics.line, topics.station)
        text = message.model_dump_json()
        match message:
            case StationStatus():
                self.note(sender, is_alive=message.state is not DaemonState.LOST)
                self._db.execute(
                    "UPDATE stations SET said_ms = CASE WHEN status IS ?1 THEN said_ms"
                    " ELSE ?2 END, status = ?1"
                    " WHERE site = ?3 AND line = ?4 AND station = ?5",
                    (text, sender.received_ms, *where),
                )
            case CameraStatus() | CameraStats():
                self.note(sender)
                column = "status" if isinstance(message, CameraStatus) else "stats"
                self._db.execute(
                    f"UPDATE cameras SET {column} = ?"  # noqa: S608 - one of two
                    " WHERE site = ? AND line = ? AND station = ? AND camera = ?",
                    (text, *where, sender.camera),
                )
            case _:
                assert_never(message)

    def _note_camera(self, camera: tuple[str, str, str, str], seen_ms: int) -> None:
        known = self._db.execute(
            "UPDATE cameras SET heard_ms = max(heard_ms, ?)"
            " WHERE site = ? AND line = ? AND station = ? AND camera = ?",
            (seen_ms, *camera),
        )
        if known.rowcount:
            return
        self._check_room("cameras", MAX_CAMERAS)
        self._db.execute(
            "INSERT INTO cameras (site, line, station, camera, heard_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (*camera, seen_ms),
        )

    def _check_room(self, table: str, limit: int) -> None:
        """Refuse a sender beyond the number that a page can show."""
        count = self._db.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
        if count.fetchone()[0] >= limit:
            raise RecordRefusedError(
                RejectionReason.TOO_MANY, f"more than {limit} {table}"
            )
