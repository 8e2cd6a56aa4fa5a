"""Alerts to learn from: those that people have judged, and uncertain ones.

An alert is uncertain where one of its scores is close to the lowest score that raised
an alert of its class in the same span of time: that is as near as the history knows the
threshold. Only alerts whose picture is stored are found.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    distinct,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from dashboard.history.reviews import OperatorVerdict
from dashboard.history.tables.full_pictures import full_picture_of
from dashboard.history.tables.learning import learning_marks
from dashboard.history.tables.received import alerts, detections, images
from dashboard.history.tables.reviews import alert_states
from models.messages import AlertEvent

UNCERTAIN = "uncertain"
JUDGED = (
    OperatorVerdict.FALSE_ALARM.value,
    OperatorVerdict.REAL.value,
    OperatorVerdict.OTHER_CLASS.value,
)
KINDS = (*JUDGED, UNCERTAIN)
NEAR = 0.1  # above the lowest score of a class
CLASSES_MAX = 50  # with a lowest score; others are not searched for uncertain alerts
SAME_FRAME_MS = 1000  # alerts of one frame happened within
FRAME_ALERTS_MAX = 200
IDS_AT_ONCE = 400

# Verdict and right class, by the id of the alert.
Verdicts = dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LearningFilter:
    """Which alerts are meant.

    Attributes:
        kinds: Some of ``KINDS``.
        from_ms: Wall clock, UTC, as is ``to_ms``.
        place: Site, line, station and camera, as far as they are given.
        label: A class; empty = all.
        is_new: Only what was not exported since it was judged.
        with_left_out: Also what people have left out.
    """

    kinds: tuple[str, ...]
    from_ms: int
    to_ms: int
    place: tuple[str, ...] = ()
    label: str = ""
    is_new: bool = False
    with_left_out: bool = False


@dataclass(frozen=True, slots=True)
class LearningAlert:
    """One alert to learn from.

    Attributes:
        n: Cursor; it grows with every alert.
        verdict: One of ``JUDGED``; empty = no person has judged it.
        verdict_label: The right class, where the verdict is another class.
        judged_ms: Wall clock, UTC; 0 = not judged.
        left_out_by: Who left it out of exports; empty = no one.
        exported_ms: Wall clock, UTC; 0 = not exported.
    """

    n: int
    event: AlertEvent
    happened_ms: int
    thumbnail_sha256: str
    verdict: str = ""
    verdict_label: str = ""
    judged_by: str = ""
    judged_ms: int = 0
    left_out_by: str = ""
    exported_ms: int = 0

    @property
    def id(self) -> str:
        """Id of the alert."""
        return self.event.id


def learning_alerts(
    connection: Connection,
    wanted: LearningFilter,
    limit: int,
    before: int | None = None,
) -> list[LearningAlert]:
    """Return alerts to learn from, the newest first.

    Args:
        before: Only those with a smaller cursor ``n``.
    """
    rows: list[Row[Any]] = []
    for condition in _conditions(connection, wanted):
        query = _query(wanted).where(condition)
        if before is not None:
            query = query.where(alerts.c.n < before)
        query = query.order_by(alerts.c.n.desc()).limit(limit)
        rows += connection.execute(query).all()
    rows.sort(key=lambda row: -row.n)
    return [_read(row) for row in rows[:limit]]


def learning_counts(connection: Connection, wanted: LearningFilter) -> dict[str, int]:
    """Return the number of alerts of each kind in ``KINDS``."""
    counts = dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        one = replace(wanted, kinds=(kind,))
        for condition in _conditions(connection, one):
            found = _query(one).where(condition).with_only_columns(alerts.c.n)
            total = select(func.count()).select_from(found.subquery())
            counts[kind] += int(connection.execute(total).scalar_one())
    return counts


def alerts_of_frame(
    connection: Connection, alert: LearningAlert
) -> list[LearningAlert]:
    """Return all alerts that show the picture of an alert, itself included."""
    data, c = alert.event.data, alerts.c
    rows = connection.execute(
        _columns()
        .where(c.site == data.site, c.line == data.line, c.station == data.station)
        .where(c.camera == data.camera)
        .where(c.happened_ms >= alert.happened_ms - SAME_FRAME_MS)
        .where(c.happened_ms <= alert.happened_ms + SAME_FRAME_MS)
        .where(c.thumbnail_sha256 == alert.thumbnail_sha256)
        .order_by(c.n)
        .limit(FRAME_ALERTS_MAX)
    )
    return [_read(row) for row in rows]


def picture_of(connection: Connection, alert: LearningAlert) -> bytes | None:
    """Return the stored picture of an alert, JPEG; None if it was removed since."""
    c = images.c
    row = connection.execute(
        select(c.jpeg)
        .where(c.event_id == alert.id)
        .where(c.sha256 == alert.thumbnail_sha256)
    ).first()
    return bytes(row.jpeg) if row else None


def disputed_pictures(connection: Connection) -> dict[str, Verdicts]:
    """Return the pictures with different verdicts, by the SHA-256 of the picture."""
    states, found = alert_states.c, dict[str, Verdicts]()
    label = func.coalesce(states.verdict_label, "")
    for picture in (alerts.c.thumbnail_sha256, full_picture_of.c.sha256):
        source = alerts.join(alert_states, states.n == alerts.c.n).outerjoin(
            full_picture_of, full_picture_of.c.event_id == alerts.c.id
        )
        is_judged = and_(states.verdict.in_(JUDGED), picture != "")
        differ = or_(
            func.count(distinct(states.verdict)) > 1, func.count(distinct(label)) > 1
        )
        disputed = select(picture).select_from(source).where(is_judged)
        disputed = disputed.group_by(picture).having(differ)
        rows = connection.execute(
            select(picture, alerts.c.id, states.verdict, label)
            .select_from(source)
            .where(is_judged, picture.in_(disputed))
        )
        for sha256, event_id, verdict, right in rows:
            found.setdefault(sha256, {})[event_id] = (verdict, right)
    return found


def leave_out(connection: Connection, ids: Collection[str], user: str | None) -> None:
    """Leave alerts out of exports, or take them in again.

    Args:
        user: Who leaves them out; None = they are taken in.
    """
    _mark(connection, ids, "left_out_by", user)


def note_exported(connection: Connection, ids: Collection[str], at_ms: int) -> None:
    """Note that alerts were exported."""
    _mark(connection, ids, "exported_ms", at_ms)


def known_ids(connection: Connection, ids: Collection[str]) -> set[str]:
    """Return those ids that are alerts."""
    found: set[str] = set()
    for some in _chunks(list(ids)):
        query = select(alerts.c.id).where(alerts.c.id.in_(some))
        found |= set(connection.execute(query).scalars())
    return found


def _mark(
    connection: Connection, ids: Collection[str], column: str, value: object
) -> None:
    for some in _chunks(list(ids)):
        c = learning_marks.c
        query = select(c.event_id).where(c.event_id.in_(some))
        known = set(connection.execute(query).scalars())
        connection.execute(
            update(learning_marks).where(c.event_id.in_(some)).values({column: value})
        )
        new = [{"event_id": each, column: value} for each in some if each not in known]
        if new:
            connection.execute(insert(learning_marks), new)


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]


def _columns() -> Select[Any]:
    states, marks = alert_states.c, learning_marks.c
    return (
        select(
            alerts.c.n,
            alerts.c.event,
            alerts.c.happened_ms,
            alerts.c.thumbnail_sha256,
            states.verdict,
            states.verdict_label,
            states.judged_by,
            states.judged_ms,
            marks.left_out_by,
            marks.exported_ms,
        )
        .select_from(alerts)
        .outerjoin(alert_states, states.n == alerts.c.n)
        .outerjoin(learning_marks, marks.event_id == alerts.c.id)
    )


def _query(wanted: LearningFilter) -> Select[Any]:
    """Return the query of everything but the kind."""
    c, marks = alerts.c, learning_marks.c
    has_picture = exists().where(
        images.c.event_id == c.id, images.c.sha256 == c.thumbnail_sha256
    )
    query = _columns().where(
        c.happened_ms >= wanted.from_ms, c.happened_ms < wanted.to_ms, has_picture
    )
    names = ("site", "line", "station", "camera")
    for name, value in zip(names, wanted.place, strict=False):
        query = query.where(c[name] == value)
    if wanted.label:
        of_class = exists().where(
            detections.c.n == c.n, detections.c.label == wanted.label
        )
        query = query.where(of_class)
    if wanted.is_new:
        is_later = alert_states.c.judged_ms > marks.exported_ms
        query = query.where(or_(marks.exported_ms.is_(None), is_later))
    if not wanted.with_left_out:
        query = query.where(marks.left_out_by.is_(None))
    return query


def _conditions(
    connection: Connection, wanted: LearningFilter
) -> list[ColumnElement[bool]]:
    """Return one condition for judged alerts, and one for uncertain ones."""
    found: list[ColumnElement[bool]] = []
    judged = [kind for kind in wanted.kinds if kind in JUDGED]
    if judged:
        found.append(alert_states.c.verdict.in_(judged))
    if UNCERTAIN in wanted.kinds and (near := _near(connection, wanted)) is not None:
        is_near = exists().where(and_(detections.c.n == alerts.c.n, near))
        found.append(and_(alert_states.c.verdict.is_(None), is_near))
    return found


def _near(connection: Connection, wanted: LearningFilter) -> ColumnElement[bool] | None:
    """Return the condition of a score near the lowest of its class; None = no class."""
    c = detections.c
    rows = connection.execute(
        select(c.label, func.min(c.score).label("lowest"))
        .where(c.happened_ms >= wanted.from_ms, c.happened_ms < wanted.to_ms)
        .group_by(c.label)
        .order_by(func.count().desc())
        .limit(CLASSES_MAX)
    ).all()
    each = [and_(c.label == row.label, c.score <= row.lowest + NEAR) for row in rows]
    return or_(*each) if each else None


def _read(row: Row[Any]) -> LearningAlert:
    # Validated when it was received; a later version may have stored more fields.
    event = AlertEvent.model_validate(json.loads(row.event))
    return LearningAlert(
        n=row.n,
        event=event,
        happened_ms=row.happened_ms,
        thumbnail_sha256=row.thumbnail_sha256 or "",
        verdict=row.verdict or "",
        verdict_label=row.verdict_label or "",
        judged_by=row.judged_by or "",
        judged_ms=row.judged_ms or 0,
        left_out_by=row.left_out_by or "",
        exported_ms=row.exported_ms or 0,
    )
