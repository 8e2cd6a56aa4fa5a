"""The users: people with a name, a role and a password."""

import re
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.tables.accounts import sessions, users
from dashboard.status import now_ms
from models.errors import ConfigError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
NAME_RULE: Final = "1 to 32 of a-z, 0-9, '.', '_' and '-', first a letter or digit"
USERS_MAX: Final = 1000
LOCAL: Final = "local"  # who opened the page with the first-run token


@dataclass(frozen=True, slots=True)
class Account:
    """A user.

    Attributes:
        password: The hash.
        password_ms: When it was last set.
    """

    id: int
    name: str
    role: Role
    password: str
    created_ms: int
    password_ms: int


def plain_user_name(typed: str) -> str:
    """Return a name as it is kept, whatever case it was typed in.

    Raises:
        ConfigError: It is no name of a user.
    """
    name = typed.strip().lower()
    if not NAME.fullmatch(name) or name == LOCAL:
        why = f"A name has {NAME_RULE}; {LOCAL} is taken."
        raise ConfigError(
            f"{typed[:40]!r} cannot be the name of a user.",
            why=why,
            fix="Give another name.",
        )
    return name


def has_users(connection: Connection) -> bool:
    """Return whether there is any user."""
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def list_users(connection: Connection) -> list[Account]:
    """Return all users by name."""
    rows = connection.execute(select(users).order_by(users.c.name))
    return [_account(row) for row in rows]


def find_user(connection: Connection, name: str) -> Account | None:
    """Return a user; None = there is none of this name.

    Args:
        name: As it was typed; it may be anything.
    """
    plain = name.strip().lower()
    if not NAME.fullmatch(plain):
        return None
    row = connection.execute(select(users).where(users.c.name == plain)).first()
    return _account(row) if row else None


def add_user(
    connection: Connection, by: str, name: str, role: Role, password: str
) -> None:
    """Add a user.

    Args:
        connection: From ``Database.write``.
        by: Name of the user who does it.
        name: From ``plain_user_name``.
        password: The hash.

    Raises:
        ConfigError: The name is taken, or the first user would be no admin.
    """
    count = connection.execute(select(func.count()).select_from(users)).scalar_one()
    if find_user(connection, name):
        raise ConfigError(f"There is a user {name} already.", fix="Give another name.")
    if count == 0 and role < Role.ADMIN:
        raise ConfigError(
            "The first user must have the role admin.",
            why="Only an admin can manage the others.",
            fix="Add an admin first.",
        )
    if count >= USERS_MAX:
        raise ConfigError(
            f"There are {USERS_MAX} users already.", fix="Remove some first."
        )
    at_ms = now_ms()
    row = {"name": name, "role": str_of(role), "password": password}
    connection.execute(insert(users).values(**row, created_ms=at_ms, password_ms=at_ms))
    audit.append(connection, by, "user.add", name, {"role": str_of(role)})


def remove_user(connection: Connection, by: str, name: str) -> None:
    """Remove a user with all sessions.

    Raises:
        ConfigError: There is no such user, or the others would have no admin.
    """
    account = require_user(connection, name)
    others = [each for each in list_users(connection) if each.id != account.id]
    if others:
        _require_admin(others)
    connection.execute(delete(sessions).where(sessions.c.user_id == account.id))
    connection.execute(delete(users).where(users.c.id == account.id))
    details = {"role": str_of(account.role)}
    audit.append(connection, by, "user.remove", account.name, details)


def set_role(connection: Connection, by: str, name: str, role: Role) -> None:
    """Change the role of a user; it counts from the next request on.

    Raises:
        ConfigError: There is no such user, or no admin would be left.
    """
    account = require_user(connection, name)
    if role < Role.ADMIN:
        _require_admin(
            [each for each in list_users(connection) if each.id != account.id]
        )
    changed = update(users).where(users.c.id == account.id)
    connection.execute(changed.values(role=str_of(role)))
    details = {"role": str_of(role), "before": str_of(account.role)}
    audit.append(connection, by, "user.role", account.name, details)


def set_password(
    connection: Connection, by: str, name: str, password: str, keep: str = ""
) -> None:
    """Set the password of a user, and end the sessions that began with the old one.

    Args:
        password: The hash.
        keep: Digest of the session that stays.

    Raises:
        ConfigError: There is no such user.
    """
    account = require_user(connection, name)
    replace_hash(connection, account, password)
    ended = (sessions.c.user_id == account.id) & (sessions.c.digest != keep)
    connection.execute(delete(sessions).where(ended))
    changed = update(users).where(users.c.id == account.id)
    connection.execute(changed.values(password_ms=now_ms()))
    audit.append(connection, by, "user.password", account.name, {})


def replace_hash(connection: Connection, account: Account, password: str) -> None:
    """Keep another hash of the same password."""
    changed = update(users).where(users.c.id == account.id)
    connection.execute(changed.values(password=password))


def str_of(role: Role) -> str:
    """Return a role as it is kept and typed: ``viewer``."""
    return role.name.lower()


def role_of(name: str) -> Role:
    """Return the role of a name.

    Raises:
        KeyError: There is no such role.
    """
    return Role[name.upper()]


def require_user(connection: Connection, name: str) -> Account:
    """Return a user.

    Raises:
        ConfigError: There is none of this name.
    """
    account = find_user(connection, name)
    if account is None:
        raise ConfigError(
            f"There is no user {name[:40]!r}.",
            fix="graftline dashboard-user list shows all users.",
        )
    return account


def _require_admin(others: list[Account]) -> None:
    if not any(each.role == Role.ADMIN for each in others):
        raise ConfigError(
            "No admin would be left.",
            why="Only an admin can manage users.",
            fix="Make another user admin first.",
        )


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        role=role_of(row.role),
        password=row.password,
        created_ms=row.created_ms,
        password_ms=row.password_ms,
    )
