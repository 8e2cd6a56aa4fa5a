"""Shelves: alerts of a place or class that are hidden for a time, with a reason.

A shelf covers what happens from its creation to its end. While it is in force the
alerts that it covers are hidden from lists unless somebody asks for them; afterwards
they are back, unless they were acknowledged.

Source:
    Shelving as in ISA-18.2: by a person, with a reason, always with an end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
)

from dashboard.history.tables.received import alerts, detections
from dashboard.history.tables.reviews import shelf_ends, shelves

MAX_IN_FORCE = 100  # every query of alerts compares with each
REASON_MAX_CHARS = 500
MAX_DAYS = 31  # longer is a change of the rules of the camera, not a shelf
MS_PER_DAY = 24 * 3600 * 1000
PLACE = ("site", "line", "station", "camera")


class ShelfRefusedError(Exception):
    """A shelf cannot be made or ended; the text says why."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One shelf.

    Attributes:
        k: Its number; 0 before it is stored.
        site: Empty = every site; so for the other names.
        label: Class.
    """

    k: int
    created_ms: int
    until_ms: int
    creator: str
    reason: str
    site: str = ""
    line: str = ""
    station: str = ""
    camera: str = ""
    label: str = ""

    def covers(self, alert: Mapping[str, Any], label: str) -> bool:
        """Return whether it covers a detection of an alert.

        Args:
            alert: With the names of its place and ``happened_ms``.
            label: Class of the detection.
        """
        is_here = all(getattr(self, name) in ("", alert[name]) for name in PLACE)
        is_then = self.created_ms <= alert["happened_ms"] < self.until_ms
        return is_here and is_then and self.label in ("", label)


def shelf_of(alert: Mapping[str, Any], in_force: Iterable[Shelf]) -> Shelf | None:
    """Return the shelf that hides an alert; None where a detection is not covered.

    Args:
        alert: With its ``detections``.
        in_force: All shelves that are in force.
    """
    candidates = tuple(in_force)
    found: Shelf | None = None
    for detection in alert["detections"]:
        label = detection["label"]
        covering = next((s for s in candidates if s.covers(alert, label)), None)
        if covering is None:
            return None
        found = found or covering
    return found


def is_shelved(in_force: Sequence[Shelf]) -> ColumnElement[bool]:
    """Return the condition that an alert is hidden, for a query of ``alerts``.

    It is true where every detection of the alert is covered by a shelf in force.
    """
    covered = or_(*(_covers(shelf) for shelf in in_force))
    # The first condition is cheap, and false for nearly all alerts.
    nearly = or_(*(_covers(shelf, with_label=False) for shelf in in_force))
    return and_(nearly, first_detection(not_(covered)).is_(None))


def first_detection(condition: ColumnElement[bool]) -> ScalarSelect[int | None]:
    """Return the place of the first detection of an alert that fulfils a condition.

    For a query of ``alerts``. Not EXISTS: PostgreSQL may read all detections for it at
    once, instead of those of the few alerts that it looks at.
    """
    place = func.min(detections.c.position)
    here = select(place).where(detections.c.n == alerts.c.n, condition)
    return here.correlate(alerts).scalar_subquery()


def _covers(shelf: Shelf, *, with_label: bool = True) -> ColumnElement[bool]:
    here = [
        alerts.c[name] == getattr(shelf, name) for name in PLACE if getattr(shelf, name)
    ]
    then = alerts.c.happened_ms.between(shelf.created_ms, shelf.until_ms - 1)
    if with_label and shelf.label:
        here.append(unindexed_label() == shelf.label)
    return and_(then, *here)


def unindexed_label() -> ColumnElement[str]:
    """Return the class of a detection, for conditions on the detections of one alert.

    The empty text keeps PostgreSQL from the index of classes, which it takes while it
    has no statistics of a new table: of a frequent class it would read every detection.
    """
    return detections.c.label.concat("")


def shelves_in_force(connection: Connection, at_ms: int) -> list[Shelf]:
    """Return the shelves that are in force, those that end first at the start.

    Args:
        at_ms: Wall clock, UTC.
    """
    rows = connection.execute(
        select(shelves)
        .where(shelves.c.until_ms > at_ms, shelves.c.created_ms <= at_ms)
        .where(~exists().where(shelf_ends.c.shelf == shelves.c.k))
        .order_by(shelves.c.until_ms, shelves.c.k)
        .limit(MAX_IN_FORCE)
    )
    return [Shelf(**row) for row in rows.mappings()]


def put_on_shelf(connection: Connection, shelf: Shelf) -> int:
    """Store a shelf, and return its number.

    Args:
        connection: From ``Database.write``.
        shelf: ``created_ms`` is the wall clock.

    Raises:
        ShelfRefusedError: It has no reason, no end or too late an end, covers
            everything, or there are too many.
    """
    _check(connection, shelf)
    columns = [column.name for column in shelves.columns if column.name != "k"]
    values = {name: getattr(shelf, name) for name in columns}
    added = insert(shelves).values(**values).returning(shelves.c.k)
    return int(connection.execute(added).scalar_one())


def end_shelf(connection: Connection, k: int, user: str, at_ms: int) -> None:
    """End a shelf before its time.

    Args:
        connection: From ``Database.write``.

    Raises:
        ShelfRefusedError: There is no such shelf in force.
    """
    if k not in {shelf.k for shelf in shelves_in_force(connection, at_ms)}:
        msg = "no such shelf is in force"
        raise ShelfRefusedError(msg)
    connection.execute(insert(shelf_ends).values(shelf=k, at_ms=at_ms, user=user))


def _check(connection: Connection, shelf: Shelf) -> None:
    fault = ""
    longest_ms = MAX_DAYS * MS_PER_DAY
    if not shelf.reason.strip():
        fault = "a shelf needs a reason"
    elif not any(getattr(shelf, name) for name in (*PLACE, "label")):
        fault = "a shelf of everything would hide every alert: choose a place or class"
    elif not shelf.created_ms < shelf.until_ms <= shelf.created_ms + longest_ms:
        fault = f"a shelf ends in the future, at most {MAX_DAYS} days from now"
    elif len(shelves_in_force(connection, shelf.created_ms)) >= MAX_IN_FORCE:
        fault = f"{MAX_IN_FORCE} shelves are in force: end some of them first"
    if fault:
        raise ShelfRefusedError(fault)
