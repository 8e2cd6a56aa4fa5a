"""Circuit-like structures: traces, pads and planes as one mask.

The mask is the geometry; which side of it is copper, and its material, are chosen
later. Defects such as opens and shorts are then cut out of, or drawn into, the mask.
"""

import cv2
import numpy as np

from trainer.data.synthetic.raster import Mask, draw_disc, draw_line

_HEADINGS = np.array(
    [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)], np.float32
)


def _bus(rng: np.random.Generator, mask: Mask, width_px: int) -> None:
    size = mask.shape[0]
    pitch = width_px * rng.uniform(1.7, 3.2)
    count = int(rng.integers(2, 13))
    heading = int(rng.integers(8))
    x, y = rng.uniform(-0.2, 1.0, 2) * size
    path = [(x, y)]
    turns = [heading]
    for _ in range(int(rng.integers(1, 5))):
        length = rng.uniform(0.1, 0.6) * size
        step = _HEADINGS[heading % 8]
        x, y = x + step[0] * length, y + step[1] * length
        path.append((x, y))
        turns.append(heading)
        heading += int(rng.choice([-1, 0, 1]))
    normals = np.array([(-_HEADINGS[t % 8][1], _HEADINGS[t % 8][0]) for t in turns])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    pads = rng.random() < 0.6
    for number in range(count):
        points = (np.array(path) + normals * pitch * number).astype(np.float32)
        draw_line(mask, points, width_px)
        if pads:
            end = points[-1] + (0, rng.choice([0.0, pitch]))
            draw_line(mask, np.stack([points[-1], end]).astype(np.float32), width_px)
            draw_disc(mask, end[0], end[1], width_px * rng.uniform(0.9, 1.3))


def _route(rng: np.random.Generator, mask: Mask, width_px: int) -> None:
    """Draw one winding trace that starts and ends in a pad."""
    size = mask.shape[0]
    x, y = rng.uniform(0, size, 2)
    heading = int(rng.integers(8))
    points = [(x, y)]
    for _ in range(int(rng.integers(2, 7))):
        length = rng.uniform(0.04, 0.35) * size
        x, y = (
            x + _HEADINGS[heading % 8][0] * length,
            y + _HEADINGS[heading % 8][1] * length,
        )
        points.append((x, y))
        heading += int(rng.choice([-2, -1, 1, 2]))
    draw_line(mask, np.array(points, np.float32), width_px)
    for x, y in (points[0], points[-1]):
        draw_disc(mask, x, y, width_px * rng.uniform(0.8, 2.0))


def _pad_row(rng: np.random.Generator, mask: Mask, width_px: int) -> None:
    """Draw a row or grid of pads, some with a trace to the outside."""
    size = mask.shape[0]
    pitch = width_px * rng.uniform(2.0, 4.5)
    across, down = int(rng.integers(2, 14)), int(rng.choice([1, 1, 2, 3, 6]))
    x0, y0 = rng.uniform(-0.2, 0.8, 2) * size
    round_pad = rng.random() < 0.5
    radius = pitch * rng.uniform(0.25, 0.4)
    stretch = rng.uniform(1.5, 4.0)
    flip = rng.random() < 0.5
    tail = rng.uniform(-0.3, 0.3) * size if rng.random() < 0.6 else 0.0
    for row in range(down):
        for column in range(across):
            x, y = x0 + column * pitch, y0 + row * pitch * (1 if round_pad else stretch)
            if round_pad:
                ends = [(x, y), (x, y)]
            else:
                ends = [(x, y), (x, y + radius * stretch)]
            tail_ends = [(x, y), (x, y + tail)]
            if flip:
                ends = [(b, a) for a, b in ends]
                tail_ends = [(b, a) for a, b in tail_ends]
            thick = max(2, round(radius * 2))
            if round_pad:
                draw_disc(mask, ends[0][0], ends[0][1], radius)
            else:
                draw_line(mask, np.array(ends, np.float32), thick)
            if tail:
                draw_line(mask, np.array(tail_ends, np.float32), max(2, width_px // 2))


def _discs(rng: np.random.Generator, mask: Mask, value: int) -> None:
    """Draw a few large lands (255) or clearances (0)."""
    size = mask.shape[0]
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, size, 2)
        draw_disc(mask, x, y, rng.uniform(0.03, 0.22) * size, value)


def _meander(rng: np.random.Generator, mask: Mask, width_px: int, value: int) -> None:
    """Draw a square-wave trace, or draw_geometry_defects it out of a plane."""
    size = mask.shape[0]
    pitch = width_px * rng.uniform(2, 7)
    height = rng.uniform(0.05, 0.25) * size
    x, y = rng.uniform(-0.1, 0.5, 2) * size
    corners = []
    for index in range(int(rng.integers(4, 20))):
        level = y + (height if (index // 2) % 2 else 0.0)
        corners.append((x + ((index + 1) // 2) * pitch, level))
    points = np.array(corners, np.float32)
    if rng.random() < 0.5:
        points = points[:, ::-1].copy()
    draw_line(mask, points, width_px, value)


def _is_apart(layer: Mask, mask: Mask, width_px: int) -> bool:
    """Return whether a new piece keeps its distance: a crossing would be a short."""
    reach = width_px // 2 * 2 + 3
    halo = cv2.dilate(layer, np.ones((reach, reach), np.uint8))
    return not bool(cv2.bitwise_and(halo, mask).any())


def circuit(rng: np.random.Generator, size_px: int) -> Mask:
    """Return the mask of a piece of circuit, ``[S, S]`` uint8."""
    plane = rng.random() < 0.2
    mask = np.full((size_px, size_px), 255 if plane else 0, np.uint8)
    width_px = round(float(np.exp(rng.uniform(np.log(3), np.log(0.05 * size_px)))))
    if plane:
        for _ in range(int(rng.integers(1, 5))):
            _meander(rng, mask, max(3, width_px // 2), 0)
        _discs(rng, mask, 0)
        return mask
    for _ in range(int(rng.integers(4, 22))):
        layer = np.zeros_like(mask)
        match int(rng.integers(7)):
            case 0 | 1:
                _bus(rng, layer, width_px)
            case 2 | 3:
                _pad_row(rng, layer, width_px)
            case 4:
                _discs(rng, layer, 255)
            case 5:
                _meander(rng, layer, width_px, 255)
            case _:
                _route(rng, layer, width_px)
        if _is_apart(layer, mask, width_px):
            np.maximum(mask, layer, out=mask)
        width_px = max(3, round(width_px * rng.uniform(0.7, 1.4)))
    return mask
