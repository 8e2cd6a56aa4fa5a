"""Counts of defects and parts, for charts and reports.

All charts read the history through the functions of this module. Numbers of defects,
alerts and parts come from the sums per minute and hour: a selection is of whole
minutes, and its whole hours are read from the sums of hours. A
defect is a detection of an alert. What people dismissed as a false alarm is not
counted; where they gave another class, the defects of the alert count as that class.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    distinct,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from dashboard.history.buckets import ANY_BUCKETS, ONE_MINUTE, Buckets, whole_hours
from dashboard.history.reviews import OperatorVerdict, renamed_labels
from dashboard.history.shelves import first_detection, unindexed_label
from dashboard.history.tables.base import CAMERA, STATION
from dashboard.history.tables.received import alerts, detections
from dashboard.history.tables.reviews import alert_states
from dashboard.history.tables.rollups import (
    HOURS_OF,
    alert_minutes,
    defect_minutes,
    part_minutes,
)
from dashboard.plant_time import Span
from dashboard.statistics.score_drift import BINS
from models.heat_map import UNKNOWN_LABEL
from models.messages import VerdictKind

SCORES_MAX = 5_000  # the newest: enough for a histogram of 20 bins, and 10 ms
QUERIES_AT_ONCE = 100  # SQLite takes at most 500 in one statement
PICTURES_MAX = 1_000  # alerts whose boxes a heat map reads from their JSON: 30 ms
JUDGED = tuple(each for each in OperatorVerdict if each is not OperatorVerdict.NONE)
# Moves the edge between two bins by less than a score differs from the next one.
ROUND_TO_FLOOR = 0.499_999_999

GroupKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a chart covers; empty = all.

    Attributes:
        spans: In the order of time, without overlaps, of whole minutes; none: nothing.
        sites: Any of these; so for the other names.
        labels: Detections of any of these classes.
        builds: Alerts by any of these builds of a model.
    """

    spans: tuple[Span, ...]
    sites: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    builds: tuple[int, ...] = ()

    @property
    def span(self) -> Span:
        """From the start of the first span to the end of the last one."""
        return Span(self.spans[0].start_ms, self.spans[-1].end_ms)

    def holds_place(self, site: str, line: str, station: str) -> bool:
        """Return whether a station is part of it."""
        wanted = zip(
            (self.sites, self.lines, self.stations), (site, line, station), strict=True
        )
        return all(not names or name in names for names, name in wanted)


@dataclass(frozen=True, slots=True)
class Parts:
    """Numbers of parts.

    Attributes:
        not_inspected: Parts that passed without a verdict on their quality.
    """

    ok: int = 0
    defect: int = 0
    not_inspected: int = 0

    @property
    def inspected(self) -> int:
        """Parts with a verdict on their quality."""
        return self.ok + self.defect

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(
            self.ok + other.ok,
            self.defect + other.defect,
            self.not_inspected + other.not_inspected,
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """What people found about the alerts.

    Attributes:
        alerts: All alerts, judged or not.
        real: Judged as a real defect, also of another class.
        false: Judged as a false alarm.
    """

    alerts: int
    real: int
    false: int

    @property
    def n(self) -> int:
        """Number of judged alerts."""
        return self.real + self.false

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(
            self.alerts + other.alerts,
            self.real + other.real,
            self.false + other.false,
        )


@dataclass(frozen=True, slots=True)
class CameraBoxes:
    """Where a camera saw defects.

    Attributes:
        where: Site, line, station and camera.
        boxes: xyxy as share of the frame, of the newest alerts.
        alerts: Number of these alerts.
        picture_id: Newest one of them that announced a picture; empty: none.
    """

    where: tuple[str, str, str, str]
    boxes: tuple[tuple[float, float, float, float], ...]
    alerts: int
    picture_id: str


def defects(
    connection: Connection,
    wanted: Selection,
    by: Sequence[str],
    buckets: Buckets = ONE_MINUTE,
) -> Counter[GroupKey]:
    """Return the number of defects, without those that people dismissed.

    Args:
        by: What to group by: ``site``, ``line``, ``station``, ``camera``, ``label``,
            ``build`` or ``bucket``.
    """
    (found,) = defects_by(connection, wanted, [by], buckets)
    return found


def defects_by(
    connection: Connection,
    wanted: Selection,
    groupings: Sequence[Sequence[str]],
    buckets: Buckets = ONE_MINUTE,
) -> list[Counter[GroupKey]]:
    """Return the number of defects in several groupings, each as ``defects`` does.

    Some small answers take less time than one by all names together.
    """
    names = tuple(dict.fromkeys(["label", *(name for by in groupings for name in by)]))
    corrections = _corrections(connection, wanted, names, buckets)
    found = []
    for by in groupings:
        counts = _summed_up(connection, wanted, by, buckets, defect_minutes)
        at = [names.index(name) for name in by]
        for key, count in corrections.items():
            if not wanted.labels or key[0] in wanted.labels:
                counts[tuple(key[i] for i in at)] += count
        found.append(+counts)
    return found


def alerts_of(
    connection: Connection,
    wanted: Selection,
    by: Sequence[str],
    buckets: Buckets = ONE_MINUTE,
) -> Counter[GroupKey]:
    """Return the number of alerts, without those that people dismissed.

    Args:
        by: As for ``defects``, without ``label``.
    """
    groups = [_group(name, alerts.c.happened_ms, buckets) for name in by]
    is_false = alert_states.c.verdict == OperatorVerdict.FALSE_ALARM.value
    source: FromClause = alerts.join(alert_states, alert_states.c.n == alerts.c.n)
    # All of them by their own time: each of both has an index of it.
    conditions = [_within(wanted.spans, alert_states.c.happened_ms), is_false]
    if wanted.labels:
        found = _labelled(connection, wanted, by, buckets)
        found.update(_moved(connection, wanted, by, buckets))
        source = source.join(detections, detections.c.n == alerts.c.n)
        conditions.append(detections.c.label.in_(wanted.labels))
    else:
        found = _summed_up(connection, wanted, by, buckets, alert_minutes)
    dismissed = (
        select(*groups, func.count(distinct(alerts.c.n)))
        .select_from(source)
        .where(*conditions, *_placed(wanted))
        .group_by(*groups)
    )
    for *key, count in connection.execute(dismissed):
        found[_counted_in(key, by, buckets)] -= count
    return +found


def parts(
    connection: Connection,
    wanted: Selection,
    by: Sequence[str] = (),
    buckets: Buckets = ONE_MINUTE,
) -> dict[GroupKey, Parts]:
    """Return the number of parts by verdict of the line.

    Classes and builds are no property of a part; they are not looked at.

    Args:
        by: What to group by: ``site``, ``line``, ``station``, ``camera`` or ``bucket``.
    """
    of_parts = replace(wanted, labels=(), builds=())
    names = (*by, "verdict")
    counts = _summed_up(connection, of_parts, names, buckets, part_minutes)
    found: dict[GroupKey, Parts] = {} if by else {(): Parts()}
    for (*key, verdict), count in counts.items():
        number = int(count)
        more = {
            VerdictKind.OK.value: Parts(ok=number),
            VerdictKind.DEFECT.value: Parts(defect=number),
            VerdictKind.NOT_INSPECTED.value: Parts(not_inspected=number),
        }.get(verdict, Parts())
        found[tuple(key)] = found.get(tuple(key), Parts()) + more
    return found


def judged(connection: Connection, wanted: Selection) -> Judged:
    """Return what people found about the alerts."""
    if wanted.labels:
        found = _labelled(connection, wanted, (), ONE_MINUTE)
    else:
        found = _summed_up(connection, wanted, (), ONE_MINUTE, alert_minutes)
    counts = _verdicts(connection, wanted, _alert_conditions(wanted))[()]
    return Judged(found[()], counts.real, counts.false)


def judged_by_station(
    connection: Connection, wanted: Selection
) -> dict[GroupKey, Judged]:
    """Return what people found, by station, where they judged alerts."""
    places = [alerts.c[name] for name in STATION]
    conditions = _alert_conditions(wanted)
    return dict(_verdicts(connection, wanted, conditions, places))


def _alert_conditions(wanted: Selection) -> list[ColumnElement[bool]]:
    """Return what an alert of a selection fulfils, without its time."""
    conditions = _placed(wanted)
    if wanted.labels:
        has_label = first_detection(unindexed_label().in_(wanted.labels))
        conditions.append(has_label.is_not(None))
    return conditions


def _verdicts(
    connection: Connection,
    wanted: Selection,
    conditions: Sequence[ColumnElement[bool]],
    places: Sequence[ColumnElement[Any]] = (),
) -> defaultdict[GroupKey, Judged]:
    """Return the numbers of judged alerts, by place."""
    verdict = alert_states.c.verdict
    rows = connection.execute(
        select(*places, verdict, func.count())
        .join_from(alert_states, alerts, alerts.c.n == alert_states.c.n)
        # Not "is not null": the index of verdicts is by their names.
        .where(verdict.in_([each.value for each in JUDGED]), *conditions)
        .where(_within(wanted.spans, alert_states.c.happened_ms))
        .group_by(*places, verdict)
    )
    found: defaultdict[GroupKey, Judged] = defaultdict(lambda: Judged(0, 0, 0))
    for *place, kind, count in rows:
        is_false = kind == OperatorVerdict.FALSE_ALARM.value
        found[tuple(place)] += Judged(
            int(count), 0 if is_false else int(count), int(count) if is_false else 0
        )
    return found


def scores(connection: Connection, wanted: Selection) -> list[int]:
    """Return a histogram of the scores, of the newest defects of a selection.

    Returns:
        Number of scores in each bin of ``statistics.score_drift``; at most
        ``SCORES_MAX`` in all.
    """
    time = detections.c.happened_ms
    source: FromClause = detections
    if _names_a_place(wanted):
        source = detections.join(alerts, alerts.c.n == detections.c.n)
    conditions = [_within(wanted.spans, time), *_placed(wanted)]
    if wanted.labels:
        conditions.append(detections.c.label.in_(wanted.labels))
    newest = (
        select(func.round(detections.c.score * BINS - ROUND_TO_FLOOR).label("bin"))
        .select_from(source)
        .where(*conditions)
        .order_by(time.desc())
        .limit(SCORES_MAX)
    ).subquery()
    counts = [0] * BINS
    by_bin = select(newest.c.bin, func.count()).group_by(newest.c.bin)
    for number, count in connection.execute(by_bin):
        counts[min(max(int(number), 0), BINS - 1)] += count
    return counts


def boxes(connection: Connection, wanted: Selection) -> list[CameraBoxes]:
    """Return where defects were, by camera, without those that people dismissed.

    Returns:
        Cameras with the most boxes first; of the newest ``PICTURES_MAX`` alerts.
    """
    names = [alerts.c[name] for name in CAMERA]
    is_false = alert_states.c.verdict == OperatorVerdict.FALSE_ALARM.value
    query = (
        select(alerts.c.id, alerts.c.thumbnail_sha256, alerts.c.event, *names)
        .outerjoin_from(alerts, alert_states, alert_states.c.n == alerts.c.n)
        .where(_within(wanted.spans, alerts.c.happened_ms), *_placed(wanted))
        .where(or_(alert_states.c.verdict.is_(None), ~is_false))
        .order_by(alerts.c.happened_ms.desc())
        .limit(PICTURES_MAX)
    )
    found: defaultdict[GroupKey, list[tuple[float, float, float, float]]] = defaultdict(
        list
    )
    numbers: Counter[GroupKey] = Counter()
    pictures: dict[GroupKey, str] = {}
    for event_id, sha256, event, *where in connection.execute(query):
        here = [
            tuple(each["box_norm"])
            for each in json.loads(event)["data"]["detections"]
            if not wanted.labels or each["label"] in wanted.labels
        ]
        if not here:
            continue
        found[tuple(where)] += here
        numbers[tuple(where)] += 1
        if sha256:
            pictures.setdefault(tuple(where), event_id)
    by_count = sorted(found, key=lambda where: (-len(found[where]), where))
    return [
        CameraBoxes(where, tuple(found[where]), numbers[where], pictures.get(where, ""))
        for where in by_count
    ]


def conditions_of(wanted: Selection) -> list[ColumnElement[bool]]:
    """Return what an alert of a selection fulfils: its time, place and build."""
    return [_within(wanted.spans, alerts.c.happened_ms), *_placed(wanted)]


def _summed_up(
    connection: Connection,
    wanted: Selection,
    by: Sequence[str],
    buckets: Buckets,
    minutes: Table,
) -> Counter[GroupKey]:
    """Return sums, grouped.

    Args:
        minutes: A table of sums per minute; whole hours are read from the one of hours.
    """
    whole, rest = whole_hours(wanted.spans, buckets if "bucket" in by else ANY_BUCKETS)
    queries = [
        _sums_of(table, wanted, span, by, buckets)
        for table, spans in ((HOURS_OF[minutes], whole), (minutes, rest))
        for span in spans
    ]
    found: Counter[GroupKey] = Counter()
    for first in range(0, len(queries), QUERIES_AT_ONCE):
        # Not one condition of many spans: no database finds its rows by an index in
        # all cases.
        some = queries[first : first + QUERIES_AT_ONCE]
        query = union_all(*some) if len(some) > 1 else some[0]
        for *key, count in connection.execute(query):
            found[_counted_in(key, by, buckets)] += int(count or 0)
    return +found


def _sums_of(
    table: Table, wanted: Selection, span: Span, by: Sequence[str], buckets: Buckets
) -> Select[Any]:
    """Return the query for the sums of one span."""
    time, *_, count = table.columns
    groups = [_group(name, time, buckets, table) for name in by]
    conditions = [_within([span], time), *_places(wanted, table)]
    if wanted.builds:
        conditions.append(table.c.build.in_(wanted.builds))
    if wanted.labels:
        conditions.append(table.c.label.in_(wanted.labels))
    return select(*groups, func.sum(count)).where(*conditions).group_by(*groups)


def _labelled(
    connection: Connection, wanted: Selection, by: Sequence[str], buckets: Buckets
) -> Counter[GroupKey]:
    """Return the number of alerts with some classes: each alert once."""
    time = detections.c.happened_ms
    groups = [_group(name, time, buckets) for name in by]
    source: FromClause = detections
    # Without a place the index of classes alone has all that is counted.
    if _names_a_place(wanted) or set(by) - {"bucket"}:
        source = detections.join(alerts, alerts.c.n == detections.c.n)
    query = (
        select(*groups, func.count(distinct(detections.c.n)))
        .select_from(source)
        .where(_within(wanted.spans, time), *_placed(wanted))
        .where(detections.c.label.in_(wanted.labels))
        .group_by(*groups)
    )
    found: Counter[GroupKey] = Counter()
    for *key, count in connection.execute(query):
        found[_counted_in(key, by, buckets)] += count
    return found


def _counted_in(key: Sequence[Any], names: Sequence[str], buckets: Buckets) -> GroupKey:
    if "bucket" not in names:
        return tuple(key)
    at = list(names).index("bucket")
    return (*key[:at], buckets.counted_in(int(key[at])), *key[at + 1 :])


def _group(
    name: str,
    time: ColumnElement[int],
    buckets: Buckets,
    table: FromClause = alerts,
) -> ColumnElement[Any]:
    match name:
        case "label":
            return detections.c.label if table is alerts else table.c.label
        case "build":
            return alerts.c.model_build if table is alerts else table.c.build
        case "bucket":
            # A literal: PostgreSQL takes two parameters for two different groups.
            return time // literal_column(str(int(buckets.ms)), BigInteger)
        case _:
            return table.c[name]


def _within(spans: Sequence[Span], time: ColumnElement[int]) -> ColumnElement[bool]:
    return or_(
        *(and_(time >= each.start_ms, time < each.end_ms) for each in spans),
        # Without a span nothing is wanted.
        *([] if spans else [time < 0]),
    )


def _names_a_place(wanted: Selection) -> bool:
    return bool(
        wanted.sites
        or wanted.lines
        or wanted.stations
        or wanted.cameras
        or wanted.builds
    )


def _places(wanted: Selection, table: FromClause) -> list[ColumnElement[bool]]:
    names = (wanted.sites, wanted.lines, wanted.stations, wanted.cameras)
    return [
        table.c[column].in_(values)
        for column, values in zip(CAMERA, names, strict=True)
        if values
    ]


def _placed(wanted: Selection) -> list[ColumnElement[bool]]:
    """Return the conditions on alerts: places and builds."""
    conditions = _places(wanted, alerts)
    if wanted.builds:
        conditions.append(alerts.c.model_build.in_(wanted.builds))
    return conditions


def _corrections(
    connection: Connection, wanted: Selection, names: Sequence[str], buckets: Buckets
) -> Counter[GroupKey]:
    """Return what people's verdicts add to and take from the defects of each class."""
    time = alert_states.c.happened_ms
    groups = [_group(name, time, buckets) for name in names]
    said = [alert_states.c.verdict, alert_states.c.verdict_label]
    changing = (OperatorVerdict.FALSE_ALARM.value, OperatorVerdict.OTHER_CLASS.value)
    query: Select[Any] = (
        select(*groups, *said, func.count())
        .join_from(alert_states, alerts, alerts.c.n == alert_states.c.n)
        .join(detections, detections.c.n == alerts.c.n)
        .where(alert_states.c.verdict.in_(changing), _within(wanted.spans, time))
        .where(*_placed(wanted), _is_corrected())
        .group_by(*groups, *said)
    )
    at = list(names).index("label")
    found: Counter[GroupKey] = Counter()
    for *row, verdict, label, count in connection.execute(query):
        key = _counted_in(row, names, buckets)
        found[key] -= count
        if verdict == OperatorVerdict.OTHER_CLASS.value:
            found[*key[:at], label, *key[at + 1 :]] += count
    return found


def _is_corrected() -> ColumnElement[bool]:
    """Return whether a verdict is about a detection; see ``reviews.renamed_labels``."""
    return or_(
        alert_states.c.verdict == OperatorVerdict.FALSE_ALARM.value,
        detections.c.label == UNKNOWN_LABEL,
        first_detection(unindexed_label() == UNKNOWN_LABEL).is_(None),
    )


def _moved(
    connection: Connection, wanted: Selection, by: Sequence[str], buckets: Buckets
) -> Counter[GroupKey]:
    """Return what verdicts on the class add to and take from alerts of some classes."""
    time = alert_states.c.happened_ms
    groups = [_group(name, time, buckets) for name in by]
    query = (
        select(alerts.c.n, alert_states.c.verdict_label, detections.c.label, *groups)
        .join_from(alert_states, alerts, alerts.c.n == alert_states.c.n)
        .join(detections, detections.c.n == alerts.c.n)
        .where(alert_states.c.verdict == OperatorVerdict.OTHER_CLASS.value)
        .where(_within(wanted.spans, time), *_placed(wanted))
    )
    labels: defaultdict[int, set[str]] = defaultdict(set)
    said: dict[int, tuple[str, GroupKey]] = {}
    for n, right_label, label, *row in connection.execute(query):
        labels[n].add(label)
        said[n] = (right_label or "", _counted_in(row, by, buckets))
    found: Counter[GroupKey] = Counter()
    for n, (right_label, key) in said.items():
        after = labels[n] - renamed_labels(labels[n]) | {right_label}
        was_in, is_in = (
            not each.isdisjoint(wanted.labels) for each in (labels[n], after)
        )
        found[key] += is_in - was_in
    return found


def with_spans(wanted: Selection, spans: Sequence[Span]) -> Selection:
    """Return a selection of other times."""
    return replace(wanted, spans=tuple(spans))
