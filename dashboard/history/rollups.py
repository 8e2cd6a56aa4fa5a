"""Adds up alerts, defects and parts by minute and hour, see ``tables.rollups``."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from dashboard.history.database import add_up_many
from dashboard.history.reviews import OperatorVerdict, renamed_labels
from dashboard.history.tables.received import alerts
from dashboard.history.tables.reviews import alert_states
from dashboard.history.tables.rollups import (
    HOURS_OF,
    alert_minutes,
    defect_minutes,
    part_minutes,
)
from dashboard.messages import Alert, PartVerdict
from dashboard.plant_time import MS_PER_HOUR

MS_PER_MINUTE = 60_000

SumKey = tuple[Any, ...]  # time first


def minute_of(at_ms: int) -> int:
    """Return the start of the minute of a time."""
    return at_ms // MS_PER_MINUTE * MS_PER_MINUTE


def hour_of(at_ms: int) -> int:
    """Return the start of the hour of a time."""
    return at_ms // MS_PER_HOUR * MS_PER_HOUR


def storable_label(label: str) -> str:
    """Return a label without what PostgreSQL cannot hold."""
    return label.replace("\0", "\ufffd")


@dataclass(slots=True)
class Sums:
    """The sums of one transaction, by the key columns of each table per minute."""

    alerts: Counter[SumKey] = field(default_factory=Counter)
    defects: Counter[SumKey] = field(default_factory=Counter)
    parts: Counter[SumKey] = field(default_factory=Counter)

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

    def correct(
        self, key: SumKey, labels: Sequence[str], right_label: str | None
    ) -> None:
        """Count an alert as what people found.

        Args:
            key: Minute, place and model.
            labels: What it was counted as.
            right_label: Class of its defects; None = it was a false alarm.
        """
        if right_label is None:
            self.alerts[key] -= 1
        for each in labels:
            if right_label is not None and each not in renamed_labels(labels):
                continue
            self.defects[(*key, storable_label(each))] -= 1
            if right_label is not None:
                self.defects[(*key, storable_label(right_label))] += 1

    def write(self, connection: Connection) -> None:
        """Add the sums to those of the history."""
        for table, sums in (
            (alert_minutes, self.alerts),
            (defect_minutes, self.defects),
            (part_minutes, self.parts),
        ):
            names = [column.name for column in table.columns]
            # Sorted: rows of one minute lie beside each other.
            keys = sorted(sums)
            rows = [dict(zip(names, (*each, sums[each]), strict=True)) for each in keys]
            add_up_many(connection, table, HOURS_OF[table], MS_PER_HOUR, rows)


def correct_sums(connection: Connection, cursors: Sequence[int]) -> None:
    """Put what people found about alerts into the sums, before the alerts are removed.

    Args:
        cursors: ``alerts.n``.
    """
    sums, c, said = Sums(), alerts.c, alert_states.c
    changing = (OperatorVerdict.FALSE_ALARM.value, OperatorVerdict.OTHER_CLASS.value)
    rows = connection.execute(
        select(c.happened_ms, c.site, c.line, c.station, c.camera, c.event)
        .add_columns(said.verdict, said.verdict_label)
        .join_from(alerts, alert_states, said.n == c.n)
        .where(c.n.in_(cursors), said.verdict.in_(changing))
    )
    for happened_ms, *place, event, verdict, right_label in rows:
        data = json.loads(event)["data"]
        model = (data["model"]["name"], data["model"]["build"])
        is_false = verdict == OperatorVerdict.FALSE_ALARM.value
        sums.correct(
            (minute_of(happened_ms), *place, *model),
            [each["label"] for each in data["detections"]],
            None if is_false else right_label or "",
        )
    sums.write(connection)
