"""Defects of geometry: opens, shorts, bites, spurs, holes, drawn into the mask.

They do not depend on how the structure was made. Their position follows from the mask
alone: a point inside, the narrowest chord through it, or a point on the contour.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from trainer.data.synthetic.raster import (
    Mask,
    PixelWindow,
    Points,
    blob_outline,
    draw_line,
    draw_polygon,
    random_path,
    window_around,
)

_ANGLES = np.arange(12) * np.pi / 12
_COSINES, _SINES = np.cos(_ANGLES)[:, None], np.sin(_ANGLES)[:, None]
_TRIES = 14


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the mask."""

    window: PixelWindow  # where the mask changed
    mask: Mask  # the window's new mask, [h, w] uint8


@dataclass(frozen=True, slots=True)
class MaskIndex:
    """A mask with the indices that positions are drawn from."""

    mask: Mask  # [S, S] uint8
    inside: npt.NDArray[np.intp]  # flat indices of the structure's pixels
    outside: npt.NDArray[np.intp]  # flat indices of the other pixels
    contour: npt.NDArray[np.intp]  # flat indices of the structure's outermost pixels


def index_mask(mask: Mask) -> MaskIndex:
    """Return the mask with its positions index, once per picture."""
    solid = mask > 127
    eroded = cv2.erode(mask, np.ones((3, 3), np.uint8))
    contour = solid & (np.asarray(eroded) <= 127)
    contour[[0, 1, -2, -1], :] = False
    contour[:, [0, 1, -2, -1]] = False
    return MaskIndex(
        mask=mask,
        inside=np.flatnonzero(solid),
        outside=np.flatnonzero(~solid),
        contour=np.flatnonzero(contour),
    )


def _pick(
    rng: np.random.Generator, places: npt.NDArray[np.intp], mask: Mask
) -> tuple[int, int] | None:
    if places.size == 0:
        return None
    row, column = divmod(int(places[int(rng.integers(places.size))]), mask.shape[1])
    return column, row


def narrowest_chord(
    solid: npt.NDArray[np.bool_], x: int, y: int, reach_px: int
) -> tuple[Points, float] | None:
    """Return the shortest straight way through a region at a point.

    Args:
        solid: ``[H, W]`` bool, the region.
        x: A column inside the region.
        y: A row inside the region.
        reach_px: Longest half of a chord to search for.

    Returns:
        The two end points just outside the region ``[2, 2]`` and the length in
        pixels; None where each chord is longer or leaves the picture.
    """
    height, width = solid.shape
    steps = np.arange(1, reach_px + 1)
    ends = []
    for sign in (1, -1):
        xs = np.rint(x + sign * _COSINES * steps).astype(np.intp)  # [12, R]
        ys = np.rint(y + sign * _SINES * steps).astype(np.intp)
        seen = (xs >= 0) & (xs < width) & (ys >= 0) & (ys < height)
        free = seen & ~solid[np.clip(ys, 0, height - 1), np.clip(xs, 0, width - 1)]
        ends.append(np.where(free.any(axis=1), free.argmax(axis=1) + 1, 9 * reach_px))
    length = ends[0] + ends[1]
    best = int(length.argmin())
    if length[best] > 2 * reach_px:
        return None
    along = np.array([np.cos(_ANGLES[best]), np.sin(_ANGLES[best])])
    here = np.array([x, y])
    chord = np.stack([here - along * ends[1][best], here + along * ends[0][best]])
    return chord.astype(np.float32), float(length[best])


def _bowed(rng: np.random.Generator, chord: Points, overshoot_px: float) -> Points:
    """Return the chord as a slightly bent path that reaches beyond both ends."""
    along = chord[1] - chord[0]
    length = max(float(np.hypot(*along)), 1e-3)
    unit = along / length
    normal = np.array([-unit[1], unit[0]])
    middle = chord.mean(axis=0) + normal * length * rng.normal(0, 0.15)
    return np.stack(
        [chord[0] - unit * overshoot_px, middle, chord[1] + unit * overshoot_px]
    ).astype(np.float32)


def _across(
    rng: np.random.Generator, index: MaskIndex, size_px: float, *, cut: bool
) -> Edit | None:
    """Cut a narrow piece (an open), or bridge a narrow gap (a short)."""
    mask = index.mask
    solid = mask > 127 if cut else mask <= 127
    reach = int(min(size_px, 0.16 * mask.shape[0])) + 3
    for _ in range(_TRIES):
        place = _pick(rng, index.inside if cut else index.outside, mask)
        found = place and narrowest_chord(solid, *place, reach)
        if not place or not found:
            continue
        chord, length = found
        if length < 3:
            continue
        window = window_around(*place, length + size_px * 0.5 + 6, mask.shape)
        drawn = np.zeros((window.height_px, window.width_px), np.uint8)
        local = chord - (window.left, window.top)
        thick = max(2, round(min(size_px * 0.5, length) * rng.uniform(0.25, 0.9)))
        for _ in range(int(rng.choice([1, 1, 1, 2])) if cut else 1):
            path = _bowed(rng, local, 1.5 if cut else 2.0)
            draw_line(drawn, path, thick)
            local = local + rng.normal(0, thick * 0.5 + 1, 2).astype(np.float32)
        return _merge(mask, window, drawn, add=not cut)
    return None


def _merge(mask: Mask, window: PixelWindow, drawn: Mask, *, add: bool) -> Edit:
    before = mask[window.slices]
    after = np.maximum(before, drawn) if add else np.minimum(before, 255 - drawn)
    return Edit(window, after.astype(np.uint8))


def open_gap(rng: np.random.Generator, index: MaskIndex, size_px: float) -> Edit | None:
    """Cut a thin piece of the structure in two."""
    return _across(rng, index, size_px, cut=True)


def bridge(rng: np.random.Generator, index: MaskIndex, size_px: float) -> Edit | None:
    """Join two pieces of the structure across a narrow gap."""
    return _across(rng, index, size_px, cut=False)


def bite(rng: np.random.Generator, index: MaskIndex, size_px: float) -> Edit | None:
    """Take a piece out of an edge (a chip, a mouse bite)."""
    return _at_edge(rng, index, size_px, add=False)


def spur(rng: np.random.Generator, index: MaskIndex, size_px: float) -> Edit | None:
    """Add material to an edge (a burr, a spur)."""
    return _at_edge(rng, index, size_px, add=True)


def _at_edge(
    rng: np.random.Generator, index: MaskIndex, size_px: float, *, add: bool
) -> Edit | None:
    mask = index.mask
    place = _pick(rng, index.contour, mask)
    if place is None:
        return None
    window = window_around(*place, size_px + 4, mask.shape)
    drawn = np.zeros((window.height_px, window.width_px), np.uint8)
    x, y = window.local(*place)
    if rng.random() < 0.35:
        thick = max(2, round(size_px * rng.uniform(0.12, 0.35)))
        path = random_path(
            rng, x, y, size_px, steps=3, bend=0.4, heading=rng.uniform(0, 6.3)
        )
        draw_line(drawn, path, thick)
    else:
        outline = blob_outline(
            rng, x, y, size_px * 0.5, ragged=0.4, stretch=rng.uniform(0.5, 1)
        )
        draw_polygon(drawn, outline)
    return _merge(mask, window, drawn, add=add)


def _blob(
    rng: np.random.Generator, index: MaskIndex, size_px: float, *, add: bool
) -> Edit | None:
    """Put an island beside the structure, or a hole into it."""
    mask = index.mask
    for _ in range(_TRIES):
        place = _pick(rng, index.outside if add else index.inside, mask)
        if place is None:
            return None
        window = window_around(*place, size_px * 0.5 + 2, mask.shape)
        around = mask[window.slices]
        other = np.count_nonzero(around > 127 if add else around <= 127)
        if other > 0.02 * around.size:
            continue
        drawn = np.zeros((window.height_px, window.width_px), np.uint8)
        x, y = window.local(*place)
        if rng.random() < 0.2 and size_px > 10:
            path = random_path(rng, x, y, size_px * 0.8, steps=4, bend=0.5)
            draw_line(drawn, path, max(2, round(size_px * rng.uniform(0.1, 0.3))))
        else:
            outline = blob_outline(
                rng, x, y, size_px * 0.42, ragged=0.4, stretch=rng.uniform(0.4, 1)
            )
            draw_polygon(drawn, outline)
        return _merge(mask, window, drawn, add=add)
    return None


def hole(rng: np.random.Generator, index: MaskIndex, size_px: float) -> Edit | None:
    """Take material out of the inside of the structure (a pinhole, a void)."""
    return _blob(rng, index, size_px, add=False)


def island(rng: np.random.Generator, index: MaskIndex, size_px: float) -> Edit | None:
    """Add material beside the structure (spurious copper, an ink splash)."""
    return _blob(rng, index, size_px, add=True)


def smudge(rng: np.random.Generator, index: MaskIndex, size_px: float) -> Edit | None:
    """Shift, thicken or wipe away a piece of print."""
    mask = index.mask
    place = _pick(rng, index.inside, mask)
    if place is None:
        return None
    window = window_around(*place, size_px * 0.5, mask.shape)
    before = mask[window.slices]
    drawn = np.zeros(before.shape, np.uint8)
    middle = window.local(*place)
    draw_polygon(drawn, blob_outline(rng, *middle, size_px * 0.5, ragged=0.25))
    kind = int(rng.integers(3))
    if kind == 0:
        changed = np.zeros_like(before)
    elif kind == 1:
        reach = max(3, int(size_px * 0.15))
        changed = np.asarray(cv2.dilate(before, np.ones((reach, reach), np.uint8)))
    else:
        shift = int(rng.choice([-1, 1])) * max(2, int(size_px * rng.uniform(0.1, 0.3)))
        changed = np.roll(before, shift, axis=int(rng.integers(2)))
    return Edit(window, np.where(drawn > 127, changed, before).astype(np.uint8))
