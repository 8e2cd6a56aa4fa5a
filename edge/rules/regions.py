"""Where in the picture a defect counts, and from which score and size. Pure.

A detection belongs to the region that contains the centre of its box:

* inside a mask it is ignored, whichever other regions overlap there;
* of several inspect regions the first in the file has it;
* outside every inspect region it is ignored; without inspect regions the whole picture
  is one region without a name.

A region's threshold may be above or below the package's. So the graph's output is
decoded with the lowest threshold in force at this camera, and a detection below the
threshold of its own region is dropped here. NMS processes the boxes of each label from
the best one down: a weaker candidate never removes a stronger one, so a region that
lowers no threshold gets exactly the detections that it would get without the others.
Boxes of two labels at one place become one defect last: a box that does not count in
its region must not remove one that does.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations, pairwise

import numpy as np

from models.boxes import FloatArray, IntArray
from models.detections import Detections
from models.postprocess import DecisionRule

CORNERS_MAX = 64  # bounds the time of a frame: each edge is compared with each box
AREA_MIN_SHARE = 1e-6  # of the frame: 2 px of a full-HD picture
NO_REGION = -1

Vertex = tuple[float, float]


class RegionKind(StrEnum):
    """Purpose of a region."""

    INSPECT = "inspect"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class Region:
    """One region of a camera's picture."""

    name: str  # name in alerts; empty = the whole picture
    kind: RegionKind
    corners: np.ndarray  # [P, 2] float64, shares of the frame
    # label to its score threshold here; other labels have the package's
    thresholds: Mapping[str, float] = field(default_factory=dict)
    min_size_px: float = 0  # smallest longer side of a box that counts, frame pixels

    @classmethod
    def from_polygon(
        cls,
        name: str,
        kind: RegionKind,
        polygon: Sequence[Vertex],
        *,
        thresholds: Mapping[str, float] | None = None,
        min_size_px: float = 0,
    ) -> "Region":
        """Return a region from its corners, given in shares of the frame."""
        corners = np.array(polygon, np.float64)
        return cls(name, kind, corners, thresholds or {}, min_size_px)

    @property
    def area_share(self) -> float:
        """Area of the polygon as a share of the frame."""
        return abs(_doubled_area(self.corners.tolist())) / 2

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return which points are inside.

        Args:
            points: ``[N, 2]`` float64, shares of the frame.

        Returns:
            ``[N]`` bool; of two regions that share an edge one contains its points.

        Source:
            Crossings of a ray (even-odd rule): M. Shimrat, "Algorithm 112: Position
            of point relative to polygon", CACM 5(8), 1962.
        """
        x, y = points[:, :1], points[:, 1:]  # [N, 1]
        x1, y1 = self.corners.T  # [P]
        x2, y2 = np.roll(self.corners, -1, axis=0).T
        spans = (y1 > y) != (y2 > y)  # [N, P]
        rise = np.where(y1 == y2, 1.0, y2 - y1)  # a level edge spans no y: no crossing
        crossing = x1 + (y - y1) * (x2 - x1) / rise
        return np.asarray(((x < crossing) & spans).sum(axis=1) % 2 == 1)


WHOLE_PICTURE = Region.from_polygon(
    "", RegionKind.INSPECT, [(0, 0), (1, 0), (1, 1), (0, 1)]
)


class RegionMap:
    """The regions of one camera, for the labels and thresholds of one model.

    Args:
        regions: In the order of the file.
        rule: The package's own.

    Attributes:
        lowest_thresholds: ``[C]`` float32: the graph's output is decoded with these.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        labels: Sequence[str],
        rule: DecisionRule,
    ) -> None:
        self.labels = tuple(labels)
        self._rule = rule
        self._masks = [r for r in regions if r.kind is RegionKind.MASK]
        inspected = [r for r in regions if r.kind is RegionKind.INSPECT]
        self._is_whole = not inspected
        self._inspected = inspected or [WHOLE_PICTURE]
        self._thresholds = np.stack(
            [_thresholds_of(r, labels, rule.score_thresholds) for r in self._inspected]
        )  # [R, C]
        self._sizes_px = np.array([r.min_size_px for r in self._inspected])  # [R]
        self.lowest_thresholds: FloatArray = self._thresholds.min(axis=0)

    def filter(
        self, detections: Detections, width_px: int, height_px: int
    ) -> Detections:
        """Return the detections that count, order kept.

        Args:
            detections: With ``boxes_frame``, decoded with ``lowest_thresholds``.
        """
        if not len(detections):
            return detections
        indices = self._region_indices(detections, width_px, height_px)
        longer_px = (detections.boxes[:, 2:] - detections.boxes[:, :2]).max(axis=1)
        counts = (
            (indices != NO_REGION)
            & (detections.scores >= self._thresholds[indices, detections.labels])
            & (longer_px >= self._sizes_px[indices])
        )
        if not counts.all():
            detections = detections.select(counts)
        if len(detections) < 2:
            return detections
        return detections.select(self._rule.without_doubles(detections))

    def region_names(
        self, detections: Detections, width_px: int, height_px: int
    ) -> list[str]:
        """Return the name of the region of each detection that ``filter`` kept."""
        indices = self._region_indices(detections, width_px, height_px)
        return [self._inspected[index].name for index in indices]

    def _region_indices(
        self, detections: Detections, width_px: int, height_px: int
    ) -> IntArray:
        """Return the index of the inspect region of each detection, ``[N]``."""
        if self._is_whole:
            indices = np.zeros(len(detections), np.int64)
        else:
            indices = np.full(len(detections), NO_REGION, np.int64)
        if self._is_whole and not self._masks:
            return indices
        size = np.array([width_px, height_px], np.float64)
        boxes = detections.boxes.astype(np.float64)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / size  # [N, 2]
        if not self._is_whole:
            # Last to first: where regions overlap, the first in the file is used.
            for index in reversed(range(len(self._inspected))):
                indices[self._inspected[index].contains(centres)] = index
        # Masks last: they override regions, regardless of the order in the file.
        for mask in self._masks:
            indices[mask.contains(centres)] = NO_REGION
        return indices


def _thresholds_of(
    region: Region, labels: Sequence[str], score_thresholds: FloatArray
) -> FloatArray:
    """Return the thresholds that hold in a region, ``[C]`` float32."""
    own = [region.thresholds.get(label) for label in labels]
    pairs = zip(own, score_thresholds.tolist(), strict=True)
    return np.array(
        [package if mine is None else mine for mine, package in pairs], np.float32
    )


def unknown_labels(regions: Sequence[Region], labels: Sequence[str]) -> list[str]:
    """Return, as phrases, the thresholds for labels that a model does not have."""
    return [
        f"region {region.name} has a threshold for {label!r}"
        for region in regions
        for label in region.thresholds
        if label not in labels
    ]


def polygon_fault(polygon: Sequence[Vertex]) -> str:
    """Return why a polygon cannot be used; empty if it can."""
    if not 3 <= len(polygon) <= CORNERS_MAX:
        return f"a polygon has 3 to {CORNERS_MAX} corners, got {len(polygon)}"
    for x, y in polygon:
        if not (math.isfinite(x) and math.isfinite(y)):
            return f"corner [{x}, {y}] is not a number"
        if not (0 <= x <= 1 and 0 <= y <= 1):
            return (
                f"corner [{x:g}, {y:g}] is outside the frame; corners are shares in "
                "0..1 of its width and height"
            )
    if _crosses_itself(polygon):
        return "its edges cross or touch each other"
    if abs(_doubled_area(polygon)) / 2 < AREA_MIN_SHARE:
        return "its corners lie on one line"
    return ""


def _doubled_area(polygon: Sequence[Vertex]) -> float:
    """Return twice the signed area (shoelace formula)."""
    closed = [*polygon, polygon[0]]
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(closed))


def _crosses_itself(polygon: Sequence[Vertex]) -> bool:
    """Return whether two edges that are not neighbours have a point in common."""
    edges = list(pairwise([*polygon, polygon[0]]))
    last = len(edges) - 1
    return any(
        _meet(*edges[i], *edges[j])
        for i, j in combinations(range(len(edges)), 2)
        if j != i + 1 and (i, j) != (0, last)
    )


def _meet(a: Vertex, b: Vertex, c: Vertex, d: Vertex) -> bool:
    """Return whether the segments ab and cd have a point in common."""
    sides = [_side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)]
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    ends = zip(sides, ((a, b, c), (a, b, d), (c, d, a), (c, d, b)), strict=True)
    return any(side == 0 and _is_between(*three) for side, three in ends)


def _side(a: Vertex, b: Vertex, p: Vertex) -> float:
    """Return on which side of the line ab a point is; 0 = on it."""
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def _is_between(a: Vertex, b: Vertex, p: Vertex) -> bool:
    """Return whether a point of the line ab is in the segment's bounding box."""
    return all(min(s, e) <= v <= max(s, e) for s, e, v in zip(a, b, p, strict=True))
