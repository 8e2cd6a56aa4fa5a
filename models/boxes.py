"""Axis-aligned boxes in NumPy, always ``xyxy``, float32, in pixels."""

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]  # [N, 4] x1, y1, x2, y2
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

BLOCK_PAIRS = 1_000_000  # of boxes that are compared at once: some 30 MB


def area(boxes: Boxes) -> FloatArray:
    """Return the area of each box.

    Args:
        boxes: ``[N, 4]`` float32, xyxy, pixels.

    Returns:
        ``[N]`` float32, square pixels; 0 for a box with ``x2 < x1`` or ``y2 < y1``.
    """
    # Not clip() and prod(): for a few boxes their overhead is most of the time.
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)  # [N, 2] px
    result: FloatArray = sides[:, 0] * sides[:, 1]
    return result


def intersection(a: Boxes, b: Boxes) -> FloatArray:
    """Return the area that every pair of boxes has in common.

    Args:
        a: ``[N, 4]`` float32, xyxy, pixels.
        b: ``[M, 4]`` float32, same frame of reference as ``a``.

    Returns:
        ``[N, M]`` float32, square pixels.
    """
    top_left = np.maximum(a[:, None, :2], b[:, :2])  # [N, M, 2]
    bottom_right = np.minimum(a[:, None, 2:], b[:, 2:])  # [N, M, 2]
    sides = np.maximum(bottom_right - top_left, 0)  # [N, M, 2] px
    result: FloatArray = sides[..., 0] * sides[..., 1]
    return result


def iou(a: Boxes, b: Boxes) -> FloatArray:
    """Return the intersection over union of every pair of boxes.

    Args:
        a: ``[N, 4]`` float32, xyxy, pixels, ``x1 <= x2`` and ``y1 <= y2``.
        b: ``[M, 4]`` float32, same frame of reference as ``a``.

    Returns:
        ``[N, M]`` float32 in 0..1; 0 where the union has no area.

    Raises:
        ValueError: A last dimension is not 4.

    Source:
        Jaccard index, as in torchvision.ops.box_iou; parity is tested in
        tests/contract/test_box_parity.py.

    >>> square = np.array([[0, 0, 2, 2]], np.float32)
    >>> float(iou(square, square)[0, 0])
    1.0
    """
    if a.shape[-1] != 4 or b.shape[-1] != 4:
        msg = f"boxes must be [N, 4] and [M, 4], got {a.shape} and {b.shape}"
        raise ValueError(msg)
    overlap = intersection(a, b)
    union = area(a)[:, None] + area(b) - overlap
    result: FloatArray = np.zeros_like(union)
    np.divide(overlap, union, out=result, where=union > 0)
    return result


def best_overlaps(a: Boxes, b: Boxes) -> FloatArray:
    """Return the largest intersection over union of each box with any other one.

    In blocks: the overlaps of all pairs of 20,000 boxes would take gigabytes.

    Args:
        a: ``[N, 4]`` float32, xyxy, pixels.
        b: ``[M, 4]`` float32, same frame of reference as ``a``.

    Returns:
        ``[N]`` float32 in 0..1; 0 without a box in ``b``.
    """
    best: FloatArray = np.zeros(len(a), np.float32)
    rows = max(1, BLOCK_PAIRS // max(1, len(b)))
    for start in range(0, len(a), rows):
        overlaps = iou(a[start : start + rows], b)  # [rows, M]
        best[start : start + rows] = overlaps.max(axis=1, initial=0)
    return best


def clip(boxes: Boxes, width_px: int, height_px: int) -> Boxes:
    """Return a copy of the boxes, every coordinate inside an image.

    Args:
        boxes: ``[N, 4]`` float32, xyxy, pixels.
        width_px: Width of the image.
        height_px: Height of the image.
    """
    limit = np.array([width_px, height_px, width_px, height_px], np.float32)
    result: Boxes = np.clip(boxes, 0, limit).astype(np.float32)
    return result


def cxcywh_to_xyxy(boxes: FloatArray) -> Boxes:
    """Return corner boxes for boxes given by centre and size.

    Args:
        boxes: ``[N, 4]`` float32: centre x, centre y, width, height, pixels.

    Returns:
        ``[N, 4]`` float32, xyxy, pixels.
    """
    half = boxes[:, 2:] / 2
    result: Boxes = np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
    return result


def overlap_of_smaller(a: Boxes, b: Boxes) -> FloatArray:
    """Return the share of the smaller box of every pair that lies in the other.

    Args:
        a: ``[N, 4]`` float32, xyxy.
        b: ``[M, 4]`` float32, same frame of reference as ``a``.

    Returns:
        ``[N, M]`` float32 in 0..1; 0 where the smaller box has no area.

    >>> inside = np.array([[2, 2, 4, 4]], np.float32)
    >>> around = np.array([[0, 0, 9, 9], [3, 0, 9, 9]], np.float32)
    >>> overlap_of_smaller(inside, around).tolist()
    [[1.0, 0.5]]
    """
    shared = intersection(a, b)  # [N, M] px^2
    smaller = np.minimum(area(a)[:, None], area(b))
    result: FloatArray = np.zeros_like(shared)
    np.divide(shared, smaller, out=result, where=smaller > 0)
    return result
