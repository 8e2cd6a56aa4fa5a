"""Finds alerts by filters, page by page: nothing is left out, whatever arrives.

**Order.** Newest first by the key (``happened_ms``, ``n``), which no two alerts share
and which never changes. A page begins after a key, not after a number of rows, so rows
that arrive meanwhile move none. What arrives is found by its cursor ``n``, which grows
with every commit: ``arrived`` returns all alerts after a cursor, also those that belong
between rows that are shown already. A reader that keeps both has, at any time, all
alerts from its oldest key on; ``tests/unit/dashboard/history/test_alert_paging.py``
tries this with random interleavings.

**Time.** A filter that few alerts pass must not read the whole history for one page. At
most ``SCANNED`` alerts are looked at; the answer then holds what was found and the key
to continue at (``resume``).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    and_,
    false,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from dashboard.history.queries import Json
from dashboard.history.reviews import OperatorVerdict
from dashboard.history.shelves import (
    Shelf,
    first_detection,
    is_shelved,
    shelf_of,
    shelves_in_force,
    unindexed_label,
)
from dashboard.history.tables.received import alerts, detections, images
from dashboard.history.tables.reviews import alert_states

# Alerts that are looked at, step by step until a page is full. All are 60 ms.
SCANNED = (200, 2000, 10_000)
PAGE_MAX_ROWS = 200
LISTED_DETECTIONS = 40

Direction = Literal["older", "newer"]


class ListKey(NamedTuple):
    """Place in the list."""

    happened_ms: int
    n: int


class Shelved(StrEnum):
    """Whether alerts on a shelf are listed."""

    NO = "no"
    YES = "yes"  # only these
    ALL = "all"


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts are wanted; empty and None = all.

    Attributes:
        sites: Any of these; so for the other names.
        labels: A detection of any of these classes, or a person's word for it.
        verdicts: Any of these; ``NONE`` = not judged.
        since_ms: Happened then or later, UTC.
        until_ms: Happened before.
        shifts: Happened within one of these spans (start, end), UTC; None = always.
    """

    sites: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    builds: tuple[int, ...] = ()
    parts: tuple[str, ...] = ()
    verdicts: tuple[OperatorVerdict, ...] = ()
    acknowledged: bool | None = None
    shelved: Shelved = Shelved.NO
    since_ms: int | None = None
    until_ms: int | None = None
    shifts: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of alerts.

    Attributes:
        alerts: In the order of the request.
        resume: ListKey to continue at; None = there are no more.
        newest: Largest cursor ``n`` of the history that was read.
    """

    alerts: list[Json]
    resume: ListKey | None
    newest: int


@dataclass(slots=True)
class _Matches:
    rows: list[RowMapping] = field(default_factory=list)
    resume: ListKey | None = None


class AlertSearch:
    """Searches in one state of the history.

    Args:
        connection: From ``Database.read``.
        at_ms: Wall clock, UTC: which shelves are in force.
    """

    def __init__(self, connection: Connection, at_ms: int) -> None:
        self._connection = connection
        self.shelves: Sequence[Shelf] = shelves_in_force(connection, at_ms)

    def page(
        self,
        wanted: AlertFilter,
        limit: int,
        *,
        start: ListKey | None = None,
        direction: Direction = "older",
    ) -> Found:
        """Return a page of alerts.

        Args:
            limit: At most ``PAGE_MAX_ROWS``.
            start: Only alerts beyond this key; None = from the end of the list.
            direction: ``older``: newest first; ``newer``: oldest first.
        """
        matches = self._search(wanted, limit, start, direction, SCANNED)
        return Found(self._load(matches.rows), matches.resume, self.newest())

    def arrived(self, wanted: AlertFilter, after: int, limit: int) -> Found:
        """Return the alerts that arrived after a cursor, in the order of arrival.

        Args:
            after: Cursor ``n``: ``newest`` of an earlier answer.

        Returns:
            ``newest`` is the cursor for the next call; ``resume`` is not None where
            there are more already.
        """
        scanned = SCANNED[1]
        window = (
            select(alerts.c.n)
            .where(alerts.c.n > after)
            .order_by(alerts.c.n)
            .limit(scanned)
        ).subquery()
        joined = _KEYS.join_from(window, alerts, alerts.c.n == window.c.n)
        query = _with_state(joined).where(*self._conditions(wanted))
        rows = self._rows(query.order_by(alerts.c.n).limit(limit + 1))
        newest = self.newest()
        reached = self._connection.scalar(select(func.max(window.c.n))) or newest
        if len(rows) > limit:
            rows = rows[:limit]
            reached = rows[-1]["n"]
        resume = ListKey(0, reached) if reached < newest else None
        return Found(self._load(rows), resume, reached)

    def ids(self, wanted: AlertFilter, newest: int, most: int) -> list[str]:
        """Return the ids of all alerts that pass a filter, newest first.

        Args:
            newest: Only alerts with this cursor ``n`` or a smaller one.
            most: Stop after this many.
        """
        found: list[str] = []
        start: ListKey | None = None
        while True:
            matches = self._search(
                *(wanted, most - len(found), start, "older", SCANNED[-1:]),
                newest=newest,
            )
            found += [row["id"] for row in matches.rows]
            start = matches.resume
            if start is None or len(found) >= most:
                return found

    def alert(self, event_id: str) -> Json | None:
        """Return one alert with all its detections; None if there is none."""
        query = _with_picture(_columns()).where(alerts.c.id == event_id)
        row = self._connection.execute(query).mappings().first()
        return self._listed(row, is_alone=True) if row is not None else None

    def listed(self, event_ids: Sequence[str]) -> list[Json]:
        """Return some alerts, newest first, whatever filter they pass.

        Args:
            event_ids: At most ``PAGE_MAX_ROWS``.
        """
        query = _with_picture(_columns()).where(alerts.c.id.in_(event_ids))
        rows = self._rows(query.order_by(*_order(alerts, "older")))
        return [self._listed(row) for row in rows]

    def newest(self) -> int:
        """Return the largest cursor ``n``, 0 where there is no alert."""
        return self._connection.scalar(select(func.max(alerts.c.n))) or 0

    def _search(
        self,
        wanted: AlertFilter,
        limit: int,
        start: ListKey | None,
        direction: Direction,
        steps: Sequence[int],
        newest: int | None = None,
    ) -> _Matches:
        """Look at some alerts after ``start``, until there are enough."""
        matches, at = _Matches(), start
        conditions = self._conditions(wanted)
        if newest is not None:
            conditions.append(alerts.c.n <= newest)
        for scanned in steps:
            keys = _window(wanted, at, direction, scanned).subquery()
            window = select(keys.c.n).distinct().subquery()
            joined = _KEYS.join_from(window, alerts, alerts.c.n == window.c.n)
            query = _with_state(joined).where(*conditions)
            missing = limit - len(matches.rows)
            query = query.order_by(*_order(alerts, direction)).limit(missing + 1)
            rows = self._rows(query)
            matches.rows += rows[:missing]
            if len(rows) > missing:
                last = matches.rows[-1] if matches.rows else None
                matches.resume = ListKey(last["happened_ms"], last["n"]) if last else at
                return matches
            at = self._end_of(wanted, at, direction, scanned)
            if at is None:
                return matches
        matches.resume = at
        return matches

    def _end_of(
        self,
        wanted: AlertFilter,
        at: ListKey | None,
        direction: Direction,
        scanned: int,
    ) -> ListKey | None:
        """Return the key of the last alert that was looked at; None = no more."""
        query = _window(wanted, at, direction, scanned).offset(scanned - 1).limit(1)
        row = self._connection.execute(query).first()
        return ListKey(row.happened_ms, row.n) if row is not None else None

    def _conditions(self, wanted: AlertFilter) -> list[ColumnElement[bool]]:
        """Return what every alert must fulfil, in a query joined with its state."""
        conditions = _span(wanted, alerts)
        for values, column in (
            (wanted.sites, alerts.c.site),
            (wanted.lines, alerts.c.line),
            (wanted.stations, alerts.c.station),
            (wanted.cameras, alerts.c.camera),
            (wanted.builds, alerts.c.model_build),
            (wanted.parts, alerts.c.part_id),
        ):
            if values:
                conditions.append(column.in_(values))
        if wanted.shifts is not None:
            at = alerts.c.happened_ms
            spans = [and_(at >= start, at < end) for start, end in wanted.shifts]
            conditions.append(or_(false(), *spans))
        if wanted.labels:
            is_wanted = unindexed_label().in_(wanted.labels)
            detected = first_detection(is_wanted).is_not(None)
            conditions.append(or_(detected, _is_renamed_to(wanted.labels)))
        if wanted.verdicts:
            conditions.append(_has_verdict(wanted.verdicts))
        if wanted.acknowledged is not None:
            is_acknowledged = alert_states.c.acknowledged_ms.is_not(None)
            conditions.append(
                is_acknowledged if wanted.acknowledged else ~is_acknowledged
            )
        if wanted.shelved is not Shelved.ALL and self.shelves:
            hidden = is_shelved(self.shelves)
            conditions.append(hidden if wanted.shelved is Shelved.YES else ~hidden)
        elif wanted.shelved is Shelved.YES:
            conditions.append(alerts.c.n < 0)  # no shelf, so no alert on one
        return conditions

    def _load(self, keys: Sequence[RowMapping]) -> list[Json]:
        """Return alerts that were found, in the same order."""
        numbers = [key["n"] for key in keys]
        query = _with_picture(_columns()).where(alerts.c.n.in_(numbers))
        rows = {row["n"]: row for row in self._rows(query)}
        return [self._listed(rows[n]) for n in numbers]

    def _rows(self, query: Select[Any]) -> list[RowMapping]:
        return list(self._connection.execute(query).mappings())

    def _listed(self, row: RowMapping, *, is_alone: bool = False) -> Json:
        """Return an alert in the form of the pages and the API.

        Args:
            is_alone: Else only the surest detections of a very large alert.
        """
        data = json.loads(row["event"])["data"]
        boxes = sorted(data["detections"], key=lambda each: -each["score"])
        names = (
            *("site", "line", "station", "camera", "part_id", "frame_id", "model"),
            *("frame_width_px", "frame_height_px", "replayed", "suppressed"),
            *("frame_age_ms", "clock_synchronized", "evidence", "heat_map"),
        )
        states = (
            *("acknowledged_ms", "acknowledged_by", "verdict", "verdict_label"),
            *("judged_ms", "judged_by", "verdicts", "comments"),
        )
        alert = {
            **{name: data.get(name) for name in names},
            **{name: row[name] for name in states},
            "detections": boxes if is_alone else boxes[:LISTED_DETECTIONS],
            "boxes": len(boxes),
            "n": row["n"],
            "id": row["id"],
            "happened_ms": row["happened_ms"],
            "received_ms": row["received_ms"],
            "has_image": row["image_sha256"] is not None,
            "awaits_image": bool(row["thumbnail_sha256"])
            and row["image_sha256"] is None,
        }
        shelf = shelf_of({**alert, "detections": boxes}, self.shelves)
        return {**alert, "shelf": shelf.k if shelf else None}


_KEYS = select(alerts.c.n, alerts.c.id, alerts.c.happened_ms)


def _columns() -> Select[Any]:
    return select(
        *(alerts.c.n, alerts.c.id, alerts.c.happened_ms, alerts.c.received_ms),
        *(alerts.c.event, alerts.c.thumbnail_sha256),
        images.c.sha256.label("image_sha256"),
        *(alert_states.c.acknowledged_ms, alert_states.c.acknowledged_by),
        *(alert_states.c.verdict, alert_states.c.verdict_label),
        *(alert_states.c.judged_ms, alert_states.c.judged_by),
        func.coalesce(alert_states.c.verdicts, 0).label("verdicts"),
        func.coalesce(alert_states.c.comments, 0).label("comments"),
    )


def _with_state(query: Select[Any]) -> Select[Any]:
    return query.outerjoin_from(alerts, alert_states, alert_states.c.n == alerts.c.n)


def _with_picture(query: Select[Any]) -> Select[Any]:
    is_its = and_(
        images.c.event_id == alerts.c.id, images.c.sha256 == alerts.c.thumbnail_sha256
    )
    return _with_state(query).outerjoin(images, is_its)


def _window(
    wanted: AlertFilter, at: ListKey | None, direction: Direction, most: int
) -> Select[tuple[int, int]]:
    """Return a query of the next keys, by the index that fits the filter best.

    Several values of a column are several queries: a database that takes them in one
    would sort all their rows before it returns the first. A key is there once for each
    detection of a wanted class.

    Args:
        most: Keys to return.
    """
    source, conditions, column, values = _driver(wanted)
    query = select(source.c.happened_ms, source.c.n)
    query = query.where(*conditions, *_span(wanted, source))
    if at is not None:
        query = query.where(_is_beyond(source, at, direction))
    query = query.order_by(*_order(source, direction)).limit(most)
    if column is None:
        return query
    parts = [query.where(column == value) for value in values]
    if source is detections:
        renamed = select(alert_states.c.happened_ms, alert_states.c.n)
        renamed = renamed.where(_is_renamed_to(values), *_span(wanted, alert_states))
        if at is not None:
            renamed = renamed.where(_is_beyond(alert_states, at, direction))
        parts.append(renamed.order_by(*_order(alert_states, direction)).limit(most))
    if len(parts) == 1:
        return parts[0]
    keys = union_all(*(select(part.subquery()) for part in parts)).subquery()
    together = select(keys.c.happened_ms, keys.c.n)
    return together.order_by(*_order(keys, direction)).limit(most)


def _is_beyond(
    source: FromClause, at: ListKey, direction: Direction
) -> ColumnElement[bool]:
    key = tuple_(source.c.happened_ms, source.c.n)
    return key < tuple(at) if direction == "older" else key > tuple(at)


def _is_renamed_to(labels: Sequence[str]) -> ColumnElement[bool]:
    """Return whether a person gave the alert one of some classes."""
    return and_(
        alert_states.c.verdict == OperatorVerdict.OTHER_CLASS.value,
        alert_states.c.verdict_label.in_(labels),
    )


def _driver(
    wanted: AlertFilter,
) -> tuple[
    FromClause, list[ColumnElement[bool]], ColumnElement[Any] | None, Sequence[Any]
]:
    """Return where to look: a table, conditions, and a column with its values."""
    names = (wanted.sites, wanted.lines, wanted.stations, wanted.cameras)
    columns = (alerts.c.site, alerts.c.line, alerts.c.station, alerts.c.camera)
    if wanted.parts:
        return alerts, [], alerts.c.part_id, wanted.parts
    if wanted.verdicts and OperatorVerdict.NONE not in wanted.verdicts:
        return alert_states, [], alert_states.c.verdict, wanted.verdicts
    if all(len(each) == 1 for each in names):
        here = [c == each[0] for c, each in zip(columns, names, strict=True)]
        return alerts, here, None, ()
    if wanted.labels:
        return detections, [], detections.c.label, wanted.labels
    return alerts, [], None, ()


def _order(source: FromClause, direction: Direction) -> list[ColumnElement[Any]]:
    columns = (source.c.happened_ms, source.c.n)
    turn: Callable[[ColumnElement[Any]], ColumnElement[Any]]
    turn = ColumnElement.desc if direction == "older" else ColumnElement.asc
    return [turn(column) for column in columns]


def _span(wanted: AlertFilter, source: FromClause) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.since_ms is not None:
        conditions.append(source.c.happened_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        conditions.append(source.c.happened_ms < wanted.until_ms)
    return conditions


def _has_verdict(verdicts: Sequence[OperatorVerdict]) -> ColumnElement[bool]:
    given = [each for each in verdicts if each is not OperatorVerdict.NONE]
    condition = alert_states.c.verdict.in_(given)
    if OperatorVerdict.NONE in verdicts:
        return or_(condition, alert_states.c.verdict.is_(None))
    return condition
