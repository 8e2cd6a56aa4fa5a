"""Close-ups: windows of the photos around defects, for the first part of a training.

A photo of a part is mostly surface. A window of a third of its area around a defect
costs about a third as much, at the scale that the line PC will see. So the same
minutes show more defects of more photos; the whole photos come back at the end
of the training, when the learning rate is low, with their borders and their emptiness.

Source:
    Chips of SNIPER, arXiv:1805.09300. Measured on real boards at equal time:
    bench/results/recipe.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor
from torchvision.transforms import v2

from models.boxes import Boxes
from models.preprocess import PAD_VALUE, Frame
from trainer.data.dataset import Photo
from trainer.data.sample import BoxTarget
from trainer.data.sampling.augmentation import (
    SCALE_RANGE,
    TrainingPhotos,
    augmented,
    lamp_of_another_day,
    ways_round,
)

COUNT = 3  # windows for a photo, together about as many pixels as it has
CLOSE_UP_PHASE = 0.75  # of the schedule; then whole photos
AROUND_A_DEFECT = 0.8  # share of the windows; the others lie anywhere
CENTRE_RANGE = (0.15, 0.85)  # where in the window the defect's centre may lie
ROOMY = 3.0  # a window is at least so many times as large as nearly all defects
NEARLY_ALL = 95  # percentile of the longer sides of the boxes
SMALLEST_PX = 192  # below, a window has no surroundings
SIZE_MULTIPLE_PX = 32

CropCentre = tuple[float, float]
"""x and y in a photo, in its own pixels."""
CropRequest = tuple[int, CropCentre | None]
"""Position of a photo, and what a close-up of it is to show; None = a defect, or
anything."""


@dataclass(frozen=True, slots=True)
class CloseUps:
    """Windows that stand for whole photos.

    Attributes:
        height_px: Of a window.
        width_px: Of a window.
        count: Windows for one photo, each of another photo: three windows of the same
            photo teach less (mAP@.75 0.73 instead of 0.79 on real boards).
    """

    height_px: int
    width_px: int
    count: int = COUNT


def plan_close_ups(
    photos: Sequence[Photo], height_px: int, width_px: int
) -> CloseUps | None:
    """Return windows that suit the defects; None where whole photos are better.

    Args:
        photos: To train on.
        height_px: Of the graph's input.
        width_px: Of the graph's input.
    """
    sides = [_longer_sides(photo, height_px, width_px) for photo in photos]
    joined = np.concatenate(sides) if sides else np.zeros(0)
    if len(joined) == 0:
        return None
    height, width = (_window_px(side) for side in (height_px, width_px))
    fits = ROOMY * float(np.percentile(joined, NEARLY_ALL)) <= min(height, width)
    if not fits or min(height, width) < SMALLEST_PX:
        return None
    return CloseUps(height, width)


def _longer_sides(photo: Photo, height_px: int, width_px: int) -> np.ndarray:
    """Return the longer sides of a photo's boxes in input pixels, ``[G]``."""
    scale = min(height_px / photo.height_px, width_px / photo.width_px)
    extent = (photo.boxes[:, 2:] - photo.boxes[:, :2]) * scale  # [G, 2]
    longer: np.ndarray = extent.max(axis=1) if len(extent) else np.zeros(0)
    return longer


def _window_px(side_px: int) -> int:
    """Return the side of a window: so that ``COUNT`` of them make up the photo."""
    return round(side_px / math.sqrt(COUNT) / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX


class CloseUpPhotos:
    """Windows of training photos; only what a window shows is augmented.

    Args:
        photos: Whole, pasted defects included.
        plan: Size of the window.
    """

    def __init__(self, photos: TrainingPhotos, plan: CloseUps) -> None:
        self._photos, self._plan = photos, plan
        is_square = plan.height_px == plan.width_px
        steps = [*ways_round(is_square=is_square), lamp_of_another_day()]
        self._transform = v2.Compose(steps)

    def look(
        self, look: CropRequest, rng: np.random.Generator
    ) -> tuple[Tensor, BoxTarget]:
        """Return one augmented window of a photo.

        Args:
            look: Which photo, and what the window is to show of it.
            rng: Source of chance besides torch's.

        Returns:
            ``[3, h, w]`` uint8 BGR and the boxes that are half visible.
        """
        index, spot = look
        content, boxes, labels = self._photos.content(index)
        focus = None
        if spot is not None:
            photo = self._photos.photos[index]
            scale = content.shape[1] / photo.width_px
            focus = spot[0] * scale, spot[1] * scale
        window, moved = cut_close_up(content, boxes, self._plan, rng, focus)
        return augmented(window, moved, labels, self._transform)


def cut_close_up(
    content: Frame,
    boxes: Boxes,
    plan: CloseUps,
    rng: np.random.Generator,
    focus: tuple[float, float] | None = None,
) -> tuple[Frame, Boxes]:
    """Return one window of a photo, enlarged or reduced by chance.

    Args:
        content: ``[H, W, 3]`` uint8.
        boxes: ``[G, 4]`` float32, xyxy, pixels.
        plan: Size of the window.
        rng: Source of chance.
        focus: x and y that the window shows; None = a defect, or anything.

    Returns:
        ``[h, w, 3]`` and all boxes in the window's pixels, uncut. Where the photo ends,
        the window is padded.
    """
    scale = rng.uniform(*SCALE_RANGE)
    height, width = (round(side / scale) for side in (plan.height_px, plan.width_px))
    if focus is None and len(boxes) and rng.random() < AROUND_A_DEFECT:
        box = boxes[int(rng.integers(len(boxes)))]
        focus = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    x, y = _corner(content, height, width, focus, rng)
    window = _cut(content, x, y, height, width)
    size = (plan.width_px, plan.height_px)
    resized: Frame = np.asarray(cv2.resize(window, size), np.uint8)
    stretch = np.array([size[0] / width, size[1] / height] * 2)
    moved = (boxes - np.array([x, y, x, y])) * stretch
    return resized, moved.astype(np.float32)


def _corner(
    content: Frame,
    height: int,
    width: int,
    focus: tuple[float, float] | None,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Return x and y of a window: around a focus, or anywhere; below 0 if padded."""
    rooms = content.shape[1] - width, content.shape[0] - height
    if focus is None:
        x, y = (int(rng.integers(min(0, r), max(0, r) + 1)) for r in rooms)
        return x, y
    places = rng.uniform(*CENTRE_RANGE, size=2)
    x, y = (
        int(np.clip(middle - at * side, min(0, room), max(0, room)))
        for middle, at, side, room in zip(
            focus, places, (width, height), rooms, strict=True
        )
    )
    return x, y


def _cut(content: Frame, x: int, y: int, height: int, width: int) -> Frame:
    """Return a window, padded where it reaches over the photo."""
    shown = content[max(0, y) : y + height, max(0, x) : x + width]
    if shown.shape[:2] == (height, width):
        return shown
    window = np.full((height, width, 3), PAD_VALUE, np.uint8)
    top, left = max(0, -y), max(0, -x)
    window[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return window
