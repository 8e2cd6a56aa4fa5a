"""The appearance of a camera's good frames, learned at commissioning.

On a conveyor the picture changes all the time, so there is no comparison with one
reference frame. Statistics are learned as ranges. Of the picture itself only still
pixels count: the *background*, the median over time of each pixel, and of it the edges
where the pixel rarely changed. In operation a slowly updated background is compared
with the learned one; parts that pass leave no trace in it.

Source:
    The update of the background: A. Manzanera and J. Richefeu, "A robust and
    computationally efficient motion detection algorithm based on sigma-delta
    background estimation", ICVGIP 2004: a step of fixed size towards each frame
    converges to the median.
"""

import base64
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.cameras.health.scene import Appearance, Grey, Scene
from models.boxes import FloatArray

BASELINE_SCHEMA_VERSION = 1
PICTURES_MAX = 48  # for the median; more would only cost memory
STEP_LEVELS = 3  # per measured frame: 100 grey levels in about 30 frames
STILL_SPREAD = 8  # grey levels, median distance to the median
EDGE_LEVELS = 12.0  # a weaker edge may be noise
STILL_EDGES_MIN = 0.02  # share of the pixels: fewer may be still by chance
LOW, HIGH = 2, 98  # percentiles: up to one frame in fifty is an outlier


@dataclass(frozen=True, slots=True)
class Baseline:
    """The learned values. Names ending in ``_low`` and ``_high`` are percentiles."""

    size_px: tuple[int, int]  # width and height of the frames
    looks: int  # number of measured frames; the name is that in the file
    mean_low: float
    mean_high: float
    std_low: float
    contrast_low: float
    sharpness_low: float
    saturated_high: float
    row_floor: tuple[int, ...]  # least range of grey levels in each row of the scene
    seams: tuple[int, ...]  # rows where the scene itself appears cut
    background: Grey  # median of each pixel, [H, W]
    still: npt.NDArray[np.bool_]  # whether a pixel rarely changed, [H, W]

    def as_document(self) -> dict[str, Any]:
        """Return the document that ``edge.cameras.health.baseline_file`` reads."""
        document = asdict(self)
        document["schema_version"] = BASELINE_SCHEMA_VERSION
        document["background_size_px"] = self.background.shape[::-1]
        document["background"] = base64.b64encode(self.background.tobytes()).decode()
        packed = np.packbits(self.still).tobytes()
        document["still"] = base64.b64encode(packed).decode()
        return document


class BaselineLearner:
    """Collects usable frames until there are enough for a baseline."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._every = max(1, frames // PICTURES_MAX)
        self._size_px = (0, 0)
        self._statistics: list[tuple[float, float, float, float, float]] = []
        self._pictures: list[Grey] = []
        self._scene = Scene()

    def add(self, appearance: Appearance) -> Baseline | None:
        """Add a usable frame; return the baseline with the last one.

        A frame of another size starts over.
        """
        if self._size_px != appearance.size_px:
            self._size_px, self._scene = appearance.size_px, Scene()
            self._statistics, self._pictures = [], []
        if len(self._statistics) % self._every == 0:
            self._pictures.append(halved(appearance.scene))
        self._statistics.append(
            (
                appearance.mean,
                appearance.std,
                appearance.contrast,
                appearance.sharpness,
                appearance.saturated,
            )
        )
        self._scene.add(appearance)
        return self._baseline() if len(self._statistics) >= self._frames else None

    def _baseline(self) -> Baseline:
        low = np.percentile(self._statistics, LOW, axis=0)  # [5]
        high = np.percentile(self._statistics, HIGH, axis=0)  # [5]
        pictures = np.stack(self._pictures)  # [P, H, W]
        background = np.median(pictures, axis=0)
        spread = np.median(np.abs(pictures - background), axis=0)
        floor = self._scene.row_floor
        return Baseline(
            size_px=self._size_px,
            looks=len(self._statistics),
            mean_low=float(low[0]),
            mean_high=float(high[0]),
            std_low=float(low[1]),
            contrast_low=float(low[2]),
            sharpness_low=float(low[3]),
            saturated_high=float(high[4]),
            row_floor=() if floor is None else tuple(floor.tolist()),
            seams=tuple(sorted(self._scene.seams)),
            background=background.astype(np.uint8),
            still=spread <= STILL_SPREAD,
        )


class Background:
    """The current background, compared with the learned one.

    Attributes:
        detects_movement: Whether there are enough still edges to detect a moved camera.
    """

    def __init__(self, baseline: Baseline) -> None:
        self._current = baseline.background.astype(np.int16)
        learned = _gradients(self._current)
        is_edge = np.abs(learned).sum(axis=0) > EDGE_LEVELS
        # With the surroundings: a moved edge shows beside its old place.
        self._where = _dilated(baseline.still & is_edge) & baseline.still
        self._learned = learned[:, self._where]
        self.detects_movement = bool(self._where.mean() > STILL_EDGES_MIN)

    def similarity(self, scene: Grey) -> float:
        """Update the background; return the correlation of its edges with the learned.

        Args:
            scene: From a usable frame of the learned size.

        Returns:
            -1..1; 1 where the scene has too few still edges.
        """
        if not self.detects_movement:
            return 1.0
        change = halved(scene).astype(np.int16) - self._current  # [H, W]
        self._current += np.clip(change, -STEP_LEVELS, STEP_LEVELS)
        now = _gradients(self._current)[:, self._where]
        length = float(np.linalg.norm(now) * np.linalg.norm(self._learned))
        return float(np.vdot(now, self._learned)) / length if length else 0.0


def halved(scene: Grey) -> Grey:
    """Return a scene at half its size: the mean of two by two pixels.

    Returns:
        ``[H // 2, W // 2]``; a scene of one row or column is returned unchanged.
    """
    height, width = (side // 2 * 2 for side in scene.shape)
    if not height or not width:
        return scene
    whole = scene[:height, :width].astype(np.uint16)
    rows = whole[::2] + whole[1::2]
    return ((rows[:, ::2] + rows[:, 1::2]) >> 2).astype(np.uint8)


def _gradients(picture: npt.NDArray[np.int16]) -> FloatArray:
    """Return the differences to the right and downwards, ``[2, H, W]``."""
    gradients = np.zeros((2, *picture.shape), np.float32)
    gradients[0, :, 1:-1] = picture[:, 2:] - picture[:, :-2]
    gradients[1, 1:-1] = picture[2:] - picture[:-2]
    return gradients


def _dilated(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return a mask grown by two pixels on all four sides."""
    dilated = where.copy()
    for step in (1, 2):
        dilated[step:] |= where[:-step]
        dilated[:-step] |= where[step:]
        dilated[:, step:] |= where[:, :-step]
        dilated[:, :-step] |= where[:, step:]
    return dilated
