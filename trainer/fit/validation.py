"""Validation during training, which may end the training early.

The moving average is measured a few times over the schedule, on all held-out photos
with a defect or on an even part of them, for at most about a twentieth of the time. One
measurement is noisy; decisions use the mean of the last three. Held-out good parts take
no part: what is promised of false alarms is stated on them, so nothing may be chosen on
them before.

* A default schedule (neither epochs nor minutes were given) is shortened if that mean
  has not risen for a quarter of the schedule.
* The last average is kept, unless an earlier one was clearly better.

Neither is decided on fewer than ten defective photos and thirty boxes. Nothing is
measured or chosen if the photos are needed for an unbiased result: a fold predicts its
photos with a detector that was never selected on them.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.detections import Detections
from models.tiled_detector import tiled
from models.tiles import Tiles
from trainer.data.dataset import Photo
from trainer.detectors.base import TrainableDetector
from trainer.evaluation.metrics import average_precisions, predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.engine import Schedule, Training
from trainer.fit.speed import FOUND_S, stretch

TIME_SHARE = 0.04  # of the training, for all validations together
USUAL_VALIDATIONS, MAX_VALIDATIONS = 10, 20
MIN_PHOTOS = 24  # mAP on fewer photos is too noisy
PROBED_PHOTOS = 4
SMOOTHED_OVER = 3
PATIENCE = 0.25  # share of the schedule without a rise
MIN_RISE = 0.002  # smallest difference of mAP@.5 that counts as a rise
CLEARLY_BETTER = 0.01  # difference of smoothed mAP@.5
RELIABLE_DEFECTIVE, RELIABLE_BOXES = 10, 30


@dataclass(frozen=True, slots=True)
class Measurement:
    """One validation.

    Attributes:
        phase: Share of the schedule that is done, 0..1.
        photos: That it was measured on; 0 = by a version that did not record it.
    """

    step: int
    phase: float
    map_33: float
    map_50: float
    photos: int = 0


def plan_validation(
    train_s: float, photo_s: float, photos: int, most_s: float = math.inf
) -> tuple[int, int]:
    """Return how often to validate, and on how many photos.

    Args:
        photo_s: Seconds to detect and score on one photo.
        most_s: Seconds that all validations together may take.

    Returns:
        Two zeros if even two validations would take too long.

    >>> plan_validation(600, 0.08, 60)
    (5, 60)
    >>> plan_validation(600, 0.08, 2000)
    (10, 30)
    >>> plan_validation(10, 0.08, 60)
    (0, 0)
    """
    predictions = int(max(0.0, min(TIME_SHARE * train_s, most_s)) / photo_s)
    part = min(photos, max(MIN_PHOTOS, predictions // USUAL_VALIDATIONS))
    if part < photos <= predictions // (USUAL_VALIDATIONS // 2):
        part = photos  # all of them five times rather than some ten times
    count = min(MAX_VALIDATIONS, predictions // max(1, part))
    return (count, part) if count >= 2 else (0, 0)


def even_part(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Return an even part of photos, defective and good ones in their proportion."""
    ordered = sorted(photos, key=lambda photo: photo.is_good)
    count = min(count, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


class Validator:
    """Measures the moving average while it is trained.

    Args:
        size_px: Height and width of the input.
        tiles: How photos are cut; None = they are not cut.
        may_end_early: Whether the schedule may be shortened.
        selects: Whether the photos may end the training or choose weights.

    Attributes:
        held_out: All photos that are measured on at the end; never trained on.
        defective: Those with a defect: all that could be validated on.
        photo_s: Seconds to detect and score on one photo; 0 before ``probe``.
        count: Validations over the whole schedule.
        photos: The photos that are validated on: all or an even part.
        history: All validations, in order.
        ended_early: Whether the schedule was shortened.
        final_count: Photos that are measured on at the end.
        selects: Whether they may end the training or choose weights.
    """

    def __init__(
        self,
        held_out: tuple[Photo, ...],
        label_count: int,
        size_px: tuple[int, int],
        *,
        tiles: Tiles | None = None,
        may_end_early: bool,
        selects: bool = True,
    ) -> None:
        self.photo_s = 0.0
        self.final_count = len(held_out)
        self.count = 0
        self.photos: list[Photo] = []
        self.history: list[Measurement] = []
        self.ended_early = False
        self.held_out, self.label_count, self._size_px = held_out, label_count, size_px
        self.defective = tuple(photo for photo in held_out if not photo.is_good)
        self._tiles, self._may_end_early, self.selects = tiles, may_end_early, selects
        self._best: dict[str, Any] = {}
        self._best_index = -1
        self._found: tuple[int, list[Detections]] = (-1, [])  # step, on all photos

    @property
    def latest_map_50(self) -> float | None:
        """mAP@.5 of the latest validation; None before the first."""
        return self.history[-1].map_50 if self.history else None

    def probe(self, model: TrainableDetector, *, is_new: bool = True) -> float:
        """Return how many seconds one photo will take when it has detections.

        Args:
            model: The average.
            is_new: After a few steps only, so that it has no detections yet.
        """
        some = even_part(self.held_out, PROBED_PHOTOS)
        self.predict(model, some[:1])  # the first one is slower and does not count
        started_s, cpu_started_s = time.monotonic(), time.process_time()
        self.predict(model, some)
        took_s = time.monotonic() - started_s
        cpu_s = time.process_time() - cpu_started_s
        found_s = FOUND_S * stretch(took_s, cpu_s) if is_new else 0.0
        self.photo_s = took_s / len(some) + found_s
        return self.photo_s

    def plan(self, count: int, photos: int) -> None:
        """Set the number of validations, and of photos to validate on.

        Args:
            count: Validations over the whole schedule; 0 = never.
            photos: Number of photos, an even part of those with a defect.
        """
        if not (self.selects and self.defective):
            count = photos = 0
        self.count, self.photos = count, even_part(self.defective, photos)

    def is_due(self, schedule: Schedule, step: int) -> bool:
        """Return whether to validate after a step that ended an epoch, or all.

        Args:
            schedule: As planned now.
        """
        if not self.count:
            return False
        last = self.history[-1].phase if self.history else 0.0
        since = schedule.phase(step) - last
        # 1e-9: the phase is a sum of quotients, and may differ from 1 / count by
        # rounding.
        return step >= schedule.steps or since >= 1 / self.count - 1e-9

    def remaining_s(self, photo_s: float) -> float:
        """Return the seconds that the remaining validations take.

        Args:
            photo_s: Seconds to detect and score on one photo now.
        """
        done = self.history[-1].phase if self.history else 0.0
        left = math.ceil(self.count * (1 - done) - 1e-6)
        return left * len(self.photos) * photo_s

    def validate(self, training: Training) -> Measurement:
        """Measure the leader's average, and keep it if it is the best so far."""
        model, group = training.average.model, training.group
        measured = (0.0, 0.0)
        if group.is_leader:
            measured = self._evaluate(model, training.step)
        map_33, map_50 = (group.leader_number(value) for value in measured)
        measurement = Measurement(
            training.step, training.phase, map_33, map_50, len(self.photos)
        )
        self.history.append(measurement)
        if self._is_reliable and self._smoothed() > self._smoothed(self._best_index):
            self._best_index = len(self.history) - 1
            self._best = {k: v.clone() for k, v in model.state_dict().items()}
        return measurement

    def found_at(self, step: int) -> list[Detections] | None:
        """Return the detections on all held-out photos after a step.

        Returns:
            None where that step was not validated, or on a part of the photos.
        """
        validated, found = self._found
        return found if validated == step else None

    def _evaluate(self, model: TrainableDetector, step: int) -> tuple[float, float]:
        """Return mAP@.33 and mAP@.5 on the chosen photos."""
        started_s = time.monotonic()
        is_all = len(self.photos) == len(self.held_out)
        photos = self.held_out if is_all else self.photos
        found = self.predict(model, photos)
        self._found = (step, found) if is_all else (-1, [])
        precision = average_precisions(found, photos, self.label_count)
        self.photo_s = (time.monotonic() - started_s) / len(self.photos)
        return (precision[0.33], precision[0.5]) if precision else (0.0, 0.0)

    def should_end(self) -> bool:
        """Return whether more training is unlikely to help."""
        if self.ended_early or not (self._may_end_early and self._is_reliable):
            return False
        now = self.history[-1].phase
        before = [
            self._smoothed(index)
            for index, measurement in enumerate(self.history)
            if measurement.phase <= now - PATIENCE
        ]
        if len(before) < SMOOTHED_OVER:
            return False
        since = [self._smoothed(i) for i in range(len(before), len(self.history))]
        self.ended_early = max(since) < max(before) + MIN_RISE
        return self.ended_early

    def restore_best(self, model: TrainableDetector) -> int | None:
        """Load an earlier average that was clearly better than the last.

        Args:
            model: The average; changed in place.

        Returns:
            Step of the loaded average; None = the last one stays.
        """
        better = self._smoothed(self._best_index) - self._smoothed()
        if not self._best or better <= CLEARLY_BETTER:
            return None
        model.load_state_dict(self._best)
        return self.history[self._best_index].step

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "count": self.count,
            "part": len(self.photos),
            "photo_s": self.photo_s,
            "ended_early": self.ended_early,
            "points": [
                (m.step, m.phase, m.map_33, m.map_50, m.photos) for m in self.history
            ],
            "best": self._best,
            "best_point": self._best_index,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint.

        Args:
            state: From ``state``.
        """
        self.plan(int(state["count"]), int(state["part"]))
        self.photo_s = float(state["photo_s"])
        self.ended_early = bool(state["ended_early"])
        self.history = [Measurement(*values) for values in state["points"]]
        self._best = dict(state["best"])
        self._best_index = int(state["best_point"])

    def predict(
        self, model: TrainableDetector, photos: Sequence[Photo]
    ) -> list[Detections]:
        """Return the detections on photos, down to a score of 0.01.

        Args:
            model: Put into evaluation mode.
        """
        detector = tiled(TorchDetector(model, *self._size_px), self._tiles)
        return predict_photos(detector, photos, self.label_count)

    @property
    def _is_reliable(self) -> bool:
        """Whether there are enough photos and boxes to decide on."""
        defective = [photo for photo in self.photos if not photo.is_good]
        boxes = sum(len(photo.labels) for photo in defective)
        return len(defective) >= RELIABLE_DEFECTIVE and boxes >= RELIABLE_BOXES

    def _smoothed(self, index: int | None = None) -> float:
        """Return the mean of up to three validations; -1 if there is no validation."""
        end = len(self.history) if index is None else index + 1
        recent = self.history[max(0, end - SMOOTHED_OVER) : end]
        return sum(m.map_50 for m in recent) / len(recent) if recent else -1.0
