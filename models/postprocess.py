"""Converts the graph's output to boxes: thresholds per class, then NMS per class.

Greedy non-maximum suppression in NumPy, the same code for the trainer's figures
and the daemon's alerts. Parity with torchvision.ops.batched_nms is tested in
tests/contract/test_box_parity.py.
"""

import numpy as np

from models.boxes import Boxes, FloatArray, IntArray, cxcywh_to_xyxy, iou
from models.detections import Detections, no_detections
from models.errors import PackageError

IOU_THRESHOLD = 0.65  # YOLOX's evaluation default
MAX_CANDIDATES = 1000  # before NMS, whose time grows with its square
MAX_DETECTIONS = 100  # COCO's detections per image


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
    overlaps = (iou(boxes, boxes) > iou_threshold) & (labels[:, None] == labels)
    weaker = np.triu(overlaps, 1)  # [N, N] the later boxes that each one suppresses
    suppressors = np.flatnonzero(weaker.any(axis=1)).tolist()
    stays, is_kept = ~weaker, np.ones(len(boxes), bool)
    for best in suppressors:
        if is_kept[best]:
            is_kept &= stays[best]
    return np.nonzero(is_kept)[0].astype(np.int64)
