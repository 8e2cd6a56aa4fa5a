"""``report.json``: the figures of the report for machines, shares 0..1."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.manifest import Interval, Metrics, Thresholds
from trainer.evaluation.thresholds.text import thresholds_text
from trainer.report.figures import (
    LabelFigures,
    MatchedPhoto,
    alarmed_good_photos,
    confusion,
    worst_photos,
)
from trainer.report.operating_point import OperatingCurve, with_intervals
from trainer.report.sections import WORST_PHOTOS, ReportSubject
from trainer.run_record import CurvePoint, UnknownRecord

SCHEMA_VERSION = 1


class _Part(BaseModel):
    """A part of the report: immutable."""

    model_config = ConfigDict(frozen=True)


class OperatingPoint(_Part):
    """What all thresholds moved together would do; ``shift`` 0 is as chosen."""

    shift: float = Field(ge=-1, le=1, description="-1 lowest useful, 1 never.")
    recall: float | None = Field(description="None without labelled boxes.")
    recall_interval: Interval | None
    overkill: float | None = Field(description="None without good photos.")
    overkill_interval: Interval | None
    escapes: float | None = Field(description="None without defective photos.")
    escapes_interval: Interval | None


class LabelReport(_Part):
    """One kind of defect."""

    name: str
    threshold: float
    boxes: int
    found: int
    wrong: int
    ap_33: float | None = Field(description="None without labelled boxes.")
    precision_at_recall: tuple[tuple[float, float], ...] = Field(
        description="Pairs of recall and precision, recall ascending."
    )


class GroupReport(_Part):
    """The good parts of one group."""

    name: str
    good: int
    alarmed: int


class PhotoReport(_Part):
    """One photo that the report shows."""

    photo: str
    sha256: str
    missed: int
    wrong: int
    escaped: bool


class ReportFigures(_Part):
    """The whole of ``report.json``."""

    schema_version: int = SCHEMA_VERSION
    title: str
    dataset_sha256: str
    metrics: Metrics
    thresholds: Thresholds
    promise: str = Field(description="What the thresholds prove, in a few sentences.")
    operating_curve: tuple[OperatingPoint, ...]
    labels: tuple[LabelReport, ...]
    groups: tuple[GroupReport, ...] = Field(
        default=(), description="Empty where --group names none."
    )
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="Row = as labelled (last: nothing), column = as reported (last: "
        "nothing)."
    )
    worst: tuple[PhotoReport, ...]
    alarmed_good: tuple[PhotoReport, ...]
    training: tuple[CurvePoint, ...] = Field(description="Empty for a package.")
    unknown: UnknownRecord | None = Field(
        default=None, description="What the class unknown sees; null = all are named."
    )
    studies: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="Results of further analyses, by name."
    )


@dataclass(frozen=True, slots=True)
class Study:
    """The result of an analysis beside the measurement, ready to be shown."""

    name: str  # key in `report.json`
    sections: tuple[str, ...]  # HTML for the report
    document: dict[str, object]  # for programs: plain values of JSON
    lines: tuple[str, ...]  # for the terminal


def report_figures(
    subject: ReportSubject, studies: Mapping[str, dict[str, object]]
) -> ReportFigures:
    """Return the figures of a report."""
    names, scores = subject.dataset.labels, subject.scores
    confused = confusion(subject.matched, len(names))
    worst = worst_photos(subject.matched, WORST_PHOTOS)
    return ReportFigures(
        title=subject.title,
        dataset_sha256=subject.dataset.sha256,
        metrics=subject.metrics,
        thresholds=subject.thresholds,
        promise=thresholds_text(subject.thresholds),
        operating_curve=_points(subject.operating),
        labels=tuple(
            _label(one, names[one.label], float(scores[one.label]))
            for one in subject.labels
        ),
        groups=tuple(
            GroupReport(name=_as_text(one.name), good=one.good, alarmed=one.alarmed)
            for one in subject.groups
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confused),
        worst=tuple(_photo(one) for one in worst),
        alarmed_good=tuple(_photo(one) for one in alarmed_good_photos(subject.matched)),
        training=subject.record.curve if subject.record else (),
        unknown=subject.record.unknown if subject.record else None,
        studies=dict(studies),
    )


def _points(curve: OperatingCurve) -> tuple[OperatingPoint, ...]:
    recall, recall_sides = with_intervals(curve.found, curve.boxes)
    overkill, overkill_sides = with_intervals(curve.alarmed, curve.good)
    escapes, escape_sides = with_intervals(curve.escaped, curve.defective)
    return tuple(
        OperatingPoint(
            shift=round(float(shift), 4),
            recall=float(recall[i]) if curve.boxes else None,
            recall_interval=_pair(recall_sides[i]) if curve.boxes else None,
            overkill=float(overkill[i]) if curve.good else None,
            overkill_interval=_pair(overkill_sides[i]) if curve.good else None,
            escapes=float(escapes[i]) if curve.defective else None,
            escapes_interval=_pair(escape_sides[i]) if curve.defective else None,
        )
        for i, shift in enumerate(curve.shifts)
    )


def _pair(sides: np.ndarray) -> Interval:
    return float(sides[0]), float(sides[1])


def _label(one: LabelFigures, name: str, threshold: float) -> LabelReport:
    return LabelReport(
        name=name,
        threshold=round(threshold, 4),
        boxes=one.boxes,
        found=one.found,
        wrong=one.false_positives,
        ap_33=one.average_precision,
        precision_at_recall=tuple(
            (float(r), float(p)) for r, p in zip(one.recall, one.precision, strict=True)
        ),
    )


def _photo(one: MatchedPhoto) -> PhotoReport:
    return PhotoReport(
        photo=_as_text(one.photo.path.name),
        sha256=one.photo.sha256,
        missed=int(one.missed.sum()),
        wrong=int((~one.right).sum()),
        escaped=one.escaped,
    )


def _as_text(name: str) -> str:
    """Return a name of a file as JSON holds it: without bytes that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()
