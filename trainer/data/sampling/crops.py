"""Close-ups: crops of the photos around defects, for the first part of a training.

A photo of a part is mostly surface. A crop of a third of its area around a defect costs
about a third as much, at the scale that the line PC uses. So the same minutes show more
defects of more photos. The end of the training, when the learning rate is low, uses
whole photos again, with their borders and empty surfaces.

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
from models.preprocess import Frame
from models.value_types import PAD_VALUE
from trainer.data.dataset import Photo
from trainer.data.sample import BoxTarget
from trainer.data.sampling.augmentation import (
    SCALE_RANGE,
    TrainingPhotos,
    augmented,
    flips_and_rotations,
    photometric_jitter,
)

CROPS_PER_PHOTO = 3  # together about as many pixels as the photo has
CLOSE_UP_PHASE = 0.75  # of the schedule; then whole photos
AROUND_A_DEFECT = 0.8  # share of the crops; the others lie anywhere
CENTRE_RANGE = (0.15, 0.85)  # where in the crop the defect's centre may lie
LEAST_ROOM = 3.0  # side of a crop, as a multiple of nearly all defects
NEARLY_ALL = 95  # percentile of the longer sides of the boxes
SMALLEST_PX = 192  # a smaller crop has too little around the defect
SIZE_MULTIPLE_PX = 32

CropCentre = tuple[float, float]
"""x and y in a photo, in its own pixels."""
CropRequest = tuple[int, CropCentre | None]
"""Position of a photo, and what its crop is to show; None = a defect, or anything."""


@dataclass(frozen=True, slots=True)
class CloseUps:
    """Crops that replace whole photos."""

    height_px: int
    width_px: int
    # crops in the place of one photo, each of another photo: three crops of the same
    # photo teach less (mAP@.75 0.73 instead of 0.79 on real boards)
    count: int = CROPS_PER_PHOTO


def plan_close_ups(
    photos: Sequence[Photo], height_px: int, width_px: int
) -> CloseUps | None:
    """Return crops that suit the defects; None where whole photos are better."""
    sides = [_longer_sides(photo, height_px, width_px) for photo in photos]
    joined = np.concatenate(sides) if sides else np.zeros(0)
    if len(joined) == 0:
        return None
    height, width = (_crop_px(side) for side in (height_px, width_px))
    fits = LEAST_ROOM * float(np.percentile(joined, NEARLY_ALL)) <= min(height, width)
    if not fits or min(height, width) < SMALLEST_PX:
        return None
    return CloseUps(height, width)


def _longer_sides(photo: Photo, height_px: int, width_px: int) -> np.ndarray:
    """Return the longer sides of a photo's boxes in input pixels, ``[G]``."""
    scale = min(height_px / photo.height_px, width_px / photo.width_px)
    extent = (photo.boxes[:, 2:] - photo.boxes[:, :2]) * scale  # [G, 2]
    longer: np.ndarray = extent.max(axis=1) if len(extent) else np.zeros(0)
    return longer


def _crop_px(side_px: int) -> int:
    """Return the side of a crop, so that ``CROPS_PER_PHOTO`` have the photo's area."""
    side = side_px / math.sqrt(CROPS_PER_PHOTO)
    return round(side / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX


class CloseUpPhotos:
    """Crops of training photos; only the crop is augmented."""

    def __init__(self, photos: TrainingPhotos, plan: CloseUps) -> None:
        self._photos, self._plan = photos, plan
        turns = photos.turns and plan.height_px == plan.width_px
        steps = [*flips_and_rotations(turns=turns), photometric_jitter()]
        self._transform = v2.Compose(steps)

    def crop(
        self, request: CropRequest, rng: np.random.Generator
    ) -> tuple[Tensor, BoxTarget]:
        """Return one augmented crop of a photo.

        Args:
            request: Which photo, and what the crop is to show of it.
            rng: Places the crop; torch's generator augments it.

        Returns:
            ``[3, h, w]`` uint8 BGR and the boxes that are half visible.
        """
        index, centre = request
        content, boxes, labels = self._photos.unaugmented(index)
        if centre is not None:
            photo = self._photos.photos[index]
            scale = content.shape[1] / photo.width_px
            centre = centre[0] * scale, centre[1] * scale
        crop, moved = cut_close_up(content, boxes, self._plan, rng, centre)
        return augmented(crop, moved, labels, self._transform)


def cut_close_up(
    content: Frame,
    boxes: Boxes,
    plan: CloseUps,
    rng: np.random.Generator,
    centre: CropCentre | None = None,
) -> tuple[Frame, Boxes]:
    """Return one crop of a photo, randomly enlarged or reduced.

    Args:
        centre: x and y in ``content`` that the crop shows; None = a defect, or
            anything.

    Returns:
        ``[h, w, 3]`` and all boxes in the crop's pixels, not clipped. Where the photo
        ends, the crop is padded.
    """
    scale = rng.uniform(*SCALE_RANGE)
    height, width = (round(side / scale) for side in (plan.height_px, plan.width_px))
    if centre is None and len(boxes) and rng.random() < AROUND_A_DEFECT:
        box = boxes[int(rng.integers(len(boxes)))]
        centre = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    x, y = _corner(content, height, width, centre, rng)
    cut = _cut(content, x, y, height, width)
    size = (plan.width_px, plan.height_px)
    resized: Frame = np.asarray(cv2.resize(cut, size), np.uint8)
    stretch = np.array([size[0] / width, size[1] / height] * 2)
    moved = (boxes - np.array([x, y, x, y])) * stretch
    return resized, moved.astype(np.float32)


def _corner(
    content: Frame,
    height: int,
    width: int,
    centre: CropCentre | None,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Return x and y of a crop: around a centre, or anywhere; below 0 if padded."""
    rooms = content.shape[1] - width, content.shape[0] - height
    if centre is None:
        x, y = (int(rng.integers(min(0, r), max(0, r) + 1)) for r in rooms)
        return x, y
    places = rng.uniform(*CENTRE_RANGE, size=2)
    x, y = (
        int(np.clip(middle - at * side, min(0, room), max(0, room)))
        for middle, at, side, room in zip(
            centre, places, (width, height), rooms, strict=True
        )
    )
    return x, y


def _cut(content: Frame, x: int, y: int, height: int, width: int) -> Frame:
    """Return a part of a photo, padded where it reaches over the edge."""
    inside = content[max(0, y) : y + height, max(0, x) : x + width]
    if inside.shape[:2] == (height, width):
        return inside
    padded = np.full((height, width, 3), PAD_VALUE, np.uint8)
    top, left = max(0, -y), max(0, -x)
    padded[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return padded
