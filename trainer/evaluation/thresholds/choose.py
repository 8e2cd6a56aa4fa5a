"""From what score on a detection counts: chosen on validation data, for each class.

With enough good parts the rule is the factory's: the highest recall at which at most
two good parts of a hundred are alarmed. With fewer, nothing can be said of good parts,
and each class gets its best F1. ``--max-overkill`` and ``--max-escape`` set another
limit, and ask for more: the limit must also hold on photos that had no say.

Thresholds fit the photos that chose them better than any others, the more so the fewer
photos and the more classes: on the next good parts alarms are more frequent. (For one
class about one part in ``n + 1`` is to be added: conformal risk control,
arXiv:2208.02814.) So every choice under a limit is cross-checked, and what is promised
(``at_most``) rests on the worse of the two counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.detections import Detections
from models.errors import DatasetError
from models.manifest import ThresholdRule, Thresholds
from models.postprocess import IOU_THRESHOLD
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import right_ones
from trainer.evaluation.thresholds.bounds import trials_to_show, upper_bound
from trainer.evaluation.thresholds.candidates import ScoredImage
from trainer.evaluation.thresholds.cross_validation import (
    SelectionRule,
    allowed_of,
    cautious,
    chosen,
    cross_checked,
    errors,
)
from trainer.evaluation.thresholds.shift import best_f1

OVERKILL_TARGET = 0.02
ENOUGH_GOOD = 30  # fewer good parts cannot show a share of 2 %


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """What must not happen more often than said.

    Attributes:
        rule: ``OVERKILL`` or ``ESCAPES``.
        share: Of good parts alarmed, or of defective parts escaped; above 0.
    """

    rule: ThresholdRule
    share: float

    def check(self, photos: Sequence[Photo]) -> None:
        """Refuse before a training what cannot be counted after it.

        Args:
            photos: To measure on.

        Raises:
            DatasetError: The rule needs good parts, and there is none.
        """
        if self.rule is ThresholdRule.OVERKILL and not any(p.is_good for p in photos):
            raise DatasetError(
                f"--max-overkill {self.share:.2%}: no good part to count alarms on.",
                why=f"None of the {len(photos)} photos to measure on is of a good "
                "part.",
                fix="Put photos of good parts into the folder good/ of the dataset.",
            )


def choose_thresholds(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    labels: Sequence[str],
    split: str,
    limit: ErrorLimit | None = None,
) -> Thresholds:
    """Return the thresholds for validation data.

    Args:
        found: One for each photo, from ``predict_photos``.
        photos: Validation photos with the ground truth.
        labels: Class names.
        split: Name of the set.
        limit: What was asked for; None = overkill of 2 %, or best F1.

    Raises:
        DatasetError: Overkill is to be limited, and there is no good part.
    """
    seen = [
        ScoredImage(d, photo, right_ones(d, photo))
        for d, photo in zip(found, photos, strict=True)
    ]
    good = sum(photo.is_good for photo in photos)
    choice: SelectionRule | None = None
    if limit:
        limit.check(photos)
        choice = cautious(seen, len(labels), limit.rule, limit.share)
    elif good >= ENOUGH_GOOD:
        limit = ErrorLimit(ThresholdRule.OVERKILL, OVERKILL_TARGET)
        share = allowed_of(limit.share, good) / good
        choice = SelectionRule(limit.rule, share)
    if limit and choice:
        scores = chosen(seen, len(labels), choice)
    else:
        scores = best_f1(seen, len(labels))
    thresholds = Thresholds(
        scores={
            label: round(float(score), 4)
            for label, score in zip(labels, scores, strict=True)
        },
        iou_threshold=IOU_THRESHOLD,
        rule=limit.rule if limit else ThresholdRule.BEST_F1,
        target=limit.share if limit else None,
        chosen_on=split,
        images=len(photos),
        good_images=good,
    )
    if not (limit and choice):
        return thresholds
    hits, total = errors(seen, scores, limit.rule)
    crossed = cross_checked(seen, len(labels), choice)
    return thresholds.model_copy(
        update={
            "reached": hits / max(1, total),
            "cross_checked": None if crossed is None else crossed / max(1, total),
            "at_most": upper_bound(max(hits, crossed or 0), total),
            "photos_to_show": trials_to_show(limit.share),
        }
    )
