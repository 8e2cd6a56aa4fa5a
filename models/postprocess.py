"""Converts the graph's output to boxes, and decides which of them are defects.

``decode`` applies thresholds per class, then NMS per class: with low thresholds it
returns every candidate of every class, which average precision needs. ``DecisionRule``
comes after it, at the thresholds in force: boxes of two classes at one place are one
defect, and the best score names it; a box of the class ``unknown`` at the place of a
named defect is that defect, whatever its score. No box is removed without one at its
place, so it changes neither whether a part alarms nor which places are reported.

Greedy non-maximum suppression in NumPy, the same code for the trainer's figures
and the daemon's alerts. Parity with torchvision.ops.batched_nms is tested in
tests/contract/test_box_parity.py.
"""

from dataclasses import dataclass

import numpy as np

from models.boxes import (
    BLOCK_PAIRS,
    Boxes,
    FloatArray,
    IntArray,
    cxcywh_to_xyxy,
    iou,
    overlap_of_smaller,
)
from models.detections import Detections, no_detections
from models.errors import PackageError

IOU_THRESHOLD = 0.65  # YOLOX's evaluation default
MAX_CANDIDATES = 1000  # before NMS, whose time grows with its square
MAX_DETECTIONS = 100  # COCO's detections per image
# Overlap above which boxes of two classes are one defect. Labelled boxes of two classes
# never overlap more (9,362 pairs on 1,009 photos of boards and belts; 121 overlap, one
# above 0.65); a small defect often lies inside of a large one, so containment does not
# count. Double boxes mostly come from one anchor: of 268 that 0.3 drops on boards, 0.7
# drops 260.
CROSS_CLASS_IOU = 0.7
# Share of the smaller box from which a box of the class unknown is the named defect
# there: its boxes consist of cells of 16 px, so the overlap of both says little.
UNKNOWN_OVERLAP = 0.3


def decode(
    output: FloatArray,
    score_thresholds: FloatArray,
    *,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> Detections:
    """Return the detections of one image, in pixels of the graph's input.

    Args:
        output: ``[4 + C, A]`` float32: centre x, centre y, width, height in
            input pixels, then ``C`` scores in 0..1.
        score_thresholds: ``[C]`` float32 in 0..1, one for each label.
        iou_threshold: Overlap in 0..1 above which the weaker of two boxes of one
            label is dropped.
        max_detections: At most this many, best first.

    Returns:
        Detections in pixels of the input.

    Raises:
        ValueError: The output's channels do not fit the thresholds.
        PackageError: A number is not finite: NaN is never above a threshold, and the
            part would count as good.
    """
    if output.ndim != 2 or output.shape[0] != 4 + len(score_thresholds):
        msg = f"expected [{4 + len(score_thresholds)}, A], got {output.shape}"
        raise ValueError(msg)
    if not np.isfinite(output).all():
        raise PackageError(
            "The model's output is not finite.",
            why="It has NaN or infinite numbers, so the part cannot be inspected.",
            fix="Go back with `graftline rollback`, and train again.",
        )
    # The mask is flat: nearly all of it is False, and np.nonzero with two axes takes
    # ten times as long.
    found = np.flatnonzero(output[4:] >= score_thresholds[:, None])
    if len(found) == 0:
        return no_detections()
    labels, anchors = np.divmod(found, output.shape[1])
    scores = output[4 + labels, anchors]
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    labels, scores = labels[order].astype(np.int64), scores[order]
    boxes = cxcywh_to_xyxy(output[:4, anchors[order]].T)
    keep = nms(boxes, labels, iou_threshold)[:max_detections]
    return Detections(boxes[keep], scores[keep], labels[keep])


def nms(boxes: Boxes, labels: IntArray, iou_threshold: float) -> IntArray:
    """Return the positions that survive greedy suppression inside each label.

    Args:
        boxes: ``[N, 4]`` float32, xyxy, pixels, best first.
        labels: ``[N]`` int64.
        iou_threshold: Overlap in 0..1 above which the later box is dropped.

    Returns:
        ``[K]`` int64, ascending positions of the boxes that stay.
    """
    return _suppress(boxes, labels, iou_threshold, np.equal)


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Decides which detections of one image are reported as defects."""

    score_thresholds: FloatArray  # [C] float32 in 0..1, one for each label
    # overlap in 0..1 above which boxes of two labels are one defect; None = they never
    # are, as in packages of earlier versions
    cross_class_iou: float | None = None
    # label of what no class names: at the place of a named defect it is that defect
    unknown: int | None = None

    def decide(self, detections: Detections) -> Detections:
        """Return the defects among the detections of one image, order kept.

        Args:
            detections: Best first, after NMS, down to the thresholds or lower.
        """
        return detections.select(self.positions(detections))

    def positions(self, detections: Detections) -> IntArray:
        """Return the positions of the defects, ``[K]`` int64, ascending."""
        limits = self.score_thresholds[detections.labels]
        passed = np.flatnonzero(detections.scores >= limits)
        return passed[self.without_doubles(detections.select(passed))]

    def without_doubles(self, detections: Detections) -> IntArray:
        """Return the positions of one detection of each place, ``[K]`` ascending.

        Args:
            detections: Best first, at the thresholds or above.
        """
        is_unknown = detections.labels == self.unknown
        if not is_unknown.any():
            return drop_doubles(detections, self.cross_class_iou)
        named, others = np.flatnonzero(~is_unknown), np.flatnonzero(is_unknown)
        named = named[drop_doubles(detections.select(named), self.cross_class_iou)]
        overlaps = overlap_of_smaller(detections.boxes[others], detections.boxes[named])
        others = others[~(overlaps >= UNKNOWN_OVERLAP).any(axis=1)]
        return np.sort(np.concatenate((named, others))).astype(np.int64)


def drop_doubles(detections: Detections, cross_class_iou: float | None) -> IntArray:
    """Return the positions without weaker boxes of another label at the same place.

    Args:
        detections: Best first.
        cross_class_iou: As in ``DecisionRule``.

    Returns:
        ``[K]`` int64, ascending.
    """
    boxes, labels = detections.boxes, detections.labels
    if cross_class_iou is None or not (labels != labels[:1]).any():
        return np.arange(len(labels))
    return _suppress(boxes, labels, cross_class_iou, np.not_equal)


def _suppress(
    boxes: Boxes, labels: IntArray, iou_threshold: float, related: np.ufunc
) -> IntArray:
    """Return the positions that greedy suppression keeps.

    Args:
        boxes: ``[N, 4]``, best first.
        related: Which pairs of labels suppress each other.
    """
    is_kept = np.ones(len(boxes), bool)  # [N]
    # In blocks: a golden set may state 10,000 boxes of a frame.
    rows = max(1, BLOCK_PAIRS // max(1, len(boxes)))
    for start in range(0, len(boxes), rows):
        block = slice(start, start + rows)
        overlaps = iou(boxes[block], boxes) > iou_threshold  # [rows, N]
        overlaps &= related(labels[block, None], labels)
        # The later boxes that each one suppresses; most suppress none.
        weaker = np.triu(overlaps, start + 1)
        for row in np.flatnonzero(weaker.any(axis=1)).tolist():
            if is_kept[start + row]:
                is_kept &= ~weaker[row]
    return np.nonzero(is_kept)[0].astype(np.int64)
