"""Which labels are probably wrong, told by detectors that have not seen the photo.

A detector that was trained on the other photos disagrees with a label: who is right?
Its word counts as much as it was worth on this class elsewhere, and no more. Five
kinds of faults are told apart:

* missing box: something is surely seen, and nothing is labelled near it
* wrong class: a label, and in its place another class is surely seen
* loose box: the same is seen in the same place, but the edges are far apart
* spurious label: nothing at all is seen where the label is
* duplicate label: the same box twice (the detector is not asked)

How sure: how common wrong labels are, against how often the detector disagrees as much
with labels of this class anyway. A class that it often misses, confuses or sees where
nothing is labelled proves nothing; one that it otherwise never fails on proves much.

Source:
    ObjectLab (Tkachenko, Thyagarajan, Mueller, arXiv:2309.00832): overlooked, swapped
    and badly located boxes from out-of-fold predictions. Confident learning (Northcutt,
    Jiang, Chuang, arXiv:1911.00068): each class is held to its own confidence.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.boxes import Boxes, FloatArray, area, iou
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import right_ones
from trainer.label_errors.confidence import BORROWED, learn_confidence, tail

NEAR_IOU = 0.1  # below, two boxes are about two things
INSIDE_SHARE = 0.5  # a detection that lies half in a labelled box is about it
SAME_PLACE_IOU = 0.5  # COCO's usual "found"
TIGHT_IOU = 0.7  # above, the edges are a matter of taste
TWICE_IOU = 0.8  # two labels that are one
FAULTY_SHARE = 0.01  # of labels, one kind of fault; arXiv:2103.14749: 3.3 % in all
OVERLOOKED_SHARE = 0.03  # assumed: people overlook more often than they mistake,
INVENTED_SHARE = 0.005  # and seldom draw a box around nothing
LEAST_SURE = 0.05  # below, nineteen of twenty would be looked at in vain
MORE_LIKELY_WRONG = 0.5
ENOUGH_PAIRS = 10  # of a class, to know how tight its boxes usually are


class LabelIssueKind(StrEnum):
    """What may be wrong with a label."""

    MISSING = "missing-box"
    WRONG_CLASS = "wrong-class"
    LOOSE = "loose-box"
    SPURIOUS = "spurious-label"
    DUPLICATE = "duplicate-label"


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """One label, or one place without a label, to look at again.

    Attributes:
        kind: What may be wrong.
        photo: Index of the photo.
        sure: How likely it is wrong, 0..1; the list is sorted by it.
        labelled: Index into the photo's boxes; None for a missing box.
        seen: Index into the photo's detections; None where nothing is seen.
    """

    kind: LabelIssueKind
    photo: int
    sure: float
    labelled: int | None = None
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class _Pair:
    """A label and the detection of its class that is about it.

    Attributes:
        photo: Index of the photo.
        labelled: Index into the photo's boxes.
        seen: Index into the photo's detections.
        overlap: IoU of the two.
    """

    photo: int
    labelled: int
    seen: int
    overlap: float


def find_suspects(
    photos: Sequence[Photo], found: Sequence[Detections], label_count: int
) -> tuple[LabelIssue, ...]:
    """Return the labels that are probably wrong, the surest first.

    Args:
        photos: With the labels in question.
        found: One for each photo, down to a low score, from a detector that was not
            trained on it.
        label_count: Number of classes.

    Returns:
        At most one suspect for each label and each detection.
    """
    if not photos:
        return ()
    right = [right_ones(d, photo) for d, photo in zip(found, photos, strict=True)]
    trust = learn_confidence(
        np.concatenate([d.scores for d in found]),
        np.concatenate([d.labels for d in found]),
        np.concatenate(right),
        label_count,
    )
    sure = [trust.of(d.scores, d.labels) for d in found]
    suspects = [
        *_missing(photos, found, sure),
        *_wrong_class(photos, found, sure, label_count),
        *_loose(photos, found, sure, label_count),
        *_spurious(photos, found, sure, label_count),
        *_duplicates(photos),
    ]
    suspects.sort(key=lambda s: (-s.sure, -_score(s, found), s.photo, s.kind))
    return tuple(_once(s for s in suspects if s.sure >= LEAST_SURE))


def likely_wrong(suspects: Sequence[LabelIssue]) -> int:
    """Return how many suspects are more likely wrong than right.

    Args:
        suspects: From ``find_suspects``.
    """
    return sum(suspect.sure >= MORE_LIKELY_WRONG for suspect in suspects)


def _missing(
    photos: Sequence[Photo], found: Sequence[Detections], sure: Sequence[FloatArray]
) -> list[LabelIssue]:
    """Return what is seen far from every label, each place once."""
    suspects = []
    for index, (photo, seen) in enumerate(zip(photos, found, strict=True)):
        alone = np.flatnonzero(~_near(seen.boxes, photo.boxes).any(axis=1))
        close = _near(seen.boxes[alone], seen.boxes[alone])
        for row, one in enumerate(alone):
            if not close[row, :row].any():  # detections come best first
                suspects.append(
                    LabelIssue(
                        LabelIssueKind.MISSING,
                        index,
                        _odds(1 - float(sure[index][one]), OVERLOOKED_SHARE),
                        seen=int(one),
                    )
                )
    return suspects


def _wrong_class(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    sure: Sequence[FloatArray],
    label_count: int,
) -> list[LabelIssue]:
    """Return labels in whose place another class is seen, where that is rare."""
    places, classes, disagree = [], [], []
    for index, (photo, seen) in enumerate(zip(photos, found, strict=True)):
        there = iou(photo.boxes, seen.boxes) >= SAME_PLACE_IOU  # [G, N]
        for labelled, label in enumerate(photo.labels):
            same = seen.labels == label
            own = float(sure[index][there[labelled] & same].max(initial=0))
            others = np.where(there[labelled] & ~same, sure[index], 0)
            best = int(others.argmax()) if len(others) else 0
            places.append((index, labelled, best))
            classes.append(int(label))
            disagree.append(float(others.max(initial=0)) * (1 - own))
    much, label_of = np.array(disagree, np.float32), np.array(classes, np.int64)
    as_much = _share_at_most(-much, label_of, label_count)
    return [
        LabelIssue(
            LabelIssueKind.WRONG_CLASS, index, amount * _odds(share), labelled, best
        )
        for (index, labelled, best), amount, share in zip(
            places, disagree, as_much.tolist(), strict=True
        )
        if amount > 0
    ]


def _loose(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    sure: Sequence[FloatArray],
    label_count: int,
) -> list[LabelIssue]:
    """Return labels whose edges lie much farther off than usual for their class."""
    pairs: list[list[_Pair]] = [[] for _ in range(label_count)]
    for index, (photo, seen) in enumerate(zip(photos, found, strict=True)):
        for pair in _pairs(index, photo, seen, sure[index] >= MORE_LIKELY_WRONG):
            pairs[int(photo.labels[pair.labelled])].append(pair)
    everything = [pair for mine in pairs for pair in mine]
    suspects = []
    for mine in pairs:
        usual = mine if len(mine) >= ENOUGH_PAIRS else everything
        off = np.array([1 - pair.overlap for pair in mine], np.float32)
        if len(off) == 0:
            continue
        rare = tail([1 - pair.overlap for pair in usual], off)
        for pair, share in zip(mine, rare, strict=True):
            if pair.overlap < TIGHT_IOU:
                likely = float(sure[pair.photo][pair.seen]) * _odds(float(share))
                suspects.append(
                    LabelIssue(
                        LabelIssueKind.LOOSE,
                        pair.photo,
                        likely,
                        pair.labelled,
                        pair.seen,
                    )
                )
    return suspects


def _pairs(
    index: int, photo: Photo, seen: Detections, credible: np.ndarray
) -> list[_Pair]:
    """Return labels with the surest credible detection of their class, each once.

    What lies in the same place goes first, so that a neighbour takes nobody's label.
    """
    overlaps = iou(seen.boxes, photo.boxes)  # [N, G]
    free = np.ones(len(photo.labels), bool)
    left = [int(one) for one in np.flatnonzero(credible)]
    pairs = []
    for least in (SAME_PLACE_IOU, NEAR_IOU):
        alone = []
        for one in left:
            same = free & (photo.labels == seen.labels[one])
            close = np.where(same, overlaps[one], 0)
            best = int(close.argmax()) if len(close) else 0
            if len(close) == 0 or close[best] < least:
                alone.append(one)
                continue
            free[best] = False
            pairs.append(_Pair(index, best, one, float(close[best])))
        left = alone
    return pairs


def _spurious(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    sure: Sequence[FloatArray],
    label_count: int,
) -> list[LabelIssue]:
    """Return labels near which nothing is seen, where their class seldom is missed."""
    places, classes, scores, doubts = [], [], [], []
    for index, (photo, seen) in enumerate(zip(photos, found, strict=True)):
        near = _near(photo.boxes, seen.boxes)  # [G, N]
        for labelled, label in enumerate(photo.labels):
            places.append((index, labelled))
            classes.append(int(label))
            scores.append(float(seen.scores[near[labelled]].max(initial=0)))
            doubts.append(1 - float(sure[index][near[labelled]].max(initial=0)))
    score, label_of = np.array(scores, np.float32), np.array(classes, np.int64)
    missed = _share_at_most(score, label_of, label_count)
    return [
        LabelIssue(
            LabelIssueKind.SPURIOUS,
            index,
            doubt * _odds(float(share), INVENTED_SHARE),
            labelled,
        )
        for (index, labelled), doubt, share in zip(places, doubts, missed, strict=True)
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
    """Return labels that an earlier one of the same class and place makes needless."""
    suspects = []
    for index, photo in enumerate(photos):
        alike = photo.labels[:, None] == photo.labels
        overlaps = np.tril(np.where(alike, iou(photo.boxes, photo.boxes), 0), -1)
        for labelled, overlap in enumerate(overlaps.max(axis=1, initial=0)):
            if overlap >= TWICE_IOU:
                suspects.append(
                    LabelIssue(
                        LabelIssueKind.DUPLICATE, index, float(overlap), labelled
                    )
                )
    return suspects


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


def _odds(share: float, faulty: float = FAULTY_SHARE) -> float:
    """Return how likely a label is wrong where so many right ones look the same."""
    return faulty / (faulty + share)


def _score(suspect: LabelIssue, found: Sequence[Detections]) -> float:
    """Return the score of what is seen, to order what is equally sure."""
    if suspect.seen is None:
        return 0.0
    return float(found[suspect.photo].scores[suspect.seen])


def _once(suspects: Iterable[LabelIssue]) -> Iterator[LabelIssue]:
    """Yield suspects whose label and detection no surer one has named already."""
    named: set[tuple[int, str, int]] = set()
    for suspect in suspects:
        keys = set()
        if suspect.labelled is not None:
            keys.add((suspect.photo, "labelled", suspect.labelled))
        if suspect.seen is not None:
            keys.add((suspect.photo, "seen", suspect.seen))
        if not keys & named:
            named |= keys
            yield suspect
