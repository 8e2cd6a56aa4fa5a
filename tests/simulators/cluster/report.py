"""What a run shows: each line's own records, compared with the rows of the history."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, FromClause, func, select

from dashboard.history.tables.received import (
    alerts,
    images,
    streams,
    verdicts,
)
from dashboard.history.tables.rollups import alert_minutes, part_minutes


@dataclass
class LineResult:
    """What became of the events of one line.

    Attributes:
        line: Its name.
        starts: Of its process.
        raised: Positions that its outbox has given.
        alerts: In the history.
        verdicts: In the history.
        noted: Alerts that the line wrote down when they were committed.
        lost: Positions, or noted alerts, that are not in the history.
        repeated: Rows of a position, or of a part, beyond the first one.
        without_picture: Alerts whose picture is not in the history.
        miscounted: Difference between the rows and the history's sums per minute.
        left: Events that the line still holds.
        streams: In the history; more than one: an outbox was lost.
    """

    line: str
    starts: int = 0
    raised: int = 0
    alerts: int = 0
    verdicts: int = 0
    noted: int = 0
    lost: int = 0
    repeated: int = 0
    without_picture: int = 0
    miscounted: int = 0
    left: int = 0
    streams: int = 0

    @property
    def faults(self) -> int:
        """What must not be, in all."""
        wrong = self.lost + self.repeated + self.without_picture + self.miscounted
        return wrong + self.left + abs(self.streams - 1)


@dataclass
class ClusterReport:
    """What a run showed.

    Attributes:
        seconds: Of killing.
        kills: Per kind.
        back_s: Median and longest time from the start of what was killed until it
            serves again, per kind.
        delay_ms: From the capture of a part to the receipt of its alert: median, 99th
            percentile and longest.
        lines: One for each line.
        losses: Events that an outbox has evicted.
        conflicts: Events that came with two contents.
    """

    seconds: float = 0
    kills: Counter[str] = field(default_factory=Counter)
    back_s: dict[str, tuple[float, float]] = field(default_factory=dict)
    delay_ms: tuple[int, int, int] = (0, 0, 0)
    lines: list[LineResult] = field(default_factory=list)
    losses: int = 0
    conflicts: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, and nothing is there twice."""
        faults = sum(line.faults for line in self.lines)
        return faults + self.losses + self.conflicts == 0 and bool(self.lines)

    def total(self, name: str) -> int:
        """Return the sum of a figure of all lines."""
        return sum(getattr(line, name) for line in self.lines)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        totals = ("raised", "alerts", "verdicts", "lost", "repeated")
        return {
            **asdict(self),
            "kills": dict(self.kills),
            "total": {name: self.total(name) for name in totals},
            "is_clean": self.is_clean,
        }

    def table(self) -> str:
        """Return the figures of each line, and their sums, as a table."""
        names = [name for name in asdict(LineResult("")) if name != "line"]
        head = ["line", *(name.replace("_", " ") for name in names)]
        rows = [[each.line, *(getattr(each, n) for n in names)] for each in self.lines]
        rows.append(["all", *(self.total(name) for name in names)])
        cells = [head, *([str(cell) for cell in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) for cell, width in zip(row, widths, strict=True)
            )
            for row in cells
        )


@dataclass(frozen=True, slots=True)
class LineRecord:
    """What a line itself has kept.

    Attributes:
        starts: Of its process.
        raised: Highest position of its outbox.
        left: Events that wait in its outbox.
        noted: Parts that it wrote down when their alert was committed.
    """

    line: str
    starts: int
    raised: int
    left: int
    noted: Sequence[str]


def compare(connection: Connection, record: LineRecord) -> LineResult:
    """Compare what one line has kept with what the history has of it."""
    of_alerts, of_verdicts = (
        alerts.c.line == record.line,
        verdicts.c.line == record.line,
    )
    rows = connection.execute(
        select(alerts.c.seq, alerts.c.part_id).where(of_alerts)
    ).all()
    of_parts = connection.scalars(select(verdicts.c.seq).where(of_verdicts)).all()
    seqs = Counter([*(seq for seq, _ in rows), *of_parts])
    parts = Counter(part for _, part in rows)
    lost = sum(seq not in seqs for seq in range(1, record.raised + 1))
    lost += sum(part not in parts for part in record.noted)
    without = alerts.outerjoin(images, images.c.event_id == alerts.c.id)
    is_without = of_alerts & images.c.event_id.is_(None)
    of_sums = _sum_of(connection, alert_minutes.c.alerts, record.line)
    of_part_sums = _sum_of(connection, part_minutes.c.parts, record.line)
    return LineResult(
        line=record.line,
        starts=record.starts,
        raised=record.raised,
        alerts=len(rows),
        verdicts=len(of_parts),
        noted=len(record.noted),
        lost=lost,
        repeated=seqs.total() - len(seqs) + parts.total() - len(parts),
        without_picture=count(connection, without, is_without),
        miscounted=abs(of_sums - len(rows)) + abs(of_part_sums - len(of_parts)),
        left=record.left,
        streams=count(connection, streams, streams.c.line == record.line),
    )


def delays_ms(connection: Connection) -> tuple[int, int, int]:
    """Return how long alerts took: median, 99th percentile and longest.

    From the capture of a part until the first collector received its alert; both clocks
    are this machine's.
    """
    took = alerts.c.received_ms - alerts.c.happened_ms
    found = sorted(connection.scalars(select(took)))
    return found[len(found) // 2], found[len(found) * 99 // 100], found[-1]


def count(
    connection: Connection, rows: FromClause, where: ColumnElement[bool] | None = None
) -> int:
    """Return the number of rows."""
    query = select(func.count()).select_from(rows)
    query = query if where is None else query.where(where)
    return connection.execute(query).scalar_one()


def _sum_of(connection: Connection, column: Column[int], line: str) -> int:
    query = select(func.sum(column)).where(column.table.c.line == line)
    return int(connection.execute(query).scalar_one() or 0)
