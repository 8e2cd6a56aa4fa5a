"""The order of photos and of chance: known for every step, without the ones before.

A photo at a place of an epoch is augmented with random numbers of that place. So a
training that goes on in the middle of an epoch sees what it would have seen, in one
process or in eight.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from trainer.data.sample import Batch, BoxTarget
from trainer.data.sampling.augmentation import EpochSampler, TrainingPhotos, collate
from trainer.data.sampling.crops import CloseUpPhotos, CloseUps, CropCentre, CropRequest
from trainer.fit.distributed.process_group import SINGLE_PROCESS
from trainer.fit.hard_negatives import HardNegatives

SampleIndex = tuple[tuple[CropRequest, ...], int]
"""One photo, or as many as there are close-ups for a photo, and the seed of their
augmentation."""
AROUND_A_SPOT = 0.7  # share of the close-ups of a photo that has spots
IsCloseUp = Callable[[int], bool]
"""Whether close-ups are seen at a step."""


class ResumableBatchSampler(Sampler[list[SampleIndex]]):
    """The batches of an epoch from a step on, each photo with a seed of its own.

    Args:
        photos: Their order; its ``epoch`` is set here.
        seed: Of the run.
        batch: Photos a step over all processes; an incomplete last batch is left out
            unless it is the only one.
        close_ups: For how many photos stand in for one while close-ups are seen.
        negatives: What most close-ups of good parts show; None = anything.

    Attributes:
        team: Who shares each batch.
        views: Augmentations that a photo has in all, used in turn; 0 = a new one each
            time.
    """

    def __init__(
        self,
        photos: EpochSampler,
        seed: int,
        batch: int,
        close_ups: CloseUps | None = None,
        negatives: HardNegatives | None = None,
    ) -> None:
        self.negatives, self.team, self.views = negatives, SINGLE_PROCESS, 0
        self.steps_per_epoch = max(1, len(photos) // batch)
        self.is_close_up: IsCloseUp = lambda _: False
        self._count = close_ups.count if close_ups else 1
        self._photos, self._seed, self._batch, self._first = photos, seed, batch, 0

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a step, counted from 1.

        Args:
            step: Steps done before it.
        """
        return step // self.steps_per_epoch + 1

    def go_to(self, step: int) -> None:
        """Choose where the next pass begins.

        Args:
            step: Steps done, in all epochs.
        """
        self._photos.epoch = self.epoch_of(step)
        self._first = step % self.steps_per_epoch

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch."""
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        """Yield this process's share of each batch that is left of the epoch."""
        before = (self._photos.epoch - 1) * self.steps_per_epoch
        orders = [self._photos.order(turn) for turn in range(self._count)]
        rows = list(zip(*orders, strict=True))
        for step in range(self._first, self.steps_per_epoch):
            is_close_up = self.is_close_up(before + step)
            start = step * self._batch
            whole = enumerate(rows[start : start + self._batch], start)
            yield [
                self._place(place, row, is_close_up=is_close_up)
                for place, row in list(whole)[self.team.rank :: self.team.size]
            ]

    def _place(
        self, place: int, row: tuple[int, ...], *, is_close_up: bool
    ) -> SampleIndex:
        """Return what is looked at in a place of the epoch."""
        epoch = self._photos.epoch
        chance = (row[0], epoch % self.views) if self.views else (epoch, place)
        sequence = np.random.SeedSequence([self._seed, *chance])
        seed = int(sequence.generate_state(1, np.uint64)[0] >> 1)
        if not is_close_up:
            return ((row[0], None),), seed
        rng = np.random.default_rng(sequence.spawn(1)[0])
        return tuple((index, self._spot(index, rng)) for index in row), seed

    def _spot(self, index: int, rng: np.random.Generator) -> CropCentre | None:
        """Return what a close-up of a photo is to show, where there is a choice."""
        spots = self.negatives.spots.get(index) if self.negatives else None
        if not spots or rng.random() >= AROUND_A_SPOT:
            return None
        return spots[int(rng.integers(len(spots)))]


class SeededPhotos(Dataset[list[tuple[Tensor, BoxTarget]]]):
    """Photos whose augmentation depends on their place alone.

    Args:
        photos: Augmented with torch's random numbers.
        close_ups: What is looked at where a place names several photos.
    """

    def __init__(
        self, photos: TrainingPhotos, close_ups: CloseUps | None = None
    ) -> None:
        self._photos = photos
        self._close_ups = CloseUpPhotos(photos, close_ups) if close_ups else None

    def __getitem__(self, place: Any) -> list[tuple[Tensor, BoxTarget]]:  # noqa: ANN401 (torch's signature)
        """Return one augmented photo, or a close-up of each of several.

        Args:
            place: From a ``ResumableBatchSampler``.
        """
        looks, seed = place
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            if len(looks) == 1 or self._close_ups is None:
                return [self._photos[looks[0][0]]]
            rng = np.random.default_rng(seed)
            return [self._close_ups.crop(look, rng) for look in looks]


def collate_places(rows: list[list[tuple[Tensor, BoxTarget]]]) -> Batch:
    """Return the batch of several places.

    Args:
        rows: From ``SeededPhotos``.
    """
    return collate([pair for row in rows for pair in row])
