"""The detections of one image, after NMS and thresholds."""

from dataclasses import dataclass

import numpy as np

from models.boxes import Boxes, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes that a detector found in one image, best first.

    Attributes:
        boxes: ``[N, 4]`` float32, xyxy, in pixels of the frame or of the graph's
            input; the function that returns them documents which.
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
        """
        return self.select(self.scores >= thresholds[self.labels])

    def select(self, index: np.ndarray) -> "Detections":
        """Return some of the detections, in the order of the index.

        Args:
            index: ``[N]`` bool mask or ``[M]`` int positions.
        """
        return Detections(self.boxes[index], self.scores[index], self.labels[index])


def no_detections() -> Detections:
    """Return empty detections."""
    return Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    )
