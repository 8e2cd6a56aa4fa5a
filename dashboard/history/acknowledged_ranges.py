"""The complete events of each stream, kept as ranges of ``seq``.

A stream belongs to the station that used it first: no other station can add events to
it, or have them acknowledged. Ranges are merged as they grow, so that a stream without
gaps is one row, regardless of its length. They are kept when retention deletes the
events.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from dashboard.messages import RejectionReason
from models.messages import Acknowledgement
from models.topics import StationTopics

MAX_STREAMS_PER_STATION = 256  # one starts only after the disk was wiped
RANGES_PER_ACK = 200  # an acknowledgement stays below 10 kB


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

    def add(self, stream_id: int, seqs: Iterable[int]) -> None:
        """Note that events are complete; repeating it changes nothing.

        Args:
            stream_id: From ``claim``.
            seqs: Positions, from 1.
        """
        for first, last in _runs(seqs):
            self._add_run(stream_id, first, last)

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
        self, stream_id: int, seqs: set[int]
    ) -> Iterator[tuple[StationTopics, Acknowledgement]]:
        """Yield the acknowledgements of some complete events, for the stream's station.

        ``high_water`` counts from 1: a station may delete everything up to it, so every
        event up to it must have been received here. For a collector that missed the
        start of the stream it stays 0, and ``ranges`` hold everything.

        Args:
            stream_id: From ``claim``.
            seqs: Complete events, all added before.
        """
        row = self._db.execute(
            "SELECT stream, site, line, station FROM streams WHERE stream_id = ?",
            (stream_id,),
        ).fetchone()
        stream, topics = row[0], StationTopics(*row[1:])
        start = self._range_at(stream_id, 1)
        high_water = start[1] if start is not None else 0
        found = {self._range_at(stream_id, seq) for seq in seqs if seq > high_water}
        ranges = sorted(each for each in found if each is not None)
        for place in range(0, max(len(ranges), 1), RANGES_PER_ACK):
            yield (
                topics,
                Acknowledgement(
                    stream=stream,
                    high_water=high_water,
                    ranges=tuple(ranges[place : place + RANGES_PER_ACK]),
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


def _runs(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Return positions as ranges without gaps, ascending, both ends included."""
    runs: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if runs and seq <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs
