"""Tokens: what programs send, and what opens the page on a screen without a keyboard.

A token is shown once, when it is made; its digest is kept.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.access.secrets import PREFIX, digest_of, new_secret
from dashboard.access.users import role_of, str_of
from dashboard.history.tables.accounts import sessions, tokens
from dashboard.status import now_ms
from models.errors import ConfigError

TOKENS_MAX: Final = 1000
TOKEN_NAME_MAX_CHARS: Final = 60
MS_PER_DAY: Final = 24 * 3600 * 1000
NOTE_EVERY_MS: Final = 60_000  # how exact "last used" is


class TokenKind(StrEnum):
    """What a token is for."""

    API = "api"
    """A program sends it in the header ``Authorization: Bearer``."""
    KIOSK = "kiosk"
    """It is in the URL that a screen opens, ``?kiosk=``; it only looks."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without its secret.

    Attributes:
        used_ms: When it was last used, to a minute; None = never.
        expires_ms: None = never.
    """

    id: int
    name: str
    kind: TokenKind
    role: Role
    created_ms: int
    created_by: str
    used_ms: int | None
    expires_ms: int | None


def list_tokens(connection: Connection) -> list[Token]:
    """Return all tokens by name."""
    rows = connection.execute(select(tokens).order_by(tokens.c.name))
    return [_token(row) for row in rows]


def add_token(
    connection: Connection,
    by: str,
    name: str,
    kind: TokenKind,
    role: Role,
    days: int | None,
) -> str:
    """Make a token, and return its secret, which is not kept.

    Args:
        by: Name of the user who does it.
        name: What shows who uses it; unique.
        role: A kiosk token is always a viewer's.
        days: For how long it may be used; None = until it is removed.

    Raises:
        ConfigError: The name is taken, or does not fit.
    """
    name = name.strip()
    if not 0 < len(name) <= TOKEN_NAME_MAX_CHARS or not name.isprintable():
        why = f"A name has 1 to {TOKEN_NAME_MAX_CHARS} characters that can be seen."
        raise ConfigError("This cannot be the name of a token.", why=why)
    if connection.execute(select(tokens.c.id).where(tokens.c.name == name)).first():
        raise ConfigError(f"There is a token {name} already.", fix="Give another name.")
    if connection.execute(select(func.count()).select_from(tokens)).scalar_one() >= (
        TOKENS_MAX
    ):
        raise ConfigError(f"There are {TOKENS_MAX} tokens already.")
    role = Role.VIEWER if kind is TokenKind.KIOSK else role
    secret, at_ms = new_secret(PREFIX), now_ms()
    row = {"name": name, "kind": kind.value, "role": str_of(role), "created_by": by}
    expires_ms = None if days is None else at_ms + days * MS_PER_DAY
    connection.execute(
        insert(tokens).values(
            **row, digest=digest_of(secret), created_ms=at_ms, expires_ms=expires_ms
        )
    )
    details = {"kind": kind.value, "role": str_of(role), "days": days}
    audit.append(connection, by, "token.add", name, details)
    return secret


def remove_token(connection: Connection, by: str, token_id: int) -> None:
    """Remove a token, and end the sessions of screens that it has opened.

    Raises:
        ConfigError: There is no such token.
    """
    row = connection.execute(select(tokens).where(tokens.c.id == token_id)).first()
    if row is None:
        raise ConfigError("There is no such token.")
    connection.execute(delete(sessions).where(sessions.c.token_id == token_id))
    connection.execute(delete(tokens).where(tokens.c.id == token_id))
    audit.append(connection, by, "token.remove", row.name, {"kind": row.kind})


def find_token(connection: Connection, secret: str, at_ms: int) -> Token | None:
    """Return the token of a secret; None = none that may be used now."""
    row = connection.execute(
        select(tokens).where(tokens.c.digest == digest_of(secret))
    ).first()
    if row is None or (row.expires_ms is not None and row.expires_ms <= at_ms):
        return None
    return _token(row)


def is_note_due(used_ms: int | None, at_ms: int) -> bool:
    """Return whether it is time to write down that a session or token is in use."""
    return used_ms is None or not 0 <= at_ms - used_ms < NOTE_EVERY_MS


def note_token_use(connection: Connection, token_id: int, at_ms: int) -> None:
    """Write down when a token was used."""
    changed = update(tokens).where(tokens.c.id == token_id)
    connection.execute(changed.values(used_ms=at_ms))


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        kind=TokenKind(row.kind),
        role=role_of(row.role),
        created_ms=row.created_ms,
        created_by=row.created_by,
        used_ms=row.used_ms,
        expires_ms=row.expires_ms,
    )
