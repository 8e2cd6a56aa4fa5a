"""Sums per minute of what happened, by the time of the event.

They are added up in the transaction that stores the events, and outlive them. An event
that people dismiss stays in them until retention removes the event: who counts without
dismissed events subtracts those that are there.
"""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text

from dashboard.history.tables.base import metadata


def _minute_and_camera() -> list[Column[int] | Column[str]]:
    names = ("site", "line", "station", "camera")
    minute: Column[int] = Column("minute_ms", BigInteger, nullable=False)
    return [minute, *(Column(name, Text, nullable=False) for name in names)]


def _model() -> list[Column[int] | Column[str]]:
    build: Column[int] = Column("build", BigInteger, nullable=False)
    return [Column("model", Text, nullable=False), build]


KEY = ("minute_ms", "site", "line", "station", "camera")
alert_minutes = Table(
    "alert_minutes",
    metadata,
    *_minute_and_camera(),
    *_model(),
    Column("alerts", BigInteger, nullable=False),
    PrimaryKeyConstraint(*KEY, "model", "build"),
    sqlite_with_rowid=False,
)
# Boxes: an alert with three scratches counts three times.
defect_minutes = Table(
    "defect_minutes",
    metadata,
    *_minute_and_camera(),
    *_model(),
    Column("label", Text, nullable=False),
    Column("defects", BigInteger, nullable=False),
    PrimaryKeyConstraint(*KEY, "model", "build", "label"),
    sqlite_with_rowid=False,
)
part_minutes = Table(
    "part_minutes",
    metadata,
    *_minute_and_camera(),
    Column("verdict", Text, nullable=False),
    Column("parts", BigInteger, nullable=False),
    PrimaryKeyConstraint(*KEY, "verdict"),
    sqlite_with_rowid=False,
)
