"""Who trains on which photo, and how it is augmented: the same for any split of work.

A photo's augmentation is drawn from a seed of its own, made of run, epoch and photo.
So a batch holds the same pictures whether one process draws them or four, with or
without workers, from the start of an epoch or from its middle.
"""

from collections.abc import Iterator, Sized
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from trainer.data.transforms import TrainingPhotos, collate
from trainer.detectors.base import Target

Key = tuple[int, int]
"""A photo's position, and the seed of its augmentation."""


class Order(Sized, Protocol):
    """The order of the photos in an epoch, the same in every process."""

    epoch: int

    def __iter__(self) -> Iterator[int]:
        """Yield positions."""


class SeededPhotos(Dataset[tuple[Tensor, Target]]):
    """Training photos whose augmentation follows from their key alone.

    Args:
        photos: To train on.
    """

    def __init__(self, photos: TrainingPhotos) -> None:
        self._photos = photos

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self._photos)

    def __getitem__(self, key: Key) -> tuple[Tensor, Target]:
        """Return one augmented photo.

        Args:
            key: From ``Shards``.

        Returns:
            As of ``TrainingPhotos``.
        """
        index, seed = key
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._photos[index]


class Shards(Sampler[list[Key]]):
    """One process's share of every batch of an epoch.

    Args:
        order: Of the photos; its ``epoch`` is set before each epoch.
        batch: Photos a step over all processes; an incomplete last batch is left out
            unless it is the only one.
        seed: Of the run.
        rank: Of this process.
        size: Number of processes.
        views: Augmentations that a photo has in all, used in turn; 0 = a new one each
            time.
    """

    def __init__(
        self,
        order: Order,
        batch: int,
        seed: int,
        *,
        rank: int = 0,
        size: int = 1,
        views: int = 0,
    ) -> None:
        self._order, self._batch, self._seed = order, batch, seed
        self._rank, self._size, self._views = rank, size, views

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return max(1, len(self._order) // self._batch)

    def __iter__(self) -> Iterator[list[Key]]:
        """Yield the keys of this process, batch by batch."""
        epoch = self._order.epoch
        times: dict[int, int] = {}
        keys = []
        for index in self._order:
            again = times.get(index, 0)  # a sampler may repeat a photo
            times[index] = again + 1
            view = ((epoch + again) % self._views, 0) if self._views else (epoch, again)
            keys.append((index, _seed_of(self._seed, index, *view)))
        for number in range(len(self)):
            whole = keys[number * self._batch : (number + 1) * self._batch]
            yield whole[self._rank :: self._size]


def _seed_of(*parts: int) -> int:
    """Return one seed made of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def make_loader(
    photos: TrainingPhotos, shards: Shards, workers: int
) -> DataLoader[tuple[Tensor, Target]]:
    """Return this process's batches of one epoch after the other.

    Args:
        photos: To train on.
        shards: Which of them, and when.
        workers: Processes that augment; 0 = this one.
    """
    return DataLoader(
        SeededPhotos(photos),
        batch_sampler=shards,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
