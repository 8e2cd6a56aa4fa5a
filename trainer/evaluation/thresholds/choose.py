"""Chooses the score threshold of each class on validation photos.

* With ``ENOUGH_GOOD`` good parts: the highest recall at which at most
  ``OVERKILL_TARGET`` of them are alarmed.
* With fewer good parts: the best F1 of each class.
* ``--max-overkill`` or ``--max-escape``: the highest recall, or the fewest alarms,
  under that limit. The limit must also hold when cross-validated.

Thresholds fit the photos that they are chosen on better than any others, the more so
the fewer photos and the more classes: on the next good parts alarms are more frequent.
(For one class about one part in ``n + 1`` must be added: conformal risk control,
arXiv:2208.02814.) So every choice under a limit is cross-validated: errors are
counted on each fold at thresholds chosen on the others. The stored bound (``at_most``)
uses the worse of the two counts.

``search`` finds the thresholds under a limit in two ways: all classes together, which
detects most, or all classes moved by one shared number, which overfits the photos
least. Measured on made-up scores of 60 defective and 75 good parts: thresholds that
alarm on at most 2 % of these 75 alarm on 2.8 % of 600 new good parts with one class, on
5.1 % with three and on 6.7 % with six. With the shared shift it is 2.9 %, 3.1 % and
3.2 %, at a recall lower by 0, 6 and 10 points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray
from models.detections import Detections
from models.manifest import ThresholdRule, Thresholds
from models.postprocess import CROSS_CLASS_IOU, IOU_THRESHOLD
from trainer.data.dataset import Photo
from trainer.evaluation.intervals import trials_to_show, upper_bound
from trainer.evaluation.thresholds.limits import (
    ENOUGH_GOOD,
    OVERKILL_TARGET,
    ErrorLimit,
    allowed_errors,
)
from trainer.evaluation.thresholds.search import (
    DIGITS,
    CandidateCounts,
    Objective,
    ScoredImage,
    best_f1,
    by_kind,
    escape_candidates,
    firing_shifts,
    highest_scores,
    overkill_candidates,
    score_images,
    search,
    settled,
    shift_for_alarms,
    shift_for_escapes,
    shift_thresholds,
)

FOLDS = 5
# Number of shares tried under a requested limit, from no error to all that the limit
# allows: a stricter share on the validation photos may be needed to keep the limit on
# other photos.
STRICTNESSES = 4
# Weights that combine the terms of an objective into one integer with lexicographic
# order: one error beyond the limit outweighs any gain in the next term, and so on.
# Counts of boxes stay below a million, so nothing overflows.
EXCESS_WEIGHT, MAIN_WEIGHT, MINOR_WEIGHT = 10**14, 10**8, 10**5


@dataclass(frozen=True, slots=True)
class SelectionRule:
    """One way to choose thresholds under a limit."""

    rule: ThresholdRule  # `OVERKILL` or `ESCAPES`
    share: float  # good photos that may be alarmed, or defective ones that may escape
    # move all classes by one number instead of searching jointly
    shared_shift: bool = False


def choose_thresholds(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    labels: Sequence[str],
    split: str,
    limit: ErrorLimit | None = None,
) -> Thresholds:
    """Return the thresholds for validation photos.

    Args:
        found: One for each photo, from ``predict_photos``.
        limit: As requested; None = ``OVERKILL_TARGET``, or best F1 with few good parts.

    Raises:
        DatasetError: ``limit`` limits overkill, and there is no good part.
    """
    images = score_images(found, photos)
    good = sum(photo.is_good for photo in photos)
    selection: SelectionRule | None = None
    if limit:
        limit.check(photos)
        selection = _strict_enough(images, len(labels), limit)
    elif good >= ENOUGH_GOOD:
        limit = ErrorLimit(ThresholdRule.OVERKILL, OVERKILL_TARGET)
        share = allowed_errors(limit.share, good) / good
        selection = SelectionRule(limit.rule, share)
    if selection:
        scores = select_thresholds(images, len(labels), selection)
    else:
        scores = best_f1(images, len(labels))
    thresholds = Thresholds(
        scores={
            label: round(float(score), DIGITS)
            for label, score in zip(labels, scores, strict=True)
        },
        iou_threshold=IOU_THRESHOLD,
        cross_class_iou=CROSS_CLASS_IOU,
        rule=limit.rule if limit else ThresholdRule.BEST_F1,
        target=limit.share if limit else None,
        chosen_on=split,
        images=len(photos),
        good_images=good,
    )
    if not (limit and selection):
        return thresholds
    hits, total = _count_errors(images, scores, limit.rule)
    if not total:  # no photo of that kind: the share is not measured
        return thresholds
    crossed = _cross_validated_errors(images, len(labels), selection)
    return thresholds.model_copy(
        update={
            "reached": hits / total,
            "cross_checked": None if crossed is None else crossed / total,
            "at_most": upper_bound(max(hits, crossed or 0), total),
            "photos_to_show": trials_to_show(limit.share),
        }
    )


def select_thresholds(
    images: Sequence[ScoredImage], label_count: int, selection: SelectionRule
) -> FloatArray:
    """Return the thresholds that a rule selects, ``[C]``, rounded as stored."""
    f1_thresholds = best_f1(images, label_count)
    counted = _counted(images, selection.rule)
    allowed = round(selection.share * len(counted))
    is_overkill = selection.rule is ThresholdRule.OVERKILL
    if selection.shared_shift:
        shifts = firing_shifts(highest_scores(counted, label_count), f1_thresholds)
        find_shift = shift_for_alarms if is_overkill else shift_for_escapes
        moved = shift_thresholds(f1_thresholds, find_shift(shifts, allowed))
        result: FloatArray = np.round(moved, DIGITS).astype(np.float32)
        return result
    if is_overkill:
        candidates = overkill_candidates(images, label_count, allowed)
        indices = search(candidates, _most_found(allowed))
    else:
        candidates = escape_candidates(images, label_count)
        indices = search(candidates, _fewest_alarms(allowed))
    return settled(images, candidates, indices, f1_thresholds)


def _most_found(allowed: int) -> Objective:
    """Return the objective of most boxes found while few enough good parts alarm."""

    def objective(counts: CandidateCounts) -> IntArray:
        excess = np.maximum(0, counts.alarmed - allowed)
        gain = counts.true_positives * MAIN_WEIGHT - counts.escaped * MINOR_WEIGHT
        result: IntArray = gain - counts.false_positives - excess * EXCESS_WEIGHT
        return result

    return objective


def _fewest_alarms(allowed: int) -> Objective:
    """Return the objective of fewest alarms while few enough defective parts escape.

    Where nothing reaches the limit, as few as possible escape.
    """

    def objective(counts: CandidateCounts) -> IntArray:
        excess = np.maximum(0, counts.escaped - allowed)
        cost = excess * EXCESS_WEIGHT + counts.alarmed * MAIN_WEIGHT
        result: IntArray = counts.true_positives - counts.false_positives - cost
        return result

    return objective


def _strict_enough(
    images: Sequence[ScoredImage], label_count: int, limit: ErrorLimit
) -> SelectionRule:
    """Return the rule with the largest gain among those that keep the limit.

    Errors are cross-validated. If no rule keeps the limit, the one with the fewest
    errors is returned.
    """
    count = len(_counted(images, limit.rule))
    allowed = allowed_errors(limit.share, count)
    shares = np.unique(np.linspace(0, allowed, STRICTNESSES).round()) / max(1, count)
    rules = [
        SelectionRule(limit.rule, float(share), shared_shift=shared_shift)
        for share in shares
        for shared_shift in (True, False)
    ]
    best, best_key = rules[0], None
    for rule in rules:
        crossed = _cross_validated_errors(images, label_count, rule)
        if crossed is None:  # too few photos: no error allowed, and the shared shift
            return rules[0]
        key = (-max(0, crossed - allowed), _gain(images, label_count, rule), -crossed)
        if best_key is None or key > best_key:
            best, best_key = rule, key
    return best


def _gain(
    images: Sequence[ScoredImage], label_count: int, selection: SelectionRule
) -> float:
    """Return the gain that is maximized among the rules that keep their limit.

    It is the number of boxes found under a limit of overkill. Under a limit of escapes
    fewer alarms rank first, then fewer wrong detections.
    """
    scores = select_thresholds(images, label_count, selection)
    kept = [image.found.scores >= scores[image.found.labels] for image in images]
    pairs = zip(images, kept, strict=True)
    hits = sum(int((image.right & keep).sum()) for image, keep in pairs)
    if selection.rule is ThresholdRule.OVERKILL:
        return hits
    alarmed, _ = _count_errors(images, scores, ThresholdRule.OVERKILL)
    return 2 * hits - sum(int(keep.sum()) for keep in kept) - alarmed * MAIN_WEIGHT


def _counted(images: Sequence[ScoredImage], rule: ThresholdRule) -> list[ScoredImage]:
    """Return the photos that errors are counted on: good ones, or defective ones."""
    good, defective = by_kind(images)
    return good if rule is ThresholdRule.OVERKILL else defective


def _count_errors(
    images: Sequence[ScoredImage], scores: FloatArray, rule: ThresholdRule
) -> tuple[int, int]:
    """Return how many good parts alarm, or defective ones escape, and of how many."""
    counted = _counted(images, rule)
    fired = int((highest_scores(counted, len(scores)) >= scores).any(axis=1).sum())
    total = len(counted)
    return (fired if rule is ThresholdRule.OVERKILL else total - fired), total


def _cross_validated_errors(
    images: Sequence[ScoredImage], label_count: int, selection: SelectionRule
) -> int | None:
    """Return the errors counted on each fold, thresholds chosen on the others.

    Returns:
        None with fewer photos than folds, defective ones or those that errors are
        counted on.
    """
    kinds = by_kind(images)
    if min(len(_counted(images, selection.rule)), len(kinds[1])) < FOLDS:
        return None
    for kind in kinds:  # the order of the photos must not change the folds
        kind.sort(key=lambda image: image.photo.sha256)
    errors = 0
    for fold in range(FOLDS):
        held_out = [image for kind in kinds for image in kind[fold::FOLDS]]
        held_out_ids = {id(image) for image in held_out}
        rest = [image for image in images if id(image) not in held_out_ids]
        scores = select_thresholds(rest, label_count, selection)
        errors += _count_errors(held_out, scores, selection.rule)[0]
    return errors
