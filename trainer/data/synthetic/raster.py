"""Typed drawing primitives on NumPy planes, which wrap calls of cv2.

Small defects are drawn inside a ``PixelWindow`` of a few hundred pixels, not in the
whole picture, which would be slow.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]  # [H, W]
FloatImage = npt.NDArray[np.float32]  # [H, W, 3] BGR, 0..255
FrameImage = npt.NDArray[np.uint8]  # [H, W, 3] BGR
Mask = npt.NDArray[np.uint8]  # [H, W] 0 = background, 255 = structure
Points = npt.NDArray[np.float32]  # [N, 2] x, y in pixels

SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class PixelWindow:
    """A rectangle of whole pixels inside a picture, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, ready to index a plane."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def width_px(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height_px(self) -> int:
        """Rows."""
        return self.bottom - self.top

    def local(self, x: float, y: float) -> tuple[float, float]:
        """Return a picture's point in the coordinates of this window."""
        return x - self.left, y - self.top

    def grown(self, margin_px: int, shape: tuple[int, ...]) -> "PixelWindow":
        """Return the window with a margin, cut at the picture's border."""
        return PixelWindow(
            max(0, self.left - margin_px),
            max(0, self.top - margin_px),
            min(shape[1], self.right + margin_px),
            min(shape[0], self.bottom + margin_px),
        )


def window_around(
    x: float, y: float, half_px: float, shape: tuple[int, ...]
) -> PixelWindow:
    """Return the square window around a point, cut at the picture's border."""
    height, width = shape[:2]
    left = min(max(int(x - half_px), 0), width - 1)
    top = min(max(int(y - half_px), 0), height - 1)
    right = max(min(int(x + half_px) + 1, width), left + 1)
    bottom = max(min(int(y + half_px) + 1, height), top + 1)
    return PixelWindow(left, top, right, bottom)


def unit(mask: Mask) -> Plane:
    """Return the mask as a plane of 0..1."""
    return np.multiply(mask, np.float32(1 / 255), dtype=np.float32)


def max_channel(change: FloatImage) -> Plane:
    """Return the largest channel of each pixel (``max`` over axis 2 is slow)."""
    first = np.maximum(change[:, :, 0], change[:, :, 1])
    return np.asarray(np.maximum(first, change[:, :, 2]), np.float32)


def to_channels(plane: Plane) -> FloatImage:
    """Return the plane as three equal channels (quicker than broadcasting)."""
    return np.asarray(cv2.merge([plane, plane, plane]), np.float32)


def bounding_box(seen: npt.NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return the tight x1, y1, x2, y2 of the set pixels, or None without any."""
    columns = np.flatnonzero(seen.any(axis=0))
    if columns.size == 0:
        return None
    rows = np.flatnonzero(seen.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def resize(plane: Plane, width_px: int, height_px: int) -> Plane:
    """Return the plane stretched smoothly to a new size."""
    stretched = cv2.resize(plane, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    return np.asarray(stretched, np.float32)


def blur(plane: Plane, sigma_px: float) -> Plane:
    """Return the plane, or the picture, blurred; below 0.2 px it is unchanged."""
    if sigma_px < 0.2:
        return plane
    blurred = cv2.GaussianBlur(
        plane, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101
    )
    return np.asarray(blurred, np.float32).reshape(plane.shape)


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    return np.rint(points * (1 << SUBPIXEL_BITS)).astype(np.int32)


def draw_line(mask: Mask, points: Points, thickness_px: int, value: int = 255) -> None:
    """Draw an anti-aliased polyline into the mask, with sub-pixel corners."""
    cv2.polylines(
        mask,
        [_fixed(points)],
        isClosed=False,
        color=value,
        thickness=max(1, thickness_px),
        lineType=cv2.LINE_AA,
        shift=SUBPIXEL_BITS,
    )


def draw_polygon(mask: Mask, points: Points) -> None:
    """Fill a polygon with sub-pixel corners."""
    corners = [_fixed(points)]
    cv2.fillPoly(mask, corners, 255, lineType=cv2.LINE_AA, shift=SUBPIXEL_BITS)


def draw_disc(
    mask: Mask, x: float, y: float, radius_px: float, value: int = 255
) -> None:
    """Fill a disc with a sub-pixel centre and radius."""
    scale = 1 << SUBPIXEL_BITS
    cv2.circle(
        mask,
        (round(x * scale), round(y * scale)),
        round(radius_px * scale),
        value,
        thickness=-1,
        lineType=cv2.LINE_AA,
        shift=SUBPIXEL_BITS,
    )


def blob_outline(
    rng: np.random.Generator,
    x: float,
    y: float,
    radius_px: float,
    *,
    ragged: float = 0.35,
    stretch: float = 1.0,
) -> Points:
    """Return an irregular closed outline around a point.

    Args:
        radius_px: Mean radius along the long axis.
        ragged: 0 = ellipse, 0.6 = jagged.
        stretch: Short axis divided by the long one, 0..1.
    """
    count = int(rng.integers(9, 16))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = radius_px * (1 + ragged * rng.uniform(-1, 1, count))
    long_axis, short_axis = radii * np.cos(angles), radii * stretch * np.sin(angles)
    turn = rng.uniform(0, np.pi)
    xs = x + long_axis * np.cos(turn) - short_axis * np.sin(turn)
    ys = y + long_axis * np.sin(turn) + short_axis * np.cos(turn)
    return np.stack([xs, ys], axis=1).astype(np.float32)


def random_path(
    rng: np.random.Generator,
    x: float,
    y: float,
    length_px: float,
    *,
    steps: int,
    bend: float,
    heading: float | None = None,
) -> Points:
    """Return a path of ``steps + 1`` points that changes its heading by chance.

    Args:
        x: Middle of the path where ``heading`` is None, else its start.
        steps: Number of straight pieces, at least 1.
        bend: Standard deviation of the turn between two pieces, radians.
        heading: Starting direction in radians, or None for any.
    """
    start = rng.uniform(0, 2 * np.pi) if heading is None else heading
    turns = start + np.cumsum(rng.normal(0, bend, steps))
    moves = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (length_px / steps)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    if heading is None:
        path -= path.mean(axis=0)
    return np.asarray(path + np.array([x, y]), np.float32)
