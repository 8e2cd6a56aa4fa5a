"""What the stations sent: alerts, pictures, verdicts, losses and last states.

``alerts.n`` is the cursor of pages and of live events: it grows with every commit and
is never used twice. The order of one stream is (``stream_id``, ``seq``).
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from dashboard.history.tables.base import BigId, metadata


def _station_columns() -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in ("site", "line", "station")]


def _camera_columns() -> list[Column[str]]:
    return [*_station_columns(), Column("camera", Text, nullable=False)]


def _time(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
streams = Table(
    "streams",
    metadata,
    Column("stream_id", BigId, primary_key=True),
    Column("stream", Text, nullable=False, unique=True),
    *_station_columns(),
    Column("grew_ms", BigInteger, nullable=False, server_default="0"),
)
ranges = Table(
    "ranges",
    metadata,
    Column("stream_id", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream_id", "first_seq"),
    sqlite_with_rowid=False,
)
alerts = Table(
    "alerts",
    metadata,
    Column("n", BigId, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("stream_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    *_camera_columns(),
    _time("happened_ms"),
    _time("received_ms"),
    Column("thumbnail_sha256", Text),
    Column("event", Text, nullable=False),
    Column("digest", Text),
    Column("model_build", BigInteger),
    Column("part_id", Text),
    # Lists are in the order of (happened_ms, n), see dashboard.history.alert_search.
    Index("alerts_by_camera", "site", "line", "station", "camera", "happened_ms", "n"),
    Index("alerts_by_time", "happened_ms", "n"),
    Index(
        "alerts_by_part",
        *("part_id", "happened_ms", "n"),
        sqlite_where=text("part_id IS NOT NULL"),
        postgresql_where=text("part_id IS NOT NULL"),
    ),
    Index("alerts_by_age", "received_ms"),
    sqlite_autoincrement=True,
)
detections = Table(
    "detections",
    metadata,
    Column("n", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    _time("happened_ms"),
    Column("label", Text, nullable=False),
    Column("score", Float, nullable=False),
    PrimaryKeyConstraint("n", "position"),
    Index("detections_by_time", "happened_ms", "label"),
    Index("detections_by_label", "label", "happened_ms", "n"),
    sqlite_with_rowid=False,
)
images = Table(
    "images",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    _time("received_ms"),
    Column("jpeg", LargeBinary, nullable=False),
    Index("images_by_age", "received_ms"),
)
verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stream_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    *_camera_columns(),
    _time("happened_ms"),
    _time("received_ms"),
    Column("verdict", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("digest", Text),
    Index(
        "verdicts_by_camera",
        *("site", "line", "station", "camera", "happened_ms", "verdict"),
    ),
    Index(
        "verdicts_by_arrival",
        *("site", "line", "station", "camera", "received_ms", "seq", "verdict"),
    ),
    Index("verdicts_by_age", "received_ms"),
)
losses = Table(
    "losses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stream_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    _time("received_ms"),
    Column("digest", Text),
)
stations = Table(
    "stations",
    metadata,
    *_station_columns(),
    Column("heard_ms", BigInteger, nullable=False, server_default="0"),
    Column("said_ms", BigInteger, nullable=False, server_default="0"),
    Column("status", Text),
    PrimaryKeyConstraint("site", "line", "station"),
    sqlite_with_rowid=False,
)
cameras = Table(
    "cameras",
    metadata,
    *_camera_columns(),
    Column("heard_ms", BigInteger, nullable=False, server_default="0"),
    Column("status", Text),
    Column("stats", Text),
    PrimaryKeyConstraint("site", "line", "station", "camera"),
    sqlite_with_rowid=False,
)
conflicts = Table(
    "conflicts",
    metadata,
    Column("id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    *_station_columns(),
    _time("received_ms"),
    Column("event", Text, nullable=False),
    PrimaryKeyConstraint("id", "digest"),
    Index("conflicts_by_station", "site", "line", "station"),
)
