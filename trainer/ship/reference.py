"""``reference.json``: statistics of the validation photos, to notice drift later.

On the line the same figures are measured on each frame. When they leave the range
recorded here, the lamp has aged, the lens is dirty or the product has changed.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.detections import Detections
from models.manifest import Thresholds
from models.preprocess import Frame, letterbox_image
from trainer.data.dataset import Photo, read_photo

SCHEMA_VERSION = 1
FILE = "reference.json"
HISTOGRAM_BINS = 20


class Spread(BaseModel):
    """How one figure is distributed over the photos."""

    model_config = ConfigDict(frozen=True)

    count: int = Field(ge=0)
    mean: float
    std: float
    p01: float
    p05: float
    p50: float
    p95: float
    p99: float


class LabelScores(BaseModel):
    """Scores of one label's detections at or above its threshold."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    scores: Spread
    histogram: tuple[int, ...] = Field(description="Counts in equal bins of 0..1.")


class Reference(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = SCHEMA_VERSION
    split: str
    photos: int
    brightness: Spread = Field(description="Mean grey level, 0..255, of each photo.")
    sharpness: Spread = Field(
        description="Variance of the Laplacian of each photo's grey levels, scaled "
        "to the model's input: independent of the camera's resolution."
    )
    detections_per_photo: Spread
    labels: dict[str, LabelScores]


def brightness_and_sharpness(
    frame: Frame, input_height_px: int, input_width_px: int
) -> tuple[float, float]:
    """Return a frame's mean grey level and sharpness, at the size of the model's input.

    Returns:
        Mean grey level in 0..255, and the variance of the Laplacian.

    Source:
        Pech-Pacheco et al. 2000, "Diatom autofocusing": variance of the Laplacian.
    """
    image, box = letterbox_image(frame, input_height_px, input_width_px)
    height, width = box.content_size_px
    grey = cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2GRAY)
    return float(grey.mean()), float(cv2.Laplacian(grey, cv2.CV_64F).var())


def measure_reference(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    *,
    split: str,
    labels: Sequence[str],
    thresholds: Thresholds,
    input_height_px: int,
    input_width_px: int,
) -> Reference:
    """Return the figures of a set of photos.

    Args:
        found: One for each photo, down to a low score.
        labels: Names in the order of the label numbers.
    """
    figures = [
        brightness_and_sharpness(read_photo(photo), input_height_px, input_width_px)
        for photo in photos
    ]
    rule = thresholds.decision_rule(labels)
    kept = [rule.decide(detections) for detections in found]
    by_label = {}
    for index, label in enumerate(labels):
        scores = np.concatenate([d.scores[d.labels == index] for d in kept])
        counts, _ = np.histogram(scores, HISTOGRAM_BINS, (0, 1))
        by_label[label] = LabelScores(
            threshold=thresholds.scores[label],
            scores=_spread(scores),
            histogram=tuple(int(n) for n in counts),
        )
    return Reference(
        split=split,
        photos=len(photos),
        brightness=_spread([brightness for brightness, _ in figures]),
        sharpness=_spread([sharpness for _, sharpness in figures]),
        detections_per_photo=_spread([len(detections) for detections in kept]),
        labels=by_label,
    )


def _spread(values: Sequence[float] | np.ndarray) -> Spread:
    """Return how values are distributed; zeros where there are no values."""
    array = np.asarray(values if len(values) else [0.0], np.float64)
    p01, p05, p50, p95, p99 = np.percentile(array, [1, 5, 50, 95, 99])
    figures = {"mean": array.mean(), "std": array.std()}
    figures |= {"p01": p01, "p05": p05, "p50": p50, "p95": p95, "p99": p99}
    rounded = {name: round(float(value), 4) for name, value in figures.items()}
    return Spread(count=len(values), **rounded)
