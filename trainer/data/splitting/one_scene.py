"""Frames of one scene: photos that differ by the camera's noise only.

The search for near-duplicates compares what is individual to a part, so it cannot
compare photos of which all show the same part: their mean is the part, and what is left
of each is noise. Here two photos are compared with each other instead, in two steps.

1. At 48 x 48 the difference is fitted by a change of brightness and contrast and by a
   small shift and turn. What is left must be small against the contrast of the picture.
2. At the size of the photo, in cells of a few pixels, no cell may differ by more than
   the noise of all cells and the error of the alignment at edges. A part that differs
   by its surface, its position or a defect has such cells.

Two photos with boxes are frames of one scene only where the boxes agree. A photo of a
good part is compared with a photo with boxes too: on a fixed jig both look alike but
for the defect, so the cells of the boxes must not differ either. Such a pair is one
picture with two labels.

Measured by bench/one_scene.py. Photos without contrast at 48 x 48, such as plain
textures, are like no other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from models.boxes import Boxes, FloatArray, IntArray, iou
from models.pictures import PictureError, read_picture
from models.preprocess import Frame
from models.value_types import PIXELS_MAX
from trainer.data.decoding import Budget, decoding_threads
from trainer.data.splitting.near_duplicates import (
    CANDIDATE_DISTANCE,
    EDGE_PX,
    SIDE_PX,
    Fingerprint,
    candidate_pairs,
    smooth,
)

# What is left after the fit, as a share of the picture's own standard deviation. Noise
# of up to 8 levels, JPEG quality 60 and a shift of 6 of 640 px leave up to 0.04; other
# parts leave 0.05 and more (screws; 0.055 toys, 0.065 generated parts, 0.25 cookies).
LEFT_SHARE = 0.04
# In pictures of low contrast noise alone leaves more than that share.
LEFT_LEVELS, LOW_CONTRAST_SHARE = 0.45, 0.2  # other melt surfaces leave 0.3 and more
BATCH_PAIRS = 256
RIDGE = 1e-3  # keeps the fit of a flat picture solvable

WORK_PX = 640  # longer side of the second comparison
BOX_WORK_PX = 1600  # where boxes are compared: a small defect must fill a cell
CELL_PX = 8
NOISE_LIMIT = 6.0  # standard deviations of the cells' difference
LEAST_LIMIT = 2.0  # grey levels; blocks of JPEG differ by so much in flat pictures
EDGE_LIMIT = 0.2  # of the local gradient: error of the alignment, in pixels
# Largest difference of any cell in units of its limit. Frames of one scene reach 2.0
# (3.1 where a brighter frame is clipped), other parts 2.6 to 80.
SCENE_SCORE = 2.0
BOX_SCORE = 1.5  # the same for cells of boxes
CLIPPED = 4.0  # grey levels from black or white: the camera may have clipped there
LEAST_UNCLIPPED = 0.1  # share of the cells that the change of brightness is fitted on
LARGEST_SHIFT_PX = 12.0  # of 640; more is another place, or an error of the alignment
SMALLEST_SHIFT_PX = 0.05
SHAPE_TOLERANCE = 0.01  # of the aspect ratio; a resized copy is rounded to whole pixels

SAME_BOX_IOU = 0.3  # a few pixels of shift on a small box
# Pairs that are compared at full size, the nearest first: 10 s at 640 px on two cores.
# Further pairs are decided as the pairs before them were.
MOST_READ = 400
READ_AT_ONCE = 16  # a scene found in one batch spares the others its pairs
AGREEMENT = 0.95  # share of the pairs read that must be one scene for that

PhotoPair = tuple[int, int]


class ScenePhoto(Protocol):
    """The properties of a photo that the comparison uses."""

    @property
    def path(self) -> Path:
        """The picture."""

    @property
    def width_px(self) -> int:
        """Width of the picture."""

    @property
    def height_px(self) -> int:
        """Height of the picture."""

    @property
    def bit_depth(self) -> int | None:
        """Of a file with more than 8 bits a channel."""

    @property
    def boxes(self) -> Boxes:
        """``[G, 4]`` xyxy, pixels of the photo; empty for a good part."""

    @property
    def labels(self) -> IntArray:
        """``[G]`` index of the class of each box."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The picture made small and grey."""


@dataclass(frozen=True, slots=True)
class Scenes:
    """Which photos show one scene."""

    groups: tuple[int, ...]  # [N] first photo of each one's scene
    # a photo with boxes and a photo of a good part that are nearly the same picture
    contradictions: tuple[PhotoPair, ...]


def find_scenes(photos: Sequence[ScenePhoto]) -> Scenes:
    """Return the pairs of photos that differ by noise only."""
    pictures = _smooth([photo.fingerprint for photo in photos])
    first = list(alike_pairs(pictures, range(len(photos))))
    twins = [
        (one, other) if len(photos[one].labels) else (other, one)
        for one, other in first
        if (len(photos[one].labels) > 0) != (len(photos[other].labels) > 0)
    ]
    search = _SceneSearch(photos)
    search.join(first)
    members = search.members()
    # A photo is compared with its nearest ones, so a large scene may be left in parts.
    while len(members) < len(photos):
        search.join(alike_pairs(pictures, members))
        fewer = search.members()
        if len(fewer) == len(members):
            break
        members = fewer
    contradictions = _compared(twins[:MOST_READ], photos)
    return Scenes(tuple(search.groups()), tuple(contradictions))


def joined(pairs: Sequence[PhotoPair], count: int) -> list[int]:
    """Return a number for each of ``count`` photos, equal where pairs join them."""
    root = list(range(count))
    for one, other in pairs:
        _join(root, one, other)
    return [_root(root, index) for index in range(count)]


def _root(root: list[int], index: int) -> int:
    while root[index] != index:
        root[index] = root[root[index]]
        index = root[index]
    return index


def _join(root: list[int], one: int, other: int) -> None:
    low, high = sorted((_root(root, one), _root(root, other)))
    root[high] = low


class _SceneSearch:
    """Joins photos to scenes; a pair that others join already is not read."""

    def __init__(self, photos: Sequence[ScenePhoto]) -> None:
        self._photos = photos
        self._root = list(range(len(photos)))
        self._read: dict[PhotoPair, bool] = {}

    def join(self, alike: Iterable[PhotoPair]) -> None:
        """Join the pairs that are one scene, the nearest first."""
        waiting = [pair for pair in alike if pair not in self._read]
        waiting = [pair for pair in waiting if self._may_be_frames(*pair)]
        while waiting and len(self._read) < MOST_READ:
            waiting = [pair for pair in waiting if self._are_apart(pair)]
            batch, waiting = waiting[:READ_AT_ONCE], waiting[READ_AT_ONCE:]
            found = _compared(batch, self._photos)
            self._read |= {pair: pair in found for pair in batch}
            for one, other in found:
                _join(self._root, one, other)
        if waiting and np.mean(list(self._read.values())) >= AGREEMENT:
            for one, other in waiting:
                _join(self._root, one, other)

    def members(self) -> list[int]:
        """Return one photo of each scene, ascending."""
        return sorted(set(self.groups()))

    def groups(self) -> list[int]:
        """Return the first photo of each one's scene."""
        return [_root(self._root, index) for index in range(len(self._root))]

    def _are_apart(self, pair: PhotoPair) -> bool:
        one, other = pair
        return _root(self._root, one) != _root(self._root, other)

    def _may_be_frames(self, first: int, second: int) -> bool:
        """Return whether both have no boxes, or each box has its like on the other."""
        one, other = self._photos[first], self._photos[second]
        if not (len(one.labels) and len(other.labels)):
            return len(one.labels) == len(other.labels)
        same = (one.labels[:, None] == other.labels) & (
            iou(one.boxes, other.boxes) >= SAME_BOX_IOU
        )
        return bool(same.any(axis=1).all() and same.any(axis=0).all())


def _compared(
    pairs: Sequence[PhotoPair], photos: Sequence[ScenePhoto]
) -> list[PhotoPair]:
    """Return the pairs that differ by noise only at full size."""
    budget = Budget(PIXELS_MAX)

    def is_one(pair: PhotoPair) -> bool:
        one, other = (photos[index] for index in pair)
        pixels = sum(photo.width_px * photo.height_px for photo in (one, other))
        with budget.held(pixels):
            return _is_one_scene(one, other)

    with decoding_threads() as pool:
        found = pool.map(is_one, pairs)
        return [pair for pair, yes in zip(pairs, found, strict=True) if yes]


def _is_one_scene(one: ScenePhoto, other: ScenePhoto) -> bool:
    try:
        first, second = (read_picture(p.path, p.bit_depth) for p in (one, other))
    except (OSError, PictureError):
        return False
    is_twin = len(one.labels) > 0 and not len(other.labels)
    return differ_by_noise(first, second, one.boxes if is_twin else None)


def _smooth(fingerprints: Sequence[Fingerprint]) -> FloatArray:
    none = np.zeros((0, SIDE_PX, SIDE_PX), np.float32)
    return smooth(np.stack(fingerprints).astype(np.float32)) if fingerprints else none


def alike_pairs(pictures: FloatArray, members: Sequence[int]) -> Iterator[PhotoPair]:
    """Yield pairs that differ by little at 48 x 48, those that differ least first.

    Args:
        pictures: ``[N, S, S]``, smooth.
        members: The ones to compare.
    """
    if len(members) < 2:
        return
    index = np.array(members, np.int64)
    nearest = list(candidate_pairs(pictures[index], CANDIDATE_DISTANCE))
    if not nearest:
        return
    pairs = index[np.array(nearest, np.int64).reshape(-1, 2)]
    shares = [
        _left_share(pictures[batch[:, 0]], pictures[batch[:, 1]])
        for batch in np.array_split(pairs, -(-len(pairs) // BATCH_PAIRS))
    ]
    share = np.concatenate(shares)
    order = np.argsort(share, kind="stable")
    alike = pairs[order[share[order] <= 1]]
    yield from ((int(one), int(other)) for one, other in alike)


def _left_share(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the difference left after the fit, in units of its limit, ``[P]``.

    The gradient of the mean of both is used: errors of second order cancel. Every
    second pixel of smooth pictures is enough.
    """
    middle = (one + other) / 2  # [P, S, S]
    here = slice(EDGE_PX, -EDGE_PX, 2)
    before, after = slice(EDGE_PX - 1, -EDGE_PX - 1, 2), slice(EDGE_PX + 1, -2, 2)
    down = (middle[:, after, here] - middle[:, before, here]) / 2
    right = (middle[:, here, after] - middle[:, here, before]) / 2
    centred = (np.arange(SIDE_PX, dtype=np.float32) - (SIDE_PX - 1) / 2)[here]
    turned = down * centred[None, None, :] - right * centred[None, :, None]
    shown = (middle[:, here, here], right, down, turned)
    basis = np.stack([x.reshape(len(one), -1) for x in shown], axis=1)  # [P, 4, I]
    basis -= basis.mean(axis=2, keepdims=True)  # a change of brightness
    change = (other - one)[:, here, here].reshape(len(one), -1)
    change -= change.mean(axis=1, keepdims=True)  # [P, I]
    square = basis @ basis.transpose(0, 2, 1) + RIDGE * np.eye(4, dtype=np.float32)
    factors = np.linalg.solve(square, basis @ change[:, :, None])  # [P, 4, 1]
    left = change - (factors.transpose(0, 2, 1) @ basis)[:, 0]
    rms = np.sqrt((left**2).mean(axis=1))
    contrast = np.sqrt((basis[:, 0] ** 2).mean(axis=1))
    limit = np.maximum(
        LEFT_SHARE * contrast, np.minimum(LEFT_LEVELS, LOW_CONTRAST_SHARE * contrast)
    )
    result: FloatArray = (rms / np.maximum(limit, 1e-6)).astype(np.float32)
    return result


def differ_by_noise(one: Frame, other: Frame, boxes: Boxes | None = None) -> bool:
    """Return whether two pictures differ by noise, brightness, size and a shift only.

    Args:
        one: ``[H, W, 3]`` uint8, BGR.
        other: The same, of any size.
        boxes: ``[G, 4]`` xyxy, pixels of ``one``: places that must not differ either.
    """
    ratio = one.shape[1] * other.shape[0] / (one.shape[0] * other.shape[1])
    if abs(ratio - 1) > SHAPE_TOLERANCE:
        return False
    size = _whole_cells(one, WORK_PX if boxes is None else BOX_WORK_PX)
    score = _scores(_grey(one, size), _grey(other, size))
    if score.max() > SCENE_SCORE:
        return False
    return boxes is None or _box_score(score, boxes, one.shape) <= BOX_SCORE


def _whole_cells(picture: Frame, longer_px: int) -> tuple[int, int]:
    """Return width and height for the comparison, whole cells."""
    scale = min(1.0, longer_px / max(picture.shape[:2]))
    height, width = (
        max(2 * CELL_PX, round(side * scale) // CELL_PX * CELL_PX)
        for side in picture.shape[:2]
    )
    return width, height


def _grey(picture: Frame, size: tuple[int, int]) -> FloatArray:
    """Return a picture in grey, of a given width and height."""
    area = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(area, cv2.COLOR_BGR2GRAY), np.float32)


def _scores(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return each cell's difference in units of its limit, ``[H / CELL, W / CELL]``.

    Cells at the edge that the shift emptied are 0.
    """
    x, y = _shift(one, other)
    emptied = 0
    if max(abs(x), abs(y)) > SMALLEST_SHIFT_PX:
        emptied = int(np.ceil(max(abs(x), abs(y)) / CELL_PX))
        matrix = np.array([[1, 0, x], [0, 1, y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size, edge = other.shape[::-1], cv2.BORDER_REPLICATE
        moved = cv2.warpAffine(other, matrix, size, flags=flags, borderMode=edge)
        other = np.asarray(moved, np.float32)
    difference = _difference(_cells(one), _cells(other))
    steps = np.abs(np.diff(one, axis=1, append=one[:, -1:]))
    steps += np.abs(np.diff(one, axis=0, append=one[-1:]))
    noise = 1.4826 * float(np.median(difference))  # of a normal distribution
    limit = max(LEAST_LIMIT, NOISE_LIMIT * noise) + EDGE_LIMIT * _cells(steps)
    scores: FloatArray = (difference / limit).astype(np.float32)
    for side in (scores, scores.T):
        side[:emptied] = side[len(side) - emptied :] = 0
    return scores


def _difference(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return what a change of brightness and contrast does not explain, per cell.

    A brighter or darker picture is clipped at 255 or 0: what is lost there can be
    predicted from the other picture, but not the other way round.
    """
    dark, bright = np.minimum(one, other), np.maximum(one, other)
    inside = (dark > CLIPPED) & (bright < 255 - CLIPPED)
    if inside.mean() < LEAST_UNCLIPPED:
        inside = np.ones_like(inside)
    contrast, brightness = np.polyfit(one[inside], other[inside], 1)
    contrast = max(float(contrast), 1e-3)
    predicted = (contrast * one + brightness).clip(0, 255)
    backwards = ((other - brightness) / contrast).clip(0, 255)
    result: FloatArray = np.minimum(np.abs(other - predicted), np.abs(one - backwards))
    return result


def _cells(picture: FloatArray) -> FloatArray:
    height, width = picture.shape
    size = width // CELL_PX, height // CELL_PX
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _shift(one: FloatArray, other: FloatArray) -> tuple[float, float]:
    """Return how far the content of the second lies from that of the first, pixels."""
    half = one.shape[1] // 2, one.shape[0] // 2
    window = cv2.createHanningWindow(half, cv2.CV_32F)
    first = cv2.resize(one, half, interpolation=cv2.INTER_AREA)
    second = cv2.resize(other, half, interpolation=cv2.INTER_AREA)
    (x, y), _ = cv2.phaseCorrelate(first, second, window)
    if max(abs(x), abs(y)) * 2 > LARGEST_SHIFT_PX * max(one.shape) / WORK_PX:
        return 0.0, 0.0
    return 2 * x, 2 * y


def _box_score(score: FloatArray, boxes: Boxes, shape: tuple[int, ...]) -> float:
    """Return the largest score of the cells that any box touches."""
    rows, columns = score.shape
    scale = np.array([columns / shape[1], rows / shape[0]] * 2, np.float32)
    highest = 0.0
    for x1, y1, x2, y2 in boxes * scale:
        left, top = int(max(0, x1)), int(max(0, y1))
        part = score[top : int(np.ceil(y2)) + 1, left : int(np.ceil(x2)) + 1]
        highest = max(highest, float(part.max(initial=0)))
    return highest
