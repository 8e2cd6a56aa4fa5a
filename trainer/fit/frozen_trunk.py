"""``--freeze trunk``: only the new branch learns, and the trunk is computed once.

The trunk is the backbone; neck and head learn. A trunk that does not change gives the
same maps for the same picture: each photo gets a fixed number of augmented views, used
in turn, whose maps are kept in memory as float16. Where fewer than two views a photo
find room, every picture is new and nothing is kept.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from models.errors import TrainingError
from trainer.data.sample import Batch, BoxTarget, Features
from trainer.detectors.base import TrainableDetector
from trainer.detectors.yolox_blocks import Activation
from trainer.detectors.zoo import NO_WEIGHTS, entries
from trainer.fit.engine import Training
from trainer.fit.sampler import ResumableBatchSampler, SampleIndex, SeededPhotos

logger = logging.getLogger(__name__)

MOST_VIEWS = 8
FEWEST_VIEWS = 2
ROOM_BYTES = 2 << 30


class Freeze(StrEnum):
    """What keeps the weights that it came with."""

    NOTHING = "nothing"
    TRUNK = "trunk"


@dataclass(frozen=True, slots=True)
class CachePlan:
    """How often a photo is augmented, and what keeping the maps takes.

    Attributes:
        views: Of a photo; 0 = every picture is new and nothing is kept.
        bytes_needed: For all views of all photos.
    """

    views: int
    bytes_needed: int


def freeze_trunk(
    model: TrainableDetector, weights: str, activation: Activation
) -> None:
    """Let only neck and head learn.

    Args:
        model: Changed in place.
        weights: What the trunk came from.
        activation: Of our network.

    Raises:
        TrainingError: From nothing, or behind another non-linearity than it knows.
    """
    if weights == NO_WEIGHTS:
        raise TrainingError(
            "--freeze trunk with --weights none: the trunk would stay random.",
            why="Only neck and head are trained.",
            fix="Start from weights, or train everything.",
        )
    entry = entries().get(weights)
    if entry and entry.activation and entry.activation is not activation:
        raise TrainingError(
            f"--freeze trunk: {weights} was trained with {entry.activation}, not "
            f"{activation}.",
            why="A trunk that does not learn cannot get used to another activation.",
            fix=f"Add --activation {entry.activation}, or train everything.",
        )
    for parameter in model.trunk.parameters():
        parameter.requires_grad_(False)  # noqa: FBT003 (torch names it mode)


def plan_cache(
    model: TrainableDetector,
    photos: int,
    size_px: tuple[int, int],
    epochs: int,
    room: int,
) -> CachePlan:
    """Return how many views of each photo find room.

    Args:
        model: On its device, in evaluation mode: its statistics must not move.
        photos: To train on.
        size_px: Height and width of the input.
        epochs: More views than epochs would never be seen twice.
        room: Bytes.
    """
    device = next(model.parameters()).device
    with torch.no_grad():
        maps = model.features(torch.zeros(1, 3, *size_px, device=device))
    each = 2 * sum(part.numel() for part in maps) * photos
    views = min(MOST_VIEWS, room // each, epochs // 2)
    views = views if views >= FEWEST_VIEWS else 0
    return CachePlan(views, views * each)


def cached_views(
    training: Training, photos: int, size_px: tuple[int, int], epochs: int
) -> int:
    """Return how many views of each photo are kept; say so.

    Args:
        training: Its trunk is frozen.
        photos: To train on.
        size_px: Height and width of the input.
        epochs: Passes over the photos.
    """
    plan = plan_cache(training.average.model, photos, size_px, epochs, ROOM_BYTES)
    logger.log(
        logging.INFO if plan.views else logging.WARNING,
        "frozen_trunk views=%d cache_bytes=%d: %s",
        plan.views,
        plan.bytes_needed,
        "each view is computed once"
        if plan.views
        else "no room or too few epochs, the trunk runs for every picture",
    )
    return plan.views


class CachedFeatures:
    """The batches of one epoch after the other, as maps of a trunk at rest.

    Args:
        model: Its trunk is frozen and in evaluation mode.
        photos: To train on.
        order: With a number of views.
    """

    def __init__(
        self,
        model: TrainableDetector,
        photos: SeededPhotos,
        order: ResumableBatchSampler,
    ) -> None:
        self._model, self._photos, self._order = model, photos, order
        self._known: dict[SampleIndex, tuple[tuple[Tensor, ...], BoxTarget]] = {}
        self._device = next(model.parameters()).device

    def __iter__(self) -> Iterator[Batch]:
        """Yield maps and targets of each batch; only new views are computed."""
        for places in self._order:
            self._compute([place for place in places if place not in self._known])
            rows = [self._known[place] for place in places]
            maps = zip(*(maps for maps, _ in rows), strict=True)
            yield Features(tuple(map(torch.stack, maps))), [row[1] for row in rows]

    @torch.no_grad()
    def _compute(self, places: list[SampleIndex]) -> None:
        """Run the trunk on views that were not seen yet, each alone.

        Sums differ with the size of a batch, and a resumed training has other batches
        of new views: by one picture at a time it sees the same maps.
        """
        for place in places:
            image, target = self._photos[place][0]
            row = image[None].to(self._device).float()
            row = row.contiguous(memory_format=torch.channels_last)
            maps = self._model.features(row)
            self._known[place] = (tuple(part[0].half().cpu() for part in maps), target)
