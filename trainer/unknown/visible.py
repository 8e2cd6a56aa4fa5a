"""Measures how small a change the class ``unknown`` sees: spots drawn on good photos.

On each photo one place is chosen at random. Spots of one contrast are drawn there, one
at a time, each larger than the one before, until a cell there passes the threshold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.heat_map import CELL_PX
from models.preprocess import Frame
from trainer.data.dataset import Photo
from trainer.detectors.unknown import UnknownDetector
from trainer.unknown.inputs import PhotoInputs, feature_maps

CONTRASTS = (16, 48, 128)  # grey levels of 255: faint, clear, strong
SIDES_PX = (4, 8, 16, 32, 64)  # diameters on the input: a quarter of a cell to four
# About 100 inferences: 5 s of two cores with EfficientNet-Lite0 on 576 x 384 px.
MOST_PHOTOS = 12
OnPhotos = Callable[[int], Callable[[], None]]
MIDDLE_LEVEL = 127


@dataclass(frozen=True, slots=True)
class SeenSpots:
    """How often spots of one contrast are seen."""

    contrast: int  # grey levels of 255, brighter or darker than the place
    photos: int  # that it was drawn on
    # Share of them, 0..1, on which a spot of each of ``SIDES_PX`` or a smaller is seen.
    seen: tuple[float, ...]


def measure_spots(
    model: UnknownDetector,
    photos: Sequence[Photo],
    inputs: PhotoInputs,
    threshold: float,
    *,
    seed: int,
    measuring: OnPhotos | None = None,
) -> list[SeenSpots]:
    """Return how often drawn spots are seen, for each contrast.

    Args:
        model: In evaluation mode.
        photos: They show good parts, if possible none of the memory; a sample of
            ``MOST_PHOTOS`` is taken.
        threshold: Score of a report.
        measuring: Gets the number of photos; what it returns is called after each.

    Returns:
        Empty where every place is reported already without a spot.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(photos))[:MOST_PHOTOS]
    on_photo = measuring(len(order)) if measuring else None
    rows = []  # [photos] of [contrasts, sides]
    for index in order.tolist():
        seen = _seen_on(model, photos[index], inputs, threshold, random)
        if seen is not None:
            rows.append(seen)
        if on_photo:
            on_photo()
    if not rows:
        return []
    shares = np.mean(rows, axis=0)  # [contrasts, sides]
    return [
        SeenSpots(contrast, len(rows), tuple(float(share) for share in line))
        for contrast, line in zip(CONTRASTS, shares, strict=True)
    ]


def _seen_on(
    model: UnknownDetector,
    photo: Photo,
    inputs: PhotoInputs,
    threshold: float,
    random: np.random.Generator,
) -> np.ndarray | None:
    """Return which spots are seen on a photo, ``[contrasts, sides]`` bool.

    None = its place is reported without a spot.
    """
    images = list(inputs.images(photo))
    chosen = int(random.integers(len(images)))
    corner, image = inputs.corners(photo)[chosen], images[chosen]
    height, width = inputs.mapping(photo).content_size_px
    centre = (
        _within(min(width - corner[0], image.shape[1]), random),
        _within(min(height - corner[1], image.shape[0]), random),
    )
    limit = model.memory.scale.distance(threshold)
    if _distance_at(model, image, centre, SIDES_PX[-1]) >= limit:
        return None
    seen = np.zeros((len(CONTRASTS), len(SIDES_PX)), bool)
    for row, contrast in enumerate(CONTRASTS):
        for column, side in enumerate(SIDES_PX):
            spotted = with_spot(image, centre, side, contrast)
            if _distance_at(model, spotted, centre, side) >= limit:
                seen[row, column:] = True
                break
    return seen


def _within(extent_px: int, random: np.random.Generator) -> int:
    """Return a random coordinate at which the largest spot is complete, if it fits."""
    margin = min(SIDES_PX[-1], extent_px) // 2
    return int(random.integers(margin, max(margin + 1, extent_px - margin)))


def with_spot(
    image: Frame, centre: tuple[int, int], side_px: int, contrast: int
) -> Frame:
    """Return a picture with a round spot, darker where the place is bright.

    Args:
        image: ``[H, W, 3]`` uint8; not changed.
        centre: x and y, px.
        side_px: Diameter of the spot.
        contrast: Grey levels that it differs by.
    """
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    spot = (x + 0.5 - centre[0]) ** 2 + (y + 0.5 - centre[1]) ** 2 <= side_px**2 / 4
    sign = -1 if image[spot].mean() > MIDDLE_LEVEL else 1
    changed = image.astype(np.int16)
    changed[spot] += sign * contrast
    result: Frame = changed.clip(0, 255).astype(np.uint8)
    return result


def _distance_at(
    model: UnknownDetector, image: Frame, centre: tuple[int, int], side_px: int
) -> float:
    """Return the largest distance of the cells of a place, and of those beside it."""
    maps = feature_maps(model.named, image)
    with torch.inference_mode():
        distances = model.memory.distances(maps)[0, 0]
    (left, right), (top, bottom) = (
        (
            max(0, (middle - side_px // 2) // CELL_PX - 1),
            (middle + side_px // 2) // CELL_PX + 2,
        )
        for middle in centre
    )
    return float(distances[top:bottom, left:right].max())
