"""How well a detector does: precision in the field's terms, errors in the factory's.

Everything is measured through ``models.detector.detect``: the daemon's own letterbox,
thresholds and NMS.
"""

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.boxes import iou
from models.detections import Detections
from models.detector import Detector, detect, equal_thresholds
from models.manifest import Metrics, Thresholds
from models.postprocess import IOU_THRESHOLD
from trainer.data.dataset import Photo, read_photo

LOWEST_SCORE = 0.01  # precision-recall curves start here
RIGHT_IOU = 0.33  # DeepPCB's rule, arXiv:1902.06197: right class and IoU above 0.33
AP_IOUS = (0.33, *(round(0.5 + 0.05 * i, 2) for i in range(10)))
RECALL_POINTS = np.linspace(0, 1, 101)  # as pycocotools does
Z_95 = 1.959964  # two-sided 95 % of the normal distribution


def predict_photos(
    detector: Detector,
    photos: Sequence[Photo],
    label_count: int,
    iou_threshold: float = IOU_THRESHOLD,
    on_photo: Callable[[], None] | None = None,
) -> list[Detections]:
    """Return what a detector finds on each photo, down to a score of 0.01.

    Args:
        detector: Any runtime.
        photos: To look at.
        label_count: Number of labels.
        iou_threshold: Of NMS.
        on_photo: Called after each photo.

    Returns:
        Detections with ``boxes_frame``, one for each photo.
    """
    thresholds = equal_thresholds(LOWEST_SCORE, label_count)
    found = []
    for photo in photos:
        frame = read_photo(photo)
        found.append(detect(detector, frame, thresholds, iou_threshold=iou_threshold))
        if on_photo:
            on_photo()
    return found


def average_precisions(
    found: Sequence[Detections], photos: Sequence[Photo], label_count: int
) -> dict[float, float]:
    """Return the mean average precision at each IoU of ``AP_IOUS``.

    Args:
        found: One for each photo.
        photos: With the ground truth.
        label_count: Number of labels.

    Returns:
        IoU to precision in 0..1; classes without a labelled box do not count.

    Source:
        pycocotools' COCOeval: 101 recall points, at most 100 detections a photo.
    """
    evaluation = COCOeval(*_as_coco(found, photos, label_count), "bbox")
    evaluation.params.iouThrs = np.array(AP_IOUS)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [T, 101, C]
    result = {}
    for index, threshold in enumerate(AP_IOUS):
        values = precision[index][precision[index] > -1]
        result[threshold] = float(values.mean()) if len(values) else 0.0
    return result


def _as_coco(
    found: Sequence[Detections], photos: Sequence[Photo], label_count: int
) -> tuple[COCO, COCO]:
    """Return ground truth and detections as pycocotools wants them."""
    truth = COCO()
    annotations, results = [], []
    for number, (photo, detections) in enumerate(zip(photos, found, strict=True), 1):
        for box, label in zip(photo.boxes, photo.labels, strict=True):
            annotations.append(_coco_box(number, box, label) | {"iscrowd": 0})
        rows = zip(detections.boxes, detections.scores, detections.labels, strict=True)
        for box, score, label in rows:
            results.append(_coco_box(number, box, label) | {"score": float(score)})
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(1, len(photos) + 1)],
        "annotations": [a | {"id": i} for i, a in enumerate(annotations, 1)],
        "categories": [{"id": i + 1, "name": str(i)} for i in range(label_count)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if results:
            return truth, truth.loadRes(results)
        empty = COCO()
        empty.dataset = truth.dataset | {"annotations": []}
        empty.createIndex()
    return truth, empty


def _coco_box(image: int, box: np.ndarray, label: np.int64) -> dict[str, object]:
    """Return a box as pycocotools wants it."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return {
        "image_id": image,
        "category_id": int(label) + 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
    }


def right_ones(detections: Detections, photo: Photo) -> np.ndarray:
    """Return which detections are right, each labelled box taken once, best first.

    Args:
        detections: Of the photo, best first.
        photo: With the ground truth.

    Returns:
        ``[N]`` bool.
    """
    right = np.zeros(len(detections), bool)
    free = np.ones(len(photo.labels), bool)
    overlaps = iou(detections.boxes, photo.boxes)  # [N, G]
    for i, label in enumerate(detections.labels):
        fitting = np.where(free & (photo.labels == label), overlaps[i], 0.0)
        if len(fitting) and fitting.max() >= RIGHT_IOU:
            right[i] = True
            free[int(fitting.argmax())] = False
    return right


@dataclass(frozen=True, slots=True)
class Counts:
    """What was found at given thresholds.

    Attributes:
        boxes: Labelled boxes.
        right: Labelled boxes found.
        reported: Detections.
        good: Photos of good parts.
        alarmed: Good ones with a detection.
        defective: Photos with labelled boxes.
        escaped: Defective ones without any detection.
    """

    boxes: int
    right: int
    reported: int
    good: int
    alarmed: int
    defective: int
    escaped: int


def count(
    found: Sequence[Detections], photos: Sequence[Photo], thresholds: np.ndarray
) -> Counts:
    """Return the counts at given thresholds.

    Args:
        found: One for each photo, down to a low score.
        photos: With the ground truth.
        thresholds: ``[C]`` float32, one for each label.
    """
    kept = [detections.above(thresholds) for detections in found]
    pairs = list(zip(kept, photos, strict=True))
    good = [d for d, photo in pairs if photo.is_good]
    bad = [d for d, photo in pairs if not photo.is_good]
    return Counts(
        boxes=sum(len(photo.labels) for photo in photos),
        right=sum(int(right_ones(d, photo).sum()) for d, photo in pairs),
        reported=sum(len(d) for d in kept),
        good=len(good),
        alarmed=sum(len(d) > 0 for d in good),
        defective=len(bad),
        escaped=sum(len(d) == 0 for d in bad),
    )


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    Args:
        hits: How often.
        trials: Of how many; 0 gives the whole range.

    Source:
        Wilson 1927, score interval; recommended for small samples by Brown, Cai and
        DasGupta 2001.
    """
    if trials == 0:
        return 0.0, 1.0
    share, z2 = hits / trials, Z_95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    half = Z_95 * spread / (1 + z2 / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def measure(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    labels: Sequence[str],
    thresholds: Thresholds,
    split: str,
) -> Metrics:
    """Return all figures of one set of photos.

    Args:
        found: One for each photo, from ``predict_photos``.
        photos: With the ground truth.
        labels: Class names.
        thresholds: At which recall, precision, overkill and escapes are counted.
        split: Name of the set.
    """
    scores = np.array([thresholds.scores[label] for label in labels], np.float32)
    counts = count(found, photos, scores)
    return metrics_of(found, photos, len(labels), counts, split)


def metrics_of(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    label_count: int,
    c: Counts,
    split: str,
) -> Metrics:
    """Return all figures of one set of photos that was counted already.

    Args:
        found: One for each photo, from ``predict_photos``.
        photos: With the ground truth.
        label_count: Number of labels.
        c: What was found at the thresholds.
        split: Name of the set.
    """
    precisions = average_precisions(found, photos, label_count)
    coco = [precisions[threshold] for threshold in AP_IOUS[1:]]
    return Metrics(
        map_33=precisions[0.33],
        map_50=precisions[0.5],
        map_75=precisions[0.75],
        map_50_95=float(np.mean(coco)),
        recall=c.right / max(1, c.boxes),
        recall_interval=wilson(c.right, c.boxes),
        precision=c.right / max(1, c.reported),
        precision_interval=wilson(c.right, c.reported),
        overkill=c.alarmed / max(1, c.good),
        overkill_interval=wilson(c.alarmed, c.good),
        escapes=c.escaped / max(1, c.defective),
        escapes_interval=wilson(c.escaped, c.defective),
        images=len(photos),
        good_images=c.good,
        split=split,
    )
