"""The demo's five kinds of defect, drawn into a cap and boxed.

Each is retried until it is clearly visible and its box is within the limits below. The
box holds what changed, plus the margin that people leave when they label; the box of a
thin scratch is widened to ``SMALLEST_PX``.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np
import numpy.typing as npt

from trainer.data.synthetic.line_part import (
    FACE,
    HOLE_RADIUS,
    HOLES,
    PartDrawing,
    Polar,
    draw_part,
    hole_centre,
    polar,
)
from trainer.data.synthetic.raster import (
    Mask,
    PixelWindow,
    Plane,
    blob_outline,
    blur,
    bounding_box,
    draw_disc,
    draw_line,
    draw_polygon,
    max_channel,
    random_path,
    to_channels,
    unit,
)

SMALLEST_PX = 8  # of a box; `graftline check` warns of smaller ones
THINNEST_PX = 6  # of a defect with its margin
LARGEST_PX = 40
MARGIN_PX = 2
LENS_PX = 0.7  # deviation of the line camera's blur
_LEAST_MEAN = 18.0  # grey levels, mean over the changed pixels
# grey levels at the strongest pixel, after the lens: below it people disagree
_LEAST_CONTRAST = 40.0
_TRIES = 30


class LineDefect(StrEnum):
    """Labels of the demo's data set."""

    SCRATCH = "scratch"
    CHIP = "chip"
    STAIN = "stain"
    DENT = "dent"
    MISSING_HOLE = "missing_hole"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One labelled defect of a part."""

    label: LineDefect
    box: npt.NDArray[np.float32]  # [4] float32 xyxy in pixels of the part's patch


@dataclass(frozen=True, slots=True)
class DrawnPart:
    """A finished part, ready to be placed on the belt."""

    # [P, P, 3] float32 BGR after the lens, before the light
    picture: npt.NDArray[np.float32]
    alpha: Plane  # [P, P] float32, 1 = the part covers the belt
    flaws: tuple[Flaw, ...]  # its defects; empty for a good part


def _scratch(rng: np.random.Generator, grid: Polar, drawing: PartDrawing) -> None:
    """Draw a thin line that does not run along the tool marks."""
    angle = rng.uniform(0, 2 * np.pi)
    x, y = grid.point(rng.uniform(*FACE), angle)
    across = angle + rng.choice([-1, 1]) * rng.uniform(0, 1.05)
    length = rng.uniform(10, 34)
    start_x, start_y = (
        x - np.cos(across) * length / 2,
        y - np.sin(across) * length / 2,
    )
    path = random_path(
        rng, start_x, start_y, length, steps=5, bend=0.06, heading=across
    )
    mask: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    draw_line(mask, path, 1 if rng.random() < 0.3 else 2)
    level = rng.uniform(70, 125) * (
        1 if drawing.tone < 130 else rng.choice([-1, -1, 1])
    )
    drawing.picture += to_channels(unit(mask) * np.float32(level))


def _chip(rng: np.random.Generator, grid: Polar, drawing: PartDrawing) -> None:
    """Break a piece out of the rim; the fracture is bare metal."""
    x, y = grid.point(rng.uniform(0.955, 0.99), rng.uniform(0, 2 * np.pi))
    reach = rng.uniform(3, 10)
    facet: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    outline = blob_outline(rng, x, y, reach, ragged=0.3, stretch=rng.uniform(0.7, 1))
    draw_polygon(facet, outline)
    bare = rng.uniform(135, 185) if drawing.tone < 130 else rng.uniform(70, 110)
    alpha = unit(facet)
    drawing.picture += to_channels(alpha) * (np.float32(bare) - drawing.picture)
    gap: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    middle = (grid.size_px - 1) / 2
    away = 1 + 0.35 * reach / grid.radius_px
    moved = (outline - (x, y)) * 0.85 + (x - middle, y - middle) * np.array(away)
    draw_polygon(gap, (moved + middle).astype(np.float32))
    drawing.alpha *= 1 - unit(gap)


def _stain(rng: np.random.Generator, grid: Polar, drawing: PartDrawing) -> None:
    """Leave an oily or burnt patch: darker, soft, a little coloured."""
    x, y = grid.point(rng.uniform(0.25, 0.84), rng.uniform(0, 2 * np.pi))
    mask: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    reach = rng.uniform(4.5, 14)
    for _ in range(int(rng.integers(1, 4))):
        shift_x, shift_y = rng.normal(0, reach * 0.25, 2)
        outline = blob_outline(
            rng, x + shift_x, y + shift_y, reach * 0.8, stretch=rng.uniform(0.5, 1)
        )
        draw_polygon(mask, outline)
    alpha = blur(unit(mask), rng.uniform(0.8, 2.0))
    factor = 1 - rng.uniform(0.3, 0.6) * np.array(
        [rng.uniform(0.9, 1.3), rng.uniform(0.8, 1.1), rng.uniform(0.5, 0.9)]
    )
    if drawing.tone < 90:
        factor = 1 + rng.uniform(0.6, 1.2) * np.array([0.5, 0.8, 1.0])
    drawing.picture *= 1 + to_channels(alpha) * (factor - 1).astype(np.float32)


def _dent(rng: np.random.Generator, grid: Polar, drawing: PartDrawing) -> None:
    """Press a small hollow into the face: dark towards the lamp, light away."""
    x, y = grid.point(rng.uniform(*FACE), rng.uniform(0, 2 * np.pi))
    mask: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    reach = rng.uniform(3, 9)
    outline = blob_outline(rng, x, y, reach, ragged=0.12, stretch=rng.uniform(0.6, 1))
    draw_polygon(mask, outline)
    bump = blur(unit(mask), max(1.0, reach * 0.28))
    rows, columns = np.gradient(bump)
    shading = rows * 0.64 - columns * 0.76
    shading /= float(np.abs(shading).max()) + 1e-6
    level = rng.uniform(55, 95)
    drawing.picture += to_channels((shading * level - bump * 8).astype(np.float32))


def _draw(
    rng: np.random.Generator, label: LineDefect, grid: Polar, drawing: PartDrawing
) -> None:
    match label:
        case LineDefect.SCRATCH:
            _scratch(rng, grid, drawing)
        case LineDefect.CHIP:
            _chip(rng, grid, drawing)
        case LineDefect.STAIN:
            _stain(rng, grid, drawing)
        case LineDefect.DENT:
            _dent(rng, grid, drawing)
        case LineDefect.MISSING_HOLE:
            pass
        case _:
            assert_never(label)


def _padded(box: tuple[int, ...], size_px: int) -> npt.NDArray[np.float32] | None:
    """Return the box with its margin, or None if its size is out of bounds."""
    left, top, right, bottom = (
        box[0] - MARGIN_PX,
        box[1] - MARGIN_PX,
        box[2] + MARGIN_PX,
        box[3] + MARGIN_PX,
    )
    sides = right - left, bottom - top
    if min(sides) < THINNEST_PX or max(sides) > LARGEST_PX:
        return None
    if min(left, top) < 0 or max(right, bottom) > size_px:
        return None
    wider, higher = (max(0, SMALLEST_PX - side) / 2 for side in sides)
    return np.array(
        [left - wider, top - higher, right + wider, bottom + higher], np.float32
    )


def _changed(before: PartDrawing, after: PartDrawing) -> Flaw | None:
    """Return the visible change as a flaw without a proper label yet."""
    difference = after.picture - before.picture
    difference *= to_channels(after.alpha)
    lost = np.abs(after.alpha - before.alpha)
    touched = bounding_box((max_channel(np.abs(difference)) > 0) | (lost > 0))
    if touched is None:
        return None
    window = PixelWindow(*touched).grown(4, lost.shape)
    change = max_channel(np.abs(blur(difference[window.slices], LENS_PX)))
    change = np.maximum(change, blur(lost[window.slices], LENS_PX) * 60)
    peak = float(change.max())
    seen = change > max(4.0, 0.3 * peak)
    inner = bounding_box(seen)
    if inner is None or peak < _LEAST_CONTRAST:
        return None
    if float(change[seen].mean()) < _LEAST_MEAN:
        return None
    corner = (window.left, window.top) * 2
    box = tuple(int(side + start) for side, start in zip(inner, corner, strict=True))
    padded = _padded(box, lost.shape[0])
    return None if padded is None else Flaw(LineDefect.SCRATCH, padded)


def _is_apart(box: npt.NDArray[np.float32], flaws: list[Flaw]) -> bool:
    """Return whether a box keeps 4 px of distance from the others."""
    return all(
        bool((box[:2] > other.box[2:] + 4).any() or (box[2:] < other.box[:2] - 4).any())
        for other in flaws
    )


def _clear_of_holes(box: npt.NDArray[np.float32], grid: Polar, turn: float) -> bool:
    """Return whether a box, without its margin, touches no hole."""
    reach = HOLE_RADIUS * grid.radius_px
    for index in range(HOLES):
        centre = np.array(hole_centre(grid, turn, index))
        nearest = np.clip(centre, box[:2] + MARGIN_PX, box[2:] - MARGIN_PX)
        if float(np.hypot(*(centre - nearest))) < reach:
            return False
    return True


def _draw_punch_mark(
    rng: np.random.Generator, grid: Polar, drawing: PartDrawing, hole: int
) -> Flaw:
    """Leave the punch mark of a hole that was not drilled, and box its place."""
    x, y = hole_centre(grid, drawing.turn, hole)
    mark: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    reach = HOLE_RADIUS * grid.radius_px
    draw_disc(mark, x, y, reach * 1.15)
    draw_disc(mark, x, y, reach * 0.95, 0)
    draw_disc(mark, x, y, 1.3, 230)
    level = -rng.uniform(22, 45) if drawing.tone > 100 else rng.uniform(22, 45)
    drawing.picture += to_channels(unit(mark) * np.float32(level))
    half = reach * 1.2 + MARGIN_PX
    box = np.array([x - half, y - half, x + half, y + half], np.float32)
    return Flaw(LineDefect.MISSING_HOLE, box)


def make_part(
    rng: np.random.Generator, frame_px: int, labels: tuple[LineDefect, ...]
) -> DrawnPart:
    """Return one part with the wanted defects.

    Args:
        frame_px: Edge of the camera's picture.
        labels: Wanted defects, empty for a good part; at most one missing hole.

    Returns:
        The part. A defect without room after ``_TRIES`` tries is left out; the only
        defect becomes a chip instead, which always fits.
    """
    grid = polar(frame_px)
    hole = int(rng.integers(HOLES)) if LineDefect.MISSING_HOLE in labels else None
    drawing = draw_part(rng, frame_px, undrilled=hole)
    flaws = [] if hole is None else [_draw_punch_mark(rng, grid, drawing, hole)]
    for label in labels:
        if label is LineDefect.MISSING_HOLE:
            continue
        drawing = _add_flaw(rng, label, grid, drawing, flaws)
    picture = blur(drawing.picture, LENS_PX)
    np.clip(picture, 0, 255, out=picture)
    return DrawnPart(picture, blur(drawing.alpha, LENS_PX), tuple(flaws))


def _add_flaw(
    rng: np.random.Generator,
    label: LineDefect,
    grid: Polar,
    drawing: PartDrawing,
    flaws: list[Flaw],
) -> PartDrawing:
    """Return the part with one more defect, and append it to ``flaws``."""
    # highlights beyond white would count as a change once the changed part is clipped
    np.clip(drawing.picture, 0, 255, out=drawing.picture)
    for attempt in range(_TRIES):
        kind = label if attempt < _TRIES // 2 or flaws else LineDefect.CHIP
        changed = PartDrawing(
            drawing.picture.copy(), drawing.alpha.copy(), drawing.turn, drawing.tone
        )
        _draw(rng, kind, grid, changed)
        np.clip(changed.picture, 0, 255, out=changed.picture)
        seen = _changed(drawing, changed)
        if seen is None or not _is_apart(seen.box, flaws):
            continue
        if kind is LineDefect.STAIN or _clear_of_holes(seen.box, grid, drawing.turn):
            flaws.append(Flaw(kind, seen.box))
            return changed
    return drawing
