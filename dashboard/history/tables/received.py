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

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    text_column("value"),
    sqlite_with_rowid=False,
)
streams = Table(
    "streams",
    metadata,
    Column("stream_id", BigId, primary_key=True),
    Column("stream", Text, nullable=False, unique=True),
    *station_columns(),
    integer_column("grew_ms", "0"),
)
ranges = Table(
    "ranges",
    metadata,
    integer_column("stream_id"),
    integer_column("first_seq"),
    integer_column("last_seq"),
    PrimaryKeyConstraint("stream_id", "first_seq"),
    sqlite_with_rowid=False,
)
alerts = Table(
    "alerts",
    metadata,
    Column("n", BigId, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    integer_column("stream_id"),
    integer_column("seq"),
    *camera_columns(),
    integer_column("happened_ms"),
    integer_column("received_ms"),
    Column("thumbnail_sha256", Text),
    text_column("event"),
    Column("digest", Text),
    Column("model_build", BigInteger),
    Column("part_id", Text),
    # Lists are in the order of (happened_ms, n), see dashboard.history.alert_search.
    Index("alerts_by_camera", *CAMERA, "happened_ms", "n"),
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
    integer_column("n"),
    Column("position", Integer, nullable=False),
    integer_column("happened_ms"),
    text_column("label"),
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
    text_column("sha256"),
    integer_column("received_ms"),
    Column("jpeg", LargeBinary, nullable=False),
    Index("images_by_age", "received_ms"),
)
verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Text, primary_key=True),
    integer_column("stream_id"),
    integer_column("seq"),
    *camera_columns(),
    integer_column("happened_ms"),
    integer_column("received_ms"),
    text_column("verdict"),
    text_column("event"),
    Column("digest", Text),
    Index(
        "verdicts_by_camera",
        *(*CAMERA, "happened_ms", "verdict"),
    ),
    Index(
        "verdicts_by_arrival",
        *(*CAMERA, "received_ms", "seq", "verdict"),
    ),
    Index("verdicts_by_age", "received_ms"),
)
losses = Table(
    "losses",
    metadata,
    Column("id", Text, primary_key=True),
    integer_column("stream_id"),
    integer_column("seq"),
    text_column("kind"),
    integer_column("first_seq"),
    integer_column("last_seq"),
    integer_column("count"),
    integer_column("received_ms"),
    Column("digest", Text),
)
stations = Table(
    "stations",
    metadata,
    *station_columns(),
    integer_column("heard_ms", "0"),
    integer_column("said_ms", "0"),
    Column("status", Text),
    PrimaryKeyConstraint(*STATION),
    sqlite_with_rowid=False,
)
cameras = Table(
    "cameras",
    metadata,
    *camera_columns(),
    integer_column("heard_ms", "0"),
    Column("status", Text),
    Column("stats", Text),
    PrimaryKeyConstraint(*CAMERA),
    sqlite_with_rowid=False,
)
conflicts = Table(
    "conflicts",
    metadata,
    text_column("id"),
    text_column("digest"),
    *station_columns(),
    integer_column("received_ms"),
    text_column("event"),
    PrimaryKeyConstraint("id", "digest"),
    Index("conflicts_by_station", *STATION),
)
