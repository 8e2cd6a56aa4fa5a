"""The audit trail as people read it: newest first, filtered, in pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from dashboard.history.database import Database
from dashboard.history.tables.audit import entries

PAGE_ROWS: Final = 100
ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """Which entries are wanted; empty and None = all.

    Attributes:
        user: The whole name.
        action: The whole action, or its start up to the point: ``user``.
        subject: A part of it.
        from_ms: The first moment.
        to_ms: The first moment that is not wanted.
    """

    user: str = ""
    action: str = ""
    subject: str = ""
    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One entry.

    Attributes:
        details: JSON.
    """

    n: int
    at_ms: int
    user: str
    action: str
    subject: str
    details: str
    digest: str


def find_entries(
    connection: Connection, wanted: TrailFilter, before: int | None = None
) -> list[TrailEntry]:
    """Return a page of entries, newest first.

    Args:
        before: Only entries with a lower number.
    """
    found = select(entries).where(*_conditions(wanted))
    if before is not None:
        found = found.where(entries.c.n < before)
    rows = connection.execute(found.order_by(entries.c.n.desc()).limit(PAGE_ROWS))
    return [_entry(row) for row in rows.mappings()]


def all_entries(database: Database, wanted: TrailFilter) -> Iterator[TrailEntry]:
    """Yield all entries, oldest first; a few are held at a time.

    No transaction is open while an entry is used: a slow client must not hold one.
    """
    found = select(entries).where(*_conditions(wanted)).order_by(entries.c.n)
    after = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(
                found.where(entries.c.n > after).limit(ROWS_AT_ONCE)
            )
            page = [_entry(row) for row in rows.mappings()]
        if not page:
            return
        yield from page
        after = page[-1].n


def known_actions(connection: Connection) -> list[str]:
    """Return all actions that are in the trail."""
    found = select(entries.c.action).distinct().order_by(entries.c.action)
    return list(connection.execute(found).scalars())


def _conditions(wanted: TrailFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.user:
        found.append(entries.c.user == wanted.user)
    if wanted.action:
        found.append(
            (entries.c.action == wanted.action)
            | entries.c.action.startswith(f"{wanted.action}.", autoescape=True)
        )
    if wanted.subject:
        found.append(entries.c.subject.contains(wanted.subject, autoescape=True))
    if wanted.from_ms is not None:
        found.append(entries.c.at_ms >= wanted.from_ms)
    if wanted.to_ms is not None:
        found.append(entries.c.at_ms < wanted.to_ms)
    return found


def _entry(row: Any) -> TrailEntry:  # noqa: ANN401 - a row of SQLAlchemy
    return TrailEntry(**{name: row[name] for name in TrailEntry.__dataclass_fields__})
