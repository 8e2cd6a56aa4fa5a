"""Merges the outputs of all tiles into the boxes of one picture.

An object in an overlap is detected two or four times: complete in one tile, cut by an
inner edge in another. Best score first, each box absorbs others of the same label:

* those that overlap it, as in every NMS;
* a box that an inner edge cut and that is mostly inside it. If the better one is itself
  cut, it gets the extent of the complete one;
* if no box is complete, because the object is larger than the overlap, the pieces that
  continue from one tile to the next become one box around them.

A cut box without a partner is kept: a false alarm is better than an escape.

Only partners with at least half of its score change a box, so tiles are decoded down to
half of the threshold. The detections above a threshold are then the same whether the
threshold is applied before or after the merge: the trainer's figures also apply on the
line.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.boxes import Boxes, FloatArray, area, iou
from models.detections import Detections, no_detections
from models.postprocess import IOU_THRESHOLD, MAX_DETECTIONS, decode
from models.tiles import Tiles

PARTNER_SHARE = 0.5  # of a score: a weaker box does not change a better one
CUT_MARGIN_PX = 4.0  # half a cell of the finest map: predicted edges are not exact
MOSTLY = 0.5  # share of a piece inside the complete box, or common to two pieces

BoolArray = npt.NDArray[np.bool_]


def decode_tiles(
    output: FloatArray,
    score_thresholds: FloatArray,
    tiles: Tiles,
    *,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> Detections:
    """Return the detections of one picture.

    Args:
        output: ``[4 + C, count * A]`` float32: the outputs of all tiles side by side,
            boxes in pixels of their tile.
        score_thresholds: ``[C]`` float32 in 0..1, one for each label.
        tiles: How the picture was cut.
        iou_threshold: Overlap in 0..1 above which the weaker of two boxes of one
            label is dropped.
        max_detections: At most this many, best first.

    Returns:
        Detections with boxes in pixels of the picture.

    Raises:
        ValueError: The output does not fit thresholds or tiles.
        PackageError: A number is not finite.
    """
    if output.ndim != 2 or output.shape[1] % tiles.count:
        msg = f"expected [4 + C, {tiles.count} * A], got {output.shape}"
        raise ValueError(msg)
    lower = score_thresholds * np.float32(PARTNER_SHARE)
    found = [
        decode(part, lower, iou_threshold=iou_threshold, max_detections=max_detections)
        for part in np.split(output, tiles.count, axis=1)
    ]
    if not any(map(len, found)):
        return no_detections()
    merged = merge(found, tiles, iou_threshold).above(score_thresholds)
    return merged.select(np.arange(len(merged))[:max_detections])


def merge(found: list[Detections], tiles: Tiles, iou_threshold: float) -> Detections:
    """Return one detection for each object.

    Args:
        found: One for each tile, with boxes in pixels of the tile.
        tiles: How the picture was cut.
        iou_threshold: Overlap in 0..1 above which the weaker box is dropped.

    Returns:
        Detections with boxes in pixels of the picture, best first.
    """
    pieces = _in_picture(found, tiles)
    remaining = np.ones(len(pieces.scores), bool)
    boxes, kept = [], []
    for best in range(len(remaining)):
        if remaining[best]:
            box, absorbed = _absorb(pieces, best, remaining, iou_threshold)
            remaining &= ~absorbed
            boxes.append(box)
            kept.append(best)
    index = np.array(kept, np.int64)
    joined = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(joined, pieces.scores[index], pieces.labels[index])


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Boxes of all tiles, best first.

    ``cut`` is true for the sides (left, top, right, bottom) where an inner edge of the
    tile ends the box; ``edges`` is the tile's rectangle.
    """

    boxes: Boxes  # [N, 4] pixels of the picture
    scores: FloatArray  # [N]
    labels: npt.NDArray[np.int64]  # [N]
    cut: BoolArray  # [N, 4]
    edges: FloatArray  # [N, 4]


def _in_picture(found: list[Detections], tiles: Tiles) -> _Pieces:
    """Return the boxes of all tiles in pixels of the picture."""
    counts = [len(each) for each in found]
    edges = np.repeat(tiles.rectangles(), counts, axis=0)  # [N, 4]
    corner = np.tile(edges[:, :2], 2)  # [N, 4]
    boxes = np.concatenate([each.boxes for each in found]) + corner
    boxes[:, :2] = np.maximum(boxes[:, :2], edges[:, :2])
    boxes[:, 2:] = np.minimum(boxes[:, 2:], edges[:, 2:])
    outer = (0, 0, tiles.picture_width_px, tiles.picture_height_px)
    inner = edges != np.array(outer, np.float32)
    cut = inner & (np.abs(boxes - edges) <= CUT_MARGIN_PX)
    scores = np.concatenate([each.scores for each in found])
    labels = np.concatenate([each.labels for each in found])
    order = np.argsort(-scores, kind="stable")
    return _Pieces(
        boxes[order].astype(np.float32),
        scores[order],
        labels[order],
        cut[order],
        edges[order],
    )


def _absorb(
    pieces: _Pieces, best: int, remaining: BoolArray, iou_threshold: float
) -> tuple[Boxes, BoolArray]:
    """Return the box of the object of the best piece, and the pieces of that object."""
    same = remaining & (pieces.labels == pieces.labels[best])
    box = pieces.boxes[best]
    absorbed = _duplicates(pieces, box, same, iou_threshold)
    absorbed[best] = True
    elsewhere = (pieces.edges != pieces.edges[best]).any(axis=1)
    is_cut: BoolArray = np.any(pieces.cut, axis=1)
    if not is_cut[best]:
        return box, absorbed | (same & elsewhere & is_cut & _inside(pieces.boxes, box))
    partners = same & (pieces.scores >= PARTNER_SHARE * pieces.scores[best])
    covers = _inside(box[None], pieces.boxes)
    complete = np.flatnonzero(partners & elsewhere & ~is_cut & covers)
    if len(complete):
        box = pieces.boxes[complete[0]]
    else:
        box, members = _joined(pieces, best, partners & is_cut)
        absorbed |= members
    absorbed |= _duplicates(pieces, box, same, iou_threshold)
    return box, absorbed | (same & is_cut & _inside(pieces.boxes, box))


def _duplicates(
    pieces: _Pieces, box: Boxes, same: BoolArray, iou_threshold: float
) -> BoolArray:
    """Return which boxes a box suppresses."""
    result: BoolArray = same & (iou(box[None], pieces.boxes)[0] > iou_threshold)
    return result


def _inside(small: Boxes, large: Boxes) -> BoolArray:
    """Return which boxes are mostly inside another; one argument may be single."""
    top_left = np.maximum(small[..., :2], large[..., :2])
    bottom_right = np.minimum(small[..., 2:], large[..., 2:])
    shared = (bottom_right - top_left).clip(0).prod(axis=-1)
    result: BoolArray = shared > MOSTLY * np.maximum(area(small), 1e-6)
    return result


def _joined(
    pieces: _Pieces, first: int, candidates: BoolArray
) -> tuple[Boxes, BoolArray]:
    """Return the box around pieces that continue from tile to tile, and which."""
    members = np.zeros(len(candidates), bool)
    members[first] = True
    unvisited = [first]
    while unvisited:
        following = _continue(pieces, unvisited.pop()) & candidates & ~members
        members |= following
        unvisited += np.flatnonzero(following).tolist()
    boxes = pieces.boxes[members]
    around = np.concatenate((boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)))
    return around, members


def _continue(pieces: _Pieces, index: int) -> BoolArray:
    """Return which pieces are the same object beyond an edge that cut a piece.

    Both are cut, on opposite sides; both cross the overlap of the two tiles; and along
    it they are mostly at the same place.
    """
    box, cut, edge = pieces.boxes[index], pieces.cut[index], pieces.edges[index]
    result = np.zeros(len(pieces.scores), bool)
    for axis in (0, 1):
        low, high, other = axis, axis + 2, 1 - axis
        beyond = cut[high] & pieces.cut[:, low] & (pieces.edges[:, low] > edge[low])
        before = cut[low] & pieces.cut[:, high] & (pieces.edges[:, low] < edge[low])
        inside = np.minimum(box[high], pieces.boxes[:, high]) - np.maximum(
            box[low], pieces.boxes[:, low]
        )
        ends = np.minimum(edge[high], pieces.edges[:, high]) - np.maximum(
            edge[low], pieces.edges[:, low]
        )
        crosses = (inside > 0) & (inside >= ends - 2 * CUT_MARGIN_PX)
        sides = pieces.boxes[:, other + 2] - pieces.boxes[:, other]
        shared = np.minimum(box[other + 2], pieces.boxes[:, other + 2]) - np.maximum(
            box[other], pieces.boxes[:, other]
        )
        least = np.minimum(sides, box[other + 2] - box[other])
        result |= (beyond | before) & crosses & (shared > MOSTLY * least)
    return result
