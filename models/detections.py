"""What a detector says of one image, after NMS and thresholds."""

from dataclasses import dataclass

import numpy as np

from models.boxes import Boxes, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes that a detector found in one image, best first.

    Attributes:
        boxes: ``[N, 4]`` float32, xyxy, pixels; the holder's name says whose
            (``boxes_frame`` or ``boxes_input``).
        scores: ``[N]`` float32 in 0..1, descending.
        labels: ``[N]`` int64, index into the package's labels.
    """

    boxes: Boxes
    scores: FloatArray
    labels: IntArray

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.scores)

    def above(self, thresholds: FloatArray) -> "Detections":
        """Return the detections that reach their own class's threshold.

        Args:
            thresholds: ``[C]`` float32 in 0..1, one for each label.

        Returns:
            The same detections without those below, order kept.
        """
        return self.take(self.scores >= thresholds[self.labels])

    def take(self, index: np.ndarray) -> "Detections":
        """Return a selection.

        Args:
            index: ``[N]`` bool mask or ``[M]`` int positions.

        Returns:
            The selected detections in the order of the index.
        """
        return Detections(self.boxes[index], self.scores[index], self.labels[index])


def no_detections() -> Detections:
    """Return the empty answer."""
    return Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    )
