"""The states of line PCs and cameras over time, and the models that they ran.

A change is written once. Times are of the collector's clock: that of a line PC may be
wrong. SenderKey a station sent nothing for a while, the state ``silent`` is written
afterwards for that time: nothing is known about it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    tuple_,
)

from dashboard.history.database import Database
from dashboard.history.maintenance import SenderKey
from dashboard.history.tables.base import STATION
from dashboard.history.tables.operations import (
    maintenance,
    model_answers,
    model_changes,
    state_changes,
)
from dashboard.history.tables.received import cameras, stations
from dashboard.messages import Record, State
from models.messages import CameraStatus, DaemonState, ModelInForce, StationStatus

SILENT = "silent"
# A station sends its status every 10 s and statistics more often.
SILENT_MS = 60_000
# A sender whose state changes more often is flapping: the rest is not written.
CHANGES_PER_HOUR = 240
# Of all cameras and models of one station: made-up cameras must not fill the history.
STATION_CHANGES_PER_HOUR = 2000
NEW_SENDERS_PER_HOUR = (
    20_000  # nor must made-up stations; known senders are not counted
)
SENDERS_MAX = 20_000  # in memory; beyond, those that the pages show are read again
MS_PER_HOUR = 3_600_000
CHANGES_SHOWN = 2000
STATION_STATES_OF_SILENCE = (DaemonState.LOST.value, DaemonState.DISCONNECTED.value)


@dataclass(frozen=True, slots=True)
class StateChange:
    """The start of a state.

    Attributes:
        at_ms: Wall clock of the collector, UTC.
        state: A ``DaemonState`` or ``CameraState``, or ``silent``.
    """

    at_ms: int
    state: str
    reason: str = ""


class StateLog:
    """Writes the changes of states and models. Used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: dict[SenderKey, StateChange] = {}
        self._models: dict[SenderKey, str] = {}
        self._heard_ms: dict[SenderKey, int] = {}
        self._counted: Counter[tuple[str, ...]] = Counter()
        self._hour = 0
        self._senders_max = SENDERS_MAX
        self._load()

    def note(self, records: Iterable[Record]) -> None:
        """Write what has changed, if anything has.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be written now; it is written with
                the next message of the sender that shows it.
        """
        if self._count_senders() > self._senders_max:
            self._load()
        kept: list[tuple[SenderKey, StateChange]] = []
        models: list[tuple[SenderKey, int, ModelInForce]] = []
        states, sha256s = dict(self._last), dict(self._models)
        heard_ms = dict(self._heard_ms)
        for record in records:
            where = _station_of(record)
            changes = _silence(record, where, states, heard_ms)
            for key, change in (*changes, *_changed_state(record, states)):
                if self._is_affordable(key, change.at_ms, is_new=key not in states):
                    # What is not written is not known: its repetition is a change.
                    states[key] = change
                    kept.append((key, change))
            model = _model_of(record)
            at_ms = record.sender.received_ms
            if (
                model is not None
                and sha256s.get(where) != model.sha256
                and self._is_affordable((*where, "model"), at_ms)
            ):
                sha256s[where] = model.sha256
                models.append((where, at_ms, model))
        if kept or models:
            self._write(kept, models, states, sha256s)
        self._last, self._models, self._heard_ms = states, sha256s, heard_ms

    def _write(
        self,
        changes: Sequence[tuple[SenderKey, StateChange]],
        models: Sequence[tuple[SenderKey, int, ModelInForce]],
        states: dict[SenderKey, StateChange],
        sha256s: dict[SenderKey, str],
    ) -> None:
        """Write what another dashboard on this history has not written before.

        Args:
            states: It gets the last states that are stored then.
            sha256s: It gets the last models.
        """
        touched = {each[0] for each in changes} | {each[0] for each in models}
        with self._database.write() as connection:
            known = _known(connection, touched)
            last = last_changes(connection, known)
            new = _not_stored(changes, last, self._last, known)
            last_models = _last_models(connection, known)
            new_models = []
            for key, at_ms, model in models:
                if key in known and last_models.get(key) != model.sha256:
                    last_models[key] = model.sha256
                    new_models.append((key, at_ms, model))
            _insert_changes(connection, new)
            _insert_models(connection, new_models)
        for key in touched:
            states.pop(key, None)
            sha256s.pop(key, None)
        states |= last
        sha256s |= last_models

    def _is_affordable(
        self, key: tuple[str, ...], at_ms: int, *, is_new: bool = False
    ) -> bool:
        hour, counted = at_ms // MS_PER_HOUR, self._counted
        if hour != self._hour:
            counted.clear()
            self._hour = hour
        counted[key] += 1
        if counted[key] > CHANGES_PER_HOUR:
            return False
        if is_new:
            counted[()] += 1
            if counted[()] > NEW_SENDERS_PER_HOUR:
                return False
        if key[3:] == ("",):  # no camera keeps the state of its station away
            return True
        counted[key[:3]] += 1
        return counted[key[:3]] <= STATION_CHANGES_PER_HOUR

    def _count_senders(self) -> int:
        return len(self._last) + len(self._models) + len(self._heard_ms)

    def _load(self) -> None:
        """Read the senders that the pages show, which are limited in number."""
        s, c = stations.c, cameras.c
        with self._database.read() as connection:
            found = last_changes(connection).items()
            models = _last_models(connection).items()
            heard = select(s.site, s.line, s.station, s.heard_ms)
            heard_ms = {
                (*_place(row), ""): row.heard_ms for row in connection.execute(heard)
            }
            names = connection.execute(select(c.site, c.line, c.station, c.camera))
            known = {*heard_ms, *map(tuple, names)}
        self._last = {where: each for where, each in found if where in known}
        self._models = {where: each for where, each in models if where in known}
        self._heard_ms = {where: at_ms for where, at_ms in heard_ms.items() if at_ms}
        # Never read again with every message.
        self._senders_max = max(SENDERS_MAX, 2 * self._count_senders())


def last_changes(
    connection: Connection, senders: Collection[SenderKey] | None = None
) -> dict[SenderKey, StateChange]:
    """Return the newest change of every sender.

    Args:
        senders: None = of all.
    """
    rows = _newest_rows(connection, state_changes, (*STATION, "camera"), senders)
    return {
        (*_place(row), row.camera): StateChange(row.at_ms, row.state, row.reason)
        for row in rows
    }


def changes_of(
    connection: Connection, station: Sequence[str], from_ms: int, to_ms: int
) -> dict[str, list[StateChange]]:
    """Return the changes of a station and its cameras in a span, oldest first.

    Args:
        station: Site, line and station.

    Returns:
        By camera, ``""`` for the station; each list starts with the state that was in
        force at ``from_ms``, where one is known.
    """
    c = state_changes.c
    mine = and_(c.site == station[0], c.line == station[1], c.station == station[2])
    newest = (
        select(func.max(c.n)).where(mine, c.at_ms < from_ms).group_by(c.camera)
    ).scalar_subquery()
    before = select(state_changes).where(c.n.in_(newest))
    inside = (
        select(state_changes)
        .where(mine, c.at_ms >= from_ms, c.at_ms < to_ms)
        .order_by(c.at_ms.desc(), c.n.desc())
        .limit(CHANGES_SHOWN)
    )
    rows = [*connection.execute(before), *reversed(connection.execute(inside).all())]
    found: dict[str, list[StateChange]] = {}
    for row in rows:
        change = StateChange(row.at_ms, row.state, row.reason)
        found.setdefault(row.camera, []).append(change)
    return found


def models_of(
    connection: Connection, station: Sequence[str], limit: int = 20
) -> list[dict[str, Any]]:
    """Return the last model changes of a station, newest first."""
    c = model_changes.c
    rows = connection.execute(
        select(model_changes)
        .where(c.site == station[0], c.line == station[1], c.station == station[2])
        .order_by(c.n.desc())
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def prune_operations(connection: Connection, oldest_ms: int, limit: int = 500) -> int:
    """Remove old rows, except the last one of each sender that the pages show.

    Args:
        oldest_ms: Older rows are removed, by the clock of retention.
        limit: Largest number of rows to remove from each table.

    Returns:
        Number of removed rows.
    """
    removed = 0
    senders = {
        state_changes: (*STATION, "camera"),
        model_changes: STATION,
        model_answers: STATION,
    }
    for table, names in senders.items():
        columns = [table.c[name] for name in names]
        newest = select(func.max(table.c.n)).group_by(*columns)
        old = select(table.c.n).where(
            table.c.at_ms < oldest_ms, or_(table.c.n.not_in(newest), _is_gone(table))
        )
        numbers = connection.execute(old.limit(limit)).scalars().all()
        connection.execute(delete(table).where(table.c.n.in_(numbers)))
        removed += len(numbers)
    over = select(maintenance.c.n).where(maintenance.c.until_ms < oldest_ms)
    numbers = connection.execute(over.limit(limit)).scalars().all()
    connection.execute(delete(maintenance).where(maintenance.c.n.in_(numbers)))
    return removed + len(numbers)


def _is_gone(table: Table) -> ColumnElement[bool]:
    """Return the condition for rows of senders that the pages do not show."""
    shown = select(stations).where(*_same(table, stations, STATION)).exists()
    if "camera" not in table.c:
        return not_(shown)
    camera = select(cameras).where(*_same(table, cameras, (*STATION, "camera")))
    return not_(or_(and_(table.c.camera == "", shown), camera.exists()))


def _same(one: Table, other: Table, names: Sequence[str]) -> list[ColumnElement[bool]]:
    return [one.c[name] == other.c[name] for name in names]


def _known(connection: Connection, keys: Collection[SenderKey]) -> set[SenderKey]:
    """Return those of some senders that the pages show."""
    s, c = stations.c, cameras.c
    station = tuple_(s.site, s.line, s.station).in_([key[:3] for key in keys])
    camera = tuple_(c.site, c.line, c.station, c.camera).in_(keys)
    found = connection.execute(select(s.site, s.line, s.station).where(station))
    known: set[SenderKey] = {(*_place(row), "") for row in found}
    rows = connection.execute(select(c.site, c.line, c.station, c.camera).where(camera))
    return known | {(*_place(row), row.camera) for row in rows}


def _place(row: Any) -> tuple[str, str, str]:  # noqa: ANN401 - of any query
    return row.site, row.line, row.station


def _station_of(record: Record) -> SenderKey:
    topics = record.sender.topics
    return topics.site, topics.line, topics.station, ""


def _silence(
    record: Record,
    where: SenderKey,
    states: dict[SenderKey, StateChange],
    heard_ms: dict[SenderKey, int],
) -> list[tuple[SenderKey, StateChange]]:
    """Return the silence that a message ends, which nothing else explains."""
    message = record.message if isinstance(record, State) else None
    is_will = isinstance(message, StationStatus) and message.state is DaemonState.LOST
    if record.sender.is_retained or is_will:
        return []
    before_ms = heard_ms.get(where)
    now_ms = heard_ms[where] = record.sender.received_ms
    last = states.get(where)
    if before_ms is None or now_ms - before_ms < SILENT_MS or last is None:
        return []
    if last.state in (SILENT, *STATION_STATES_OF_SILENCE):
        return []
    return [
        (where, StateChange(before_ms, SILENT)),
        (where, StateChange(now_ms, *_content(last))),
    ]


def _model_of(record: Record) -> ModelInForce | None:
    message = record.message if isinstance(record, State) else None
    return message.model if isinstance(message, StationStatus) else None


def _changed_state(
    record: Record, states: dict[SenderKey, StateChange]
) -> list[tuple[SenderKey, StateChange]]:
    message = record.message if isinstance(record, State) else None
    if not isinstance(message, StationStatus | CameraStatus):
        return []
    topics = record.sender.topics
    where = (topics.site, topics.line, topics.station, record.sender.camera)
    reason = message.reason.replace("\0", "\ufffd")  # PostgreSQL cannot hold it
    now = StateChange(record.sender.received_ms, message.state.value, reason)
    before = states.get(where)
    if before is not None and _content(before) == _content(now):
        return []
    return [(where, now)]


def _insert_changes(
    connection: Connection, changes: Sequence[tuple[SenderKey, StateChange]]
) -> None:
    if changes:
        rows = [
            {
                "site": site,
                "line": line,
                "station": station,
                "camera": camera,
                "at_ms": change.at_ms,
                "state": change.state,
                "reason": change.reason,
            }
            for (site, line, station, camera), change in changes
        ]
        connection.execute(insert(state_changes), rows)


def _insert_models(
    connection: Connection, models: Sequence[tuple[SenderKey, int, ModelInForce]]
) -> None:
    if models:
        rows = [
            {
                "site": site,
                "line": line,
                "station": station,
                "at_ms": at_ms,
                "name": model.name,
                "build": model.build,
                "sha256": model.sha256,
                "variant": model.variant,
            }
            for (site, line, station, _), at_ms, model in models
        ]
        connection.execute(insert(model_changes), rows)


def _not_stored(
    changes: Sequence[tuple[SenderKey, StateChange]],
    last: dict[SenderKey, StateChange],
    remembered: Mapping[SenderKey, StateChange],
    known: Collection[SenderKey],
) -> list[tuple[SenderKey, StateChange]]:
    """Return the changes of known senders that are not stored.

    Args:
        last: The last one that is stored of each sender; it gets the new ones.
        remembered: The last ones of which this process knows: where another one is
            stored, another dashboard wrote it, and also what came before it.
    """
    foreign_ms = {
        key: each.at_ms for key, each in last.items() if each != remembered.get(key)
    }
    new = []
    for key, change in changes:
        stored = last.get(key)
        is_same = stored is not None and _content(stored) == _content(change)
        is_covered = key in foreign_ms and change.at_ms <= foreign_ms[key]
        if key in known and not is_same and not is_covered:
            last[key] = change
            new.append((key, change))
    return new


def _content(change: StateChange) -> tuple[str, str]:
    return change.state, change.reason


def _last_models(
    connection: Connection, senders: Collection[SenderKey] | None = None
) -> dict[SenderKey, str]:
    """Return the sha256 of the newest model of each station."""
    places = None if senders is None else {key[:3] for key in senders}
    rows = _newest_rows(connection, model_changes, STATION, places)
    return {(*_place(row), ""): row.sha256 for row in rows}


def _newest_rows(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    senders: Collection[tuple[str, ...]] | None = None,
) -> Sequence[Row[Any]]:
    columns = [table.c[name] for name in names]
    newest = select(func.max(table.c.n)).group_by(*columns)
    if senders is not None:
        newest = newest.where(tuple_(*columns).in_(senders))
    return connection.execute(select(table).where(table.c.n.in_(newest))).all()
