"""The demo's line: plans photos and a video of one family of parts.

Photos and video show the same station (belt, lamp, camera) but never the same part:
each draws from its own branch of the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from trainer.data.synthetic.line_defects import (
    Flaw,
    LineDefect,
    make_part,
)
from trainer.data.synthetic.line_part import polar
from trainer.data.synthetic.line_scene import (
    Laid,
    Station,
    build_station,
    lay,
    shoot,
)
from trainer.data.synthetic.raster import FrameImage

GOOD_SHARE = 0.55
"""Share of good parts in the video."""
STEP_SHARE = 0.11
"""How far the belt moves from one frame to the next, in picture widths."""
_WANDER_SHARE = 0.07
"""How far parts lie beside the belt's middle, in picture widths."""
_CUT_SHARE = 0.25
"""Share of photos where the picture's border may cut the part."""
_LEAST_SHOWN = 0.6
"""Part of a defect's box that must be in the picture for it to be labelled."""
_LEAST_SIDE_PX = 6
_PLACES = 12
_LABEL_ODDS = (0.26, 0.2, 0.22, 0.2, 0.12)


class Branch(IntEnum):
    """Branches of the seed: each kind of output has its own parts."""

    STATION = 0
    TRAIN = 1
    VAL = 2
    GOOD = 3
    VIDEO = 4


@dataclass(frozen=True, slots=True)
class PlannedPhoto:
    """One labelled photo.

    Attributes:
        frame: ``[S, S, 3]`` uint8 BGR.
        flaws: What is labelled, boxes in pixels of the photo; empty = good.
    """

    frame: FrameImage
    flaws: tuple[Flaw, ...]


@dataclass(frozen=True, slots=True)
class PassingDefect:
    """A defect while it passes the camera.

    Attributes:
        label: What it is.
        boxes: Frame number to ``[4]`` xyxy, in frames where most of it is visible.
    """

    label: LineDefect
    boxes: dict[int, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Passage:
    """One part's way through the picture.

    Attributes:
        part_id: Number of the part, from 0.
        first_frame: First frame in which any of it can be seen.
        last_frame: Last such frame; no other part is seen from first to last.
        defects: Its defects; empty for a good part.
    """

    part_id: int
    first_frame: int
    last_frame: int
    defects: tuple[PassingDefect, ...]


def chance(seed: int, branch: Branch, index: int = 0) -> np.random.Generator:
    """Return the source of chance of one part: same seed, same part."""
    sequence = np.random.SeedSequence(seed, spawn_key=(int(branch), index))
    return np.random.Generator(np.random.PCG64(sequence))


def make_station(seed: int, size_px: int) -> Station:
    """Return the station of a data set."""
    return build_station(chance(seed, Branch.STATION), size_px)


def draw_labels(rng: np.random.Generator, most: int) -> tuple[LineDefect, ...]:
    """Return one to ``most`` defects for a part, at most one missing hole."""
    count = 1 + int(rng.integers(most))
    drawn = rng.choice(len(_LABEL_ODDS), count, p=_LABEL_ODDS)
    labels = [tuple(LineDefect)[int(index)] for index in drawn]
    hole = LineDefect.MISSING_HOLE
    first = labels.index(hole) if hole in labels else -1
    return tuple(
        label for at, label in enumerate(labels) if label is not hole or at == first
    )


def _shown(flaw: Flaw, corner: tuple[int, int], size_px: int) -> tuple[Flaw, float]:
    """Return a flaw in the picture's pixels, cut, and how much of it is left."""
    box = flaw.box + np.array(corner * 2, np.float32)
    clipped = np.clip(box, 0, size_px).astype(np.float32)
    whole = float((box[2] - box[0]) * (box[3] - box[1]))
    left = float((clipped[2] - clipped[0]) * (clipped[3] - clipped[1]))
    sides = min(clipped[2] - clipped[0], clipped[3] - clipped[1])
    share = left / whole if sides >= _LEAST_SIDE_PX else min(left / whole, 0.01)
    return Flaw(flaw.label, clipped), share


def _labelled(
    laid: Laid, corner: tuple[int, int], size_px: int
) -> tuple[Flaw, ...] | None:
    """Return the labels at a place, or None where one is neither in nor out."""
    shown = [_shown(flaw, corner, size_px) for flaw in laid.part.flaws]
    if any(0 < share < _LEAST_SHOWN for _, share in shown):
        return None
    kept = tuple(flaw for flaw, share in shown if share)
    return kept if kept or not laid.part.flaws else None


def _row(rng: np.random.Generator, size_px: int, patch_px: int) -> int:
    middle = (size_px - patch_px) / 2
    return round(middle + rng.uniform(-1, 1) * _WANDER_SHARE * size_px)


def take_photo(
    rng: np.random.Generator, station: Station, labels: tuple[LineDefect, ...]
) -> PlannedPhoto:
    """Return a photo of one new part somewhere in the field of view.

    Args:
        rng: Source of chance.
        station: Belt, lamp and camera.
        labels: The part's defects, none for a good part.
    """
    size = station.size_px
    laid = lay(rng, make_part(rng, size, labels))
    patch = laid.cover.shape[0]
    cut = round(0.45 * patch) if rng.random() < _CUT_SHARE else 0
    corner, flaws = (0, 0), None
    for attempt in range(_PLACES):
        reach = cut if attempt < _PLACES - 1 else 0
        left = int(rng.integers(-reach, size - patch + reach + 1))
        corner = left, _row(rng, size, patch)
        flaws = _labelled(laid, corner, size)
        if flaws is not None:
            break
    travel = int(rng.integers(station.belt.shape[1]))
    return PlannedPhoto(shoot(rng, station, travel, laid, corner), flaws or ())


@dataclass(frozen=True, slots=True)
class _Slot:
    """When and where one part passes."""

    start_px: int
    row: int
    first_frame: int
    last_frame: int


class PartLine:
    """The video: a fixed plan of parts, rendered frame by frame.

    Args:
        seed: Seed of the data set.
        parts: Number of parts that pass.
        size_px: Edge of the camera's picture.
    """

    def __init__(self, seed: int, parts: int, size_px: int) -> None:
        self._seed, self._size_px = seed, size_px
        self._step_px = max(1, round(STEP_SHARE * size_px))
        self._patch_px = polar(size_px).size_px
        rng = chance(seed, Branch.VIDEO)
        good = np.zeros(parts, np.bool_)
        good[: round(GOOD_SHARE * parts)] = True
        self._good = rng.permutation(good)
        self._slots = self._schedule(rng, parts)

    @property
    def good_count(self) -> int:
        """Parts without any defect."""
        return int(np.count_nonzero(self._good))

    @property
    def frame_count(self) -> int:
        """Frames of the video; it ends with an empty belt."""
        return self._slots[-1].last_frame + 3

    @property
    def step_px(self) -> int:
        """Pixels that a part moves to the right from frame to frame."""
        return self._step_px

    def _schedule(self, rng: np.random.Generator, parts: int) -> list[_Slot]:
        """Let parts follow each other so that two are never in one frame."""
        slots = []
        frame = 2
        span = self._size_px + self._patch_px
        for _ in range(parts):
            offset = int(rng.integers(1, self._step_px + 1))
            start_px = frame * self._step_px + self._patch_px - offset
            last = frame + (span - offset - 1) // self._step_px
            row = _row(rng, self._size_px, self._patch_px)
            slots.append(_Slot(start_px, row, frame, last))
            frame = last + 2 + int(rng.random() < 0.25)
        return slots

    def render(self, station: Station) -> Iterator[tuple[FrameImage, Passage | None]]:
        """Yield each frame, and with the last one of a part its passage.

        Args:
            station: Belt, lamp and camera.

        Yields:
            The frame ``[S, S, 3]`` uint8 BGR and a finished passage or None.
        """
        frame = 0
        for index, slot in enumerate(self._slots):
            rng = chance(self._seed, Branch.VIDEO, index + 1)
            while frame < slot.first_frame:
                yield self._shoot(rng, station, frame, None, slot), None
                frame += 1
            labels = () if self._good[index] else draw_labels(rng, 2)
            laid = lay(rng, make_part(rng, self._size_px, labels))
            passage = self._passage(index, slot, laid)
            while frame <= slot.last_frame:
                shot = self._shoot(rng, station, frame, laid, slot)
                yield shot, passage if frame == slot.last_frame else None
                frame += 1
        rng = chance(self._seed, Branch.VIDEO, len(self._slots) + 1)
        while frame < self.frame_count:
            yield self._shoot(rng, station, frame, None, self._slots[-1]), None
            frame += 1

    def _corner(self, slot: _Slot, frame: int) -> tuple[int, int]:
        return frame * self._step_px - slot.start_px, slot.row

    def _shoot(
        self,
        rng: np.random.Generator,
        station: Station,
        frame: int,
        laid: Laid | None,
        slot: _Slot,
    ) -> FrameImage:
        corner = self._corner(slot, frame)
        return shoot(rng, station, frame * self._step_px, laid, corner)

    def _passage(self, index: int, slot: _Slot, laid: Laid) -> Passage:
        defects = []
        for flaw in laid.part.flaws:
            boxes = {}
            for frame in range(slot.first_frame, slot.last_frame + 1):
                corner = self._corner(slot, frame)
                shown, share = _shown(flaw, corner, self._size_px)
                if share >= _LEAST_SHOWN:
                    boxes[frame] = shown.box
            defects.append(PassingDefect(flaw.label, boxes))
        return Passage(index, slot.first_frame, slot.last_frame, tuple(defects))
