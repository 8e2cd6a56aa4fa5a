"""Defects found against good parts alarmed: what other thresholds would do.

The chosen thresholds are moved together, from the lowest useful ones to those that
nothing reaches; the chosen point lies on the curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.judge.metrics import right_ones, wilson
from trainer.judge.threshold_ladders import Seen, peaks
from trainer.judge.threshold_shift import shifted

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
        Seen(d, photo, right_ones(d, photo))
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
