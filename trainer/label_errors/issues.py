"""Finds labels that are probably wrong, with detectors not trained on the photo.

A detector that was trained on the other photos disagrees with a label. The disagreement
counts as much as such disagreements of this class are right elsewhere. Five kinds of
issues:

* missing box: a confident detection, and no label near it
* wrong class: a label, and in its place a confident detection of another class
* loose box: label and detection agree on class and place, but the edges are far apart
* spurious label: no detection at all where the label is
* duplicate label: the same box twice (found without the detector)

The confidence compares how common wrong labels are with how often the detector
disagrees as much with labels of this class anyway. A class that it often misses,
confuses or reports where nothing is labelled proves nothing; one on which it otherwise
never fails proves much.

Source:
    ObjectLab (Tkachenko, Thyagarajan, Mueller, arXiv:2309.00832): overlooked, swapped
    and badly located boxes from out-of-fold predictions. Confident learning (Northcutt,
    Jiang, Chuang, arXiv:1911.00068): each class is held to its own confidence.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.boxes import Boxes, FloatArray, area, best_overlaps, iou
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import true_positives
from trainer.label_errors.reliability import BORROWED, fit_reliability, tail

NEAR_IOU = 0.1  # below, two boxes are about two things
INSIDE_SHARE = 0.5  # a detection that lies half in a labelled box is about it
SAME_PLACE_IOU = 0.5  # COCO's usual "found"
TIGHT_IOU = 0.7  # above, people draw the edges differently too
DUPLICATE_IOU = 0.8
FAULTY_SHARE = 0.01  # of labels, one kind of fault; arXiv:2103.14749: 3.3 % in all
OVERLOOKED_SHARE = 0.03  # assumed: people overlook more often than they mistake,
INVENTED_SHARE = 0.005  # and rarely draw a box around nothing
LOWEST_CONFIDENCE = 0.05  # below, nineteen of twenty would be checked in vain
LIKELY_WRONG = 0.5
ENOUGH_PAIRS = 10  # of a class, to know how tight its boxes usually are


class LabelIssueKind(StrEnum):
    """Kinds of fault of a label."""

    MISSING = "missing-box"
    WRONG_CLASS = "wrong-class"
    LOOSE = "loose-box"
    SPURIOUS = "spurious-label"
    DUPLICATE = "duplicate-label"


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """One label, or one place without a label, that a person should check."""

    kind: LabelIssueKind
    photo: int  # index of the photo
    confidence: float  # how likely it is wrong, 0..1; the list is sorted by it
    label: int | None = None  # index into the photo's boxes; None for a missing box
    # index into the photo's detections; None where nothing is detected
    detection: int | None = None


@dataclass(frozen=True, slots=True)
class _Pair:
    """A label and the detection of its class that is about it; see ``LabelIssue``."""

    photo: int
    label: int
    detection: int
    overlap: float  # IoU


def find_label_issues(
    photos: Sequence[Photo], found: Sequence[Detections], label_count: int
) -> tuple[LabelIssue, ...]:
    """Return the labels that are probably wrong, highest confidence first.

    Args:
        found: One for each photo, down to a low score, from a detector that was not
            trained on it.

    Returns:
        At most one issue for each label and each detection.
    """
    if not photos:
        return ()
    right = [true_positives(d, photo) for d, photo in zip(found, photos, strict=True)]
    reliability = fit_reliability(
        np.concatenate([d.scores for d in found]),
        np.concatenate([d.labels for d in found]),
        np.concatenate(right),
        label_count,
    )
    trust = [reliability.precision(d.scores, d.labels) for d in found]
    issues = [
        *_missing(photos, found, trust),
        *_wrong_class(photos, found, trust, label_count),
        *_loose(photos, found, trust, label_count),
        *_spurious(photos, found, trust, label_count),
        *_duplicates(photos),
    ]
    issues.sort(key=lambda i: (-i.confidence, -_score(i, found), i.photo, i.kind))
    return tuple(_once(i for i in issues if i.confidence >= LOWEST_CONFIDENCE))


def count_likely_wrong(issues: Sequence[LabelIssue]) -> int:
    """Return how many labels are more likely wrong than right."""
    return sum(issue.confidence >= LIKELY_WRONG for issue in issues)


def _missing(
    photos: Sequence[Photo], found: Sequence[Detections], trust: Sequence[FloatArray]
) -> list[LabelIssue]:
    """Return detections far from every label, each place once."""
    issues = []
    for index, (photo, detections) in enumerate(zip(photos, found, strict=True)):
        near = _near(detections.boxes, photo.boxes)
        unlabelled = np.flatnonzero(~near.any(axis=1))
        boxes = detections.boxes[unlabelled]
        same_place = _near(boxes, boxes)
        for row, one in enumerate(unlabelled):
            if same_place[row, :row].any():  # a better detection named this place
                continue
            confidence = _wrong(1 - float(trust[index][one]), OVERLOOKED_SHARE)
            issues.append(
                LabelIssue(
                    LabelIssueKind.MISSING, index, confidence, detection=int(one)
                )
            )
    return issues


def _wrong_class(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    trust: Sequence[FloatArray],
    label_count: int,
) -> list[LabelIssue]:
    """Return labels in whose place another class is detected, where that is rare."""
    places, classes, disagreements = [], [], []
    for index, (photo, detections) in enumerate(zip(photos, found, strict=True)):
        there = iou(photo.boxes, detections.boxes) >= SAME_PLACE_IOU  # [G, N]
        for row, label in enumerate(photo.labels):
            same = detections.labels == label
            own = float(trust[index][there[row] & same].max(initial=0))
            others = np.where(there[row] & ~same, trust[index], 0)
            best = int(others.argmax()) if len(others) else 0
            places.append((index, row, best))
            classes.append(int(label))
            disagreements.append(float(others.max(initial=0)) * (1 - own))
    disagreement = np.array(disagreements, np.float32)
    shares = _share_at_most(-disagreement, np.array(classes, np.int64), label_count)
    return [
        LabelIssue(LabelIssueKind.WRONG_CLASS, index, amount * _wrong(share), row, best)
        for (index, row, best), amount, share in zip(
            places, disagreements, shares.tolist(), strict=True
        )
        if amount > 0
    ]


def _loose(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    trust: Sequence[FloatArray],
    label_count: int,
) -> list[LabelIssue]:
    """Return labels whose edges lie much farther off than usual for their class."""
    pairs: list[list[_Pair]] = [[] for _ in range(label_count)]
    for index, (photo, detections) in enumerate(zip(photos, found, strict=True)):
        credible = trust[index] >= LIKELY_WRONG
        for pair in _pairs(index, photo, detections, credible):
            pairs[int(photo.labels[pair.label])].append(pair)
    all_pairs = [pair for of_class in pairs for pair in of_class]
    issues = []
    for of_class in pairs:
        usual = of_class if len(of_class) >= ENOUGH_PAIRS else all_pairs
        distances = np.array([1 - pair.overlap for pair in of_class], np.float32)
        if len(distances) == 0:
            continue
        shares = tail([1 - pair.overlap for pair in usual], distances)
        for pair, share in zip(of_class, shares, strict=True):
            if pair.overlap >= TIGHT_IOU:
                continue
            confidence = float(trust[pair.photo][pair.detection]) * _wrong(float(share))
            issues.append(
                LabelIssue(
                    LabelIssueKind.LOOSE,
                    pair.photo,
                    confidence,
                    pair.label,
                    pair.detection,
                )
            )
    return issues


def _pairs(
    index: int, photo: Photo, detections: Detections, credible: np.ndarray
) -> list[_Pair]:
    """Return labels with the best credible detection of their class, each once.

    Detections in the same place go first, so that a neighbour does not take the label
    of another detection.
    """
    overlaps = iou(detections.boxes, photo.boxes)  # [N, G]
    free = np.ones(len(photo.labels), bool)
    left = [int(one) for one in np.flatnonzero(credible)]
    pairs = []
    for least in (SAME_PLACE_IOU, NEAR_IOU):
        unpaired = []
        for one in left:
            same = free & (photo.labels == detections.labels[one])
            close = np.where(same, overlaps[one], 0)
            best = int(close.argmax()) if len(close) else 0
            if len(close) == 0 or close[best] < least:
                unpaired.append(one)
                continue
            free[best] = False
            pairs.append(_Pair(index, best, one, float(close[best])))
        left = unpaired
    return pairs


def _spurious(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    trust: Sequence[FloatArray],
    label_count: int,
) -> list[LabelIssue]:
    """Return labels without a detection near, where their class is rarely missed."""
    places, classes, scores, doubts = [], [], [], []
    for index, (photo, detections) in enumerate(zip(photos, found, strict=True)):
        near = _near(photo.boxes, detections.boxes)  # [G, N]
        for row, label in enumerate(photo.labels):
            places.append((index, row))
            classes.append(int(label))
            scores.append(float(detections.scores[near[row]].max(initial=0)))
            doubts.append(1 - float(trust[index][near[row]].max(initial=0)))
    shares = _share_at_most(
        np.array(scores, np.float32), np.array(classes, np.int64), label_count
    )
    return [
        LabelIssue(
            LabelIssueKind.SPURIOUS,
            index,
            doubt * _wrong(float(share), INVENTED_SHARE),
            row,
        )
        for (index, row), doubt, share in zip(places, doubts, shares, strict=True)
    ]


def _share_at_most(
    scores: FloatArray, labels: np.ndarray, label_count: int
) -> FloatArray:
    """Return for each label the share of the others of its class that are no higher."""
    if len(scores) == 0:
        return scores
    alike = np.searchsorted(np.sort(scores), scores, side="right")  # itself included
    everywhere = alike / len(scores)
    result = np.zeros(len(scores), np.float32)
    for label in range(label_count):
        mine = labels == label
        ordered = np.sort(scores[mine])
        others = np.searchsorted(ordered, scores[mine], side="right") - 1
        borrowed = BORROWED * everywhere[mine]
        result[mine] = (others + borrowed) / (len(ordered) - 1 + BORROWED)
    return result


def _duplicates(photos: Sequence[Photo]) -> list[LabelIssue]:
    """Return labels that repeat an earlier one of the same class and place."""
    issues = []
    for index, photo in enumerate(photos):
        for row, label in enumerate(photo.labels):
            earlier = photo.boxes[:row][photo.labels[:row] == label]
            overlap = best_overlaps(photo.boxes[row : row + 1], earlier)[0]
            if overlap >= DUPLICATE_IOU:
                issues.append(
                    LabelIssue(LabelIssueKind.DUPLICATE, index, float(overlap), row)
                )
    return issues


def _near(a: Boxes, b: Boxes) -> np.ndarray:
    """Return which boxes are about the same thing, ``[N, M]`` bool.

    They overlap, or the smaller one lies mostly in the other.
    """
    top_left = np.maximum(a[:, None, :2], b[:, :2])  # [N, M, 2]
    bottom_right = np.minimum(a[:, None, 2:], b[:, 2:])
    common = (bottom_right - top_left).clip(0).prod(axis=2)  # [N, M] px^2
    smaller = np.minimum(area(a)[:, None], area(b)).clip(1e-6)
    near: np.ndarray = (iou(a, b) >= NEAR_IOU) | (common / smaller >= INSIDE_SHARE)
    return near


def _wrong(right_share: float, faulty_share: float = FAULTY_SHARE) -> float:
    """Return how likely a label is wrong where this share of right ones is alike."""
    return faulty_share / (faulty_share + right_share)


def _score(issue: LabelIssue, found: Sequence[Detections]) -> float:
    """Return the score of the detection, to order issues of equal confidence."""
    if issue.detection is None:
        return 0.0
    return float(found[issue.photo].scores[issue.detection])


def _once(issues: Iterable[LabelIssue]) -> Iterator[LabelIssue]:
    """Yield issues whose label and detection no earlier issue has named."""
    named: set[tuple[int, str, int]] = set()
    for issue in issues:
        keys = set()
        if issue.label is not None:
            keys.add((issue.photo, "label", issue.label))
        if issue.detection is not None:
            keys.add((issue.photo, "detection", issue.detection))
        if not keys & named:
            named |= keys
            yield issue
