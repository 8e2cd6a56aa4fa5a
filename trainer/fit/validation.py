"""Validation during training: cheap, regular, and the judge of when it is enough.

The moving average is measured a few times over the schedule, on all validation photos
or on an even part of them, for at most about a twentieth of the time. One measurement
is noisy; what counts is the mean of the last three.

* A schedule that was chosen by us (neither epochs nor minutes were asked for) is cut
  short where that mean has not risen for a quarter of the schedule: the rest of the
  cosine is then run through in a quarter of its steps, because a high learning rate
  ends no training well.
* The last average is kept, unless an earlier one was clearly better.

Neither is decided on fewer than ten defective photos and thirty boxes. Nothing is
measured, and so nothing chosen, where the photos are kept for an honest answer
afterwards: a fold judges its own photos as a detector that never met them.
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
from trainer.fit.engine import Schedule

TIME_SHARE = 0.04  # of the training, for all measurements together
USUAL_MEASUREMENTS, MOST_MEASUREMENTS = 10, 20
FEWEST_PHOTOS = 24  # a part smaller than this says nothing
FOUND_S = 0.03  # of a processor: what the detections of a trained network add to a
# photo (suppression, scoring); measured: 0.019 to 0.032, a new network has none
PROBED_PHOTOS = 4
SMOOTHED_OVER = 3
PATIENCE = 0.25  # of the schedule, without a rise
RISE = 0.002  # of mAP@.5 that counts as one
CLEARLY_BETTER = 0.01  # of smoothed mAP@.5
JUDGING_DEFECTIVE, JUDGING_BOXES = 10, 30


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement.

    Attributes:
        step: Steps done.
        phase: Of the schedule, 0..1.
        map_33: On the watched photos.
        map_50: On the watched photos.
    """

    step: int
    phase: float
    map_33: float
    map_50: float


def measurements(train_s: float, photo_s: float, photos: int) -> tuple[int, int]:
    """Return how often to measure, and on how many photos.

    Args:
        train_s: Seconds that the training takes.
        photo_s: Seconds to look at one photo and to score it.
        photos: To measure on.

    Returns:
        Two zeros where even two measurements would take too long.

    >>> measurements(600, 0.08, 60)
    (5, 60)
    >>> measurements(600, 0.08, 2000)
    (10, 30)
    >>> measurements(10, 0.08, 60)
    (0, 0)
    """
    looks = int(TIME_SHARE * train_s / photo_s)
    part = min(photos, max(FEWEST_PHOTOS, looks // USUAL_MEASUREMENTS))
    if part < photos <= looks // (USUAL_MEASUREMENTS // 2):
        part = photos  # all of them five times rather than some ten times
    count = min(MOST_MEASUREMENTS, looks // max(1, part))
    return (count, part) if count >= 2 else (0, 0)


def even_part(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Return an even part of photos, defective and good ones in their proportion.

    Args:
        photos: All.
        count: How many to keep.
    """
    ordered = sorted(photos, key=lambda photo: photo.is_good)
    count = min(count, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


class Validator:
    """Measures the average while it is trained.

    Args:
        photos: To measure on; never trained on.
        label_count: Number of labels.
        size_px: Height and width of the input.
        tiles: How photos are cut; None = not at all.
        may_end_early: Whether the schedule may be cut short.
        selects: Whether the photos may decide anything at all.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        label_count: int,
        size_px: tuple[int, int],
        *,
        tiles: Tiles | None = None,
        may_end_early: bool,
        selects: bool = True,
    ) -> None:
        self.photo_s = 0.0
        self.count = 0
        self.part: list[Photo] = []
        self.points: list[Measurement] = []
        self.ended_early = False
        self._photos, self._label_count, self._size_px = photos, label_count, size_px
        self._tiles, self._may_end_early, self._selects = tiles, may_end_early, selects
        self._best: dict[str, Any] = {}
        self._best_point = -1

    @property
    def photos(self) -> int:
        """Number of photos that could be measured on."""
        return len(self._photos)

    def probe(self, model: TrainableDetector) -> float:
        """Return how long one photo will take once something is found on it.

        The first one looked at does not count. Where others work on this machine,
        a second of a processor takes longer than a second.

        Args:
            model: The average, hardly trained.
        """
        some = even_part(self._photos, PROBED_PHOTOS)
        self.look(model, some[:1])
        begun, used = time.monotonic(), time.process_time()
        self.look(model, some)
        took_s, used_s = time.monotonic() - begun, time.process_time() - used
        stretch = max(1.0, took_s / max(used_s, 1e-6))
        self.photo_s = took_s / len(some) + FOUND_S * stretch
        return self.photo_s

    def choose(self, count: int, part: int) -> None:
        """Fix how often, and on how many photos, is measured.

        Args:
            count: Over the whole schedule; 0 = never, as where nothing is selected.
            part: Number of photos.
        """
        if not self._selects:
            count = part = 0
        self.count, self.part = count, even_part(self._photos, part)

    def is_due(self, schedule: Schedule, step: int) -> bool:
        """Return whether to measure after a step that ended an epoch, or all.

        Args:
            schedule: As planned now.
            step: Steps done.
        """
        if not self.count:
            return False
        last = self.points[-1].phase if self.points else 0.0
        since = schedule.phase(step) - last
        return step >= schedule.steps or since >= 1 / self.count - 1e-9

    def left_s(self) -> float:
        """Return what the measurements that are still to come take."""
        done = self.points[-1].phase if self.points else 0.0
        left = math.ceil(self.count * (1 - done) - 1e-6)
        return left * len(self.part) * self.photo_s

    def measure(self, model: TrainableDetector) -> tuple[float, float]:
        """Return mAP@.33 and mAP@.5 of the average on the chosen photos.

        Args:
            model: The average.
        """
        begun = time.monotonic()
        found = self.look(model, self.part)
        precision = average_precisions(found, self.part, self._label_count)
        self.photo_s = (time.monotonic() - begun) / len(self.part)
        return precision[0.33], precision[0.5]

    def add(self, point: Measurement, model: TrainableDetector) -> None:
        """Count a measurement, and keep the average where it is the best one.

        Args:
            point: The measurement.
            model: The average that was measured.
        """
        self.points.append(point)
        if self._can_judge and self._smoothed() > self._smoothed(self._best_point):
            self._best_point = len(self.points) - 1
            self._best = {k: v.clone() for k, v in model.state_dict().items()}

    def should_end(self) -> bool:
        """Return whether more training would most likely be wasted."""
        if self.ended_early or not (self._may_end_early and self._can_judge):
            return False
        now = self.points[-1].phase
        before = [
            self._smoothed(index)
            for index, point in enumerate(self.points)
            if point.phase <= now - PATIENCE
        ]
        if len(before) < SMOOTHED_OVER:
            return False
        since = [self._smoothed(i) for i in range(len(before), len(self.points))]
        self.ended_early = max(since) < max(before) + RISE
        return self.ended_early

    def keep_best(self, model: TrainableDetector) -> int | None:
        """Put back an earlier average that was clearly better than the last.

        Args:
            model: The average; changed in place.

        Returns:
            The step it is of; None = the last one stays.
        """
        better = self._smoothed(self._best_point) - self._smoothed()
        if not self._best or better <= CLEARLY_BETTER:
            return None
        model.load_state_dict(self._best)
        return self.points[self._best_point].step

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {
            "count": self.count,
            "part": len(self.part),
            "photo_s": self.photo_s,
            "ended_early": self.ended_early,
            "points": [(p.step, p.phase, p.map_33, p.map_50) for p in self.points],
            "best": self._best,
            "best_point": self._best_point,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Args:
            state: From ``state``.
        """
        self.choose(int(state["count"]), int(state["part"]))
        self.photo_s = float(state["photo_s"])
        self.ended_early = bool(state["ended_early"])
        self.points = [Measurement(*values) for values in state["points"]]
        self._best = dict(state["best"])
        self._best_point = int(state["best_point"])

    @property
    def _can_judge(self) -> bool:
        defective = [photo for photo in self.part if not photo.is_good]
        boxes = sum(len(photo.labels) for photo in defective)
        return len(defective) >= JUDGING_DEFECTIVE and boxes >= JUDGING_BOXES

    def _smoothed(self, index: int | None = None) -> float:
        """Return the mean of up to three measurements; -1 where there is none."""
        end = len(self.points) if index is None else index + 1
        recent = self.points[max(0, end - SMOOTHED_OVER) : end]
        return sum(p.map_50 for p in recent) / len(recent) if recent else -1.0

    def look(
        self, model: TrainableDetector, photos: Sequence[Photo]
    ) -> list[Detections]:
        """Return what a network finds on photos, down to a score of 0.01.

        Args:
            model: Put into evaluation mode.
            photos: To look at.
        """
        detector = tiled(TorchDetector(model, *self._size_px), self._tiles)
        return predict_photos(detector, photos, self._label_count)
