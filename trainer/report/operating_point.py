"""What other thresholds would do: defects found, escapes and overkill.

The thresholds in use are moved together by one shift, from the lowest useful ones to
those that no score reaches; the point in use lies on the curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.boxes import FloatArray, IntArray
from models.detections import Detections
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.intervals import wilson
from trainer.evaluation.metrics import true_positives
from trainer.evaluation.thresholds.choose import LOWEST_THRESHOLD, NEVER
from trainer.evaluation.thresholds.scored import (
    ScoredImage,
    by_kind,
    highest_scores,
    score_images,
)
from trainer.report.charts import Axis, Band, LineSeries, PointMark, line_chart

IN_USE = 0.0
SHIFTS = np.linspace(-1, 1, 81, dtype=np.float32)  # an odd number: IN_USE is one
ALARM_AXIS_ENDS = (0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class OperatingCurve:
    """Counts at thresholds that are moved together, from open to closed."""

    shifts: FloatArray  # [S] -1 lowest, 0 in use, 1 never
    found: IntArray  # [S] labelled boxes found
    boxes: int
    alarmed: IntArray  # [S] good photos with a detection
    good: int
    escaped: IntArray  # [S] defective photos without one
    defective: int


def operating_curve(
    found: Sequence[Detections], photos: Sequence[Photo], rule: DecisionRule
) -> OperatingCurve:
    """Return what thresholds moved together would do.

    Args:
        found: One for each photo, down to a low score.
        rule: In use.
    """
    thresholds = rule.score_thresholds
    images = score_images(found, photos)
    doubles = _with_doubles(images, rule)
    scores = np.concatenate([image.found.scores[image.right] for image in images])
    labels = np.concatenate([image.found.labels[image.right] for image in images])
    good, defective = by_kind(images)
    good_scores = highest_scores(good, len(thresholds))
    defective_scores = highest_scores(defective, len(thresholds))
    rows = []
    for shift in SHIFTS:
        moved = shift_thresholds(thresholds, float(shift)) if shift else thresholds
        alarmed = int((good_scores >= moved).any(axis=1).sum())
        reported = int((defective_scores >= moved).any(axis=1).sum())
        hits = int((scores >= moved[labels]).sum()) - _dropped(
            doubles, replace(rule, score_thresholds=moved)
        )
        rows.append((hits, alarmed, len(defective) - reported))
    hits_, alarmed_, escaped = np.array(rows, np.int64).T
    boxes = sum(len(photo.labels) for photo in photos)
    return OperatingCurve(
        SHIFTS, hits_, boxes, alarmed_, len(good), escaped, len(defective)
    )


def _with_doubles(
    images: Sequence[ScoredImage], rule: DecisionRule
) -> list[ScoredImage]:
    """Return the photos on which, at the lowest thresholds, boxes are doubles."""
    lowest = shift_thresholds(rule.score_thresholds, -1)
    every = replace(rule, score_thresholds=lowest)
    return [
        image
        for image in images
        if len(every.decide(image.found)) < len(image.found.above(lowest))
    ]


def _dropped(images: Sequence[ScoredImage], rule: DecisionRule) -> int:
    """Return how many true positives are dropped as doubles of another class."""
    moved = rule.score_thresholds
    return sum(
        int((image.right & (image.found.scores >= moved[image.found.labels])).sum())
        - int(true_positives(rule.decide(image.found), image.photo).sum())
        for image in images
    )


def shift_thresholds(thresholds: FloatArray, shift: float) -> FloatArray:
    """Return thresholds moved together.

    Args:
        thresholds: ``[C]`` float32.
        shift: 0 leaves them, 1 moves all to ``NEVER``, -1 to ``LOWEST_THRESHOLD``.
    """
    up, down = NEVER - thresholds, thresholds - LOWEST_THRESHOLD
    moved: FloatArray = thresholds + (up if shift >= 0 else down) * np.float32(shift)
    return moved


def with_intervals(hits: IntArray, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shares ``[S]`` and their 95 % intervals ``[S, 2]``, Wilson's."""
    sides = np.array([wilson(int(number), trials) for number in hits])
    shares: np.ndarray = hits / max(1, trials)
    return shares, sides


def operating_panels(curve: OperatingCurve) -> list[tuple[str, str, str]]:
    """Return title, text and chart of each panel."""
    text = (
        "The thresholds in use lie at 0. All are moved together: to the left down to "
        "the lowest useful ones, to the right up to never. Shaded: 95 % intervals."
    )
    panels = [("What other thresholds would do", text, _against_shift(curve))]
    if curve.good and curve.boxes:
        text = (
            "Each point is one set of thresholds; the ring is the one in use. Cross "
            "and shade are 95 % intervals, for each axis on its own."
        )
        chart = _recall_overkill(curve)
        panels.insert(0, ("Defects found against good parts alarmed", text, chart))
    return panels


def _recall_overkill(curve: OperatingCurve) -> str:
    """Return recall over overkill, with a band of both uncertainties."""
    recall, recall_sides = with_intervals(curve.found, curve.boxes)
    overkill, overkill_sides = with_intervals(curve.alarmed, curve.good)
    index = int(np.flatnonzero(curve.shifts == IN_USE)[0])
    in_use = PointMark(
        f"in use: {recall[index]:.1%} found, {overkill[index]:.1%} alarmed",
        float(overkill[index]),
        float(recall[index]),
        (float(overkill_sides[index, 0]), float(overkill_sides[index, 1])),
        (float(recall_sides[index, 0]), float(recall_sides[index, 1])),
    )
    # One edge is the best case, few alarmed and many found; the other the worst case.
    band = Band(
        0,
        np.concatenate((overkill_sides[:, 0], overkill_sides[::-1, 1])),
        np.concatenate((recall_sides[:, 1], recall_sides[::-1, 0])),
    )
    highest = min(float(overkill.max()), 1.0)
    end = next(end for end in ALARM_AXIS_ENDS if end >= highest)
    return line_chart(
        [LineSeries("defects found", overkill, recall)],
        Axis("good parts alarmed", end),
        Axis("defects found"),
        bands=[band],
        points=[in_use],
    )


def _against_shift(curve: OperatingCurve) -> str:
    """Return escapes, overkill and missed defects over the shift, each with a band."""
    counts = [
        ("defective parts escaped", curve.escaped, curve.defective),
        ("good parts alarmed", curve.alarmed, curve.good),
        ("defects missed", curve.boxes - curve.found, curve.boxes),
    ]
    x = curve.shifts + 1  # an axis starts at 0
    lines: list[LineSeries] = []
    bands: list[Band] = []
    for name, hits, total in counts:
        if total:
            shares, sides = with_intervals(hits, total)
            bands.append(Band.between(len(lines), x, sides))
            lines.append(LineSeries(name, x, shares))
    axis = Axis("thresholds, from the lowest to never", 2.0, percent=False, offset=-1.0)
    marks = [(IN_USE + 1, "the thresholds in use", 4)]
    return line_chart(lines, axis, Axis("share"), marks=marks, bands=bands)
