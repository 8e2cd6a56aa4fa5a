"""How line PCs and cameras are operated: their states, models and maintenance.

``camera`` is empty in rows that are of a station as a whole.
"""

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table

from dashboard.history.tables.base import (
    CAMERA,
    STATION,
    BigId,
    camera_columns,
    integer_column,
    metadata,
    station_columns,
    text_column,
)

state_changes = Table(
    "state_changes",
    metadata,
    Column("n", BigId, primary_key=True),
    *camera_columns(),
    integer_column("at_ms"),
    text_column("state"),
    text_column("reason"),
    Index("state_changes_by_sender", *CAMERA, "at_ms"),
    Index("state_changes_by_time", "at_ms"),
    sqlite_autoincrement=True,
)
model_changes = Table(
    "model_changes",
    metadata,
    Column("n", BigId, primary_key=True),
    *station_columns(),
    integer_column("at_ms"),
    text_column("name"),
    integer_column("build"),
    text_column("sha256"),
    text_column("variant"),
    Index("model_changes_by_station", *STATION, "at_ms"),
    Index("model_changes_by_time", "at_ms"),
    sqlite_autoincrement=True,
)
# The last order of each station; an empty sha256 = it was taken back.
desired_models = Table(
    "desired_models",
    metadata,
    *station_columns(),
    integer_column("at_ms"),
    text_column("user"),
    text_column("name"),
    integer_column("build"),
    text_column("sha256"),
    text_column("url"),
    PrimaryKeyConstraint(*STATION),
)
# What the agents answered on ``model/reported``, each change once.
model_answers = Table(
    "model_answers",
    metadata,
    Column("n", BigId, primary_key=True),
    *station_columns(),
    integer_column("at_ms"),
    text_column("state"),
    text_column("desired_sha256"),
    text_column("model"),
    text_column("reason"),
    text_column("refusal"),
    Index("model_answers_by_station", *STATION, "at_ms"),
    sqlite_autoincrement=True,
)
# Windows in which no alarm is raised and no notification is sent.
maintenance = Table(
    "maintenance",
    metadata,
    Column("n", BigId, primary_key=True),
    *camera_columns(),
    integer_column("from_ms"),
    integer_column("until_ms"),
    text_column("user"),
    text_column("reason"),
    text_column("ended_by"),
    Index("maintenance_by_sender", *CAMERA, "until_ms"),
    Index("maintenance_by_end", "until_ms"),
    sqlite_autoincrement=True,
)
