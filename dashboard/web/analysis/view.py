"""The charts as texts and shapes for the templates."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dashboard.history.model_spans import ModelSpan
from dashboard.plant_settings import PlantSettings
from dashboard.plant_time import DAY, PlantTime, Span
from dashboard.statistics.control_charts import GROUPS_MIN, Chart
from dashboard.statistics.heat_map import COLUMNS, ROWS
from dashboard.statistics.rates import Difference, Rate, wilson
from dashboard.statistics.score_drift import BINS
from dashboard.web.analysis.drawing import (
    AxisTexts,
    LineChart,
    histogram,
    line_chart,
    shade_of,
)
from dashboard.web.analysis.figures import (
    PARETO_MAX,
    BuildFigures,
    Comparison,
    HeatMap,
    Ranking,
    ScoreDrift,
    Totals,
    Trend,
)
from dashboard.web.analysis.wording import EN_DASH, NARROW_SPACE, ChartWording
from dashboard.web.language import Language

VITAL_FEW = 0.8  # Pareto: the few that make 80 % of the defects
PLACES_LISTED = 5
PICTURE_SIDE = (240, 180)  # of a heat map, pixels of its SVG

ShownValues = dict[str, Any]


class View:
    """Writes and draws figures.

    Args:
        settings: Zone, shifts and names of the plant.
    """

    def __init__(self, language: Language, settings: PlantSettings) -> None:
        self.settings = settings
        self.plant = PlantTime(settings.zone, settings.shifts)
        self.wording = ChartWording(language, self.plant)
        self._text = language.text

    def shift_name(self, name: str) -> str:
        """Return the name to show for a shift; empty: the time between two."""
        if not name:
            return self._text("analysis.between_shifts")
        is_default = not self.settings.shifts and name == DAY.name
        return self._text("analysis.whole_day") if is_default else name

    def place(self, place: Sequence[str]) -> str:
        """Return the name to show for a line, station or camera, with its line."""
        ends = range(2, len(place) + 1)
        return " / ".join(self.settings.name_of(*place[:end]) for end in ends)

    def totals(self, totals: Totals) -> list[ShownValues]:
        """Return the figures at the top: value, what it is, and its uncertainty."""
        count, text = self.wording.count, self._text
        rate, missed = totals.defect_rate, totals.escapes
        inspected = totals.parts.inspected
        not_inspected = totals.parts.not_inspected
        all_parts = Rate(not_inspected, inspected + not_inspected)
        interval = self.wording.interval(totals.escapes_interval)
        found = [
            _figure(count(inspected), text("analysis.parts_inspected")),
            self._rate_figure(rate, "defect_rate", "of_parts"),
            _figure(
                count(totals.defects),
                text("analysis.defects"),
                text("analysis.of_alerts", n=count(totals.judged.alerts)),
            ),
            self._rate_figure(all_parts, "not_inspected", "of_parts"),
            self._rate_figure(totals.false_alarms, "false_alarms", "of_judged"),
            self._overkill(totals),
        ]
        escapes = _figure(text("analysis.no_rechecks"), text("analysis.escapes"))
        if missed.n:
            notes = text("analysis.of_rechecked", n=count(missed.n), interval=interval)
            escapes = _figure(
                self.wording.percent(missed.value), text("analysis.escapes"), notes
            )
        return [*found, escapes]

    def trend(self, trend: Trend) -> ShownValues:
        """Return both control charts: shapes, numbers for the script, and a table."""
        marks = [each.span.start_ms for each in trend.marks]
        spans = trend.groups.spans
        return {
            "laney": self._line_chart(trend.laney, spans, marks, trend),
            "ewma": self._line_chart(trend.ewma, spans, marks, None),
            "data": self._trend_data(trend),
            "rows": [self._trend_row(trend, i) for i in range(len(spans))],
            "parts": self.wording.count(sum(each.n for each in trend.rates)),
            "defective": self.wording.count(sum(each.count for each in trend.rates)),
            "groups": trend.laney.groups,
            "is_rough": 0 < trend.laney.groups < GROUPS_MIN,
            "is_of_alerts": trend.is_of_alerts,
            "center": self.wording.percent(trend.laney.center),
            "sigma_z": self._sigma_z(trend.laney),
            "marks": [self.mark(each) for each in trend.marks],
            "broken": len(trend.broken),
        }

    def mark(self, model: ModelSpan) -> ShownValues:
        """Return a change of a model as text."""
        return {
            "at": self.wording.moment(model.span.start_ms),
            "s": model.span.start_ms / 1000,
            "place": self.place(model.station),
            "model": f"{model.name} {model.build}",
            "build": model.build,
        }

    def ranking(
        self, ranking: Ranking, kind: str, query: str, most: int = PARETO_MAX
    ) -> list[ShownValues]:
        """Return a Pareto chart as rows, those beyond ``most`` added up.

        Args:
            kind: ``class``, ``shift``, ``line`` or ``camera``.
            query: That of the list of all these alerts.
        """
        total = sum(count for _, count in ranking)
        rows, before = [], 0
        for names, count in ranking[:most]:
            is_vital = before < VITAL_FEW * total
            before += count
            rows.append(
                {
                    **self._bar(count, ranking[0][1], before, total),
                    "name": self._name(names, kind),
                    "is_vital": is_vital,
                    "href": _narrowed(query, names, kind),
                }
            )
        rest = total - before
        if rest:
            bar = self._bar(rest, ranking[0][1], total, total)
            name = self._text("analysis.all_others", n=len(ranking) - most)
            rows.append({**bar, "name": name, "is_vital": False, "href": ""})
        return rows

    def heat_map(self, found: HeatMap) -> ShownValues:
        """Return where a camera saw defects: cells, and the most frequent places."""
        width, height = PICTURE_SIDE
        most = found.cells[0].count if found.cells else 0
        cells = [
            {
                "x": round(each.column * width / COLUMNS, 2),
                "y": round(each.row * height / ROWS, 2),
                "shade": shade_of(each.count, most),
            }
            for each in found.cells
        ]
        places = [
            {
                "x": _part_of_side(each.column, COLUMNS),
                "y": _part_of_side(each.row, ROWS),
                "count": self.wording.count(each.count),
            }
            for each in found.cells[:PLACES_LISTED]
        ]
        return {
            "camera": self.place(found.boxes.where),
            "picture_id": found.boxes.picture_id,
            "cells": cells,
            "places": places,
            "width": width,
            "height": height,
            "cell_width": round(width / COLUMNS, 2),
            "cell_height": round(height / ROWS, 2),
            "boxes": len(found.boxes.boxes),
            "alerts": self.wording.count(found.boxes.alerts),
        }

    def scores(self, found: ScoreDrift) -> ShownValues:
        """Return the two histograms of scores."""
        index, noise = found.drift.index, found.drift.noise
        rows = [
            {
                "bin": _part_of_side(i, BINS),
                "now": self.wording.percent(Rate(now, found.drift.n).value),
                "before": self.wording.percent(Rate(old, found.drift.baseline_n).value),
            }
            for i, (now, old) in enumerate(zip(found.now, found.before, strict=True))
            if now or old
        ]
        verdict = "unknown"
        if index is not None:
            verdict = "shifted" if found.drift.has_shifted else "stable"
        return {
            "chart": histogram(found.now, found.before, self._decimal_mark),
            "rows": rows,
            "n": self.wording.count(found.drift.n),
            "baseline_n": self.wording.count(found.drift.baseline_n),
            "baseline": self.wording.span(found.baseline),
            "index": self.wording.decimal(index, 3) if index is not None else "",
            "noise": self.wording.decimal(noise, 3) if noise is not None else "",
            "verdict": verdict,
        }

    def comparison(self, found: Comparison | None) -> ShownValues | None:
        """Return two builds side by side, and how they differ."""
        if found is None:
            return None
        return {
            "builds": [self._build(found.first), self._build(found.second)],
            "defects": self._difference(found.defects),
            "false_alarms": self._difference(found.false_alarms),
        }

    @property
    def _decimal_mark(self) -> str:
        return self._text("analysis.decimal_mark")

    def _rate_figure(self, rate: Rate, name: str, of: str) -> ShownValues:
        what = self._text(f"analysis.{name}")
        if not rate.n:
            return _figure(self._text(f"analysis.no_{of}"), what)
        n, interval = self.wording.count(rate.n), self.wording.interval(wilson(rate))
        notes = self._text(f"analysis.{of}", n=n, interval=interval)
        return _figure(self.wording.percent(rate.value), what, notes)

    def _overkill(self, totals: Totals) -> ShownValues:
        what, found = self._text("analysis.overkill"), totals.overkill
        if found is None:
            return _figure(self._text("analysis.no_overkill"), what)
        value, interval = found
        notes = self._text(
            "analysis.estimated",
            n=self.wording.count(totals.judged.n),
            interval=self.wording.interval(interval),
        )
        return _figure(self.wording.percent(value), what, notes)

    def _line_chart(
        self,
        chart: Chart,
        spans: Sequence[Span],
        marks_ms: Sequence[int],
        trend: Trend | None,
    ) -> LineChart | None:
        texts = AxisTexts(self._decimal_mark, self.wording.time, self.wording.short_day)
        broken = trend.broken if trend else ()
        return line_chart(chart, spans, marks_ms, broken, self.plant, texts)

    def _trend_data(self, trend: Trend) -> ShownValues:
        """Return the numbers of both charts; rates in percent, times in seconds."""
        spans = trend.groups.spans
        broken: dict[int, list[str]] = {}
        for each in trend.broken:
            rules = broken.setdefault(each.index, [])
            if each.rule not in rules:
                rules.append(each.rule)
        return {
            "zone": self.settings.zone,
            "start_s": spans[0].start_ms / 1000 if spans else None,
            "end_s": spans[-1].end_ms / 1000 if spans else None,
            "x": [(each.start_ms + each.end_ms) / 2000 for each in spans],
            "n": [each.n for each in trend.rates],
            "laney": _series(trend.laney),
            "ewma": _series(trend.ewma),
            "broken": broken,
            "marks": [
                {"s": each.span.start_ms / 1000, "text": f"{each.name} {each.build}"}
                for each in trend.marks
            ],
        }

    def _trend_row(self, trend: Trend, index: int) -> ShownValues:
        span, rate = trend.groups.spans[index], trend.rates[index]
        point, smooth = trend.laney.points[index], trend.ewma.points[index]
        rules = sorted({each.rule for each in trend.broken if each.index == index})
        percent = self.wording.percent
        return {
            "time": self.wording.span(span),
            "n": self.wording.count(rate.n),
            "defective": self.wording.count(rate.count),
            "rate": self.wording.rate(rate),
            "low": percent(point.low if point else None),
            "high": percent(point.high if point else None),
            "ewma": percent(smooth.value if smooth else None),
            "rules": ", ".join(rules),
            "not_inspected": self.wording.count(trend.not_inspected[index]),
        }

    def _sigma_z(self, chart: Chart) -> str:
        return "" if chart.sigma_z is None else self.wording.decimal(chart.sigma_z, 2)

    def _name(self, names: Sequence[str], kind: str) -> str:
        match kind:
            case "class":
                return names[0]
            case "shift":
                return self.shift_name(names[0])
            case _:
                return self.place(names)

    def _bar(self, count: int, most: int, before: int, total: int) -> ShownValues:
        return {
            "count": self.wording.count(count),
            "share": self.wording.percent(count / total),
            "cumulated": self.wording.percent(before / total),
            "length": round(max(0.8, min(100, count / most * 100)), 1),
            "line": round(before / total * 100, 1),
        }

    def _build(self, found: BuildFigures) -> ShownValues:
        return {
            "name": f"{found.name} {found.build}",
            "since": self.wording.moment(found.since_ms),
            "parts": self.wording.count(found.defects.n),
            "defects": self.wording.rate(found.defects),
            "defects_interval": self.wording.interval(wilson(found.defects)),
            "judged": self.wording.count(found.false_alarms.n),
            "false_alarms": self.wording.percent(found.false_alarms.value),
            "false_alarms_interval": self.wording.interval(wilson(found.false_alarms)),
        }

    def _difference(self, found: Difference | None) -> ShownValues | None:
        if found is None:
            return None
        higher = "higher" if found.value > 0 else "lower"
        points = self.wording.points
        low, high = points(found.interval.low), points(found.interval.high)
        return {
            "value": points(found.value),
            "interval": f"{low} {EN_DASH} {high}",
            "verdict": higher if found.is_clear else "unclear",
        }


def _figure(value: str, what: str, notes: str = "") -> ShownValues:
    return {"value": value, "what": what, "notes": notes}


def _series(chart: Chart) -> ShownValues:
    """Return a chart as columns of percent, None for a gap."""
    return {
        "center": _in_percent(chart.center),
        "value": [_in_percent(p.value) if p else None for p in chart.points],
        "low": [_in_percent(p.low) if p else None for p in chart.points],
        "high": [_in_percent(p.high) if p else None for p in chart.points],
    }


def _in_percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 5)


def _part_of_side(index: int, count: int) -> str:
    first, last = round(index / count * 100), round((index + 1) / count * 100)
    return f"{first}{EN_DASH}{last}{NARROW_SPACE}%"


def _narrowed(query: str, names: Sequence[str], kind: str) -> str:
    """Return the address of the list of alerts of one bar; empty: there is none."""
    if not names[0]:
        return ""
    is_place = kind in {"line", "camera"}
    keys = ("site", "line", "station", "camera") if is_place else (kind,)
    kept = [pair for pair in parse_qsl(query) if pair[0] not in keys]
    return f"/alerts?{urlencode([*kept, *zip(keys, names, strict=False)])}"
