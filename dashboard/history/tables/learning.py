"""Which alerts are left out of exports for training, and which were exported."""

from sqlalchemy import BigInteger, Column, Table, Text

from dashboard.history.tables.base import metadata

learning_marks = Table(
    "learning_marks",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("left_out_by", Text),  # null: it is not left out
    Column("exported_ms", BigInteger),  # null: it was not exported
)
