"""The complete events of each stream, kept as ranges of ``seq``.

A stream belongs to the station that used it first: no other station can add events to
it, or have them acknowledged. Ranges are merged as they grow, so that a stream without
gaps is one row, regardless of its length. They are kept when retention deletes the
events.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator

from dashboard.messages import INTEGER_MAX, RejectionReason
from models.messages import Acknowledgement, ranges_of
from models.topics import StationTopics

MAX_STREAMS_PER_STATION = 256  # one starts only after the disk was wiped
ENTRIES_PER_ACK = 100  # an acknowledgement stays below 12 kB; stations read 16 kB
# A position far beyond the highest one is none that the station has given. After a
# pause of the collector it may be higher, because the station has evicted what was
# between: no station gives 1,000 positions per second.
AHEAD_MAX = 1_000_000
AHEAD_PER_MS = 1
SEQ_MAX = 10**12  # of a stream that is not known yet: 30 years at that rate


class RecordRefusedError(Exception):
    """A record contradicts the history, or there is no room for its sender."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class AcknowledgedRanges:
    """The streams in the history. Every call is inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def claim(self, topics: StationTopics, stream: str) -> int:
        """Return the row of a stream; a new one belongs to this station.

        Raises:
            RecordRefusedError: It belongs to another station, or this station has too
                many.
        """
        owner = (topics.site, topics.line, topics.station)
        row = self._db.execute(
            "SELECT stream_id, site, line, station FROM streams WHERE stream = ?",
            (stream,),
        ).fetchone()
        if row is not None:
            if tuple(row[1:]) != owner:
                detail = f"stream belongs to {'/'.join(row[1:])}"
                raise RecordRefusedError(RejectionReason.WRONG_STATION, detail)
            return int(row[0])
        (known,) = self._db.execute(
            "SELECT count(*) FROM streams WHERE site = ? AND line = ? AND station = ?",
            owner,
        ).fetchone()
        if known >= MAX_STREAMS_PER_STATION:
            raise RecordRefusedError(
                RejectionReason.TOO_MANY,
                f"more than {MAX_STREAMS_PER_STATION} streams of one station",
            )
        new = self._db.execute(
            "INSERT INTO streams (stream, site, line, station) VALUES (?, ?, ?, ?)"
            " RETURNING stream_id",
            (stream, *owner),
        )
        return int(new.fetchone()[0])

    def highest_expected(self, stream_id: int, now_ms: int) -> int:
        """Return the highest position that the station may have given by now.

        Args:
            stream_id: From ``claim``.
            now_ms: Wall clock of the collector, UTC.
        """
        highest = self._highest(stream_id)
        if not highest:
            return SEQ_MAX
        (grew_ms,) = self._db.execute(
            "SELECT grew_ms FROM streams WHERE stream_id = ?", (stream_id,)
        ).fetchone()
        return highest + AHEAD_MAX + AHEAD_PER_MS * max(0, now_ms - int(grew_ms))

    def add(self, stream_id: int, seqs: Collection[int], now_ms: int) -> None:
        """Note that events are complete; repeating it changes nothing.

        Args:
            stream_id: From ``claim``.
            seqs: Positions, from 1; at least one.
            now_ms: Wall clock of the collector, UTC.
        """
        if max(seqs) > self._highest(stream_id):
            self._db.execute(
                "UPDATE streams SET grew_ms = ? WHERE stream_id = ?",
                (now_ms, stream_id),
            )
        for first, last in ranges_of(seqs):
            self._add_run(stream_id, first, last)

    def _highest(self, stream_id: int) -> int:
        """Return the highest complete position; 0: none."""
        last = self._range_at(stream_id, INTEGER_MAX)
        return last[1] if last is not None else 0

    def _add_run(self, stream_id: int, first: int, last: int) -> None:
        """Add a range without gaps, merged with the ranges that it touches."""
        left = self._range_at(stream_id, first)
        if left is not None and left[1] >= last:
            return
        start = left[0] if left is not None and left[1] >= first - 1 else first
        touched = (stream_id, start, last + 1)
        (end,) = self._db.execute(
            "SELECT max(last_seq) FROM ranges"
            " WHERE stream_id = ? AND first_seq BETWEEN ? AND ?",
            touched,
        ).fetchone()
        self._db.execute(
            "DELETE FROM ranges WHERE stream_id = ? AND first_seq BETWEEN ? AND ?",
            touched,
        )
        self._db.execute(
            "INSERT INTO ranges VALUES (?, ?, ?)",
            (stream_id, start, max(last, end or 0)),
        )

    def acknowledgements(
        self, stream_id: int, events: Iterable[tuple[int, str]]
    ) -> Iterator[tuple[StationTopics, Acknowledgement]]:
        """Yield the acknowledgements of some complete events, for the stream's station.

        ``high_water`` counts from 1: a station of version 0.1 deletes everything up to
        it, so every event up to it must have been received here. For a collector that
        missed the start of the stream it stays 0, and ``ranges`` hold everything.

        Args:
            stream_id: From ``claim``.
            events: Positions and digests of complete events, all added before.
        """
        row = self._db.execute(
            "SELECT stream, site, line, station FROM streams WHERE stream_id = ?",
            (stream_id,),
        ).fetchone()
        stream, topics = row[0], StationTopics(*row[1:])
        start = self._range_at(stream_id, 1)
        high_water = start[1] if start is not None else 0
        digests = sorted(events)
        for place in range(0, len(digests), ENTRIES_PER_ACK):
            part = digests[place : place + ENTRIES_PER_ACK]
            found = {self._range_at(stream_id, s) for s, _ in part if s > high_water}
            yield (
                topics,
                Acknowledgement(
                    stream=stream,
                    high_water=high_water,
                    ranges=tuple(sorted(each for each in found if each is not None)),
                    digests=tuple(part),
                ),
            )

    def _range_at(self, stream_id: int, seq: int) -> tuple[int, int] | None:
        """Return the last range that starts at or below a position."""
        row: tuple[int, int] | None = self._db.execute(
            "SELECT first_seq, last_seq FROM ranges"
            " WHERE stream_id = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1",
            (stream_id, seq),
        ).fetchone()
        return row
