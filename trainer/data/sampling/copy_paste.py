"""Copy-paste: defects of some photos, put onto others, most often onto good parts.

Two hundred photos show few defects, and each on one background only. A defect that is
cut out with a margin and pasted elsewhere is one more example; on a good part it also
shows the network the same surface with and without a defect. It is flipped and turned
at random, pasted where the rim of the cut fits its surroundings best, and its edge is
blended.

Source:
    Simple Copy-Paste, arXiv:2012.07177; for small objects arXiv:1902.07296. Measured on
    real boards at equal time: bench/results/recipe.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from models.boxes import Boxes, IntArray
from models.preprocess import Frame

BANK_SIZE = 600  # defects kept in memory, as many of each label
MOST_PASTED = 6  # on one photo
MARGIN_SHARE = 0.25  # of the longer side of the box: some of what is around it
SMALLEST_MARGIN_PX = 4
FEATHER_PX = 2  # blended on each side of the cut
RIM_PX = 3  # compared with the surroundings
PLACES_TRIED = 12
LARGEST_SHARE = 0.5  # of the photo's sides: larger ones would hide the part


@dataclass(frozen=True, slots=True)
class DefectPatch:
    """A defect with its margin."""

    pixels: Frame  # [H, W, 3] uint8
    box: Boxes  # [4] float32, xyxy, pixels of the patch
    label: int  # index into the dataset's labels

    def reoriented(self, rng: np.random.Generator, *, turns: bool = True) -> Self:
        """Return it in a random one of the eight orientations.

        Args:
            turns: False = in one of the four that flips give.
        """
        pixels, box = self.pixels, self.box
        height, width = pixels.shape[:2]
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
            box = np.array([width - box[2], box[1], width - box[0], box[3]])
        if rng.random() < 0.5:
            pixels = pixels[::-1]
            box = np.array([box[0], height - box[3], box[2], height - box[1]])
        if turns and rng.random() < 0.5:
            pixels, box = pixels.transpose(1, 0, 2), box[[1, 0, 3, 2]]
        return type(self)(pixels, box.astype(np.float32), self.label)


def cut_patch(picture: Frame, box: Boxes, label: int) -> DefectPatch:
    """Return a labelled defect with its margin.

    Args:
        box: ``[4]`` float32, xyxy, pixels, inside the picture.
    """
    longer = float(max(box[2] - box[0], box[3] - box[1]))
    margin = max(SMALLEST_MARGIN_PX, MARGIN_SHARE * longer)
    height, width = picture.shape[:2]
    x1, y1 = (int(max(0, box[i] - margin)) for i in (0, 1))
    x2 = int(min(width, np.ceil(box[2] + margin)))
    y2 = int(min(height, np.ceil(box[3] + margin)))
    origin = np.array([x1, y1, x1, y1], np.float32)
    return DefectPatch(picture[y1:y2, x1:x2].copy(), box - origin, label)


class DefectBank:
    """Defects to paste, each read when it is first drawn.

    Args:
        labels: One array for each photo, ``[G]`` int64.
        read: Returns the picture and the boxes ``[G, 4]`` of a photo, same scale.
        turns: Defects are also turned by 90 degrees.
    """

    def __init__(
        self,
        labels: Sequence[IntArray],
        read: Callable[[int], tuple[Frame, Boxes]],
        *,
        turns: bool = True,
    ) -> None:
        by_label: dict[int, list[tuple[int, int]]] = {}
        for photo, row in enumerate(labels):
            for box, label in enumerate(row):
                by_label.setdefault(int(label), []).append((photo, box))
        rng = np.random.default_rng(0)  # which are kept, where more than BANK_SIZE
        room = BANK_SIZE // max(1, len(by_label))
        self._places = {
            label: [places[i] for i in rng.permutation(len(places))[: max(1, room)]]
            for label, places in sorted(by_label.items())
        }
        self._read, self._turns = read, turns
        self._patches: dict[tuple[int, int], DefectPatch] = {}

    def __bool__(self) -> bool:
        """Return whether there is any defect to paste."""
        return bool(self._places)

    def draw(self, rng: np.random.Generator) -> DefectPatch:
        """Return a defect, each label as likely as any other; not of an empty bank."""
        label = list(self._places)[rng.integers(len(self._places))]
        place = self._places[label][rng.integers(len(self._places[label]))]
        if place not in self._patches:
            picture, boxes = self._read(place[0])
            self._patches[place] = cut_patch(picture, boxes[place[1]], label)
        return self._patches[place].reoriented(rng, turns=self._turns)


def paste_defects(
    picture: Frame,
    boxes: Boxes,
    labels: IntArray,
    bank: DefectBank,
    rng: np.random.Generator,
) -> tuple[Frame, Boxes, IntArray]:
    """Return a photo with one to ``MOST_PASTED`` more defects.

    Args:
        picture: ``[H, W, 3]`` uint8; not changed.
        boxes: ``[G, 4]`` float32, xyxy, pixels.
        labels: ``[G]`` int64.
        bank: Not empty, at the picture's scale.

    Returns:
        Picture, boxes ``[G + n, 4]`` and labels ``[G + n]``; none of the new boxes
        touches an old one.
    """
    result = picture.copy()
    all_boxes, all_labels = list(boxes), [int(label) for label in labels]
    for _ in range(int(rng.integers(1, MOST_PASTED + 1))):
        patch = bank.draw(rng)
        corner = _best_place(result, patch, all_boxes, rng)
        if corner is None:
            continue
        _blend(result, patch.pixels, corner)
        all_boxes.append(patch.box + np.array([*corner, *corner], np.float32))
        all_labels.append(patch.label)
    return (
        result,
        np.array(all_boxes, np.float32).reshape(-1, 4),
        np.array(all_labels, np.int64),
    )


def _best_place(
    picture: Frame, patch: DefectPatch, boxes: Sequence[Boxes], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return x, y of the free place whose surroundings are most like the rim."""
    height, width = patch.pixels.shape[:2]
    room_y, room_x = picture.shape[0] - height, picture.shape[1] - width
    if room_x <= 0 or room_y <= 0:
        return None
    if max(height / picture.shape[0], width / picture.shape[1]) > LARGEST_SHARE:
        return None
    best: tuple[float, tuple[int, int]] | None = None
    for _ in range(PLACES_TRIED):
        x, y = int(rng.integers(room_x)), int(rng.integers(room_y))
        if _touches((x, y, x + width, y + height), boxes):
            continue
        under = picture[y : y + height, x : x + width]
        difference = _rim_difference(under, patch.pixels)
        if best is None or difference < best[0]:
            best = difference, (x, y)
    return best[1] if best else None


def _touches(place: tuple[int, int, int, int], boxes: Sequence[Boxes]) -> bool:
    return any(
        min(place[2], box[2]) > max(place[0], box[0])
        and min(place[3], box[3]) > max(place[1], box[1])
        for box in boxes
    )


def _rim_difference(under: Frame, patch: Frame) -> float:
    """Return how much the rims of two equally large pictures differ, grey levels."""
    rims = (
        np.s_[:RIM_PX, :],
        np.s_[-RIM_PX:, :],
        np.s_[:, :RIM_PX],
        np.s_[:, -RIM_PX:],
    )
    return sum(
        float(np.abs(under[rim].astype(np.int16) - patch[rim]).mean()) for rim in rims
    )


def _blend(picture: Frame, patch: Frame, corner: tuple[int, int]) -> None:
    """Paste a patch in place; its edge fades into the picture."""
    height, width = patch.shape[:2]
    x, y = corner
    weight = np.zeros((height, width), np.float32)
    weight[FEATHER_PX:-FEATHER_PX, FEATHER_PX:-FEATHER_PX] = 1
    side = 2 * FEATHER_PX + 1
    weight = np.asarray(cv2.blur(weight, (side, side)), np.float32)[..., None]
    under = picture[y : y + height, x : x + width]
    mixed = weight * patch + (1 - weight) * under
    picture[y : y + height, x : x + width] = mixed.round().astype(np.uint8)
