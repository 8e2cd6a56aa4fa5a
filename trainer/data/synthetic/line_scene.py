"""The demo's station: a belt, a lamp, one camera. Photos and video share it.

The belt's texture is a long loop that scrolls with the parts. The camera does not move,
so light, vignetting and the reflections of the lamp are the same in each frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from trainer.data.synthetic.line_defects import LENS_PX, DrawnPart
from trainer.data.synthetic.noise import fractal
from trainer.data.synthetic.raster import (
    FrameImage,
    Mask,
    Plane,
    blob_outline,
    blur,
    draw_disc,
    draw_line,
    draw_polygon,
    random_path,
    to_channels,
    unit,
)

_BELT_LOOPS = 4  # length of the belt's loop in picture widths
_GAIN_ONE = 160  # the level of the 8-bit light field that changes nothing
_NOISE_TILES = 12
_NOISE_LEVELS = 1.8
_SHADOW_SHARE = 0.018
_DARKEST = 0.45


@dataclass(frozen=True, slots=True)
class Station:
    """The parts of the scene that do not change."""

    size_px: int  # edge of the camera's picture
    belt: FrameImage  # [S, 4 S, 3] uint8: the belt's loop
    light: FrameImage  # [S, S, 3] uint8: gain, 160 = 1
    # frames of sensor noise, chosen at random: what it adds and what it takes away,
    # [S, S, 3] uint8 each (bytes add ten times faster)
    noise: tuple[tuple[FrameImage, FrameImage], ...]


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """A part as it lies on the belt: bytes ready to be copied into frames."""

    picture: FrameImage  # [P, P, 3] uint8, with its dust and reflections
    cover: Plane  # [P, P] float32, 1 = the part
    uncovered: Plane  # [P, P] float32, `1 - cover`
    shadow: FrameImage  # [P, P, 3] uint8: gain of the belt below, 255 = 1
    part: DrawnPart


def _belt(rng: np.random.Generator, size_px: int) -> FrameImage:
    """Return the loop of belt: woven rubber, scuffs, a seam, lint."""
    length = size_px * _BELT_LOOPS
    base = fractal(rng, size_px, octaves=5, first=4, decay=0.7)
    plane = np.concatenate([base, base[:, ::-1]] * (_BELT_LOOPS // 2), axis=1) * 3.0
    plane = plane + rng.standard_normal((size_px, length), dtype=np.float32) * 4.0
    steps = np.arange(length, dtype=np.float32) * np.float32(2 * np.pi / 8)
    plane += 2.5 * np.sin(steps)[None, :] * np.sin(steps[:size_px])[:, None]
    scuffs: Mask = np.zeros((size_px, length), np.uint8)
    for _ in range(int(rng.integers(14, 24))):
        x, y = rng.uniform(0, length), rng.uniform(0, size_px)
        path = random_path(rng, x, y, rng.uniform(12, 90), steps=6, bend=0.15)
        draw_line(scuffs, path, 1, int(rng.integers(60, 200)))
    for _ in range(90):
        x, y = rng.uniform(0, length), rng.uniform(0, size_px)
        draw_disc(scuffs, x, y, rng.uniform(0.5, 1.6), int(rng.integers(60, 255)))
    seam: Mask = np.zeros((size_px, length), np.uint8)
    ends = np.array([(length * 0.4, 0), (length * 0.4 + 30, size_px)], np.float32)
    draw_line(seam, ends, 3)
    plane += unit(scuffs) * np.float32(22)
    plane -= unit(seam) * np.float32(18)
    soft = blur(plane.astype(np.float32), LENS_PX)
    tone = np.array([58, 66, 54], np.float32)
    return np.asarray(np.clip(to_channels(soft) + tone, 0, 255), np.uint8)


def _light(size_px: int) -> FrameImage:
    """Return the fixed light: brighter at the lamp's side, darker corners."""
    steps = np.linspace(-1, 1, size_px, dtype=np.float32)
    x, y = steps[None, :], steps[:, None]
    gain = 1.04 - 0.05 * x - 0.08 * y - 0.1 * (x * x + y * y)
    tint = to_channels((gain * _GAIN_ONE).astype(np.float32))
    tint *= np.array([1.0, 1.0, 1.01], np.float32)
    return np.clip(tint, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, size_px: int) -> tuple[FrameImage, FrameImage]:
    """Return one frame of sensor noise as its positive and its negative part."""
    white = rng.standard_normal((size_px, size_px, 3), dtype=np.float32)
    levels = np.rint(white * np.float32(_NOISE_LEVELS))
    return np.maximum(levels, 0).astype(np.uint8), np.maximum(-levels, 0).astype(
        np.uint8
    )


def build_station(rng: np.random.Generator, size_px: int) -> Station:
    """Return the station; one per dataset, so that photos match the video."""
    noise = tuple(_noise(rng, size_px) for _ in range(_NOISE_TILES))
    return Station(size_px, _belt(rng, size_px), _light(size_px), noise)


def _reflect(rng: np.random.Generator, cover: Plane) -> Plane:
    """Return soft lamp reflections on a part: bright, and no defect."""
    size = cover.shape[0]
    mask: Mask = np.zeros(cover.shape, np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0.2, 0.8, 2) * size
        stretch = rng.uniform(0.15, 0.6)
        reach = size * rng.uniform(0.03, 0.09)
        draw_polygon(mask, blob_outline(rng, x, y, reach, ragged=0.1, stretch=stretch))
    soft = blur(unit(mask), size * rng.uniform(0.014, 0.03))
    return soft * cover * np.float32(rng.uniform(20, 60))


def _dust(rng: np.random.Generator, shape: tuple[int, ...]) -> Plane:
    """Return specks of at most three pixels, light or dark, and no defect."""
    mask: Mask = np.zeros(shape, np.uint8)
    for _ in range(int(rng.integers(2, 26))):
        x, y = rng.uniform(0, shape[0], 2)
        draw_disc(mask, x, y, rng.uniform(0.3, 1.1), int(rng.integers(60, 256)))
    level = rng.choice([-28.0, 34.0, 46.0])
    return blur(unit(mask) * np.float32(level), LENS_PX)


def place_part(rng: np.random.Generator, part: DrawnPart) -> PlacedPart:
    """Return a part with its dust and reflections, ready for the camera."""
    dirt = (_reflect(rng, part.alpha) + _dust(rng, part.alpha.shape)) * part.alpha
    lit = part.picture * np.float32(rng.uniform(0.96, 1.04)) + to_channels(dirt)
    picture = np.clip(lit, 0, 255).astype(np.uint8)
    shift = max(2, round(part.alpha.shape[0] * _SHADOW_SHARE))
    moved = np.zeros_like(part.alpha)
    moved[shift:, shift:] = part.alpha[:-shift, :-shift]
    shade = 1 - _DARKEST * blur(moved, shift * 0.8)
    shade[[0, -1], :], shade[:, [0, -1]] = 1, 1
    shadow = np.clip(to_channels(shade) * 255, 0, 255).astype(np.uint8)
    return PlacedPart(picture, part.alpha, 1 - part.alpha, shadow, part)


def belt_view(station: Station, travel_px: int) -> FrameImage:
    """Return the empty belt after it has moved by some pixels to the right."""
    length = station.belt.shape[1]
    start = -travel_px % length
    end = start + station.size_px
    if end <= length:
        return station.belt[:, start:end].copy()
    return np.concatenate(
        [station.belt[:, start:], station.belt[:, : end - length]], axis=1
    )


def capture_frame(
    rng: np.random.Generator,
    station: Station,
    travel_px: int,
    placed: PlacedPart | None,
    corner: tuple[int, int],
) -> FrameImage:
    """Return one frame of the camera.

    Args:
        travel_px: How far the belt has moved.
        placed: The part in view, or None.
        corner: Left and top of the part's patch in the frame; may lie outside.
    """
    frame = belt_view(station, travel_px)
    if placed is not None:
        _place(frame, placed, corner)
    cv2.multiply(frame, station.light, dst=frame, scale=1 / _GAIN_ONE)
    added, taken = station.noise[int(rng.integers(len(station.noise)))]
    cv2.add(frame, added, dst=frame)
    cv2.subtract(frame, taken, dst=frame)
    return frame


def _place(frame: FrameImage, placed: PlacedPart, corner: tuple[int, int]) -> None:
    """Copy a part with its shadow into a frame, cut at the frame's border."""
    size, patch = frame.shape[0], placed.cover.shape[0]
    left, top = max(0, corner[0]), max(0, corner[1])
    right, bottom = min(size, corner[0] + patch), min(size, corner[1] + patch)
    if right <= left or bottom <= top:
        return
    rows = slice(top - corner[1], bottom - corner[1])
    columns = slice(left - corner[0], right - corner[0])
    below = frame[top:bottom, left:right]
    dimmed = cv2.multiply(below, placed.shadow[rows, columns], scale=1 / 255)
    frame[top:bottom, left:right] = cv2.blendLinear(
        placed.picture[rows, columns],
        dimmed,
        placed.cover[rows, columns],
        placed.uncovered[rows, columns],
    )
