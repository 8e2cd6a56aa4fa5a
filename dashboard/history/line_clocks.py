"""When events happened whose line PC has a clock that is not synchronized.

Such a wall clock may be hours off, and the time of arrival is not better: the alerts of
an outage arrive together when it is over. But a line PC states its clocks with its
status, every ten seconds, so that what is to be added to them is known:

* to the monotonic clock, which counts the alerts of the same start of the daemon, and
  is never set;
* to the wall clock, as long as it is not synchronized, for the events of another start
  and of older versions.

A message takes time, and may have waited in the broker: the smallest difference of
some minutes is the right one. It is kept in the history, so that an outage during
which the dashboard or the daemon starts again is no exception.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sqlalchemy import Connection, delete, select

from dashboard.history.database import Database, upsert
from dashboard.history.tables.line_clocks import line_clocks
from dashboard.messages import Alert, PartVerdict, Record, State, trusted_ms
from models.messages import StationStatus
from models.topics import StationTopics

NS_PER_MS = 1_000_000
WINDOW_MS = 5 * 60_000  # a clock that runs 100 ppm too fast or slow is 30 ms off then
STARTS_KEPT = 4  # of the daemon of each station: its outbox may hold events of each
START_MAX = 200  # characters
STATIONS_MAX = 512  # twice what the pages can show
CHANGE_MS = 1000  # a smaller change is not written
REPEAT_MS = 24 * 3600 * 1000  # written so often without a change: retention keeps it

AnyRecord = TypeVar("AnyRecord", bound=Record)
Clocks = dict[str, "_Clock"]  # by the daemon's start
Values = tuple[int, int | None, int | None]  # when, monotonic, wall: milliseconds


@dataclass(slots=True)
class _Difference:
    """What to add to a clock of a line PC for the collector's time, milliseconds."""

    value_ms: int | None = None
    _least_ms: int | None = None  # of the present window
    _window_ms: int = 0  # its start

    def measure(self, difference_ms: int, at_ms: int) -> None:
        if self.value_ms is None:
            self.value_ms = difference_ms
        least_ms = self._least_ms if self._least_ms is not None else self.value_ms
        least_ms = min(least_ms, difference_ms)
        self.value_ms = min(self.value_ms, difference_ms)
        if abs(at_ms - self._window_ms) < WINDOW_MS:
            self._least_ms = least_ms
            return
        # Of the last window alone: the clock may run slowly, or have been set.
        self.value_ms, self._least_ms, self._window_ms = least_ms, difference_ms, at_ms


@dataclass(slots=True)
class _Clock:
    """The clocks of one start of a daemon."""

    at_ms: int = 0
    monotonic: _Difference = field(default_factory=_Difference)
    wall: _Difference = field(default_factory=_Difference)
    written: Values = (0, None, None)

    @property
    def values(self) -> Values:
        return self.at_ms, self.monotonic.value_ms, self.wall.value_ms

    @property
    def has_changed(self) -> bool:
        limits_ms = (REPEAT_MS, CHANGE_MS, CHANGE_MS)
        return any(
            (new is None) != (old is None) or abs((new or 0) - (old or 0)) >= limit_ms
            for new, old, limit_ms in zip(
                self.values, self.written, limits_ms, strict=True
            )
        )


class LineClocks:
    """Knows the clocks of the line PCs. Used by the writer of the history.

    Args:
        database: It holds what was measured before.
    """

    def __init__(self, database: Database) -> None:
        self._stations: dict[StationTopics, Clocks] = {}
        self._measured: set[StationTopics] = set()  # since the last commit
        self._unconfirmed: list[tuple[_Clock, Values]] = []
        newest = select(line_clocks).order_by(line_clocks.c.at_ms.desc())
        with database.read() as connection:
            for row in connection.execute(newest.limit(STATIONS_MAX * STARTS_KEPT)):
                clock = _Clock(row.at_ms)
                clock.monotonic.value_ms = row.monotonic_ms
                clock.wall.value_ms = row.wall_ms
                clock.written = clock.values
                topics = StationTopics(row.site, row.line, row.station)
                self._stations.setdefault(topics, {})[row.boot_id] = clock

    def measure(self, records: Iterable[Record]) -> None:
        """Compare the clocks that line PCs have just stated with the collector's."""
        for record in records:
            if isinstance(record, State) and not record.sender.is_retained:
                message, at_ms = record.message, record.sender.received_ms
                if isinstance(message, StationStatus) and _is_usable(message):
                    self._measure(record.sender.topics, message, at_ms)

    def _measure(
        self, topics: StationTopics, status: StationStatus, at_ms: int
    ) -> None:
        starts = self._stations.setdefault(topics, {})
        self._measured.add(topics)
        clock = starts.setdefault(status.boot_id, _Clock())
        clock.at_ms = max(clock.at_ms, at_ms)
        if status.at_ns is not None:
            clock.monotonic.measure(at_ms - status.at_ns // NS_PER_MS, at_ms)
        if status.clock_synchronized is False and status.at is not None:
            wall_ms = round(status.at.timestamp() * 1000)
            clock.wall.measure(at_ms - wall_ms, at_ms)
        elif status.clock_synchronized:
            # It was set: what it showed before is of another clock.
            clock.wall = _Difference()
        while len(starts) > STARTS_KEPT:
            del starts[min(starts, key=lambda each: starts[each].at_ms)]
        while len(self._stations) > STATIONS_MAX:
            del self._stations[min(self._stations, key=self._measured_ms)]

    def _measured_ms(self, topics: StationTopics) -> int:
        return max(clock.at_ms for clock in self._stations[topics].values())

    def corrected(self, record: AnyRecord) -> AnyRecord:
        """Return a record with the time at which its event happened, if it is known."""
        if not isinstance(record, Alert | PartVerdict):
            return record
        if trusted_ms(record.sender, record.event) is not None:
            return record
        at_ms = self._happened_ms(record)
        if at_ms is None:
            return record
        happened_ms = max(0, min(at_ms, record.sender.received_ms))
        return replace(record, happened_ms=happened_ms)

    def _happened_ms(self, record: Alert | PartVerdict) -> int | None:
        starts, data = self._stations.get(record.sender.topics, {}), record.event.data
        own = starts.get(data.boot_id)
        if own and own.monotonic.value_ms is not None and data.captured_ns is not None:
            return data.captured_ns // NS_PER_MS + own.monotonic.value_ms
        newest_first = sorted(starts.values(), key=lambda each: -each.at_ms)
        for clock in (own, *newest_first) if own else newest_first:
            if clock.wall.value_ms is not None:
                return round(data.captured_at.timestamp() * 1000) + clock.wall.value_ms
        return None

    def write(self, connection: Connection) -> None:
        """Write what has changed, inside the caller's transaction.

        ``confirm`` follows its commit.
        """
        self._unconfirmed = []
        for topics in self._measured:
            starts = self._stations.get(topics, {})
            changed = {
                boot_id: clock for boot_id, clock in starts.items() if clock.has_changed
            }
            if changed:
                _write(connection, topics, changed, starts)
                self._unconfirmed += [(each, each.values) for each in changed.values()]

    def confirm(self) -> None:
        """Note that the transaction of ``write`` was committed."""
        for clock, values in self._unconfirmed:
            clock.written = values
        self._unconfirmed = []
        self._measured.clear()


def _is_usable(status: StationStatus) -> bool:
    """Return whether a status states a clock, and a start that any history can hold."""
    start = status.boot_id
    return status.at is not None and start.isprintable() and len(start) <= START_MAX


def _write(
    connection: Connection, topics: StationTopics, changed: Clocks, kept: Clocks
) -> None:
    c = line_clocks.c
    place = {"site": topics.site, "line": topics.line, "station": topics.station}
    rows = []
    for boot_id, clock in changed.items():
        names = ("at_ms", "monotonic_ms", "wall_ms")
        values = dict(zip(names, clock.values, strict=True))
        rows.append({**place, "boot_id": boot_id, **values})
    connection.execute(upsert(line_clocks), rows)
    gone = delete(line_clocks).where(*(c[name] == text for name, text in place.items()))
    connection.execute(gone.where(c.boot_id.not_in(list(kept))))
