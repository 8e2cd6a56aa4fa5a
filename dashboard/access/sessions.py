"""Sessions: a browser that has shown a password or token, and has a cookie since.

The cookie holds a secret that is made at each login; only its digest is kept.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from dashboard.access.secrets import digest_of, new_secret
from dashboard.access.tokens import MS_PER_DAY
from dashboard.history.tables.accounts import sessions, tokens, users

LONGEST_MS: Final = 30 * MS_PER_DAY
# A screen runs for months; browsers keep no cookie for longer.
LONGEST_KIOSK_MS: Final = 400 * MS_PER_DAY
PER_OWNER_MAX: Final = 50  # beyond, the one that was not used for the longest ends
AGENT_MAX_CHARS: Final = 200
ADDRESS_MAX_CHARS: Final = 64
SHOWN_ID_CHARS: Final = 16  # of the digest, on the page


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose session it is: of a user, a kiosk token, or (both None) the first run."""

    user_id: int | None = None
    token_id: int | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from, as shown in the list of sessions.

    Attributes:
        agent: What the browser calls itself.
    """

    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class Session:
    """A session whose owner may still use it.

    Attributes:
        name: The user, or the kiosk token; empty for the first run.
        role: As it is kept; empty for the first run.
        used_ms: When it was last used, to a minute.
    """

    digest: str
    owner: Owner
    name: str
    role: str
    created_ms: int
    used_ms: int
    expires_ms: int
    address: str
    agent: str


def start_session(
    connection: Connection, owner: Owner, client: Client, at_ms: int, expires_ms: int
) -> str:
    """Start a session, and return the secret for its cookie.

    Sessions that have expired, and those of the owner that are too many, are removed.
    """
    connection.execute(delete(sessions).where(sessions.c.expires_ms <= at_ms))
    used = select(sessions.c.digest).where(_is_of(owner))
    kept = used.order_by(sessions.c.used_ms.desc(), sessions.c.digest)
    for digest in connection.execute(kept).scalars().all()[PER_OWNER_MAX - 1 :]:
        end_session(connection, digest)
    secret = new_secret()
    connection.execute(
        insert(sessions).values(
            digest=digest_of(secret),
            user_id=owner.user_id,
            token_id=owner.token_id,
            created_ms=at_ms,
            used_ms=at_ms,
            expires_ms=expires_ms,
            address=client.address[:ADDRESS_MAX_CHARS],
            agent=client.agent[:AGENT_MAX_CHARS],
        )
    )
    return secret


def find_session(
    connection: Connection, secret: str, at_ms: int, idle_ms: int
) -> Session | None:
    """Return the session of a cookie; None = it has ended, or there is none.

    Args:
        idle_ms: For how long a session of a user or of the first run may be unused.
    """
    row = connection.execute(
        _joined().where(sessions.c.digest == digest_of(secret))
    ).first()
    if row is None or row.expires_ms <= at_ms:
        return None
    if row.token_id is None and at_ms - row.used_ms > idle_ms:
        return None
    is_expired = row.token_expires_ms is not None and row.token_expires_ms <= at_ms
    is_orphan = (row.user_id is not None and row.user_name is None) or (
        row.token_id is not None and row.token_name is None
    )
    return None if is_expired or is_orphan else _session(row)


def sessions_of(connection: Connection, owner: Owner, at_ms: int) -> list[Session]:
    """Return the sessions of a user, those used last first."""
    found = _joined().where(_is_of(owner), sessions.c.expires_ms > at_ms)
    rows = connection.execute(found.order_by(sessions.c.used_ms.desc()))
    return [_session(row) for row in rows]


def note_session_use(connection: Connection, digest: str, at_ms: int) -> None:
    """Write down when a session was used."""
    changed = update(sessions).where(sessions.c.digest == digest)
    connection.execute(changed.values(used_ms=at_ms))


def end_session(connection: Connection, digest: str) -> None:
    """End a session; it need not exist."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def end_shown_session(connection: Connection, owner: Owner, shown_id: str) -> bool:
    """End one of an owner's sessions by the id on the page; return whether it was one.

    Args:
        shown_id: ``SHOWN_ID_CHARS`` of the digest.
    """
    digests = connection.execute(select(sessions.c.digest).where(_is_of(owner)))
    found = [each for each in digests.scalars() if each[:SHOWN_ID_CHARS] == shown_id]
    for digest in found:
        end_session(connection, digest)
    return bool(found)


def end_sessions_of(connection: Connection, owner: Owner) -> None:
    """End all sessions of an owner."""
    connection.execute(delete(sessions).where(_is_of(owner)))


def _is_of(owner: Owner) -> ColumnElement[bool]:
    # SQLAlchemy writes IS NULL for None.
    return (sessions.c.user_id == owner.user_id) & (
        sessions.c.token_id == owner.token_id
    )


def _joined() -> Any:  # noqa: ANN401 - SQLAlchemy's type has a part for each column
    return (
        select(
            sessions,
            users.c.name.label("user_name"),
            users.c.role.label("user_role"),
            tokens.c.name.label("token_name"),
            tokens.c.role.label("token_role"),
            tokens.c.expires_ms.label("token_expires_ms"),
        )
        .outerjoin(users, users.c.id == sessions.c.user_id)
        .outerjoin(tokens, tokens.c.id == sessions.c.token_id)
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        digest=row.digest,
        owner=Owner(row.user_id, row.token_id),
        name=row.user_name or row.token_name or "",
        role=row.user_role or row.token_role or "",
        created_ms=row.created_ms,
        used_ms=row.used_ms,
        expires_ms=row.expires_ms,
        address=row.address,
        agent=row.agent,
    )
