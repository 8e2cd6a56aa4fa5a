"""Hard negatives: places on good parts where the network detects defects.

They are mined during training: a few times while close-ups are used, the moving average
predicts on good training photos. The centres of its detections are kept, and most of
the following close-ups of that photo show one of them. On a part that is known to be
good every detection is wrong. On another part it may be a defect without a label, so
only good parts are mined.

Source:
    Online hard examples, arXiv:1604.03540; rounds of bootstrapping as in Dalal and
    Triggs, CVPR 2005. Measured on real boards: bench/results/recipe.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.data.sampling.crops import CLOSE_UP_PHASE, CropCentre
from trainer.detectors.base import TrainableDetector

MINED_AT = (0.2, 0.4, 0.6)  # of the schedule: all before ``CLOSE_UP_PHASE``
MIN_SCORE = 0.05
MAX_CENTRES = 5  # of a photo, the highest scores
MAX_PHOTOS, MIN_PHOTOS = 100, 10  # of a round

Predict = Callable[[TrainableDetector, Sequence[Photo]], Sequence[Detections]]
"""Returns the detections of a network on photos, highest score first."""


class HardNegatives:
    """Centres of false alarms on good photos, and when to mine for them.

    Args:
        photos: Training split.

    Attributes:
        centres: By position of the photo in ``photos``.
        max_photos: Photos of a round, other ones in each.
    """

    def __init__(self, photos: Sequence[Photo], predict: Predict) -> None:
        self.centres: dict[int, tuple[CropCentre, ...]] = {}
        self.max_photos = MAX_PHOTOS
        self._photos, self._predict = photos, predict
        self._good = [i for i, photo in enumerate(photos) if photo.is_good]
        self._rounds, self._phase = 0, 0.0  # done, and when the latest one was

    def is_due(self, phase: float) -> bool:
        """Return whether to mine now.

        Args:
            phase: Share of the schedule that is done, 0..1.
        """
        # Skipped rounds (few epochs) are not repeated later: any number of them between
        # the last phase and this one counts as one round.
        is_time = any(self._phase < at <= phase for at in MINED_AT)
        return bool(self._good) and is_time and phase < CLOSE_UP_PHASE

    def remaining_s(self, phase: float, photo_s: float) -> float:
        """Return the seconds that the remaining rounds take.

        Args:
            phase: Share of the schedule that is done, 0..1.
            photo_s: Seconds to predict on one photo.
        """
        return sum(at > phase for at in MINED_AT) * len(self._next_part()) * photo_s

    @property
    def next_count(self) -> int:
        """Photos of the next round."""
        return len(self._next_part())

    def limit(self, seconds: float, photo_s: float) -> None:
        """Mine fewer photos where a training has little time.

        Args:
            seconds: That all rounds together may take.
            photo_s: Seconds to predict on one photo.
        """
        fitting = int(seconds / max(photo_s * len(MINED_AT), 1e-6))
        self.max_photos = min(MAX_PHOTOS, max(MIN_PHOTOS, fitting))

    def mine(self, model: TrainableDetector, phase: float) -> None:
        """Predict on good photos; the detections replace their earlier centres.

        Args:
            model: The moving average.
            phase: Share of the schedule that is done, 0..1.
        """
        part = self._next_part()
        found = self._predict(model, [self._photos[index] for index in part])
        for index, detections in zip(part, found, strict=True):
            self.centres[index] = _centres(detections)
        self._rounds, self._phase = self._rounds + 1, phase

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "rounds": self._rounds,
            "phase": self._phase,
            "max_photos": self.max_photos,
            "spots": {str(index): found for index, found in self.centres.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint.

        Args:
            state: From ``state``.
        """
        self._rounds, self._phase = int(state["rounds"]), float(state["phase"])
        self.max_photos = int(state.get("max_photos", MAX_PHOTOS))  # 0.1 had no limit
        # Changed in place: the sampler reads the same table.
        self.centres.clear()
        for index, centres in state["spots"].items():
            self.centres[int(index)] = tuple((float(x), float(y)) for x, y in centres)

    def _next_part(self) -> list[int]:
        """Return the good photos of the next round, evenly spread."""
        stride = math.ceil(len(self._good) / self.max_photos) or 1
        return self._good[self._rounds % stride :: stride]


def _centres(found: Detections) -> tuple[CropCentre, ...]:
    boxes = found.boxes[found.scores >= MIN_SCORE][:MAX_CENTRES]
    return tuple((float(x), float(y)) for x, y in (boxes[:, :2] + boxes[:, 2:]) / 2)
