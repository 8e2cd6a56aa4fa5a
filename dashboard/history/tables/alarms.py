"""Alarms of the cameras, and what happened to each.

An alarm is open while ``cleared_ms`` is 0. One camera has at most one open alarm of a
kind, whichever dashboard of a shared history raises it.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Table, Text, text

from dashboard.history.tables.base import BigId, metadata

_OPEN = text("cleared_ms = 0")


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _time(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


alarms = Table(
    "alarms",
    metadata,
    Column("id", BigId, primary_key=True),
    *(_text(name) for name in ("site", "line", "station", "camera", "kind")),
    _time("raised_ms"),
    Column("value", Float, nullable=False),
    Column("limit_value", Float, nullable=False),
    Column("parts", BigInteger, nullable=False),
    _time("cleared_ms"),
    _time("acknowledged_ms"),
    _text("acknowledged_by", ""),
    _text("comment", ""),
    Index(
        "alarms_open",
        *("site", "line", "station", "camera", "kind"),
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
    _time("at_ms"),
    _text("change"),
    _text("user", ""),
    sqlite_autoincrement=True,
)
