"""The accuracy gate: what a variant may lose against the trained network.

It compares averages (mAP; recall, overkill and escapes at the chosen thresholds) and
single photos: a part whose defects are all lost is named, because an average hides it.

Thresholds are optimistic on the photos that they were chosen on: just above the score
of one good part, they let that part pass. Any other arithmetic changes the scores
slightly and loses that optimism. So the share that the thresholds limit may rise to the
promised one, or in a run of an earlier version to its cross-checked value.

The drop in mAP of few photos is uncertain: with other photos it would differ. A drop
within its 95 % noise may be none at all, so it is allowed, up to ``LARGEST_NOISE``.
Measured on 150 boxes: a standard error of 0.4 points at IoU 0.5, and 3.7 at IoU 0.75,
where small shifts of boxes decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.counted import agreeing, counted
from models.detections import Detections
from models.manifest import Metrics, ThresholdRule, Thresholds
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.bootstrap import drop_error
from trainer.evaluation.metrics import true_positives

# Both limits are shares of every figure. An INT8 variant beyond its limit is left out
# of the package (ADR 0004); a float32 variant beyond its limit stops the packing.
LARGEST_INT8_DROP = 0.005
LARGEST_FLOAT32_DROP = 0.005
# Drops in mAP up to so many standard errors may be chance: one-sided, 95 %.
NOISE_ERRORS = 1.645
# With a handful of photos nearly every drop is within the noise: more is refused.
LARGEST_NOISE = {0.5: 0.02, 0.75: 0.05}  # by IoU, shares of mAP
ROUNDING = 1e-9  # error of shares that are calculated from counts
NAMED_PHOTOS = 3  # lost photos that one message names


@dataclass(frozen=True, slots=True)
class AccuracyDrops:
    """What a variant loses against the trained network; below 0 = it gains."""

    map_50: float  # drop in mAP@.5, absolute
    map_75: float  # drop in mAP@.75, absolute
    recall: float  # drop in the share of boxes found at the thresholds
    overkill: float  # rise in the share of good photos that are alarmed
    escapes: float  # rise in the share of defective photos without a detection
    # names of the defective photos on which the trained network has a true positive and
    # the variant has no detection
    lost: tuple[str, ...]
    box_step: float  # share of one labelled box
    good_step: float  # share of one good photo
    defective_step: float  # share of one defective photo
    # by how much overkill rises on photos that the thresholds were not chosen on
    # (promised, or cross-checked); 0 = unknown
    overkill_optimism: float = 0.0
    escapes_optimism: float = 0.0  # the same for escapes
    map_50_error: float = 0.0  # standard error of the drop in mAP@.5
    map_75_error: float = 0.0  # the same of mAP@.75

    def faults(self, limit: float) -> list[str]:
        """Return one phrase for each figure that loses more than the limit, a share."""
        # figure: drop, smallest step that can be measured, optimism of the thresholds
        shares = {
            "mAP@.5 loses": (self.map_50, self._noise(0.5), 0.0),
            "mAP@.75 loses": (self.map_75, self._noise(0.75), 0.0),
            "recall loses": (self.recall, self.box_step, 0.0),
            "overkill rises by": (
                self.overkill,
                self.good_step,
                self.overkill_optimism,
            ),
            "escapes rise by": (
                self.escapes,
                self.defective_step,
                self.escapes_optimism,
            ),
        }
        # A share of few photos moves in large steps: one box or photo is always
        # allowed, and of mAP what may be chance.
        faults = [
            f"{name} {100 * drop:.1f} points"
            for name, (drop, step, optimism) in shares.items()
            if drop > optimism + max(limit, step) + ROUNDING
        ]
        if len(self.lost) > max(1, limit / self.defective_step):
            verb = agreeing(len(self.lost), "escapes", "escape")
            parts = counted(len(self.lost), "part")
            faults.append(f"{parts} {verb} ({_named(self.lost)})")
        return faults

    def refusal(self, limit: float) -> str:
        """Return one sentence on what exceeds the limit, or an empty string."""
        faults = self.faults(limit)
        if not faults:
            return ""
        allowed = f"{100 * limit} points, or one box or photo, are allowed."
        noise = " and ".join(
            f"{100 * self._noise(iou):.1f} of mAP@{iou:.3g}".replace("@0", "@")
            for iou in LARGEST_NOISE
            if self._noise(iou) > limit
        )
        if noise:
            allowed = (
                f"{100 * limit} points, one box or photo, or what may be chance "
                f"({noise}), are allowed."
            )
        return f"{', '.join(faults)}; {allowed}"

    def worst_drop(self) -> float:
        """Return the largest drop of mAP or recall, to compare attempts by."""
        return max(self.map_50, self.map_75, self.recall - self.box_step)

    def _noise(self, iou: float) -> float:
        """Return the largest drop in mAP at an IoU that may be chance, a share."""
        error = {0.5: self.map_50_error, 0.75: self.map_75_error}[iou]
        return min(NOISE_ERRORS * error, LARGEST_NOISE[iou])


def measure_drops(
    trained: Metrics,
    metrics: Metrics,
    *,
    photos: Sequence[Photo],
    expected: Sequence[Detections],
    found: Sequence[Detections],
    labels: Sequence[str],
    thresholds: Thresholds,
) -> AccuracyDrops:
    """Return what a variant loses.

    Args:
        photos: Validation photos that both were measured on.
        expected: Detections of the model in float32, one for each photo.
        found: Detections of the variant, one for each photo.
        thresholds: The scores, and how far their limited share is optimistic.
    """
    promised = thresholds.promise.share if thresholds.promise else 0.0
    expected_share = max(promised, thresholds.cross_checked or 0)
    optimism = max(0.0, expected_share - (thresholds.reached or 0))
    limits_escapes = thresholds.rule is ThresholdRule.ESCAPES
    defective = sum(not photo.is_good for photo in photos)
    boxes = sum(len(photo.labels) for photo in photos)
    return AccuracyDrops(
        map_50=_drop(trained.map_50, metrics.map_50),
        map_75=_drop(trained.map_75, metrics.map_75),
        recall=_drop(trained.recall, metrics.recall),
        overkill=-_drop(trained.overkill, metrics.overkill),
        escapes=-_drop(trained.escapes, metrics.escapes),
        lost=lost_photos(photos, expected, found, thresholds.decision_rule(labels)),
        box_step=1 / max(1, boxes),
        good_step=1 / max(1, len(photos) - defective),
        defective_step=1 / max(1, defective),
        overkill_optimism=0.0 if limits_escapes else optimism,
        escapes_optimism=optimism if limits_escapes else 0.0,
        map_50_error=drop_error(expected, found, photos, len(labels), 0.5),
        map_75_error=drop_error(expected, found, photos, len(labels), 0.75),
    )


def _drop(before: float | None, after: float | None) -> float:
    """Return how much a share falls; 0 where it was not measured."""
    return 0.0 if before is None or after is None else before - after


def lost_photos(
    photos: Sequence[Photo],
    expected: Sequence[Detections],
    found: Sequence[Detections],
    rule: DecisionRule,
) -> tuple[str, ...]:
    """Return the names of photos that have a true positive before and nothing after.

    Both at the thresholds.
    """
    return tuple(
        photo.path.name
        for photo, before, after in zip(photos, expected, found, strict=True)
        if true_positives(rule.decide(before), photo).any()
        and not len(rule.decide(after))
    )


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED_PHOTOS
    return ", ".join(names[:NAMED_PHOTOS]) + (f" and {more} more" if more > 0 else "")
