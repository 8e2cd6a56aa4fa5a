"""Fills a memory with the patches of good photos, and scores each photo without it.

Of all patches those that are farthest from the ones taken before are kept: the memory
covers what is rare as well as what is usual. How far a good part may be from it is
measured by cross-fitting: each photo's distance is to a memory of the other photos.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from models.boxes import FloatArray
from models.counted import counted
from models.errors import DatasetError
from models.tiles import Tiles
from trainer.data.dataset import LEAST_GOOD_BESIDE, Photo
from trainer.detectors.lite0 import Lite0
from trainer.detectors.patch_memory import DistanceScale, PatchMemory, patch_features
from trainer.detectors.yolox import YOLOX
from trainer.unknown.describe import Description, GoodScores, describe
from trainer.unknown.inputs import PhotoInputs, feature_maps

# 192 numbers each of YOLOX-nano, 152 of Lite0: 0.4 MB at most. Their product with the
# cells of an input is the time of the branch, so that it grows with them.
ROWS = 512
POOL = 20_000  # patches that the memory is chosen from
NO_PARTS: Mapping[str, Hashable] = MappingProxyType({})
MOST_PHOTOS = 400  # more good parts change the memory little, and cost time
FOLDS = 5  # of the cross-fitting
SKETCH = 24  # numbers that the choice compares; a random projection keeps distances
LEAST_SPREAD = 0.02  # as a share of the usual distance: copies of one photo have none


def _nothing() -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class FittedMemory:
    """A memory, and what it is for the photos that it was made of."""

    memory: PatchMemory
    good: GoodScores
    description: Description


def fit_memory(
    network: YOLOX | Lite0,
    photos: Sequence[Photo],
    size_px: tuple[int, int],
    *,
    seed: int,
    tiles: Tiles | None = None,
    parts: Mapping[str, Hashable] = NO_PARTS,
    on_photo: Callable[[], None] = _nothing,
) -> FittedMemory:
    """Return the memory of good photos.

    Args:
        network: Its backbone makes the vectors; put into evaluation mode.
        photos: They show good parts, see ``require_enough``; of more than
            ``MOST_PHOTOS`` a sample is taken.
        size_px: Height and width of the input.
        tiles: How photos are cut; None = not at all.
        parts: Part or lot of each photo, by SHA-256: a photo is compared with those of
            others; without it each photo shows another part.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen, inputs = (
        _sample(photos, MOST_PHOTOS, generator),
        PhotoInputs(size_px, tiles),
    )
    network.eval()
    patches = []
    for photo in chosen:
        patches.append(_patches_of(network, photo, inputs))
        on_photo()
    shown = [parts.get(photo.sha256, photo.sha256) for photo in chosen]
    of_cells = _cross_distances(patches, shown, generator)
    distances = np.array([each.max() for each in of_cells], np.float32)
    pool = _pool(patches, generator)
    rows = cover(pool, ROWS, generator)
    memory = PatchMemory(*rows.shape)
    memory.mean = pool.mean(dim=0)
    memory.patches = rows - memory.mean
    scale = scale_of(distances)
    memory.set_scale(scale)
    places = np.stack(
        [
            inputs.place(photo, each, scale.usual)
            for photo, each in zip(chosen, of_cells, strict=True)
        ]
    )
    good = GoodScores(tuple(chosen), distances, scale, places)
    return FittedMemory(memory.eval(), good, describe(patches, chosen))


def require_enough(good: int) -> None:
    """Refuse too few photos of good parts.

    Raises:
        DatasetError: Fewer than ``LEAST_GOOD_BESIDE``.
    """
    if good < LEAST_GOOD_BESIDE:
        raise DatasetError(
            f"{counted(good, 'photo')} of good parts: too few to learn the class "
            "unknown.",
            why="How good parts differ from each other takes at least "
            f"{LEAST_GOOD_BESIDE}.",
            fix=f"Put {counted(LEAST_GOOD_BESIDE - good, 'more photo')} of other good "
            "parts into good/.",
        )


def scale_of(distances: FloatArray) -> DistanceScale:
    """Return the scale of the largest distances on good photos, ``[N]``.

    The median and the 90th percentile: a defect among the good parts moves neither.
    """
    usual, high = (float(value) for value in np.percentile(distances, [50, 90]))
    return DistanceScale(usual, max(high - usual, LEAST_SPREAD * usual, 1e-6))


def cover(vectors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return vectors that cover all of them: each next one is the farthest left.

    Args:
        vectors: ``[P, K]``.
        count: At most this many, ``[M, K]``.

    Source:
        Greedy k-center with a random projection, as PatchCore, arXiv:2106.08265.
    """
    if len(vectors) <= count:
        return vectors.clone()
    projection = torch.randn(vectors.shape[1], SKETCH, generator=generator)
    sketch = vectors @ projection
    lengths = sketch.square().sum(dim=1)
    nearest = torch.full((len(sketch),), float("inf"))
    taken = [int(torch.randint(len(sketch), (1,), generator=generator))]
    for _ in range(count - 1):
        last = taken[-1]
        distance = lengths + lengths[last] - 2 * (sketch @ sketch[last])
        nearest = torch.minimum(nearest, distance)
        taken.append(int(nearest.argmax()))
    return vectors[taken].clone()


def _patches_of(network: YOLOX | Lite0, photo: Photo, inputs: PhotoInputs) -> Tensor:
    """Return ``[P, D]`` float16, the cells of all inputs in their order."""
    rows = [
        patch_features(feature_maps(network, image))[0].flatten(1).T.half().cpu()
        for image in inputs.images(photo)
    ]
    return torch.cat(rows)


def _sample(
    photos: Sequence[Photo], most: int, generator: torch.Generator
) -> list[Photo]:
    ordered = sorted(photos, key=lambda photo: photo.sha256)
    order = torch.randperm(len(ordered), generator=generator)[:most]
    return [ordered[i] for i in sorted(order.tolist())]


def _pool(patches: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Return an equal number of patches of each photo, at most ``POOL``."""
    share = max(1, POOL // len(patches))
    parts = [
        each[torch.randperm(len(each), generator=generator)[:share]].float()
        for each in patches
    ]
    return torch.cat(parts)


def _cross_distances(
    patches: Sequence[Tensor], parts: Sequence[Hashable], generator: torch.Generator
) -> list[FloatArray]:
    """Return the distances of each photo's cells to a memory of other folds' photos.

    Args:
        parts: The part that a photo shows, ``[N]``; those of one part share a fold.
    """
    by_part: dict[Hashable, list[int]] = {}
    for index, part in enumerate(parts):
        by_part.setdefault(part, []).append(index)
    together = list(by_part.values())
    if len(together) == 1:  # one part alone: there are no others to compare with
        together = [[index] for index in range(len(patches))]
    shuffled = torch.randperm(len(together), generator=generator).tolist()
    order = [index for number in shuffled for index in together[number]]
    result: list[FloatArray] = [np.zeros(0, np.float32)] * len(patches)
    for fold in range(min(FOLDS, len(together))):
        held_out = [i for number in shuffled[fold::FOLDS] for i in together[number]]
        others = [patches[i] for i in order if i not in set(held_out)]
        rows = cover(_pool(others, generator), ROWS, generator)
        for index in held_out:
            nearest = torch.cdist(patches[index].float(), rows).amin(1)
            result[index] = nearest.numpy()
    return result
