"""Who may use the pages: users, their sessions, and tokens of programs and screens.

Of passwords, sessions and tokens only digests are kept: who reads the history can
use none of them.
"""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from dashboard.history.tables.base import BigId, metadata

users = Table(
    "users",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("password", Text, nullable=False),  # argon2id, with its parameters and salt
    Column("created_ms", BigInteger, nullable=False),
    Column("password_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
tokens = Table(
    "tokens",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("used_ms", BigInteger),
    Column("expires_ms", BigInteger),  # NULL = never
    sqlite_autoincrement=True,
)
# Of a user, of a kiosk token, or (both NULL) of the first-run token.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("user_id", BigInteger),
    Column("token_id", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index("sessions_by_user", "user_id"),
)
