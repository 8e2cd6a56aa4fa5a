"""How line PCs and cameras are operated: their states, models and maintenance.

``camera`` is empty in rows that are of a station as a whole.
"""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text

from dashboard.history.tables.base import BigId, metadata


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _station_columns() -> list[Column[str]]:
    return [_text(name) for name in ("site", "line", "station")]


def _camera_columns() -> list[Column[str]]:
    return [*_station_columns(), _text("camera")]


def _time(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


state_changes = Table(
    "state_changes",
    metadata,
    Column("n", BigId, primary_key=True),
    *_camera_columns(),
    _time("at_ms"),
    _text("state"),
    _text("reason"),
    Index("state_changes_by_sender", "site", "line", "station", "camera", "at_ms"),
    Index("state_changes_by_time", "at_ms"),
    sqlite_autoincrement=True,
)
model_changes = Table(
    "model_changes",
    metadata,
    Column("n", BigId, primary_key=True),
    *_station_columns(),
    _time("at_ms"),
    _text("name"),
    Column("build", BigInteger, nullable=False),
    _text("sha256"),
    _text("variant"),
    Index("model_changes_by_station", "site", "line", "station", "at_ms"),
    Index("model_changes_by_time", "at_ms"),
    sqlite_autoincrement=True,
)
# The last order of each station; an empty sha256 = it was taken back.
desired_models = Table(
    "desired_models",
    metadata,
    *_station_columns(),
    _time("at_ms"),
    _text("user"),
    _text("name"),
    Column("build", BigInteger, nullable=False),
    _text("sha256"),
    _text("url"),
    PrimaryKeyConstraint("site", "line", "station"),
)
# What the agents answered on ``model/reported``, each change once.
model_answers = Table(
    "model_answers",
    metadata,
    Column("n", BigId, primary_key=True),
    *_station_columns(),
    _time("at_ms"),
    _text("state"),
    _text("desired_sha256"),
    _text("model"),
    _text("reason"),
    _text("refusal"),
    Index("model_answers_by_station", "site", "line", "station", "at_ms"),
    sqlite_autoincrement=True,
)
# Windows in which no alarm is raised and no notification is sent.
maintenance = Table(
    "maintenance",
    metadata,
    Column("n", BigId, primary_key=True),
    *_camera_columns(),
    _time("from_ms"),
    _time("until_ms"),
    _text("user"),
    _text("reason"),
    _text("ended_by"),
    Index("maintenance_by_sender", "site", "line", "station", "camera", "until_ms"),
    Index("maintenance_by_end", "until_ms"),
    sqlite_autoincrement=True,
)
