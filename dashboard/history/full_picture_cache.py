"""Full pictures and heat maps of alerts, if they were fetched.

The least used ones make room.
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum

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

from dashboard.history.tables.full_pictures import (
    full_picture_of,
    full_pictures,
    heat_map_of,
)
from dashboard.history.tables.received import alerts

TOUCH_AFTER_MS = 60_000  # a picture that is looked at often is noted once a minute
MS_PER_DAY = 24 * 3600 * 1000


class PictureKind(StrEnum):
    """What is fetched of an alert; as in the addresses."""

    FULL = "full-picture"
    HEAT_MAP = "heat-map"


PICTURES_OF = {
    PictureKind.FULL: full_picture_of,
    PictureKind.HEAT_MAP: heat_map_of,
}


def has_full_picture(
    connection: Connection, event_id: str, kind: PictureKind = PictureKind.FULL
) -> bool:
    """Return whether the full picture of an alert is in the cache."""
    of = PICTURES_OF[kind]
    found = select(of.c.sha256).where(of.c.event_id == event_id)
    return connection.execute(found).first() is not None


def read_full_picture(
    connection: Connection, event_id: str, kind: PictureKind = PictureKind.FULL
) -> tuple[str, bytes] | None:
    """Return sha256 and file of the full picture of an alert, if it is in the cache."""
    of = PICTURES_OF[kind]
    row = connection.execute(
        select(full_pictures.c.sha256, full_pictures.c.jpeg)
        .join(of, of.c.sha256 == full_pictures.c.sha256)
        .where(of.c.event_id == event_id)
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
    kind: PictureKind = PictureKind.FULL,
    *,
    at_ms: int,
    most_bytes: int,
    keep_days: int,
) -> bool:
    """Put a picture into the cache; return whether there is room for it.

    Args:
        connection: From ``Database.write``.
        jpeg: The file; a PNG of a heat map.
        kind: What it is of the alert.
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
    of = PICTURES_OF[kind]
    connection.execute(delete(of).where(of.c.event_id == event_id))
    connection.execute(insert(of).values(event_id=event_id, sha256=sha256))
    return True


def prune_full_pictures(connection: Connection, oldest_ms: int, limit: int) -> int:
    """Remove old pictures, and those of no alert; return their number.

    Args:
        connection: From ``Database.write``.
        oldest_ms: What was stored before is old.
        limit: Largest number of pictures to remove.
    """
    c = full_pictures.c
    is_shown = or_(
        *(
            exists().where(of.c.sha256 == c.sha256, alerts.c.id == of.c.event_id)
            for of in PICTURES_OF.values()
        )
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
        for of in PICTURES_OF.values():
            connection.execute(delete(of).where(of.c.sha256 == sha256))
        connection.execute(
            delete(full_pictures).where(full_pictures.c.sha256 == sha256)
        )
