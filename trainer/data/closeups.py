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

import numpy as np
import torch
from torch import Tensor

from trainer.data.dataset import Photo
from trainer.data.transforms import visible
from trainer.detectors.base import Target

COUNT = 3  # windows for a photo, together about as many pixels as it has
CLOSE_UP_PHASE = 0.75  # of the schedule; then whole photos
AROUND_A_DEFECT = 0.8  # share of the windows; the others lie anywhere
CENTRE_RANGE = (0.15, 0.85)  # where in the window the defect's centre may lie
ROOMY = 3.0  # a window is at least so many times as large as nearly all defects
NEARLY_ALL = 95  # percentile of the longer sides of the boxes
SMALLEST_PX = 192  # below, a window has no surroundings
SIZE_MULTIPLE_PX = 32


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


def cut_close_up(
    image: Tensor, target: Target, plan: CloseUps, rng: np.random.Generator
) -> tuple[Tensor, Target]:
    """Return one window of a photo.

    Args:
        image: ``[3, H, W]``, at least as large as the window.
        target: What is labelled on it.
        plan: Size of the window.
        rng: Source of chance.

    Returns:
        ``[3, h, w]`` and the boxes that are half visible.
    """
    x, y = _corner(image, target, plan, rng)
    window = image[:, y : y + plan.height_px, x : x + plan.width_px]
    return window, _inside(target, x, y, plan)


def _corner(
    image: Tensor, target: Target, plan: CloseUps, rng: np.random.Generator
) -> tuple[int, int]:
    """Return x and y of a window: around a defect, or anywhere."""
    room_y = image.shape[-2] - plan.height_px
    room_x = image.shape[-1] - plan.width_px
    if not len(target.labels) or rng.random() >= AROUND_A_DEFECT:
        return int(rng.integers(room_x + 1)), int(rng.integers(room_y + 1))
    box = target.boxes[int(rng.integers(len(target.labels)))].numpy()
    at_x, at_y = rng.uniform(*CENTRE_RANGE, size=2)
    x = (box[0] + box[2]) / 2 - at_x * plan.width_px
    y = (box[1] + box[3]) / 2 - at_y * plan.height_px
    return int(np.clip(x, 0, room_x)), int(np.clip(y, 0, room_y))


def _inside(target: Target, x: int, y: int, plan: CloseUps) -> Target:
    """Return what a window shows of a target."""
    offset = torch.tensor([x, y, x, y], dtype=torch.float32)
    boxes = target.boxes - offset
    kept = visible(boxes, plan.height_px, plan.width_px)
    return Target(boxes[kept].clone(), target.labels[kept])
