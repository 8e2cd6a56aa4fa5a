"""What a camera's pictures are like when all is well, learned at commissioning.

On a conveyor the picture changes all the time, so nothing is compared with one
reference frame. Figures are learned as ranges. Of the picture itself only what stands
still counts: the *background*, the median over time of each pixel, and of it the edges
where the pixel hardly ever changed. In operation a background that follows slowly is
compared with the learned one; parts that pass leave no trace in it.

Source:
    The background that follows: A. Manzanera and J. Richefeu, "A robust and
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

BASELINE_SCHEMA_VERSION = 1
PICTURES_MAX = 48  # for the median; more would only cost memory
STEP_LEVELS = 3  # per look: 100 grey levels in about 30 looks
STILL_SPREAD = 8  # grey levels, median distance to the median
EDGE_LEVELS = 12.0  # a weaker edge may be noise
STILL_EDGES_MIN = 0.02  # share of the pixels: fewer may be still by chance
LOW, HIGH = 2, 98  # percentiles: one odd frame in fifty is no norm

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was learned. Plain values and NumPy: a camera's process needs no pydantic.

    Attributes:
        size_px: Width and height of the frames.
        looks: Frames that were looked at.
        mean_low: Grey level; nearly no frame was darker.
        mean_high: Grey level; nearly no frame was brighter.
        std_low: Grey levels; nearly no frame varied less.
        contrast_low: Nearly no frame had less contrast.
        sharpness_low: Nearly no frame was less sharp.
        saturated_high: Nearly no frame had more white in it.
        row_floor: Least range of grey levels in each row of the scene.
        seams: Rows where the scene itself looks cut.
        background: Median of each pixel, ``[H, W]``.
        still: Whether a pixel hardly ever changed, ``[H, W]``.
    """

    size_px: tuple[int, int]
    looks: int
    mean_low: float
    mean_high: float
    std_low: float
    contrast_low: float
    sharpness_low: float
    saturated_high: float
    row_floor: tuple[int, ...]
    seams: tuple[int, ...]
    background: Grey
    still: npt.NDArray[np.bool_]

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON has it; see ``edge.cameras.health.baseline_file``."""
        document = asdict(self)
        document["schema_version"] = BASELINE_SCHEMA_VERSION
        document["background_size_px"] = self.background.shape[::-1]
        document["background"] = base64.b64encode(self.background.tobytes()).decode()
        packed = np.packbits(self.still).tobytes()
        document["still"] = base64.b64encode(packed).decode()
        return document


class BaselineLearner:
    """Collects sound frames until a baseline can be drawn from them.

    Args:
        looks: How many frames.
    """

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._every = max(1, looks // PICTURES_MAX)
        self._size_px = (0, 0)
        self._figures: list[tuple[float, float, float, float, float]] = []
        self._pictures: list[Grey] = []
        self._scene = Scene()

    def add(self, seen: Appearance) -> Baseline | None:
        """Take a frame; return the baseline with the last one.

        Args:
            seen: A frame that may be inspected; with another size all starts over.
        """
        if self._size_px != seen.size_px:
            self._size_px, self._scene = seen.size_px, Scene()
            self._figures, self._pictures = [], []
        if len(self._figures) % self._every == 0:
            self._pictures.append(halved(seen.scene))
        self._figures.append(
            (seen.mean, seen.std, seen.contrast, seen.sharpness, seen.saturated)
        )
        self._scene.add(seen)
        return self._drawn() if len(self._figures) >= self._looks else None

    def _drawn(self) -> Baseline:
        """Return the baseline."""
        low = np.percentile(self._figures, LOW, axis=0)  # [5]
        high = np.percentile(self._figures, HIGH, axis=0)  # [5]
        pictures = np.stack(self._pictures)  # [P, H, W]
        background = np.median(pictures, axis=0)
        spread = np.median(np.abs(pictures - background), axis=0)
        floor = self._scene.row_floor
        return Baseline(
            size_px=self._size_px,
            looks=len(self._figures),
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
    """The background as it is now, beside the one that was learned.

    Args:
        baseline: What was learned.

    Attributes:
        can_tell: Whether there are enough still edges to know a moved camera by.
    """

    def __init__(self, baseline: Baseline) -> None:
        self._now = baseline.background.astype(np.int16)
        learned = _slopes(self._now)
        is_edge = np.abs(learned).sum(axis=0) > EDGE_LEVELS
        # The near surroundings too: an edge that moved away shows beside its place.
        self._where = _widened(baseline.still & is_edge) & baseline.still
        self._learned = learned[:, self._where]
        self.can_tell = bool(self._where.mean() > STILL_EDGES_MIN)

    def likeness(self, scene: Grey) -> float:
        """Follow a frame; return how much of the still edges is where it was.

        Args:
            scene: Of a sound frame of the learned size.

        Returns:
            Correlation, -1..1; 1 where the scene has no still edges to go by.
        """
        if not self.can_tell:
            return 1.0
        away = halved(scene).astype(np.int16) - self._now  # [H, W]
        self._now += np.clip(away, -STEP_LEVELS, STEP_LEVELS)
        now = _slopes(self._now)[:, self._where]
        length = float(np.linalg.norm(now) * np.linalg.norm(self._learned))
        return float(np.vdot(now, self._learned)) / length if length else 0.0


def halved(scene: Grey) -> Grey:
    """Return a scene at half its size: the mean of two by two pixels.

    Args:
        scene: ``[H, W]``.

    Returns:
        ``[H // 2, W // 2]``; a scene of one row or column stays as it is.
    """
    height, width = (side // 2 * 2 for side in scene.shape)
    if not height or not width:
        return scene
    whole = scene[:height, :width].astype(np.uint16)
    rows = whole[::2] + whole[1::2]
    return ((rows[:, ::2] + rows[:, 1::2]) >> 2).astype(np.uint8)


def _slopes(picture: npt.NDArray[np.int16]) -> Floats:
    """Return how the grey level rises to the right and downwards, ``[2, H, W]``."""
    slopes = np.zeros((2, *picture.shape), np.float32)
    slopes[0, :, 1:-1] = picture[:, 2:] - picture[:, :-2]
    slopes[1, 1:-1] = picture[2:] - picture[:-2]
    return slopes


def _widened(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return a mask with the neighbours on all four sides, two pixels far."""
    wide = where.copy()
    for step in (1, 2):
        wide[step:] |= where[:-step]
        wide[:-step] |= where[step:]
        wide[:, step:] |= where[:, :-step]
        wide[:, :-step] |= where[:, step:]
    return wide
