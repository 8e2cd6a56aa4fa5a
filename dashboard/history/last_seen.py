"""The last state of every station and camera, and when each was last seen.

What one station sends never keeps another one from being noted: each has room for its
own cameras, and beyond the limits the sender that was silent for longest is forgotten.
Its alerts stay in the history, and its next message brings it back.
"""

from collections.abc import Iterable
from typing import Any, assert_never

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    case,
    delete,
    select,
    tuple_,
    update,
)

from dashboard.history.database import raise_many, upsert_many
from dashboard.history.tables.base import CAMERA, STATION
from dashboard.history.tables.operations import desired_models
from dashboard.history.tables.received import cameras, stations
from dashboard.messages import Sender, State
from models.messages import CameraStats, CameraStatus, DaemonState, StationStatus

# A larger number is an attack or a mistake, and no page could show it.
MAX_STATIONS = 256
MAX_CAMERAS_PER_STATION = 64
NOTED_MAX = 20_000  # names in memory
OF_STATION = tuple(f"of_{name}" for name in STATION)

Names = tuple[str, ...]


class LastSeen:
    """Writes the senders. Every call is inside the caller's transaction.

    Attributes:
        forgotten: Stations and cameras that had to make room, since the start.
    """

    def __init__(self) -> None:
        self.forgotten = 0
        # Those that were in the tables when they were last written: no room is needed.
        self._noted: set[Names] = set()

    def note(
        self, connection: Connection, senders: Iterable[Sender], states: Iterable[State]
    ) -> None:
        """Note that senders were seen, and keep their last states.

        Args:
            senders: A retained message does not count as seen.
            states: In the order of their arrival.
        """
        states = list(states)
        seen_ms: dict[Names, int] = {}
        for sender in senders:
            _note(seen_ms, sender, is_alive=True)
        for state in states:
            message = state.message
            is_will = (
                isinstance(message, StationStatus) and message.state is DaemonState.LOST
            )
            _note(seen_ms, state.sender, is_alive=not is_will)
        _write_times(connection, stations, STATION, seen_ms)
        _write_times(connection, cameras, CAMERA, seen_ms)
        _keep(connection, states)
        self._forget_silent(connection, seen_ms)

    def _forget_silent(self, connection: Connection, seen: Iterable[Names]) -> None:
        new = [names for names in seen if names not in self._noted]
        if not new:
            return
        forgotten = 0
        if any(len(names) == len(STATION) for names in new):
            forgotten += _forget_stations(connection)
        for station in {names[:3] for names in new if len(names) == len(CAMERA)}:
            forgotten += _forget_cameras(connection, station)
        self.forgotten += forgotten
        if forgotten or len(self._noted) > NOTED_MAX:
            self._noted.clear()
        else:
            self._noted.update(new)


def _note(seen_ms: dict[Names, int], sender: Sender, *, is_alive: bool) -> None:
    at_ms = sender.received_ms if is_alive and not sender.is_retained else 0
    station: Names = (sender.topics.site, sender.topics.line, sender.topics.station)
    for names in (station, (*station, sender.camera))[: 2 if sender.camera else 1]:
        seen_ms[names] = max(at_ms, seen_ms.get(names, 0))


def _write_times(
    connection: Connection, table: Table, columns: Names, seen_ms: dict[Names, int]
) -> None:
    rows = [
        {**dict(zip(columns, names, strict=True)), "heard_ms": at_ms}
        for names, at_ms in seen_ms.items()
        if len(names) == len(columns)
    ]
    raise_many(connection, table, "heard_ms", rows)


def _keep(connection: Connection, states: Iterable[State]) -> None:
    """Keep the last status and statistics of each sender."""
    station_rows: dict[Names, dict[str, object]] = {}
    camera_rows: dict[str, dict[Names, dict[str, object]]] = {"status": {}, "stats": {}}
    for state in states:
        sender, message = state.sender, state.message
        topics, text = sender.topics, message.model_dump_json()
        names = (topics.site, topics.line, topics.station)
        match message:
            case StationStatus():
                row: dict[str, object] = dict(zip(OF_STATION, names, strict=True))
                row |= {"text": text, "at_ms": sender.received_ms}
                station_rows[names] = row
            case CameraStatus() | CameraStats():
                kind = "status" if isinstance(message, CameraStatus) else "stats"
                camera = (*names, sender.camera)
                row = dict(zip(CAMERA, camera, strict=True))
                camera_rows[kind][camera] = {**row, kind: text}
            case _:
                assert_never(message)
    if station_rows:
        connection.execute(_set_station_status(), list(station_rows.values()))
    for rows in camera_rows.values():
        upsert_many(connection, cameras, list(rows.values()))


def _set_station_status() -> Any:  # noqa: ANN401 - an UPDATE with parameters
    c = stations.c
    is_repeated = c.status.is_not_distinct_from(bindparam("text"))
    said_ms = case((is_repeated, c.said_ms), else_=bindparam("at_ms"))
    mine = [
        c[name] == bindparam(of) for name, of in zip(STATION, OF_STATION, strict=True)
    ]
    change = update(stations).where(*mine)
    return change.values(said_ms=said_ms, status=bindparam("text"))


def _forget_stations(connection: Connection) -> int:
    """Forget the stations beyond the limit with their cameras; return their number."""
    c = stations.c
    query = select(c.site, c.line, c.station).order_by(c.heard_ms.desc())
    silent = connection.execute(query.offset(MAX_STATIONS)).all()
    for table in (cameras, stations, desired_models) if silent else ():
        key = tuple_(*(table.c[name] for name in STATION))
        connection.execute(delete(table).where(key.in_(map(tuple, silent))))
    return len(silent)


def _forget_cameras(connection: Connection, station: Names) -> int:
    """Forget the cameras of a station beyond its limit, and return their number."""
    c = cameras.c
    mine = [c[name] == value for name, value in zip(STATION, station, strict=True)]
    query = select(c.camera).where(*mine).order_by(c.heard_ms.desc())
    silent = connection.execute(query.offset(MAX_CAMERAS_PER_STATION)).scalars().all()
    if silent:
        connection.execute(delete(cameras).where(*mine, c.camera.in_(silent)))
    return len(silent)
