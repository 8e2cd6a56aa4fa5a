"""Chooses one score threshold for all classes on held-out photos.

* Under a limit of overkill (``OVERKILL_TARGET`` where none is requested): just above
  the score that the order statistics of the good parts require, then up to halfway to
  the lowest right detection above it.
* Under a limit of escapes: the highest score that the order statistics of the defective
  parts allow, then down to halfway to the highest wrong detection below it.
* With fewer than ``LEAST_GOOD`` good parts and no requested limit: the best F1.

The move into the gap changes no decision on the held-out photos and can only lower the
limited share on new ones; a score that another arithmetic changes slightly stays on its
side. With 9 or more good parts recall on new parts falls by half a point and overkill
by up to a third of it (bench/results/thresholds.json).

One threshold for each class is not chosen: with six classes the best combination for 75
good parts alarms on four times the share that it was chosen for
(docs/adr/0016-one-threshold-with-a-promise.md).
"""

from collections.abc import Sequence

import numpy as np

from models.detections import Detections
from models.manifest import Promise, PromiseBasis, ThresholdRule, Thresholds
from models.postprocess import CROSS_CLASS_IOU, IOU_THRESHOLD
from trainer.data.dataset import Photo
from trainer.evaluation.intervals import trials_to_show, upper_bound
from trainer.evaluation.thresholds.limits import (
    LEAST_GOOD,
    OVERKILL_TARGET,
    ErrorLimit,
)
from trainer.evaluation.thresholds.order_statistics import (
    DIGITS,
    at_most,
    just_above,
    promised_share,
    promised_unseen,
    rank_of,
    score_at,
    score_of_groups,
)
from trainer.evaluation.thresholds.parts import NO_ORIGINS, CountedParts, PhotoOrigins
from trainer.evaluation.thresholds.scored import ScoredImage, by_kind, score_images

LOWEST_THRESHOLD = 0.1  # lower scores mean nothing; also keeps NMS cheap on the line
NEVER = 1.0
UNSEEN_THRESHOLD = 0.5  # without any true positive: nothing to choose from


def choose_thresholds(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    labels: Sequence[str],
    split: str,
    limit: ErrorLimit | None = None,
    *,
    origins: PhotoOrigins = NO_ORIGINS,
    basis: PromiseBasis = PromiseBasis.HELD_OUT,
    unknown_label: str | None = None,
) -> Thresholds:
    """Return the thresholds for photos that nothing else was chosen on.

    Args:
        found: One for each photo, from ``predict_photos``.
        limit: As requested; None = ``OVERKILL_TARGET``, or best F1 with few good parts.
        origins: Which photos show one part, and their groups.
        basis: Which detectors the detections are of.
        unknown_label: The one of ``labels`` that names no defect; None = all do.

    Raises:
        DatasetError: ``limit`` limits overkill, and there is no good part.
    """
    images = score_images(found, photos)
    kinds = by_kind(images)
    if limit:
        limit.check(photos)
    elif len(CountedParts.of(kinds[0], origins).scores) >= LEAST_GOOD:
        limit = ErrorLimit(ThresholdRule.OVERKILL, OVERKILL_TARGET)
    counted = kinds[limit is not None and limit.rule is ThresholdRule.ESCAPES]
    parts = CountedParts.of(counted, origins)
    is_limited = limit is not None and len(parts.scores) > 0
    score = limited(images, parts, limit) if limit and is_limited else best_f1(images)
    thresholds = Thresholds(
        scores=dict.fromkeys(labels, score),
        iou_threshold=IOU_THRESHOLD,
        cross_class_iou=CROSS_CLASS_IOU,
        unknown_label=unknown_label,
        rule=limit.rule if limit else ThresholdRule.BEST_F1,
        target=limit.share if limit else None,
        chosen_on=split,
        images=len(photos),
        good_images=len(kinds[0]),
    )
    if not (limit and is_limited):
        return thresholds
    return thresholds.model_copy(update=_claims(parts, score, limit, basis))


def limited(
    images: Sequence[ScoredImage], parts: CountedParts, limit: ErrorLimit
) -> float:
    """Return the threshold that keeps a limit, as it is stored.

    Args:
        parts: Good ones, or defective ones; at least one.
        limit: Overkill or escapes.
    """
    right = np.concatenate([image.found.scores[image.right] for image in images])
    wrong = np.concatenate([image.found.scores[~image.right] for image in images])
    if limit.rule is ThresholdRule.OVERKILL:
        least = _clipped(just_above(max(0.0, _required(parts.scores, parts, limit))))
        above = right[right >= np.float32(least)]
        return _raised(least, float(above.min())) if len(above) else least
    most = _clipped(at_most(min(1.0, -_required(-parts.scores, parts, limit))))
    below = wrong[wrong < np.float32(most)]
    return _lowered(most, float(below.max())) if len(below) else most


def best_f1(images: Sequence[ScoredImage]) -> float:
    """Return the threshold of the best F1 over all classes, as it is stored.

    Returns:
        ``UNSEEN_THRESHOLD`` without a labelled box or a detection.
    """
    scores = np.concatenate([image.found.scores for image in images])
    right = np.concatenate([image.right for image in images])
    boxes = sum(len(image.photo.labels) for image in images)
    if len(scores) == 0 or boxes == 0:
        return UNSEEN_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    f1 = 2 * right[order].cumsum() / (np.arange(1, len(order) + 1) + boxes)
    last = int(f1.argmax())
    following = float(descending[last + 1]) if last + 1 < len(descending) else 0.0
    return _lowered(_clipped(at_most(float(descending[last]))), following)


def _required(scores: np.ndarray, parts: CountedParts, limit: ErrorLimit) -> float:
    """Return the score that the parts, and the groups if known, must not exceed.

    Args:
        scores: ``[N]`` of the parts; negated where low scores are the errors.
    """
    required = score_at(rank_of(limit.share, len(scores)), scores)
    if parts.groups is None:
        return required
    return max(required, score_of_groups(limit.share, scores, parts.groups))


def _claims(
    parts: CountedParts, score: float, limit: ErrorLimit, basis: PromiseBasis
) -> dict[str, object]:
    """Return the fields that state what a threshold does, and what it promises."""
    total = len(parts.scores)
    fires = parts.scores.astype(np.float32) >= np.float32(score)
    is_overkill = limit.rule is ThresholdRule.OVERKILL
    hits = int((fires if is_overkill else ~fires).sum())
    rank = rank_of(limit.share, total)
    # A threshold may be raised into the gap: then fewer parts fire than its rank says,
    # and the rank counts.
    claims: dict[str, object] = {
        "reached": hits / total,
        "photos_to_show": trials_to_show(limit.share),
    }
    if basis is PromiseBasis.HELD_OUT:  # of several detectors nothing exact is known
        claims["at_most"] = upper_bound(max(hits, rank - 1), total)
    if hits >= rank:  # beyond the lowest or highest threshold: no one keeps the limit
        return claims
    groups = len(set(parts.groups)) if parts.groups else None
    promise = Promise(
        share=promised_share(rank, total),
        parts=total,
        basis=basis,
        groups=groups,
        unseen_group=promised_unseen(limit.share, groups) if groups else None,
    )
    return claims | {"promise": promise}


def _raised(threshold: float, reached: float) -> float:
    """Return a threshold halfway up to a score that still reaches it."""
    middle = round((threshold + reached) / 2, DIGITS)
    return max(threshold, min(middle, at_most(reached)))


def _lowered(threshold: float, passed: float) -> float:
    """Return a threshold halfway down to a score that still does not reach it."""
    middle = round((threshold + passed) / 2, DIGITS)
    return _clipped(min(threshold, max(middle, just_above(passed))))


def _clipped(threshold: float) -> float:
    return round(min(NEVER, max(LOWEST_THRESHOLD, threshold)), DIGITS)
