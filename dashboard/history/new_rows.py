"""The new rows of one transaction, written together in one statement for each table."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from dashboard.history.database import insert_many, insert_numbered, upsert_many
from dashboard.history.known_events import KnownEvent
from dashboard.history.rollups import Sums, storable_label
from dashboard.history.tables.received import (
    alerts,
    detections,
    images,
    losses,
    verdicts,
)
from dashboard.messages import Alert, Image, Loss, PartVerdict
from models.messages import AlertDetection

RowValues = dict[str, Any]  # by column


@dataclass(frozen=True, slots=True)
class _NewAlert:
    row: RowValues
    known: KnownEvent
    detections: tuple[AlertDetection, ...]


@dataclass(slots=True)
class NewRows:
    """Rows that ``flush`` writes.

    Attributes:
        alerts: By id, in the order of their arrival.
    """

    alerts: dict[str, _NewAlert] = field(default_factory=dict)
    _verdicts: list[RowValues] = field(default_factory=list)
    _losses: list[RowValues] = field(default_factory=list)
    _images: dict[str, RowValues] = field(default_factory=dict)
    _sums: Sums = field(default_factory=Sums)

    def add_alert(
        self, record: Alert, known: KnownEvent, stream_id: int, received_ms: int
    ) -> None:
        """Add an alert.

        Args:
            known: Gets the cursor of the alert.
            received_ms: By the clock of retention.
        """
        data = record.event.data
        row = {
            **_event(record, stream_id, received_ms),
            "thumbnail_sha256": data.thumbnail_sha256,
            "model_build": data.model.build,
            "part_id": data.part_id,
        }
        self.alerts[record.event.id] = _NewAlert(row, known, data.detections)
        self._sums.add_alert(record)

    def add_verdict(
        self, record: PartVerdict, stream_id: int, received_ms: int
    ) -> None:
        """Add a verdict."""
        row = _event(record, stream_id, received_ms)
        self._verdicts.append({**row, "verdict": record.event.data.verdict.value})
        self._sums.add_part(record)

    def add_loss(self, record: Loss, stream_id: int, received_ms: int) -> None:
        """Add a loss record."""
        lost = record.event.data
        self._losses.append(
            {
                "id": record.event.id,
                "stream_id": stream_id,
                "seq": lost.seq,
                "kind": lost.kind,
                "first_seq": lost.first_seq,
                "last_seq": lost.last_seq,
                "count": lost.count,
                "received_ms": received_ms,
                "digest": record.digest,
            }
        )

    def add_image(self, record: Image, received_ms: int) -> None:
        """Add a picture, or replace the one of its event."""
        self._images[record.event_id] = {
            "event_id": record.event_id,
            "sha256": record.sha256,
            "received_ms": received_ms,
            "jpeg": record.jpeg,
        }

    def flush(self, connection: Connection) -> list[int]:
        """Write all rows, and return the cursors of the alerts, ascending."""
        cursors = self._write_alerts(connection)
        insert_many(connection, verdicts, self._verdicts)
        insert_many(connection, losses, self._losses)
        upsert_many(connection, images, list(self._images.values()))
        self._sums.write(connection)
        return cursors

    def _write_alerts(self, connection: Connection) -> list[int]:
        if not self.alerts:
            return []
        rows = [each.row for each in self.alerts.values()]
        cursors = insert_numbered(connection, alerts, rows)
        for new, n in zip(self.alerts.values(), cursors, strict=True):
            new.known.n = n
        found = [
            {
                "n": new.known.n,
                "position": position,
                "happened_ms": new.row["happened_ms"],
                "label": storable_label(each.label),
                "score": each.score,
            }
            for new in self.alerts.values()
            for position, each in enumerate(new.detections)
        ]
        insert_many(connection, detections, found)
        return sorted(cursors)


def _event(record: Alert | PartVerdict, stream_id: int, received_ms: int) -> RowValues:
    """Return the columns that alerts and verdicts share."""
    data = record.event.data
    return {
        "id": record.event.id,
        "stream_id": stream_id,
        "seq": data.seq,
        "site": data.site,
        "line": data.line,
        "station": data.station,
        "camera": data.camera,
        "happened_ms": record.happened_ms,
        "received_ms": received_ms,
        "event": record.event.model_dump_json(),
        "digest": record.digest,
    }
