"""The accuracy gate: what a variant may lose against the trained network.

On average, in the field's terms (mAP) and in the factory's (recall, overkill and
escapes at the chosen thresholds), and photo by photo: a part whose defects are all
lost is named, because an average hides it. A share of few photos moves in large
steps, so one box or one photo is always allowed: below that nothing is measured.

Thresholds fit the photos that chose them: 1 of 75 good boards alarmed was 6 where the
thresholds were chosen without them. Any other arithmetic moves scores a little and
falls back to the honest figure. So the limited share may rise to its cross-checked
value: that is not lost by the variant, it was never there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray
from models.detections import Detections
from models.manifest import Metrics, ThresholdRule, Thresholds
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import true_positives

LARGEST_DROP = 0.005  # half a point, of every figure
ROUNDING = 1e-9  # of shares that are calculated from counts
NAMED = 3  # lost photos in one sentence


@dataclass(frozen=True, slots=True)
class AccuracyDrops:
    """What a variant loses against the trained network; below 0 = it gains.

    Attributes:
        map_50: Of mAP@.5, absolute.
        map_75: Of mAP@.75, absolute.
        recall: Of the share of boxes found at the thresholds.
        overkill: How much more good photos are alarmed, as a share.
        escapes: How much more defective photos have no detection, as a share.
        lost: Names of the defective photos on which a right detection is expected
            and nothing at all is left.
        box_step: Share of one labelled box.
        good_step: Share of one good photo.
        defective_step: Share of one defective photo.
        flattered_overkill: By how much overkill is higher on photos that had no say
            in the thresholds, as cross-checked; 0 = unknown.
        flattered_escapes: The same of escapes.
    """

    map_50: float
    map_75: float
    recall: float
    overkill: float
    escapes: float
    lost: tuple[str, ...]
    box_step: float
    good_step: float
    defective_step: float
    flattered_overkill: float = 0.0
    flattered_escapes: float = 0.0

    def faults(self) -> list[str]:
        """Return what was lost beyond what is allowed, a few words for each."""
        shares = {
            "mAP@.5 loses": (self.map_50, 0.0, 0.0),
            "mAP@.75 loses": (self.map_75, 0.0, 0.0),
            "recall loses": (self.recall, self.box_step, 0.0),
            "overkill rises by": (
                self.overkill,
                self.good_step,
                self.flattered_overkill,
            ),
            "escapes rise by": (
                self.escapes,
                self.defective_step,
                self.flattered_escapes,
            ),
        }
        told = [
            f"{name} {100 * drop:.1f} points"
            for name, (drop, step, flattered) in shares.items()
            if drop > flattered + max(LARGEST_DROP, step) + ROUNDING
        ]
        if len(self.lost) > max(1, LARGEST_DROP / self.defective_step):
            told.append(f"{len(self.lost)} parts escape ({_named(self.lost)})")
        return told

    def refusal(self) -> str:
        """Return one sentence on what was lost if it is too much, else nothing."""
        faults = self.faults()
        if not faults:
            return ""
        allowed = f"{100 * LARGEST_DROP} points, or one box or photo, are allowed."
        return f"{', '.join(faults)}; {allowed}"

    def excess(self) -> float:
        """Return by how much the worst mAP or recall exceeds what is allowed."""
        return max(self.map_50, self.map_75, self.recall - self.box_step)


def measure_drops(
    torch: Metrics,
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
        torch: Figures of the trained network.
        metrics: Figures of the variant.
        photos: Validation photos, which both were measured on.
        expected: What the model finds in float32, one for each photo.
        found: What the variant finds.
        labels: Class names.
        thresholds: From which a detection counts, and what they prove.
    """
    scores = np.array([thresholds.scores[label] for label in labels], np.float32)
    flattered = max(0.0, (thresholds.cross_checked or 0) - (thresholds.reached or 0))
    limits_escapes = thresholds.rule is ThresholdRule.ESCAPES
    defective = sum(not photo.is_good for photo in photos)
    boxes = sum(len(photo.labels) for photo in photos)
    return AccuracyDrops(
        map_50=torch.map_50 - metrics.map_50,
        map_75=torch.map_75 - metrics.map_75,
        recall=torch.recall - metrics.recall,
        overkill=metrics.overkill - torch.overkill,
        escapes=metrics.escapes - torch.escapes,
        lost=lost_photos(photos, expected, found, scores),
        box_step=1 / max(1, boxes),
        good_step=1 / max(1, len(photos) - defective),
        defective_step=1 / max(1, defective),
        flattered_overkill=0.0 if limits_escapes else flattered,
        flattered_escapes=flattered if limits_escapes else 0.0,
    )


def lost_photos(
    photos: Sequence[Photo],
    expected: Sequence[Detections],
    found: Sequence[Detections],
    thresholds: FloatArray,
) -> tuple[str, ...]:
    """Return the names of photos whose right detections are all lost.

    Args:
        photos: With the ground truth.
        expected: What the model finds in float32, one for each photo.
        found: What the variant finds.
        thresholds: ``[C]`` float32, from which a detection counts.
    """
    return tuple(
        photo.path.name
        for photo, before, after in zip(photos, expected, found, strict=True)
        if true_positives(before.above(thresholds), photo).any()
        and not len(after.above(thresholds))
    )


def _named(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
