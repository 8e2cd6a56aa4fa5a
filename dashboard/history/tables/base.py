"""What the tables share: one set of metadata, and the kinds of columns.

Times are whole milliseconds since 1970 (UTC) in columns that end with ``_ms``.
"""

from sqlalchemy import BigInteger, Column, Integer, MetaData, Text

STATION = ("site", "line", "station")
CAMERA = (*STATION, "camera")

metadata = MetaData()
# SQLite counts up only a column of the type INTEGER, which holds 64 bits there.
BigId = BigInteger().with_variant(Integer(), "sqlite")


def text_column(name: str, default: str | None = None) -> Column[str]:
    """Return a column of a text that is never NULL."""
    return Column(name, Text, nullable=False, server_default=default)


def integer_column(name: str, default: str | None = None) -> Column[int]:
    """Return a column of a whole number of 64 bits, for example a time, never NULL."""
    return Column(name, BigInteger, nullable=False, server_default=default)


def station_columns(default: str | None = None) -> list[Column[str]]:
    """Return the columns that name a station."""
    return [text_column(name, default) for name in STATION]


def camera_columns(default: str | None = None) -> list[Column[str]]:
    """Return the columns that name a camera; it may be empty: the whole station."""
    return [text_column(name, default) for name in CAMERA]
