"""The complete events of each stream, kept as ranges of ``seq``.

A stream belongs to the station that used it first: no other station can add events to
it, or have them acknowledged. Ranges are merged as they grow, so that a stream without
gaps is one row, regardless of its length. They are kept when retention deletes the
events.

Nearly every batch extends the last range of some streams: these are read in one query
and written in one statement for all streams.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    delete,
    func,
    insert,
    select,
    update,
)

from dashboard.history.database import upsert_many
from dashboard.history.tables.received import ranges, streams
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


@dataclass(eq=False, slots=True)
class Stream:
    """A stream as it is in the transaction.

    Attributes:
        row: Its ``stream_id``.
        grew_ms: When its highest position was received.
        last_range: First and last position of its last range; None: no event yet.
        unbroken: Last position of the range that starts at 1; 0: there is none.
    """

    row: int
    name: str
    owner: StationTopics
    grew_ms: int = 0
    last_range: tuple[int, int] | None = None
    unbroken: int = 0

    @property
    def highest(self) -> int:
        """The highest complete position; 0: none."""
        return self.last_range[1] if self.last_range is not None else 0


class AcknowledgedRanges:
    """The streams in the history, for one transaction.

    Args:
        names: Streams to read at once; others are read when they are claimed.
    """

    def __init__(self, connection: Connection, names: Collection[str] = ()) -> None:
        self._db = connection
        self._streams: dict[str, Stream] = {}
        if names:
            self._read(names)

    def claim(self, topics: StationTopics, name: str) -> Stream:
        """Return a stream; a new one belongs to this station.

        Raises:
            RecordRefusedError: It belongs to another station, or this station has too
                many.
        """
        stream = self._streams.get(name)
        if stream is None:
            self._read([name])
            stream = self._streams.get(name)
        if stream is None:
            stream = self._start(topics, name)
        if stream.owner != topics:
            owner = stream.owner
            detail = f"stream belongs to {owner.site}/{owner.line}/{owner.station}"
            raise RecordRefusedError(RejectionReason.WRONG_STATION, detail)
        return stream

    def _start(self, topics: StationTopics, name: str) -> Stream:
        owner = {
            "site": topics.site,
            "line": topics.line,
            "station": topics.station,
        }
        known = self._db.execute(
            select(func.count()).select_from(streams).filter_by(**owner)
        ).scalar_one()
        if known >= MAX_STREAMS_PER_STATION:
            raise RecordRefusedError(
                RejectionReason.TOO_MANY,
                f"more than {MAX_STREAMS_PER_STATION} streams of one station",
            )
        new = insert(streams).values(stream=name, **owner)
        row = self._db.execute(new.returning(streams.c.stream_id)).scalar_one()
        self._streams[name] = Stream(row, name, topics)
        return self._streams[name]

    def _read(self, names: Collection[str]) -> None:
        s, r = streams.c, ranges.c
        mine = r.stream_id == s.stream_id
        last = select(r.last_seq).where(mine).order_by(r.first_seq.desc()).limit(1)
        query = select(
            *(s.stream_id, s.stream, s.site, s.line, s.station, s.grew_ms),
            select(func.max(r.first_seq)).where(mine).scalar_subquery(),
            last.scalar_subquery(),
            select(r.last_seq).where(mine, r.first_seq == 1).scalar_subquery(),
        ).where(s.stream.in_(list(names)))
        for row in self._db.execute(query):
            stream_id, name, site, line, station, grew_ms, first, last_seq, start = row
            self._streams[name] = Stream(
                stream_id,
                name,
                StationTopics(site, line, station),
                grew_ms,
                (first, last_seq) if first is not None else None,
                start or 0,
            )

    def highest_expected(self, stream: Stream, now_ms: int) -> int:
        """Return the highest position that the station may have given by now.

        Args:
            now_ms: Wall clock of the collector, UTC.
        """
        if not stream.highest:
            return SEQ_MAX
        waited_ms = max(0, now_ms - stream.grew_ms)
        return stream.highest + AHEAD_MAX + AHEAD_PER_MS * waited_ms

    def add(self, complete: Mapping[Stream, Collection[int]], now_ms: int) -> None:
        """Note that events are complete; repeating it changes nothing.

        Args:
            complete: Positions, from 1; at least one of each stream.
            now_ms: Wall clock of the collector, UTC.
        """
        grown = [s for s, seqs in complete.items() if max(seqs) > s.highest]
        runs = []
        for stream, seqs in complete.items():
            (first, last), *more = ranges_of(seqs)
            if not more and first == stream.highest + 1 and stream.last_range:
                first = stream.last_range[0]
                runs.append(_range_row(stream.row, first, last))
                self._set_last_range(stream, first, last)
            elif not more and stream.last_range is None:
                runs.append(_range_row(stream.row, first, last))
                self._set_last_range(stream, first, last)
            else:
                for run in ((first, last), *more):
                    self._add_run(stream.row, *run)
                self._read([stream.name])
                self._copy(stream)
        upsert_many(self._db, ranges, runs)
        if grown:
            stamp = update(streams).values(grew_ms=now_ms)
            rows = [stream.row for stream in grown]
            self._db.execute(stamp.where(streams.c.stream_id.in_(rows)))
            for stream in grown:
                stream.grew_ms = now_ms

    def _set_last_range(self, stream: Stream, first: int, last: int) -> None:
        stream.last_range = (first, last)
        if first == 1:
            stream.unbroken = last

    def _copy(self, stream: Stream) -> None:
        """Update a stream that was read again, for those who hold it."""
        read = self._streams[stream.name]
        stream.last_range, stream.unbroken = read.last_range, read.unbroken
        self._streams[stream.name] = stream

    def _add_run(self, stream_id: int, first: int, last: int) -> None:
        """Add a range without gaps, merged with the ranges that it touches."""
        left = self._range_at(stream_id, first)
        if left is not None and left[1] >= last:
            return
        start = left[0] if left is not None and left[1] >= first - 1 else first
        r = ranges.c
        touched = (r.stream_id == stream_id, r.first_seq.between(start, last + 1))
        end = self._db.execute(select(func.max(r.last_seq)).where(*touched)).scalar()
        self._db.execute(delete(ranges).where(*touched))
        self._db.execute(
            insert(ranges), _range_row(stream_id, start, max(last, end or 0))
        )

    def acknowledgements(
        self, stream: Stream, events: Iterable[tuple[int, str]]
    ) -> Iterator[tuple[StationTopics, Acknowledgement]]:
        """Yield the acknowledgements of some complete events, for the stream's station.

        ``high_water`` counts from 1: a station of version 0.1 deletes everything up to
        it, so every event up to it must have been received here. For a collector that
        missed the start of the stream it stays 0, and ``ranges`` hold everything.

        Args:
            events: Positions and digests of complete events, all added before.
        """
        high_water = stream.unbroken
        digests = sorted(events)
        for place in range(0, len(digests), ENTRIES_PER_ACK):
            part = digests[place : place + ENTRIES_PER_ACK]
            found = {self._range_of(stream, s) for s, _ in part if s > high_water}
            yield (
                stream.owner,
                Acknowledgement(
                    stream=stream.name,
                    high_water=high_water,
                    ranges=tuple(sorted(each for each in found if each is not None)),
                    digests=tuple(part),
                ),
            )

    def _range_of(self, stream: Stream, seq: int) -> tuple[int, int] | None:
        if stream.last_range is not None and seq >= stream.last_range[0]:
            return stream.last_range
        return self._range_at(stream.row, seq)

    def _range_at(self, stream_id: int, seq: int) -> tuple[int, int] | None:
        """Return the last range that starts at or below a position."""
        r = ranges.c
        query = (
            select(r.first_seq, r.last_seq)
            .where(r.stream_id == stream_id, r.first_seq <= min(seq, INTEGER_MAX))
            .order_by(r.first_seq.desc())
            .limit(1)
        )
        row = self._db.execute(query).first()
        return (row.first_seq, row.last_seq) if row is not None else None


def _range_row(stream_id: int, first: int, last: int) -> dict[str, int]:
    return {"stream_id": stream_id, "first_seq": first, "last_seq": last}
