"""The two charts of the factory: escapes against overkill, with what is not known.

Defects found against good parts alarmed: what other thresholds would do.

The chosen thresholds are moved together, from the lowest useful ones to those that
nothing reaches; the chosen point lies on the curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import right_ones, wilson
from trainer.evaluation.thresholds.candidates import ScoredImage, peaks
from trainer.evaluation.thresholds.shift import shifted
from trainer.report.charts import Axis, Band, LineSeries, PointMark, line_chart

SHIFTS = np.linspace(
    -1, 1, 81, dtype=np.float32
)  # 0, the chosen thresholds, is among them


@dataclass(frozen=True, slots=True)
class OperatingCurve:
    """Counts at thresholds that are moved together, from open to closed.

    Attributes:
        shifts: ``[S]`` -1 lowest, 0 as chosen, 1 never.
        found: ``[S]`` labelled boxes found.
        boxes: Labelled boxes.
        alarmed: ``[S]`` good photos with a detection.
        good: Good photos.
        escaped: ``[S]`` defective photos without one.
        defective: Defective photos.
    """

    shifts: FloatArray
    found: IntArray
    boxes: int
    alarmed: IntArray
    good: int
    escaped: IntArray
    defective: int


def operating_curve(
    found: Sequence[Detections], photos: Sequence[Photo], thresholds: FloatArray
) -> OperatingCurve:
    """Return what thresholds moved together would do.

    Args:
        found: One for each photo, down to a low score.
        photos: With the ground truth.
        thresholds: ``[C]`` as chosen.
    """
    seen = [
        ScoredImage(d, photo, right_ones(d, photo))
        for d, photo in zip(found, photos, strict=True)
    ]
    scores = np.concatenate([one.found.scores[one.right] for one in seen])
    labels = np.concatenate([one.found.labels[one.right] for one in seen])
    good = [one for one in seen if one.photo.is_good]
    bad = [one for one in seen if not one.photo.is_good]
    highest = [peaks(part, len(thresholds)) for part in (good, bad)]
    rows = []
    for shift in SHIFTS:
        moved = shifted(thresholds, float(shift)) if shift else thresholds
        fired = [int((part >= moved).any(axis=1).sum()) for part in highest]
        hits = int((scores >= moved[labels]).sum())
        rows.append((hits, fired[0], len(bad) - fired[1]))
    hits_, alarmed, escaped = np.array(rows, np.int64).T
    boxes = sum(len(photo.labels) for photo in photos)
    return OperatingCurve(SHIFTS, hits_, boxes, alarmed, len(good), escaped, len(bad))


def with_intervals(hits: IntArray, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shares and their 95 % intervals.

    Args:
        hits: ``[S]`` counts.
        trials: Of how many.

    Returns:
        ``[S]`` shares and ``[S, 2]`` low and high, Wilson's.
    """
    sides = np.array([wilson(int(number), trials) for number in hits])
    shares: np.ndarray = hits / max(1, trials)
    return shares, sides


CHOSEN = 0.0


def factory_panels(curve: OperatingCurve) -> list[tuple[str, str, str]]:
    """Return title, words and chart of what the factory asks.

    Args:
        curve: Thresholds moved together.
    """
    words = (
        "The thresholds in use lie at 0; all are moved together, to the left down to "
        "the lowest useful ones, to the right up to never. Shaded: 95 %."
    )
    panels = [("What other thresholds would do", words, _against_shift(curve))]
    if curve.good:
        words = (
            "Each point is one set of thresholds; the ring is the one in use, its "
            "cross and the shade say where the true values lie, 95 times out of 100 "
            "for each side."
        )
        chart = _recall_overkill(curve)
        panels.insert(0, ("Defects found against good parts alarmed", words, chart))
    return panels


def _recall_overkill(curve: OperatingCurve) -> str:
    """Return recall over overkill, with a band of both uncertainties."""
    recall, recall_sides = with_intervals(curve.found, curve.boxes)
    overkill, overkill_sides = with_intervals(curve.alarmed, curve.good)
    index = int(np.flatnonzero(curve.shifts == CHOSEN)[0])
    chosen = PointMark(
        f"in use: {recall[index]:.1%} found, {overkill[index]:.1%} alarmed",
        float(overkill[index]),
        float(recall[index]),
        (float(overkill_sides[index, 0]), float(overkill_sides[index, 1])),
        (float(recall_sides[index, 0]), float(recall_sides[index, 1])),
    )
    # best case: few alarmed and many found; worst case: the other way round
    band = Band(
        0,
        np.concatenate((overkill_sides[:, 0], overkill_sides[::-1, 1])),
        np.concatenate((recall_sides[:, 1], recall_sides[::-1, 0])),
    )
    return line_chart(
        [LineSeries("defects found", overkill, recall)],
        Axis("good parts alarmed", _round_end(float(overkill.max()))),
        Axis("defects found"),
        bands=[band],
        points=[chosen],
    )


def _round_end(highest: float) -> float:
    """Return where the axis of alarms ends: not far beyond what there is."""
    return next(end for end in (0.1, 0.2, 0.5, 1.0) if end >= min(highest, 1.0))


def _against_shift(curve: OperatingCurve) -> str:
    """Return escapes, overkill and missed defects over the shift, each with a band."""
    rows = [
        ("defective parts escaped", curve.escaped, curve.defective),
        ("good parts alarmed", curve.alarmed, curve.good),
        ("defects missed", curve.boxes - curve.found, curve.boxes),
    ]
    x = curve.shifts + 1  # an axis begins at 0
    lines: list[LineSeries] = []
    bands: list[Band] = []
    for name, hits, total in rows:
        if not total:
            continue
        shares, sides = with_intervals(hits, total)
        bands.append(
            Band(
                len(lines),
                np.concatenate((x, x[::-1])),
                np.concatenate((sides[:, 1], sides[::-1, 0])),
            )
        )
        lines.append(LineSeries(name, x, shares))
    axis = Axis("thresholds, from the lowest to never", 2.0, percent=False, offset=-1.0)
    marks = [(1.0, "the thresholds in use", 4)]
    return line_chart(lines, axis, Axis("share"), marks=marks, bands=bands)
