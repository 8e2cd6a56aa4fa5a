"""Rows and pictures behind the charts, read page by page.

Each page is one short transaction: a slow reader keeps none open, which would make the
log of the history grow.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, select, tuple_

from dashboard.history.analysis import Selection, conditions_of
from dashboard.history.database import Database
from dashboard.history.tables.received import alerts, detections, images
from dashboard.history.tables.reviews import alert_states

PAGE_ROWS = 1000
PICTURES_PER_PAGE = 20  # of at most 128 kB


@dataclass(frozen=True, slots=True)
class DefectRow:
    """One detection of an alert.

    Attributes:
        where: Site, line, station and camera.
        box: xyxy as share of the frame.
        verdict: What people found; empty: not judged.
        verdict_label: The class that they gave instead.
    """

    happened_ms: int
    alert_id: str
    where: tuple[str, str, str, str]
    part_id: str | None
    model: str
    build: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    verdict: str
    verdict_label: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of an alert.

    Attributes:
        where: Site, line, station and camera.
        labels: Classes of its detections, in the order of the alert.
        jpeg: JPEG, at most 128 kB.
    """

    happened_ms: int
    n: int
    alert_id: str
    where: tuple[str, str, str, str]
    labels: tuple[str, ...]
    verdict: str
    jpeg: bytes


def defect_rows(database: Database, wanted: Selection) -> Iterator[DefectRow]:
    """Yield every defect of a selection, the oldest first, also dismissed ones."""
    for row in _alerts(database, wanted, PAGE_ROWS, is_newest_first=False):
        data = json.loads(row.event)["data"]
        for each in data["detections"]:
            if not wanted.labels or each["label"] in wanted.labels:
                yield DefectRow(
                    happened_ms=row.happened_ms,
                    alert_id=row.id,
                    where=(row.site, row.line, row.station, row.camera),
                    part_id=data["part_id"],
                    model=data["model"]["name"],
                    build=data["model"]["build"],
                    label=each["label"],
                    score=each["score"],
                    box=tuple(each["box_norm"]),
                    verdict=row.verdict or "",
                    verdict_label=row.verdict_label or "",
                )


def pictures(database: Database, wanted: Selection, most: int) -> Iterator[Picture]:
    """Yield the pictures of a selection, the newest first.

    Args:
        most: Stop after this many.
    """
    found = 0
    for row in _alerts(database, wanted, PICTURES_PER_PAGE, is_newest_first=True):
        if row.jpeg is None:
            continue
        data = json.loads(row.event)["data"]
        yield Picture(
            happened_ms=row.happened_ms,
            n=row.n,
            alert_id=row.id,
            where=(row.site, row.line, row.station, row.camera),
            labels=tuple(each["label"] for each in data["detections"]),
            verdict=row.verdict or "",
            jpeg=row.jpeg,
        )
        found += 1
        if found >= most:
            return


def _alerts(
    database: Database, wanted: Selection, page: int, *, is_newest_first: bool
) -> Iterator[Row[Any]]:
    """Yield alerts in the order of time, with their pictures if the newest are first.

    An alert that arrives meanwhile is left out where its place was passed.
    """
    key = tuple_(alerts.c.happened_ms, alerts.c.n)
    names = [alerts.c[name] for name in ("site", "line", "station", "camera")]
    columns = [
        *(alerts.c.n, alerts.c.id, alerts.c.happened_ms, alerts.c.event, *names),
        *(alert_states.c.verdict, alert_states.c.verdict_label),
    ]
    source = alerts.outerjoin(alert_states, alert_states.c.n == alerts.c.n)
    conditions = conditions_of(wanted)
    if is_newest_first:
        columns.append(images.c.jpeg)
        is_its = and_(
            images.c.event_id == alerts.c.id,
            images.c.sha256 == alerts.c.thumbnail_sha256,
        )
        source = source.join(images, is_its)
    if wanted.labels:
        labelled = select(detections.c.n).where(
            detections.c.n == alerts.c.n, detections.c.label.in_(wanted.labels)
        )
        conditions.append(labelled.exists())
    order = (
        (alerts.c.happened_ms.desc(), alerts.c.n.desc())
        if is_newest_first
        else (alerts.c.happened_ms, alerts.c.n)
    )
    query = select(*columns).select_from(source).where(*conditions).order_by(*order)
    at: tuple[int, int] | None = None
    while True:
        beyond = [] if at is None else [key < at if is_newest_first else key > at]
        with database.read() as connection:
            rows = connection.execute(query.where(*beyond).limit(page)).all()
        yield from rows
        if len(rows) < page:
            return
        at = (rows[-1].happened_ms, rows[-1].n)
