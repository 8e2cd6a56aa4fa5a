"""Hard negatives: where good parts look defective to the network, mined as it learns.

A few times during the close-ups the moving average looks at good training photos. What
it takes for a defect there becomes a spot, and most of the close-ups of that photo show
one of its spots from then on. On a part that is known to be good every detection is
wrong; elsewhere it may be a defect that nobody labelled, so only good parts are mined.

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

MINED_AT = (0.2, 0.4, 0.6)  # of the schedule: all while close-ups are looked at
LOWEST_SCORE = 0.05
MOST_SPOTS = 5  # of a photo, the highest scores
MOST_PHOTOS = 100  # looked at in a round, other ones in each

Find = Callable[[TrainableDetector, Sequence[Photo]], Sequence[Detections]]
"""Returns what a network finds on photos."""


class HardNegatives:
    """Spots on good photos, and when to look for them again.

    Args:
        photos: Of the training split.
        find: How to look at photos.
    """

    def __init__(self, photos: Sequence[Photo], find: Find) -> None:
        self.spots: dict[int, tuple[CropCentre, ...]] = {}
        self._photos, self._find = photos, find
        self._good = [i for i, photo in enumerate(photos) if photo.is_good]
        self._rounds, self._phase = 0, 0.0  # done, and when the latest one was

    def is_due(self, phase: float) -> bool:
        """Return whether to look at the good parts now.

        Args:
            phase: Of the schedule, 0..1.
        """
        is_time = any(self._phase < at <= phase for at in MINED_AT)
        return bool(self._good) and is_time and phase < CLOSE_UP_PHASE

    def left_s(self, phase: float, photo_s: float) -> float:
        """Return what the rounds that are still to come take.

        Args:
            phase: Of the schedule, 0..1.
            photo_s: Seconds to look at one photo.
        """
        return sum(at > phase for at in MINED_AT) * len(self._part()) * photo_s

    def mine(self, model: TrainableDetector, phase: float) -> None:
        """Look at good photos; what is found there replaces what was.

        Args:
            model: The moving average.
            phase: Of the schedule, 0..1.
        """
        part = self._part()
        found = self._find(model, [self._photos[index] for index in part])
        for index, detections in zip(part, found, strict=True):
            self.spots[index] = _spots(detections)
        self._rounds, self._phase = self._rounds + 1, phase

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {
            "rounds": self._rounds,
            "phase": self._phase,
            "spots": {str(index): spots for index, spots in self.spots.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Args:
            state: From ``state``.
        """
        self._rounds, self._phase = int(state["rounds"]), float(state["phase"])
        self.spots.clear()
        for index, spots in state["spots"].items():
            self.spots[int(index)] = tuple((float(x), float(y)) for x, y in spots)

    def _part(self) -> list[int]:
        """Return the good photos of the round that is next, evenly spread."""
        apart = math.ceil(len(self._good) / MOST_PHOTOS) or 1
        return self._good[self._rounds % apart :: apart]


def _spots(found: Detections) -> tuple[CropCentre, ...]:
    """Return the centres of the surest detections."""
    boxes = found.boxes[found.scores >= LOWEST_SCORE][:MOST_SPOTS]
    return tuple((float(x), float(y)) for x, y in (boxes[:, :2] + boxes[:, 2:]) / 2)
