"""What the tables share: one set of metadata, and the kinds of columns.

Times are whole milliseconds since 1970 (UTC) in columns that end with ``_ms``.
"""

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData()
# SQLite counts up only a column of the type INTEGER, which holds 64 bits there.
BigId = BigInteger().with_variant(Integer(), "sqlite")
