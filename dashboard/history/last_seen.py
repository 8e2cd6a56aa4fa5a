"""The last word of every station and camera, and when each was last heard."""

import sqlite3
from typing import assert_never

from dashboard.history.acknowledged_ranges import NotTakenError
from dashboard.messages import RejectionReason, Sender, State
from models.messages import CameraStats, CameraStatus, DaemonState, StationStatus

# Of the whole plant; more is an attack or a mistake, and no page could show it.
MAX_STATIONS = 256
MAX_CAMERAS = 512


class LastSeen:
    """Who is there. Every call is inside the caller's transaction.

    Args:
        connection: The connection that writes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def hear(self, place: Sender, *, is_alive: bool = True) -> None:
        """Note who spoke.

        Args:
            place: The sender. A retained message is no sign of life.
            is_alive: False for a last will, which the broker says.

        Raises:
            NotTakenError: There are too many senders already.
        """
        heard_ms = place.received_ms if is_alive and not place.is_retained else 0
        topics = place.topics
        station = (topics.site, topics.line, topics.station)
        known = self._db.execute(
            "UPDATE stations SET heard_ms = max(heard_ms, ?)"
            " WHERE site = ? AND line = ? AND station = ?",
            (heard_ms, *station),
        )
        if not known.rowcount:
            self._check_room("stations", MAX_STATIONS)
            self._db.execute(
                "INSERT INTO stations (site, line, station, heard_ms)"
                " VALUES (?, ?, ?, ?)",
                (*station, heard_ms),
            )
        if place.camera:
            self._hear_camera((*station, place.camera), heard_ms)

    def keep(self, record: State) -> None:
        """Keep the last word of a station or a camera.

        Args:
            record: What it said.

        Raises:
            NotTakenError: There are too many senders already.
        """
        place, message = record.place, record.message
        where = (place.topics.site, place.topics.line, place.topics.station)
        text = message.model_dump_json()
        match message:
            case StationStatus():
                self.hear(place, is_alive=message.state is not DaemonState.LOST)
                self._db.execute(
                    "UPDATE stations SET said_ms = CASE WHEN status IS ?1 THEN said_ms"
                    " ELSE ?2 END, status = ?1"
                    " WHERE site = ?3 AND line = ?4 AND station = ?5",
                    (text, place.received_ms, *where),
                )
            case CameraStatus() | CameraStats():
                self.hear(place)
                column = "status" if isinstance(message, CameraStatus) else "stats"
                self._db.execute(
                    f"UPDATE cameras SET {column} = ?"  # noqa: S608 - one of two words
                    " WHERE site = ? AND line = ? AND station = ? AND camera = ?",
                    (text, *where, place.camera),
                )
            case _:
                assert_never(message)

    def _hear_camera(self, camera: tuple[str, str, str, str], heard_ms: int) -> None:
        """Note that a camera's station spoke of it."""
        known = self._db.execute(
            "UPDATE cameras SET heard_ms = max(heard_ms, ?)"
            " WHERE site = ? AND line = ? AND station = ? AND camera = ?",
            (heard_ms, *camera),
        )
        if known.rowcount:
            return
        self._check_room("cameras", MAX_CAMERAS)
        self._db.execute(
            "INSERT INTO cameras (site, line, station, camera, heard_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (*camera, heard_ms),
        )

    def _check_room(self, table: str, limit: int) -> None:
        """Refuse one more sender than the page could ever show."""
        count = self._db.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
        if count.fetchone()[0] >= limit:
            raise NotTakenError(RejectionReason.TOO_MANY, f"more than {limit} {table}")
