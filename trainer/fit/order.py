"""The order of photos and of chance: known for every step, without the ones before.

A photo at a place of an epoch is augmented with random numbers of that place. So a
training that goes on in the middle of an epoch sees what it would have seen, in one
process or in eight.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from trainer.data.transforms import EpochSampler
from trainer.detectors.base import Target

Place = tuple[int, int]
"""Position among the photos, and the seed of its augmentation."""


class PlaceSampler(Sampler[Place]):
    """The photos of an epoch from a place on, each with a seed of its own.

    Args:
        photos: Their order; its ``epoch`` is set here.
        seed: Of the run.
        batch: Photos a step.
    """

    def __init__(self, photos: EpochSampler, seed: int, batch: int) -> None:
        self.steps_per_epoch = max(1, len(photos) // batch)
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
        self._first = step % self.steps_per_epoch * self._batch

    def __len__(self) -> int:
        """Return the number of photos in a whole epoch."""
        return len(self._photos)

    def __iter__(self) -> Iterator[Place]:
        """Yield the photos that are left of the epoch."""
        epoch = self._photos.epoch
        for place, index in enumerate(self._photos):
            if place >= self._first:
                sequence = np.random.SeedSequence([self._seed, epoch, place])
                yield index, int(sequence.generate_state(1, np.uint64)[0] >> 1)


class SeededPhotos(Dataset[tuple[Tensor, Target]]):
    """Photos whose augmentation depends on their place alone.

    Args:
        photos: Augmented with torch's random numbers.
    """

    def __init__(self, photos: Dataset[tuple[Tensor, Target]]) -> None:
        self._photos = photos

    def __getitem__(self, place: Any) -> tuple[Tensor, Target]:  # noqa: ANN401 (torch's signature)
        """Return one augmented photo.

        Args:
            place: From a ``PlaceSampler``.
        """
        index, seed = place
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self._photos[index]
