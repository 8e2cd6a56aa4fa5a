"""A memory of good patches, and the boxes of what is far from all of them.

The map of the backbone at stride 16, with that of stride 8 pooled to it, gives one
vector of length one for each cell of 16 px. Its distance to the nearest vector in the
memory says how unlike all good parts this place is: the direction counts, because the
length changes with light and contrast. All of it is one matrix product, a minimum and a
few poolings with fixed shapes, so it is exported in the detector's own graph.

Each place that is the most unlike in its neighbourhood becomes one box around the cells
there that are nearly as unlike: one defect gives one box.

Source:
    PatchCore, arXiv:2106.08265, on two strides; measured against other methods in
    docs/explanation/unknown.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.heat_map import CELL_PX
from trainer.detectors.base import static_size

# Of the longer side: two places closer to each other than this are one defect.
NEIGHBOURHOOD = 1 / 8
# Scores of a photo of a good part, by how far it is from the usual good part: their
# median, one spread (to the 90th percentile), and three.
SCORE_AT_TWO = 0.2
SMALLEST_LENGTH = 1e-6  # of a vector that is divided by its length


@dataclass(frozen=True, slots=True)
class DistanceScale:
    """How far good parts are from the memory: it turns distances into scores.

    Attributes:
        usual: Median over good photos of the largest distance on each.
        spread: From there to their 90th percentile; above 0.
    """

    usual: float
    spread: float

    def score(self, distance: float) -> float:
        """Return the score in 0..1 of a distance.

        >>> [round(DistanceScale(4.0, 1.0).score(d), 2) for d in (4, 5, 6, 7, 8)]
        [0.02, 0.06, 0.2, 0.5, 0.8]
        """
        return 1 / (1 + math.exp(-(distance - self.centre) / self.width))

    def distance(self, score: float) -> float:
        """Return the distance of a score above 0; of 1 it is infinite.

        >>> round(DistanceScale(4.0, 1.0).distance(0.5), 2)
        7.0
        """
        if score >= 1:
            return math.inf
        return self.centre + self.width * math.log(score / (1 - score))

    @property
    def centre(self) -> float:
        """Distance of the score 0.5."""
        return self.usual + 3 * self.spread

    @property
    def width(self) -> float:
        """Distance over which the logit of the score changes by one."""
        return self.spread / math.log(1 / SCORE_AT_TWO - 1)


class PatchMemory(nn.Module):
    """Distances to good patches as boxes and scores of one class.

    Args:
        rows: Vectors in the memory, M.
        inputs: Channels of the two maps together, D.
    """

    mean: Tensor  # [D] of the good vectors
    patches: Tensor  # [M, D] less the mean
    usual: Tensor
    spread: Tensor

    def __init__(self, rows: int, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("patches", torch.zeros(rows, inputs))
        self.register_buffer("usual", torch.tensor(0.0))
        self.register_buffer("spread", torch.tensor(1.0))

    @property
    def scale(self) -> DistanceScale:
        """How distances become scores."""
        return DistanceScale(float(self.usual), float(self.spread))

    def set_scale(self, scale: DistanceScale) -> None:
        """Set how distances become scores."""
        self.usual.fill_(scale.usual)
        self.spread.fill_(scale.spread)

    def vectors(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the vector of each cell less the mean, ``[N, D, h * w]``.

        Around the mean vectors are short, and half precision holds their differences.

        Args:
            maps: The backbone's, at strides 8 and 16 first.
        """
        return patch_features(maps).flatten(2) - self.mean[:, None]

    def distances(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the distance of each cell to the nearest patch, ``[N, 1, h, w]``."""
        height, width = static_size(maps[1])
        vectors = self.vectors(maps)  # [N, D, P]
        # Rows of M numbers, one after the other in memory: their minimum is cheap.
        products = torch.matmul(vectors.transpose(1, 2), -2 * self.patches.T)
        lengths = self.patches.square().sum(dim=1)  # [M]
        nearest = (products + lengths).amin(dim=2)  # [N, P] of [N, P, M]
        squared = nearest + vectors.square().sum(dim=1)
        return squared.clamp(min=0).sqrt().reshape(-1, 1, height, width)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return ``[N, 5, h * w]``: cx, cy, w, h in input pixels, and the score.

        The score of a cell that is no box has a minus: see ``models.heat_map``.
        """
        distances = self.distances(maps)
        height, width = static_size(distances)
        reach = neighbourhood(height, width)
        peak = _highest_around(distances, reach)
        is_peak = (distances >= peak).to(distances.dtype)
        # cells nearly as unlike as the peak: above half of its height over a good part
        is_part = (2 * distances >= peak + self.usual).to(distances.dtype)
        is_part = torch.maximum(is_part, is_peak)
        score = torch.sigmoid((distances - self._centre()) / self._width())
        score = score * (2 * is_peak - 1)
        low, high = _extent(is_part, reach)  # [N, 2, h, w] cells
        centre, size = (low + high) * (CELL_PX / 2), (high - low) * CELL_PX
        return torch.cat((centre, size, score), dim=1).flatten(2)

    def _centre(self) -> Tensor:
        return self.usual + 3 * self.spread

    def _width(self) -> Tensor:
        return self.spread / math.log(1 / SCORE_AT_TWO - 1)


def patch_features(maps: Sequence[Tensor]) -> Tensor:
    """Return the vector of length one of each cell of stride 16, ``[N, D, h, w]``.

    Args:
        maps: The backbone's, at strides 8 and 16 first.
    """
    fine = functional.avg_pool2d(_smooth(maps[0]), 2)
    joined = torch.cat((fine, _smooth(maps[1])), dim=1)
    length = joined.square().sum(dim=1, keepdim=True).sqrt()
    return joined / (length + SMALLEST_LENGTH)


def neighbourhood(height: int, width: int) -> int:
    """Return how many cells away a place is still the same defect, at least 2."""
    return max(2, round(NEIGHBOURHOOD * max(height, width)))


def _smooth(feature: Tensor) -> Tensor:
    return functional.avg_pool2d(feature, 3, 1, 1, count_include_pad=False)


def _highest_around(values: Tensor, reach: int) -> Tensor:
    return functional.max_pool2d(values, 2 * reach + 1, 1, reach)


def _extent(is_part: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Return the corners of what belongs to a place around each cell, in cells.

    Args:
        is_part: ``[N, 1, h, w]`` of 0 and 1; 1 at every peak.

    Returns:
        Two of ``[N, 2, h, w]``: x and y of the first cell, and of the end of the last.
    """
    height, width = static_size(is_part)
    far = float(max(height, width))
    columns = torch.arange(width, dtype=is_part.dtype, device=is_part.device)
    rows = torch.arange(height, dtype=is_part.dtype, device=is_part.device)
    places = torch.stack(
        (columns.expand(height, width), rows[:, None].expand(height, width))
    )[None]  # [1, 2, h, w]
    missing = (1 - is_part) * far
    last = _highest_around(places * is_part - missing, reach)
    first = -_highest_around(-places * is_part - missing, reach)
    return first, last + 1
