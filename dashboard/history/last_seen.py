"""The last state of every station and camera, and when each was last seen.

What one station sends never keeps another one from being noted: each has room for its
own cameras, and beyond the limits the sender that was silent for longest is forgotten.
Its alerts stay in the history, and its next message brings it back.
"""

import sqlite3
from typing import assert_never

from dashboard.messages import Sender, State
from models.messages import CameraStats, CameraStatus, DaemonState, StationStatus

# A larger number is an attack or a mistake, and no page could show it.
MAX_STATIONS = 256
MAX_CAMERAS_PER_STATION = 64


class LastSeen:
    """The senders. Every call is inside the caller's transaction.

    Attributes:
        forgotten: Stations and cameras that had to make room, since the start.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.forgotten = 0

    def note(self, sender: Sender, *, is_alive: bool = True) -> None:
        """Note that a sender was seen.

        Args:
            sender: A retained message does not count as seen.
            is_alive: False for a last will, which the broker publishes.
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
            self._forget_silent_stations()
            self._db.execute(
                "INSERT INTO stations (site, line, station, heard_ms)"
                " VALUES (?, ?, ?, ?)",
                (*station, seen_ms),
            )
        if sender.camera:
            self._note_camera((*station, sender.camera), seen_ms)

    def keep(self, record: State) -> None:
        """Keep the last state of a station or a camera."""
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
        self._forget_silent_cameras(camera[:3])
        self._db.execute(
            "INSERT INTO cameras (site, line, station, camera, heard_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (*camera, seen_ms),
        )

    def _forget_silent_stations(self) -> None:
        """Make room for one more station, and forget the cameras of those that go."""
        silent = self._db.execute(
            "SELECT site, line, station FROM stations"
            " ORDER BY heard_ms DESC LIMIT -1 OFFSET ?",
            (MAX_STATIONS - 1,),
        ).fetchall()
        self._db.executemany(
            "DELETE FROM cameras WHERE site = ? AND line = ? AND station = ?", silent
        )
        self._db.executemany(
            "DELETE FROM stations WHERE site = ? AND line = ? AND station = ?", silent
        )
        self.forgotten += len(silent)

    def _forget_silent_cameras(self, station: tuple[str, ...]) -> None:
        """Make room for one more camera of a station."""
        silent = self._db.execute(
            "SELECT site, line, station, camera FROM cameras"
            " WHERE site = ? AND line = ? AND station = ?"
            " ORDER BY heard_ms DESC LIMIT -1 OFFSET ?",
            (*station, MAX_CAMERAS_PER_STATION - 1),
        ).fetchall()
        self._db.executemany(
            "DELETE FROM cameras"
            " WHERE site = ? AND line = ? AND station = ? AND camera = ?",
            silent,
        )
        self.forgotten += len(silent)
