"""Pairing boxes of one frame with boxes of an earlier one, by displacement. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.boxes import Boxes, FloatArray, IntArray, area, intersection, iou
from models.detections import Detections

# Share of the smaller box: from here on two labels name one defect in one frame.
SAME_PLACE_SHARE = 0.7
# A defect keeps its size. One side may differ more: the frame's edge cuts a box there
# while it enters or leaves.
SIDE_RATIO_MAX, BOTH_RATIO_MAX = 2.5, 6.0
JITTER_PX = 3.0  # edges of a box of an unmoved defect vary by about this much
# Share of a displacement: boxes of one motion differ more the farther they moved.
VOTE_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class TrackPairs:
    """Every track (T) with every detection (D)."""

    # [2, 3, T, D] displacement along x and y of the low edges, centres, high edges
    shifts: FloatArray
    elapsed: FloatArray  # [T] frames since the track was last seen, at least 1
    sizes: FloatArray  # [T, D] mean side of the two boxes, px
    compatible: np.ndarray  # [T, D] bool: of about the same size
    # [T, D] logarithm of the larger ratio of their sides, 0 = equal
    resized: FloatArray
    relabelled: np.ndarray  # [T, D] bool: of different labels
    overlaps: FloatArray  # [T, D] intersection over union

    def residuals(self, expected: FloatArray) -> FloatArray:
        """Return how far each pair is from a displacement, ``[..., T, D]`` pixels.

        Args:
            expected: ``[..., T, 2]`` or ``[2]`` pixels.
        """
        x, y = (
            _nearest(shifts, np.atleast_1d(wanted)[..., None])
            for shifts, wanted in zip(self.shifts, _axes(expected), strict=True)
        )
        return np.asarray(np.hypot(x, y), np.float32)

    def agree(self, tracks: IntArray, found: IntArray, rates: FloatArray) -> np.ndarray:
        """Return which pairs follow which common velocity, ``[H, P]`` bool.

        Args:
            tracks: ``[P]`` the tracks of some pairs.
            found: ``[P]`` their detections.
            rates: ``[H, 2]`` pixels per frame.
        """
        elapsed = self.elapsed[tracks]  # [P]
        wanted = [rate[:, None] * elapsed for rate in _axes(rates)]  # x, y: [H, P]
        shifts = self.shifts[:, :, tracks, found]  # [2, 3, P]
        x, y = map(_nearest, shifts, wanted)
        tolerance = _tolerance(self.sizes[tracks, found], _length(*wanted))
        # Most pairs are far off along one axis, and a hypotenuse takes its time.
        result = np.maximum(x, y) <= tolerance
        result[result] = np.hypot(x[result], y[result]) <= tolerance[result]
        return result

    def moved_px(self) -> FloatArray:
        """Return how far the centre of each pair moved, ``[T, D]`` pixels."""
        return _length(self.shifts[0, 1], self.shifts[1, 1])

    def shift(self, track: int, detection: int, expected: FloatArray) -> FloatArray:
        """Return the displacement of one pair, ``[2]`` px.

        Per axis, the edge or centre that is nearest to the expectation counts.
        """
        shifts = self.shifts[:, :, track, detection]  # [2, 3]
        steadiest = np.abs(shifts - expected[:, None]).argmin(axis=1)  # [2]
        result: FloatArray = shifts[[0, 1], steadiest]
        return result


@dataclass(slots=True)
class Matching:
    """Costs of all pairs, and their greedy assignment."""

    costs: FloatArray  # [T, D], infinite where no evidence was offered
    penalties: FloatArray  # [T, D] added to every offer for a pair
    scale_px: float  # residual that costs 1
    # index of a track to index of its detection
    chosen: dict[int, int] = field(default_factory=dict)

    def offer(self, cost: float, residuals: FloatArray, tolerance: FloatArray) -> None:
        """Lower the costs where a pair is within a tolerance.

        Args:
            residuals: ``[T, D]`` pixels.
            tolerance: ``[T, D]`` pixels; 0 = this pair has no such evidence.
        """
        offered = cost + self.penalties + residuals / self.scale_px
        is_near = (residuals <= tolerance) & (tolerance > 0)
        self.costs = np.where(is_near, np.minimum(self.costs, offered), self.costs)

    def choose(self) -> dict[int, int]:
        """Assign detections to tracks, cheapest pair first."""
        # A stable sort: equal costs are decided the same way on every machine.
        order = np.argsort(self.costs, axis=None, kind="stable")
        taken: set[int] = set()
        for flat_index in order.tolist():
            track, detection = divmod(flat_index, self.costs.shape[1])
            if not np.isfinite(self.costs[track, detection]):
                break
            if track not in self.chosen and detection not in taken:
                self.chosen[track] = detection
                taken.add(detection)
        return self.chosen


def pair_up(
    before: Boxes, labels: Sequence[int], elapsed: FloatArray, detections: Detections
) -> TrackPairs:
    """Return every track with every detection.

    Args:
        before: ``[T, 4]`` float32, xyxy: last boxes of the tracks.
        labels: T last labels of the tracks.
        elapsed: ``[T]`` frames since then, at least 1.
        detections: D detections of the current frame.
    """
    points_before, points = _points(before), _points(detections.boxes)
    # A box may have no width; at least 1 px keeps the ratios finite.
    sides_before = _sides(before)[..., None]  # [2, T, 1]
    sides = _sides(detections.boxes)[:, None]  # [2, 1, D]
    ratios = np.maximum(sides_before / sides, sides / sides_before)  # [2, T, D]
    halves = (sides_before + sides) / 2  # [2, T, D]
    largest = np.maximum(*ratios)
    return TrackPairs(
        shifts=points[:, :, None] - points_before[..., None],
        elapsed=elapsed,
        sizes=(halves[0] + halves[1]) / 2,
        compatible=(np.minimum(*ratios) <= SIDE_RATIO_MAX)
        & (largest <= BOTH_RATIO_MAX),
        resized=np.log(largest),
        relabelled=np.array(labels)[:, None] != detections.labels[None],
        overlaps=iou(before, detections.boxes),
    )


def _points(boxes: Boxes) -> FloatArray:
    """Return low edges, centres and high edges along x and y, ``[2, 3, N]``."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.ascontiguousarray(
        np.stack((low, (low + high) / 2, high)).T.swapaxes(1, 2)
    )


def _sides(boxes: Boxes) -> FloatArray:
    """Return width and height, ``[2, N]`` px, at least 1."""
    return np.asarray(np.maximum((boxes[:, 2:] - boxes[:, :2]).T, 1), np.float32)


def _axes(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the x and the y of vectors ``[..., 2]``, ``[...]`` each."""
    return vectors[..., 0], vectors[..., 1]


def _nearest(shifts: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return how far edges and centres are from a displacement along one axis.

    The nearest of edges and centre counts: where the frame's edge cuts a box, only its
    other edge is in the right place.

    Args:
        shifts: ``[3, ...]`` pixels.
        wanted: Pixels; it broadcasts with each of the three.
    """
    low, centre, high = (np.abs(shift - wanted) for shift in shifts)
    result: FloatArray = np.minimum(np.minimum(low, centre), high)
    return result


def vote_tolerance(pairs: TrackPairs, expected: FloatArray) -> FloatArray:
    """Return how far pairs may be from a common displacement, ``[..., T, D]`` px.

    Args:
        pairs: T tracks with D detections.
        expected: ``[..., T, 2]`` displacements, px.
    """
    return _tolerance(pairs.sizes, lengths(expected)[..., None])


def _tolerance(sizes: FloatArray, moved_px: FloatArray) -> FloatArray:
    """Return how far boxes of a size may be from a displacement of a length, px."""
    tolerance = np.maximum(sizes / 2, JITTER_PX + VOTE_SHARE * moved_px)
    return np.asarray(tolerance, np.float32)


def lengths(vectors: FloatArray) -> FloatArray:
    """Return the length of each vector ``[..., 2]``, as ``np.linalg.norm`` does.

    Its overhead is several times the work for the few boxes of a frame.
    """
    return _length(*_axes(vectors))


def _length(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(x * x + y * y), np.float32)


def have_common_area(boxes: Boxes, others: Boxes) -> np.ndarray:
    """Return whether each box and the other one of its row overlap, ``[N]`` bool.

    Args:
        boxes: ``[N, 4]`` float32, xyxy.
        others: ``[N, 4]`` float32, xyxy.
    """
    top_left = np.maximum(boxes[:, :2], others[:, :2])  # [N, 2]
    bottom_right = np.minimum(boxes[:, 2:], others[:, 2:])  # [N, 2]
    return np.asarray((bottom_right > top_left).all(axis=1))


def overlap_of_smaller(boxes: Boxes, others: Boxes) -> FloatArray:
    """Return the share of the smaller of two boxes in the other one, ``[M, N]``.

    Args:
        boxes: ``[M, 4]`` float32, xyxy.
        others: ``[N, 4]`` float32, xyxy.
    """
    smaller = np.minimum(area(boxes)[:, None], area(others))  # [M, N] px^2
    shares = intersection(boxes, others) / np.maximum(smaller, np.float32(1e-6))
    return np.asarray(shares, np.float32)


def distinct_indices(detections: Detections) -> np.ndarray:
    """Return the indices, ascending, of detections without second labels for a defect.

    Args:
        detections: Best first.
    """
    boxes = detections.boxes
    if len(boxes) < 2:
        return np.arange(len(boxes))
    covers = (overlap_of_smaller(boxes, boxes) >= SAME_PLACE_SHARE).tolist()
    kept: list[int] = []
    for index, row in enumerate(covers):
        if not any(row[better] for better in kept):
            kept.append(index)
    return np.array(kept, np.int64)
