"""Adds up alerts, defects and parts per minute, see ``tables.rollups``."""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table

from dashboard.history.database import add_up_many
from dashboard.history.tables.rollups import (
    alert_minutes,
    defect_minutes,
    part_minutes,
)
from dashboard.messages import Alert, PartVerdict

MS_PER_MINUTE = 60_000


def minute_of(at_ms: int) -> int:
    """Return the start of the minute of a time."""
    return at_ms // MS_PER_MINUTE * MS_PER_MINUTE


def storable_label(label: str) -> str:
    """Return a label without what PostgreSQL cannot hold."""
    return label.replace("\0", "\ufffd")


@dataclass(slots=True)
class Sums:
    """The sums of one transaction, by the key columns of each table."""

    alerts: Counter[tuple[object, ...]] = field(default_factory=Counter)
    defects: Counter[tuple[object, ...]] = field(default_factory=Counter)
    parts: Counter[tuple[object, ...]] = field(default_factory=Counter)

    def add_alert(self, record: Alert) -> None:
        """Count a new alert and its defects."""
        data = record.event.data
        place = (data.site, data.line, data.station, data.camera)
        model = (data.model.name, data.model.build)
        key = (minute_of(record.happened_ms), *place, *model)
        self.alerts[key] += 1
        for each in data.detections:
            self.defects[(*key, storable_label(each.label))] += 1

    def add_part(self, record: PartVerdict) -> None:
        """Count a new verdict of a part."""
        data = record.event.data
        place = (data.site, data.line, data.station, data.camera)
        self.parts[(minute_of(record.happened_ms), *place, data.verdict.value)] += 1

    def write(self, connection: Connection) -> None:
        """Add the sums to those of the history."""
        _write(connection, alert_minutes, self.alerts)
        _write(connection, defect_minutes, self.defects)
        _write(connection, part_minutes, self.parts)


def _write(
    connection: Connection, table: Table, sums: Counter[tuple[object, ...]]
) -> None:
    names = [column.name for column in table.columns]
    # Sorted: rows of one minute lie beside each other.
    rows = [dict(zip(names, (*key, sums[key]), strict=True)) for key in sorted(sums)]
    add_up_many(connection, table, names[-1], rows)
