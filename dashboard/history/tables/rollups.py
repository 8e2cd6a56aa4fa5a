"""Sums per minute and per hour of what happened, by the time of the event.

They are added up in the transaction that stores the events, and outlive them. The sums
of an hour are those of its minutes: a month is read from 1/60 of the rows. An event
that people dismiss stays in them until retention removes the event: who counts without
dismissed events subtracts those that are there.
"""

from typing import Any

from sqlalchemy import Column, PrimaryKeyConstraint, Table

from dashboard.history.tables.base import (
    CAMERA,
    camera_columns,
    integer_column,
    metadata,
    text_column,
)


def _sums(name: str, time: str, count: str, *columns: Column[Any]) -> Table:
    """Return a table of sums by time, camera and some more columns."""
    return Table(
        name,
        metadata,
        integer_column(time),
        *camera_columns(),
        *columns,
        integer_column(count),
        PrimaryKeyConstraint(time, *CAMERA, *(each.name for each in columns)),
        sqlite_with_rowid=False,
    )


def _model() -> list[Column[Any]]:
    return [text_column("model"), integer_column("build")]


def _label() -> list[Column[Any]]:
    return [*_model(), text_column("label")]


MINUTE, HOUR = "minute_ms", "hour_ms"
alert_minutes = _sums("alert_minutes", MINUTE, "alerts", *_model())
alert_hours = _sums("alert_hours", HOUR, "alerts", *_model())
# Boxes: an alert with three scratches counts three times.
defect_minutes = _sums("defect_minutes", MINUTE, "defects", *_label())
defect_hours = _sums("defect_hours", HOUR, "defects", *_label())
part_minutes = _sums("part_minutes", MINUTE, "parts", text_column("verdict"))
part_hours = _sums("part_hours", HOUR, "parts", text_column("verdict"))
HOURS_OF = {
    alert_minutes: alert_hours,
    defect_minutes: defect_hours,
    part_minutes: part_hours,
}
"""The sums per hour, by those per minute."""
