"""SimOTA: assigns anchor points to ground truths. Pure, no state.

Each ground truth considers only the 3 x 3 cells around its centre on every
level, computed directly instead of by a search over all anchor points. So the whole
batch is one ``[T, K]`` table, with T ground truths and K = 9 cells per level.
The dynamic number of anchor points is the sum of the ten best overlaps.

There are two steps, so that only the candidates' predictions are decoded:
``find_candidates`` (geometry), then ``assign`` (cost).

Source:
    YOLOX, arXiv:2107.08430, section 2.1; OTA, arXiv:2103.14259. Unlike the
    paper, a ground truth that loses all its anchor points to others takes its
    cheapest free one, so that crowded small defects are all learned.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.detectors.losses import overlaps

CENTRE_RADIUS_CELLS = 1.5  # Source: YOLOX get_geometry_constraint
TOP_OVERLAPS = 10  # Source: YOLOX simota_matching
OVERLAP_WEIGHT = 3.0  # Source: YOLOX get_assignments
OUTSIDE_COST = 1e5  # Source: YOLOX 0.1 get_assignments
RESCUE_ROUNDS = 3  # in each at least one of the competing targets gets its cell


@dataclass(frozen=True, slots=True)
class Grid:
    """The anchor points of all levels, in the order of the flattened maps.

    Attributes:
        shapes: Rows and columns of each level.
        strides_px: Cell side of each level.
    """

    shapes: tuple[tuple[int, int], ...]
    strides_px: tuple[int, ...]

    @property
    def anchors(self) -> int:
        """A, the number of anchor points."""
        return sum(rows * columns for rows, columns in self.shapes)

    def points(self, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
        """Return the cells' indices and sides.

        Returns:
            ``[A, 2]`` float32 column and row of each cell; ``[A]`` float32 its
            side in pixels.
        """
        cells, sides = [], []
        for (rows, columns), stride in zip(self.shapes, self.strides_px, strict=True):
            y = torch.arange(rows, dtype=torch.float32, device=device)
            x = torch.arange(columns, dtype=torch.float32, device=device)
            row, column = torch.meshgrid(y, x, indexing="ij")
            cells.append(torch.stack((column, row), dim=-1).reshape(-1, 2))
            side = torch.full((rows * columns,), float(stride), device=device)
            sides.append(side)
        return torch.cat(cells), torch.cat(sides)


@dataclass(frozen=True, slots=True)
class BatchTruth:
    """The T ground truths of all images of a batch, in one table.

    Attributes:
        boxes: ``[T, 4]`` float32 xyxy px.
        labels: ``[T]`` int64.
        images: ``[T]`` int64, index of the image.
    """

    boxes: Tensor
    labels: Tensor
    images: Tensor


@dataclass(frozen=True, slots=True)
class Candidates:
    """The anchor points that each ground truth may be assigned to.

    Attributes:
        anchors: ``[T, K]`` int64 index into the flattened maps; 0 where not valid.
        cells: ``[T, K, 2]`` float32 column and row of the cell.
        sides_px: ``[K]`` float32 side of the cell.
        valid: ``[T, K]`` bool; the cell exists and is near the centre.
        inside: ``[T, K]`` bool; the cell's centre lies in the box.
    """

    anchors: Tensor
    cells: Tensor
    sides_px: Tensor
    valid: Tensor
    inside: Tensor


@dataclass(frozen=True, slots=True)
class Assignment:
    """P pairs of an anchor point and its ground truth.

    Attributes:
        targets: ``[P]`` int64 index of the ground truth.
        columns: ``[P]`` int64 index into the candidates of that ground truth.
        overlaps: ``[P]`` float32 IoU of prediction and ground truth.
    """

    targets: Tensor
    columns: Tensor
    overlaps: Tensor


def find_candidates(grid: Grid, boxes: Tensor) -> Candidates:
    """Return the cells around the centre of each box, on every level.

    Args:
        boxes: ``[T, 4]`` float32, xyxy, input pixels.

    Returns:
        ``[T, 9 * levels]`` candidates.
    """
    device = boxes.device
    step = torch.arange(-1.0, 2.0, device=device)
    row, column = torch.meshgrid(step, step, indexing="ij")
    offsets = torch.stack((column, row), dim=-1).reshape(1, 1, 9, 2)
    strides = torch.tensor(grid.strides_px, dtype=torch.float32, device=device)
    sizes = torch.tensor(grid.shapes, device=device)  # [L, 2] rows, columns
    counts = sizes.prod(dim=1)
    starts = counts.cumsum(dim=0) - counts  # [L]

    centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2  # [T, 1, 2]
    place = centre / strides[:, None] - 0.5  # [T, L, 2] in cells
    cells = (place + 0.5).floor()[:, :, None] + offsets  # [T, L, 9, 2]
    near = (cells - place[:, :, None]).abs() < CENTRE_RADIUS_CELLS
    exists = (cells >= 0) & (cells < sizes.flip(1)[:, None])
    valid = (near & exists).all(dim=-1)  # [T, L, 9]
    points = (cells + 0.5) * strides[:, None, None]  # [T, L, 9, 2] px
    low, high = boxes[:, None, None, :2], boxes[:, None, None, 2:]
    inside = ((points > low) & (points < high)).all(dim=-1)

    whole = cells.long()
    index = whole[..., 1] * sizes[:, 1, None] + whole[..., 0] + starts[:, None]
    return Candidates(
        anchors=torch.where(valid, index, 0).flatten(1),
        cells=cells.flatten(1, 2),
        sides_px=strides.repeat_interleave(9),
        valid=valid.flatten(1),
        inside=inside.flatten(1),
    )


def class_cost(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross-entropy of each candidate's scores, summed.

    Args:
        scores: ``[T, K, C]`` float32 in 0..1.
        labels: ``[T]`` int64, the wanted class.

    Returns:
        ``[T, K]`` float32, at least 0.
    """
    scores = scores.clamp(1e-6, 1 - 1e-6)
    absent = -torch.log1p(-scores)  # [T, K, C] cost of a class that should be 0
    wanted = labels[:, None, None].expand(-1, scores.shape[1], 1)
    swap = -scores.gather(2, wanted).log() - absent.gather(2, wanted)
    return absent.sum(dim=2) + swap.squeeze(2)


def assign(
    candidates: Candidates,
    truth: BatchTruth,
    predicted: Tensor,
    scores: Tensor,
    *,
    anchors: int,
) -> Assignment:
    """Assign candidates to ground truths.

    An anchor point serves at most one ground truth. A ground truth with a valid
    candidate gets at least one, unless more than ``RESCUE_ROUNDS`` others compete
    for the same cells.

    Args:
        predicted: ``[T, K, 4]`` float32 xyxy px, predicted at the candidates.
        scores: ``[T, K, C]`` float32 in 0..1, predicted at the candidates.
        anchors: A, the number of anchor points of one image.

    Returns:
        P pairs, in the order of ground truths.
    """
    overlap = overlaps(predicted, truth.boxes[:, None])[0]  # [T, K]
    overlap = torch.where(candidates.valid, overlap, 0.0)
    cost = class_cost(scores, truth.labels) - OVERLAP_WEIGHT * (overlap + 1e-8).log()
    cost = cost + OUTSIDE_COST * ~candidates.inside
    cost = cost.masked_fill(~candidates.valid, torch.inf)
    points = truth.images[:, None] * anchors + candidates.anchors  # [T, K] batch-wide

    top = min(TOP_OVERLAPS, overlap.shape[1])
    wanted = overlap.topk(top, dim=1).values.sum(dim=1).int().clamp(min=1)  # [T]
    cheapest, order = cost.topk(top, dim=1, largest=False)  # [T, top]
    rank = torch.arange(top, device=cost.device)
    chosen = torch.zeros_like(candidates.valid)
    chosen.scatter_(1, order, (rank < wanted[:, None]) & cheapest.isfinite())
    chosen = _rescue(_settle(chosen, cost, points), cost, points)
    targets, columns = chosen.nonzero(as_tuple=True)
    return Assignment(targets, columns, overlap[targets, columns])


def _settle(chosen: Tensor, cost: Tensor, points: Tensor) -> Tensor:
    """Assign each anchor point to the cheapest target that chose it: [T, K] bool."""
    if not chosen.any():
        return chosen
    size = int(points.max()) + 1
    targets, columns = chosen.nonzero(as_tuple=True)
    places, prices = points[targets, columns], cost[targets, columns]
    best = prices.new_full((size,), torch.inf).scatter_reduce(0, places, prices, "amin")
    wins = prices == best[places]
    last = len(cost)
    bids = torch.where(wins, targets, last)  # equal costs: the first target
    owner = bids.new_full((size,), last).scatter_reduce(0, places, bids, "amin")
    settled = torch.zeros_like(chosen)
    settled[targets, columns] = owner[places] == targets
    return settled


def _rescue(chosen: Tensor, cost: Tensor, points: Tensor) -> Tensor:
    """Assign its cheapest free anchor point to each target that lost all of its own."""
    for _ in range(RESCUE_ROUNDS):
        lost = ~chosen.any(dim=1) & cost.isfinite().any(dim=1)
        if not lost.any():
            break
        taken = torch.isin(points, points[chosen])
        free = cost.masked_fill(taken | ~lost[:, None], torch.inf)
        price, column = free.min(dim=1, keepdim=True)
        bids = torch.zeros_like(chosen).scatter_(1, column, price.isfinite())
        chosen = chosen | _settle(bids, cost, points)
    return chosen
