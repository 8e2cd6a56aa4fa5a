"""What the charts show: read from the history, computed, without texts."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from dashboard.history.analysis import (
    CameraBoxes,
    Judged,
    Parts,
    Selection,
    alerts_of,
    boxes,
    defects,
    defects_by,
    judged,
    judged_by_station,
    parts,
    scores,
    with_spans,
)
from dashboard.history.model_spans import (
    ModelSpan,
    by_time,
    changes_in,
    in_force,
    spans_of_build,
)
from dashboard.history.rechecks import escapes
from dashboard.history.tables.base import CAMERA, STATION
from dashboard.plant_time import MS_PER_HOUR, PlantTime, Span
from dashboard.statistics.control_charts import Chart, ewma_chart, laney_chart
from dashboard.statistics.heat_map import Cell, heat_map
from dashboard.statistics.rates import (
    Difference,
    Rate,
    RateInterval,
    clopper_pearson,
    difference,
    wilson,
)
from dashboard.statistics.run_rules import Rule, Violation, violations
from dashboard.statistics.score_drift import Drift, drift
from dashboard.web.analysis.groups import TimeGroups, bucket_of

BASELINE_DAYS = 7
HEAT_MAPS_MAX = 6
PARETO_MAX = 12  # others are added up: a chart of 40 bars is unreadable
DAY_MS = 24 * MS_PER_HOUR

Ranking = list[tuple[tuple[str, ...], int]]
"""Names and their number of defects, the most first."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The numbers of a selection.

    Attributes:
        defects: Detections that were not dismissed.
        escapes: Defective parts among those that people checked again.
    """

    parts: Parts
    defects: int
    judged: Judged
    escapes: Rate

    @property
    def defect_rate(self) -> Rate:
        """Parts that the line found defective, of the inspected ones."""
        return Rate(self.parts.defect, self.parts.inspected)

    @property
    def false_alarms(self) -> Rate:
        """False alarms among the judged alerts."""
        return Rate(self.judged.false, self.judged.n)

    @property
    def escapes_interval(self) -> RateInterval | None:
        """Exact: a promise to a customer depends on it."""
        return clopper_pearson(self.escapes)

    @property
    def overkill(self) -> tuple[float, RateInterval] | None:
        """Estimated share of good parts that the line rejects, with its interval.

        Of the rejected parts the share of false alarms among the judged alerts is taken
        as good. None where no parts were counted or no alert was judged.
        """
        share, interval = self.false_alarms.value, wilson(self.false_alarms)
        if share is None or interval is None or not self.parts.inspected:
            return None
        value, low, high = (
            self._overkill(each) for each in (share, interval.low, interval.high)
        )
        return value, RateInterval(low, high)

    def _overkill(self, false_share: float) -> float:
        rejected = false_share * self.parts.defect
        good = self.parts.ok + rejected
        return rejected / good if good else 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """The rate over time.

    Attributes:
        rates: One for each group.
        not_inspected: Parts without a verdict, one number for each group.
        laney: The p' chart.
        ewma: The chart of smoothed rates.
        broken: Points of the p' chart that complete a pattern.
        marks: Changes of models.
        is_of_alerts: The count is of alerts of some classes or builds, not of parts.
    """

    groups: TimeGroups
    rates: tuple[Rate, ...]
    not_inspected: tuple[int, ...]
    laney: Chart
    ewma: Chart
    broken: tuple[Violation, ...]
    marks: tuple[ModelSpan, ...]
    is_of_alerts: bool


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Where one camera saw defects."""

    boxes: CameraBoxes
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ScoreDrift:
    """Scores of a selection against those of the days before it."""

    now: tuple[int, ...]
    before: tuple[int, ...]
    baseline: Span
    drift: Drift


@dataclass(frozen=True, slots=True)
class BuildFigures:
    """What a build did.

    Attributes:
        since_ms: When it came into force first, UTC.
        defects: Parts that it found defective, of the inspected ones.
        false_alarms: Share of the judged alerts.
    """

    build: int
    name: str
    since_ms: int
    defects: Rate
    false_alarms: Rate


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two builds: the second minus the first."""

    first: BuildFigures
    second: BuildFigures
    defects: Difference | None
    false_alarms: Difference | None

    @property
    def builds(self) -> tuple[int, int]:
        """The numbers of both."""
        return self.first.build, self.second.build


def totals_of(connection: Connection, wanted: Selection) -> Totals:
    """Return the numbers of a selection, also of what is in no group of its charts."""
    return Totals(
        parts(connection, wanted).get((), Parts()),
        defects(connection, wanted, ()).get((), 0),
        judged(connection, wanted),
        escapes(connection, wanted),
    )


def trend_of(
    connection: Connection,
    wanted: Selection,
    groups: TimeGroups,
    rules: Sequence[Rule],
    models: Sequence[ModelSpan],
) -> Trend:
    """Return the rate over time."""
    sums = [Parts() for _ in groups.spans]
    counted = parts(connection, wanted, ("bucket",), groups.buckets)
    for (bucket,), found in counted.items():
        index = groups.index_of(int(bucket))
        if index is not None:
            sums[index] += found
    defective = [each.defect for each in sums]
    is_of_alerts = bool(wanted.labels or wanted.builds)
    if is_of_alerts:
        defective = [0] * len(sums)
        alerts = alerts_of(connection, wanted, ("bucket",), groups.buckets)
        for (bucket,), count in alerts.items():
            index = groups.index_of(int(bucket))
            if index is not None:
                defective[index] += count
    # A part may raise several alerts: it is defective once.
    rates = tuple(
        Rate(min(count, each.inspected), each.inspected)
        for count, each in zip(defective, sums, strict=True)
    )
    laney = laney_chart(rates)
    sigmas = [point.sigmas if point else None for point in laney.points]
    return Trend(
        groups=groups,
        rates=rates,
        not_inspected=tuple(each.not_inspected for each in sums),
        laney=laney,
        ewma=ewma_chart(rates),
        broken=tuple(violations(sigmas, rules)),
        marks=tuple(changes_in(models, wanted.span)),
        is_of_alerts=is_of_alerts,
    )


def rankings_of(
    connection: Connection, wanted: Selection, plant: PlantTime
) -> dict[str, Ranking]:
    """Return the defects by class, shift, line and camera, the most first."""
    span = wanted.span
    shifts = [
        shift
        for day in plant.days(Span(span.start_ms - DAY_MS, span.end_ms))
        for shift in plant.shift_spans(day)
    ]
    groups = TimeGroups(
        tuple(each.span for each in shifts), bucket_of(each.span for each in shifts)
    )
    classes, cameras, buckets = defects_by(
        connection, wanted, [("label",), CAMERA, ("bucket",)], groups.buckets
    )
    by: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for place, count in cameras.items():
        by["line"][place[:2]] += count
    for (bucket,), count in buckets.items():
        index = groups.index_of(int(bucket))
        by["shift"][("" if index is None else shifts[index].name,)] += count
    by["camera"], by["class"] = cameras, classes
    return {name: ranked(by[name]) for name in ("class", "shift", "line", "camera")}


def ranked(counts: Counter[tuple[str, ...]]) -> Ranking:
    """Return counts as a ranking; equal ones in the order of their names."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def heat_maps_of(connection: Connection, wanted: Selection) -> list[HeatMap]:
    """Return where the cameras with the most defects saw them."""
    found = boxes(connection, wanted)[:HEAT_MAPS_MAX]
    return [HeatMap(each, tuple(heat_map(each.boxes))) for each in found]


def drift_of(connection: Connection, wanted: Selection) -> ScoreDrift:
    """Return the scores against those of the week before the selection."""
    start_ms = wanted.span.start_ms
    baseline = Span(start_ms - BASELINE_DAYS * DAY_MS, start_ms)
    now = scores(connection, wanted)
    before = scores(connection, with_spans(wanted, [baseline]))
    return ScoreDrift(tuple(now), tuple(before), baseline, drift(now, before))


def comparison_of(
    connection: Connection,
    wanted: Selection,
    models: Sequence[ModelSpan],
    builds: Sequence[int],
) -> Comparison | None:
    """Return two builds compared; None where the selection has no two builds.

    Args:
        builds: The older and the newer one; empty: the two newest ones of the
            selection.
    """
    known = sorted({each.build for each in in_force(models, wanted.span)})
    chosen = list(builds) or known[-2:]
    if len(chosen) < 2 or not set(chosen) <= {each.build for each in models}:
        return None
    first, second = (
        _build_figures(connection, wanted, models, build) for build in chosen
    )
    return Comparison(
        first,
        second,
        difference(first.defects, second.defects),
        difference(first.false_alarms, second.false_alarms),
    )


def _build_figures(
    connection: Connection,
    wanted: Selection,
    models: Sequence[ModelSpan],
    build: int,
) -> BuildFigures:
    mine = [each for each in models if each.build == build]
    spans = spans_of_build(models, build, wanted)
    total, real, false = Parts(), 0, 0
    # No part and no alert of another station, and each part of the time once.
    for span, stations in by_time(spans).items():
        here = replace(wanted, spans=(span,), builds=())
        for station, found in parts(connection, here, STATION).items():
            if station in stations:
                total += found
        for station, counts in judged_by_station(connection, here).items():
            if station in stations:
                real, false = real + counts.real, false + counts.false
    return BuildFigures(
        build,
        mine[0].name,
        mine[0].span.start_ms,
        Rate(total.defect, total.inspected),
        Rate(false, real + false),
    )
