"""The photos and the video of the demo's line.

Photos and video show the same station (belt, lamp, camera) but never the same part:
each is drawn from its own branch of the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from trainer.data.synthetic.line_defects import (
    SMALLEST_PX,
    Flaw,
    LineDefect,
    make_part,
)
from trainer.data.synthetic.line_part import polar
from trainer.data.synthetic.line_scene import (
    PlacedPart,
    Station,
    build_station,
    capture_frame,
    place_part,
)
from trainer.data.synthetic.raster import FrameImage

GOOD_SHARE = 0.55  # share of good parts in the video
# how far the belt moves from one frame to the next, in picture widths
STEP_SHARE = 0.11
_WANDER_SHARE = 0.07  # how far parts lie beside the belt's middle, in picture widths
_CUT_SHARE = 0.25  # share of photos where the picture's border may cut the part
# part of a defect's box that must be in the picture for it to be labelled
_LEAST_SHOWN = 0.6
_LEAST_SIDE_PX = SMALLEST_PX  # less of a defect is not labelled
_PLACES = 12
_LABEL_ODDS = (0.26, 0.2, 0.22, 0.2, 0.12)


class SeedBranch(IntEnum):
    """Branches of the seed: each kind of output has its own parts."""

    STATION = 0
    TRAIN = 1
    VAL = 2
    GOOD = 3
    VIDEO = 4


@dataclass(frozen=True, slots=True)
class PlannedPhoto:
    """One labelled photo."""

    frame: FrameImage  # [S, S, 3] uint8 BGR
    # what is labelled, boxes in pixels of the photo; empty = good
    flaws: tuple[Flaw, ...]


@dataclass(frozen=True, slots=True)
class PassingDefect:
    """A defect while it passes the camera."""

    label: LineDefect
    # by frame number, [4] xyxy, in frames where most of it is visible
    boxes: dict[int, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Passage:
    """One part while it moves through the picture."""

    part_id: int  # number of the part, from 0
    first_frame: int  # first frame in which any of it is visible
    last_frame: int  # last such frame; no other part is visible from first to last
    defects: tuple[PassingDefect, ...]  # its defects; empty for a good part


def seeded_rng(
    seed: int, branch: SeedBranch, index: int = 0, attempt: int = 0
) -> np.random.Generator:
    """Return the random generator of one part; ``attempt`` counts redraws of it."""
    again = (attempt,) if attempt else ()
    sequence = np.random.SeedSequence(seed, spawn_key=(int(branch), index, *again))
    return np.random.Generator(np.random.PCG64(sequence))


def make_station(seed: int, size_px: int) -> Station:
    """Return the station of a data set."""
    return build_station(seeded_rng(seed, SeedBranch.STATION), size_px)


def choose_labels(rng: np.random.Generator, most: int) -> tuple[LineDefect, ...]:
    """Return one to ``most`` defects for a part, at most one missing hole."""
    count = 1 + int(rng.integers(most))
    drawn = rng.choice(len(_LABEL_ODDS), count, p=_LABEL_ODDS)
    labels = [tuple(LineDefect)[int(index)] for index in drawn]
    hole = LineDefect.MISSING_HOLE
    first = labels.index(hole) if hole in labels else -1
    return tuple(
        label for at, label in enumerate(labels) if label is not hole or at == first
    )


def _clipped(flaw: Flaw, corner: tuple[int, int], size_px: int) -> tuple[Flaw, float]:
    """Return a flaw clipped to the picture, and the share of it that is visible."""
    box = flaw.box + np.array(corner * 2, np.float32)
    clipped = np.clip(box, 0, size_px).astype(np.float32)
    whole = float((box[2] - box[0]) * (box[3] - box[1]))
    left = float((clipped[2] - clipped[0]) * (clipped[3] - clipped[1]))
    sides = min(clipped[2] - clipped[0], clipped[3] - clipped[1])
    share = left / whole if sides >= _LEAST_SIDE_PX else min(left / whole, 0.01)
    return Flaw(flaw.label, clipped), share


def _visible_flaws(
    placed: PlacedPart, corner: tuple[int, int], size_px: int
) -> tuple[Flaw, ...] | None:
    """Return the labels at a position, or None where one is only partly visible."""
    shown = [_clipped(flaw, corner, size_px) for flaw in placed.part.flaws]
    if any(0 < share < _LEAST_SHOWN for _, share in shown):
        return None
    kept = tuple(flaw for flaw, share in shown if share)
    return kept if kept or not placed.part.flaws else None


def _random_row(rng: np.random.Generator, size_px: int, patch_px: int) -> int:
    middle = (size_px - patch_px) / 2
    return round(middle + rng.uniform(-1, 1) * _WANDER_SHARE * size_px)


def take_photo(
    rng: np.random.Generator, station: Station, labels: tuple[LineDefect, ...]
) -> PlannedPhoto:
    """Return a photo of one new part somewhere in the field of view.

    Args:
        labels: The part's defects; empty for a good part.
    """
    size = station.size_px
    placed = place_part(rng, make_part(rng, size, labels))
    patch = placed.cover.shape[0]
    cut = round(0.45 * patch) if rng.random() < _CUT_SHARE else 0
    corner, flaws = (0, 0), None
    for attempt in range(_PLACES):
        reach = cut if attempt < _PLACES - 1 else 0
        left = int(rng.integers(-reach, size - patch + reach + 1))
        corner = left, _random_row(rng, size, patch)
        flaws = _visible_flaws(placed, corner, size)
        if flaws is not None:
            break
    travel = int(rng.integers(station.belt.shape[1]))
    return PlannedPhoto(
        capture_frame(rng, station, travel, placed, corner), flaws or ()
    )


@dataclass(frozen=True, slots=True)
class _PartPlan:
    """Time and position of one part in the video."""

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
        rng = seeded_rng(seed, SeedBranch.VIDEO)
        good = np.zeros(parts, np.bool_)
        good[: round(GOOD_SHARE * parts)] = True
        self._good = rng.permutation(good)
        self._plans = self._schedule(rng, parts)

    @property
    def frame_count(self) -> int:
        """Frames of the video; it ends with an empty belt."""
        return self._plans[-1].last_frame + 3

    @property
    def step_px(self) -> int:
        """Pixels that a part moves to the right from frame to frame."""
        return self._step_px

    def _schedule(self, rng: np.random.Generator, parts: int) -> list[_PartPlan]:
        """Return parts one after the other, so that two are never in one frame."""
        plans = []
        frame = 2
        span = self._size_px + self._patch_px
        for _ in range(parts):
            offset = int(rng.integers(1, self._step_px + 1))
            start_px = frame * self._step_px + self._patch_px - offset
            last = frame + (span - offset - 1) // self._step_px
            row = _random_row(rng, self._size_px, self._patch_px)
            plans.append(_PartPlan(start_px, row, frame, last))
            frame = last + 2 + int(rng.random() < 0.25)
        return plans

    def render(self, station: Station) -> Iterator[tuple[FrameImage, Passage | None]]:
        """Yield each frame, and with the last one of a part its passage.

        Yields:
            The frame ``[S, S, 3]`` uint8 BGR and a finished passage or None.
        """
        frame = 0
        for index, plan in enumerate(self._plans):
            rng = seeded_rng(self._seed, SeedBranch.VIDEO, index + 1)
            while frame < plan.first_frame:
                yield self._capture(rng, station, frame, None, plan), None
                frame += 1
            labels = () if self._good[index] else choose_labels(rng, 2)
            placed = place_part(rng, make_part(rng, self._size_px, labels))
            passage = self._passage(index, plan, placed)
            while frame <= plan.last_frame:
                shot = self._capture(rng, station, frame, placed, plan)
                yield shot, passage if frame == plan.last_frame else None
                frame += 1
        rng = seeded_rng(self._seed, SeedBranch.VIDEO, len(self._plans) + 1)
        while frame < self.frame_count:
            yield self._capture(rng, station, frame, None, self._plans[-1]), None
            frame += 1

    def _corner(self, plan: _PartPlan, frame: int) -> tuple[int, int]:
        return frame * self._step_px - plan.start_px, plan.row

    def _capture(
        self,
        rng: np.random.Generator,
        station: Station,
        frame: int,
        placed: PlacedPart | None,
        plan: _PartPlan,
    ) -> FrameImage:
        corner = self._corner(plan, frame)
        return capture_frame(rng, station, frame * self._step_px, placed, corner)

    def _passage(self, index: int, plan: _PartPlan, placed: PlacedPart) -> Passage:
        defects = []
        for flaw in placed.part.flaws:
            boxes = {}
            for frame in range(plan.first_frame, plan.last_frame + 1):
                corner = self._corner(plan, frame)
                shown, share = _clipped(flaw, corner, self._size_px)
                if share >= _LEAST_SHOWN:
                    boxes[frame] = shown.box
            defects.append(PassingDefect(flaw.label, boxes))
        return Passage(index, plan.first_frame, plan.last_frame, tuple(defects))
