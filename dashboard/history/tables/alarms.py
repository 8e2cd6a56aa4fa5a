"""Alarms of the cameras, and what happened to each.

An alarm is open while ``cleared_ms`` is 0. One camera has at most one open alarm of a
kind, whichever dashboard of a shared history raises it.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Table, text

from dashboard.history.tables.base import (
    CAMERA,
    BigId,
    camera_columns,
    integer_column,
    metadata,
    text_column,
)

_OPEN = text("cleared_ms = 0")

alarms = Table(
    "alarms",
    metadata,
    Column("id", BigId, primary_key=True),
    *camera_columns(),
    text_column("kind"),
    integer_column("raised_ms", "0"),
    Column("value", Float, nullable=False),
    Column("limit_value", Float, nullable=False),
    Column("parts", BigInteger, nullable=False),
    integer_column("cleared_ms", "0"),
    integer_column("acknowledged_ms", "0"),
    text_column("acknowledged_by", ""),
    text_column("comment", ""),
    Index(
        "alarms_open",
        *(*CAMERA, "kind"),
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    ),
    Index("alarms_by_time", "raised_ms"),
    sqlite_autoincrement=True,
)
# Readers keep their own cursor n: no change is missed over a restart.
alarm_changes = Table(
    "alarm_changes",
    metadata,
    Column("n", BigId, primary_key=True),
    Column("alarm_id", BigInteger, nullable=False),
    integer_column("at_ms", "0"),
    text_column("change"),
    text_column("user", ""),
    sqlite_autoincrement=True,
)
