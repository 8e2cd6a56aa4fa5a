"""What good photos say about themselves: which are unlike the others, and how alike.

A defect among the good parts, or photos of two different parts, make the class
``unknown`` worse. Both are visible in the distances between good photos.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.boxes import Boxes, FloatArray
from trainer.data.dataset import Photo
from trainer.detectors.patch_memory import DistanceScale

COMPARED = 50  # photos, to see whether parts lie alike
# Two kinds of photos: each is on average this much nearer to its own kind (silhouette).
# Kaufman and Rousseeuw 1990: from 0.5 on there is a reasonable structure.
TWO_KINDS = 0.5
LEAST_OF_A_KIND = 0.1
ROUNDS = 20  # of k-means; two groups are found in a few


@dataclass(frozen=True, slots=True)
class GoodScores:
    """How unlike the other good parts each good photo is."""

    photos: tuple[Photo, ...]
    distances: FloatArray  # [N] largest on the photo, to a memory without it
    scale: DistanceScale
    places: Boxes  # [N, 4] around the most unlike cell, xyxy, pixels of the photo

    @property
    def scores(self) -> list[float]:
        """The scores of the photos, 0..1."""
        return [self.scale.score(float(distance)) for distance in self.distances]


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of the good photos."""

    aligned: float | None  # share of the variance that the place explains, 0..1
    notes: tuple[str, ...]  # sentences for a person


def describe(patches: Sequence[Tensor], photos: Sequence[Photo]) -> Description:
    """Return what the good photos say about themselves.

    Args:
        patches: ``[P, D]`` vectors of each photo.
    """
    means = torch.stack([each.float().mean(dim=0) for each in patches])
    return Description(aligned_share(patches), tuple(_two_kinds(means, photos)))


def aligned_share(patches: Sequence[Tensor]) -> float | None:
    """Return the share of the variance that the place of a patch explains, 0..1.

    Near 1 every part lies at the same place; near 0 the place says nothing.
    """
    if len({each.shape for each in patches}) != 1:
        return None
    # In half precision one photo is 0.4 MB: a part of the photos is sufficient.
    shown = torch.stack([each.float() for each in patches[:COMPARED]])  # [N, P, D]
    whole = shown.flatten(0, 1).var(dim=0, unbiased=False).sum()
    within = shown.var(dim=0, unbiased=True).mean(dim=0).sum()
    return float((1 - within / whole.clamp(min=1e-12)).clamp(0, 1))


def _two_kinds(means: Tensor, photos: Sequence[Photo]) -> list[str]:
    """Return a sentence where the photos fall into two groups."""
    kind = two_groups(means)
    if kind is None:
        return []
    examples = [photos[int(np.flatnonzero(kind == k)[0])].path.name for k in (0, 1)]
    sizes = [int((kind == k).sum()) for k in (0, 1)]
    note = (
        f"The photos of good parts are of two kinds ({sizes[0]} like {examples[0]}, "
        f"{sizes[1]} like {examples[1]}): two parts, views or lights. A defect that "
        "makes one part look like the other is not seen; train one model for each part."
    )
    return [note]


def two_groups(means: Tensor) -> np.ndarray | None:
    """Return the group of each photo, 0 or 1; None where there is one kind only.

    Args:
        means: ``[N, D]`` mean vector of each photo.
    """
    far = torch.cdist(means, means)
    first, second = divmod(int(far.argmax()), len(means))
    centres = means[[first, second]]
    kind = torch.zeros(len(means), dtype=torch.int64)
    for _ in range(ROUNDS):
        kind = torch.cdist(means, centres).argmin(dim=1)
        if not 0 < int(kind.sum()) < len(kind):
            return None
        centres = torch.stack([means[kind == k].mean(dim=0) for k in (0, 1)])
    smaller = min(int(kind.sum()), len(kind) - int(kind.sum()))
    if smaller < max(2, LEAST_OF_A_KIND * len(kind)):
        return None
    return kind.numpy() if _silhouette(far, kind) >= TWO_KINDS else None


def _silhouette(far: Tensor, kind: Tensor) -> float:
    """Return how much nearer photos are to their own group, -1..1.

    Source:
        Rousseeuw 1987.
    """
    values = []
    for index in range(len(kind)):
        own = kind == kind[index]
        inside = far[index][own].sum() / max(1, int(own.sum()) - 1)
        outside = far[index][~own].mean()
        values.append(float((outside - inside) / torch.maximum(outside, inside)))
    return sum(values) / len(values)
