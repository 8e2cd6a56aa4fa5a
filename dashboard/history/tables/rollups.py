"""Sums per minute of what happened, by the time of the event.

They are added up in the transaction that stores the events, and outlive them. An event
that people dismiss stays in them until retention removes the event: who counts without
dismissed events subtracts those that are there.
"""

from sqlalchemy import Column, PrimaryKeyConstraint, Table

from dashboard.history.tables.base import (
    CAMERA,
    camera_columns,
    integer_column,
    metadata,
    text_column,
)


def _minute_and_camera() -> list[Column[int] | Column[str]]:
    return [integer_column("minute_ms"), *camera_columns()]


def _model() -> list[Column[int] | Column[str]]:
    return [text_column("model"), integer_column("build")]


KEY = ("minute_ms", *CAMERA)
alert_minutes = Table(
    "alert_minutes",
    metadata,
    *_minute_and_camera(),
    *_model(),
    integer_column("alerts"),
    PrimaryKeyConstraint(*KEY, "model", "build"),
    sqlite_with_rowid=False,
)
# Boxes: an alert with three scratches counts three times.
defect_minutes = Table(
    "defect_minutes",
    metadata,
    *_minute_and_camera(),
    *_model(),
    text_column("label"),
    integer_column("defects"),
    PrimaryKeyConstraint(*KEY, "model", "build", "label"),
    sqlite_with_rowid=False,
)
part_minutes = Table(
    "part_minutes",
    metadata,
    *_minute_and_camera(),
    text_column("verdict"),
    integer_column("parts"),
    PrimaryKeyConstraint(*KEY, "verdict"),
    sqlite_with_rowid=False,
)
