"""Average precision, recall, overkill and escapes of a detector on labelled photos.

Every detection comes from ``models.detector.detect``: the same letterbox, thresholds
and NMS as in the daemon. Average precision uses every candidate of every class; shares
are counted after ``DecisionRule``, on what the daemon reports.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.boxes import FloatArray, iou
from models.detections import Detections
from models.detector import Detector, detect, equal_thresholds
from models.manifest import Interval, Metrics, Thresholds
from models.postprocess import IOU_THRESHOLD, DecisionRule
from trainer.data.dataset import Photo, read_photo
from trainer.evaluation.intervals import auroc_of, wilson

LOWEST_SCORE = 0.01  # precision-recall curves start here
# DeepPCB's rule, arXiv:1902.06197: same class and IoU above 0.33. The factory asks
# whether a defect is found, not how tightly its box fits.
RIGHT_IOU = 0.33
AP_IOUS = (RIGHT_IOU, *(round(0.5 + 0.05 * i, 2) for i in range(10)))  # and COCO's ten
RECALL_POINTS = np.linspace(0, 1, 101)  # as pycocotools does


def predict_photos(
    detector: Detector,
    photos: Sequence[Photo],
    label_count: int,
    iou_threshold: float = IOU_THRESHOLD,
    on_photo: Callable[[], None] | None = None,
) -> list[Detections]:
    """Return one ``Detections`` for each photo, down to ``LOWEST_SCORE``.

    Args:
        photos: Read from disk one by one.
        iou_threshold: Two boxes of one class that overlap more are one (NMS).
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
) -> dict[float, float] | None:
    """Return the mean average precision at each IoU of ``AP_IOUS``.

    Returns:
        IoU to precision in 0..1; classes without a labelled box do not count, nor do
        photos of defective parts without boxes. None where no class has a box.

    Source:
        pycocotools' COCOeval: 101 recall points, at most 100 detections a photo.
    """
    known = [i for i, photo in enumerate(photos) if not photo.is_bad]
    found, photos = [found[i] for i in known], [photos[i] for i in known]
    if not any(len(photo.labels) for photo in photos):
        return None
    evaluation = COCOeval(*_as_coco(found, photos, label_count), "bbox")
    evaluation.params.iouThrs = np.array(AP_IOUS)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [T, 101, C]
    result = {}
    for index, threshold in enumerate(AP_IOUS):
        values = precision[index][precision[index] > -1]
        result[threshold] = float(values.mean())
    return result


def _as_coco(
    found: Sequence[Detections], photos: Sequence[Photo], label_count: int
) -> tuple[COCO, COCO]:
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
    x1, y1, x2, y2 = (float(value) for value in box)
    return {
        "image_id": image,
        "category_id": int(label) + 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
    }


def average_precision(recall: FloatArray, precision: FloatArray) -> float:
    """Return the mean precision at ``RECALL_POINTS``; 0 beyond the highest recall.

    pycocotools' figure for one class and one IoU, cheap enough for every resample.

    Args:
        recall: ``[N]`` ascending.
        precision: ``[N]`` from ``monotonous``.
    """
    position = np.searchsorted(recall, RECALL_POINTS)
    reached = position < len(recall)
    return float(precision[position[reached]].sum() / len(RECALL_POINTS))


def monotonous(precision: FloatArray) -> FloatArray:
    """Return the highest precision at each recall or above, ``[N]``."""
    envelope: FloatArray = np.maximum.accumulate(precision[::-1])[::-1]
    return envelope


def true_positives(
    detections: Detections, photo: Photo, least_iou: float = RIGHT_IOU
) -> np.ndarray:
    """Return which detections, best first, are right, ``[N]``; each box counts once."""
    right = np.zeros(len(detections), bool)
    free = np.ones(len(photo.labels), bool)
    overlaps = iou(detections.boxes, photo.boxes)  # [N, G]
    for i, label in enumerate(detections.labels):
        fitting = np.where(free & (photo.labels == label), overlaps[i], 0.0)
        if len(fitting) and fitting.max() >= least_iou:
            right[i] = True
            free[int(fitting.argmax())] = False
    return right


@dataclass(frozen=True, slots=True)
class Counts:
    """Detections and photos counted at given thresholds."""

    boxes: int
    true_positives: int  # labelled boxes found
    reported: int  # detections, not those on defective parts without boxes
    good: int
    alarmed: int  # good ones with a detection
    defective: int  # photos with labelled boxes, or of parts known as defective
    escaped: int  # defective ones without any detection


def count(
    found: Sequence[Detections], photos: Sequence[Photo], rule: DecisionRule
) -> Counts:
    """Return the counts that a rule decides.

    Args:
        found: One for each photo, down to a low score.
    """
    kept = [rule.decide(detections) for detections in found]
    pairs = list(zip(kept, photos, strict=True))
    good = [d for d, photo in pairs if photo.is_good]
    bad = [d for d, photo in pairs if not photo.is_good]
    return Counts(
        boxes=sum(len(photo.labels) for photo in photos),
        true_positives=sum(int(true_positives(d, p).sum()) for d, p in pairs),
        reported=sum(len(d) for d, photo in pairs if not photo.is_bad),
        good=len(good),
        alarmed=sum(len(d) > 0 for d in good),
        defective=len(bad),
        escaped=sum(len(d) == 0 for d in bad),
    )


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
        labels: Class names in the order of the scores.
        thresholds: Recall, precision, overkill and escapes are counted at these.
    """
    counts = count(found, photos, thresholds.decision_rule(labels))
    return metrics_of(found, photos, len(labels), counts, split)


def metrics_of(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    label_count: int,
    counts: Counts,
    split: str,
) -> Metrics:
    """Return all figures of one set of photos that was counted already.

    Args:
        found: One for each photo, from ``predict_photos``.
        counts: At the thresholds; from ``count``, or summed over folds.
    """
    precisions = average_precisions(found, photos, label_count)
    coco = [precisions[iou] for iou in AP_IOUS[1:]] if precisions else []
    recall, recall_interval = _share(counts.true_positives, counts.boxes)
    precision, precision_interval = _share(counts.true_positives, counts.reported)
    overkill, overkill_interval = _share(counts.alarmed, counts.good)
    escapes, escapes_interval = _share(counts.escaped, counts.defective)
    area = auroc_of(*best_scores(found, photos))
    return Metrics(
        map_33=precisions[RIGHT_IOU] if precisions else None,
        map_50=precisions[0.5] if precisions else None,
        map_75=precisions[0.75] if precisions else None,
        map_50_95=float(np.mean(coco)) if coco else None,
        recall=recall,
        recall_interval=recall_interval,
        precision=precision,
        precision_interval=precision_interval,
        overkill=overkill,
        overkill_interval=overkill_interval,
        escapes=escapes,
        escapes_interval=escapes_interval,
        auroc=area[0] if area else None,
        auroc_interval=area[1] if area else None,
        images=len(photos),
        good_images=counts.good,
        bad_images=sum(photo.is_bad for photo in photos),
        split=split,
    )


def best_scores(
    found: Sequence[Detections], photos: Sequence[Photo]
) -> tuple[list[float], list[float]]:
    """Return the best score of each good photo, then of each defective one."""
    best = [float(one.scores.max(initial=0)) for one in found]
    rows = list(zip(best, photos, strict=True))
    good = [score for score, photo in rows if photo.is_good]
    return good, [score for score, photo in rows if not photo.is_good]


def _share(hits: int, trials: int) -> tuple[float | None, Interval | None]:
    """Return a share and its interval; None where there is nothing to count."""
    if not trials:
        return None, None
    return hits / trials, wilson(hits, trials)
