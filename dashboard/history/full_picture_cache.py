"""Full pictures of alerts, if they were fetched; the least used ones make room."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import (
    Connection,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from dashboard.history.tables.full_pictures import full_picture_of, full_pictures
from dashboard.history.tables.received import alerts

TOUCH_AFTER_MS = 60_000  # a picture that is looked at often is noted once a minute
MS_PER_DAY = 24 * 3600 * 1000


def has_full_picture(connection: Connection, event_id: str) -> bool:
    """Return whether the full picture of an alert is in the cache."""
    found = select(full_picture_of.c.sha256).where(
        full_picture_of.c.event_id == event_id
    )
    return connection.execute(found).first() is not None


def read_full_picture(
    connection: Connection, event_id: str
) -> tuple[str, bytes] | None:
    """Return sha256 and JPEG of the full picture of an alert, if it is in the cache."""
    is_its = full_picture_of.c.sha256 == full_pictures.c.sha256
    row = connection.execute(
        select(full_pictures.c.sha256, full_pictures.c.jpeg)
        .join(full_picture_of, is_its)
        .where(full_picture_of.c.event_id == event_id)
    ).first()
    return (row.sha256, bytes(row.jpeg)) if row is not None else None


def note_use(connection: Connection, sha256: str, at_ms: int) -> None:
    """Note that a picture was looked at.

    Args:
        connection: From ``Database.write``.
        at_ms: Wall clock, UTC.
    """
    is_old = full_pictures.c.used_ms < at_ms - TOUCH_AFTER_MS
    connection.execute(
        update(full_pictures)
        .where(full_pictures.c.sha256 == sha256, is_old)
        .values(used_ms=at_ms)
    )


def keep_full_picture(
    connection: Connection,
    event_id: str,
    jpeg: bytes,
    *,
    at_ms: int,
    most_bytes: int,
    keep_days: int,
) -> bool:
    """Put a picture into the cache; return whether there is room for it.

    Args:
        connection: From ``Database.write``.
        at_ms: Wall clock, UTC.
        most_bytes: Largest size of all together; the least used ones make room.
        keep_days: Older ones are removed.
    """
    sha256 = hashlib.sha256(jpeg).hexdigest()
    if len(jpeg) > most_bytes:
        return False
    oldest_ms = at_ms - keep_days * MS_PER_DAY
    _remove(
        connection,
        connection.scalars(
            select(full_pictures.c.sha256).where(full_pictures.c.stored_ms < oldest_ms)
        ).all(),
    )
    known = select(full_pictures.c.sha256).where(full_pictures.c.sha256 == sha256)
    if connection.execute(known).first() is None:
        _make_room(connection, most_bytes - len(jpeg))
        row = {"sha256": sha256, "size_bytes": len(jpeg), "jpeg": jpeg}
        times = {"used_ms": at_ms, "stored_ms": at_ms}
        connection.execute(insert(full_pictures).values(**row, **times))
    of_event = full_picture_of.c.event_id == event_id
    connection.execute(delete(full_picture_of).where(of_event))
    connection.execute(insert(full_picture_of).values(event_id=event_id, sha256=sha256))
    return True


def prune_full_pictures(connection: Connection, oldest_ms: int, limit: int) -> int:
    """Remove old pictures, and those of no alert; return their number.

    Args:
        connection: From ``Database.write``.
        oldest_ms: What was stored before is old.
        limit: Largest number of pictures to remove.
    """
    c = full_pictures.c
    is_shown = exists().where(
        full_picture_of.c.sha256 == c.sha256,
        alerts.c.id == full_picture_of.c.event_id,
    )
    old = select(c.sha256).where(or_(c.stored_ms < oldest_ms, ~is_shown)).limit(limit)
    pictures = connection.scalars(old).all()
    _remove(connection, pictures)
    return len(pictures)


def _make_room(connection: Connection, most_bytes: int) -> None:
    """Remove the least used pictures until no more than ``most_bytes`` are left."""
    total = connection.scalar(select(func.sum(full_pictures.c.size_bytes))) or 0
    columns = (full_pictures.c.sha256, full_pictures.c.size_bytes)
    rows = connection.execute(select(*columns).order_by(full_pictures.c.used_ms)).all()
    removed = []
    for row in rows:
        if total <= most_bytes:
            break
        removed.append(row.sha256)
        total -= row.size_bytes
    _remove(connection, removed)


def _remove(connection: Connection, pictures: Sequence[str]) -> None:
    for sha256 in pictures:
        connection.execute(
            delete(full_picture_of).where(full_picture_of.c.sha256 == sha256)
        )
        connection.execute(
            delete(full_pictures).where(full_pictures.c.sha256 == sha256)
        )
