"""The order of photos and their random numbers, independent of earlier steps.

A sample is augmented with random numbers that depend on its position in its epoch only.
So a training that resumes in the middle of an epoch gets the samples of an
uninterrupted one, in one process or in eight.
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
from trainer.fit.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from trainer.fit.hard_negatives import HardNegatives

SampleIndex = tuple[tuple[CropRequest, ...], int]
"""One photo, or as many as there are close-ups for a photo, and the seed of their
augmentation."""
HARD_NEGATIVE_SHARE = 0.7  # of the close-ups of a photo that has hard negatives
IsCloseUp = Callable[[int], bool]
"""Whether a step trains on close-ups."""


def steps_in_epoch(photos: int, batch: int) -> int:
    """Return the number of steps of an epoch; an incomplete last batch is left out.

    Args:
        photos: In one epoch.
        batch: Photos per step over all processes.
    """
    return max(1, photos // batch)


class ResumableBatchSampler(Sampler[list[SampleIndex]]):
    """The batches of an epoch from a step on, each sample with its own seed.

    Args:
        photos: Their order; its ``epoch`` is set here.
        batch: Photos per step over all processes; an incomplete last batch is left out
            unless it is the only one.
        close_ups: How many close-ups replace a photo; None = whole photos only.
        is_close_up: Whether a step trains on close-ups; called when a batch is drawn,
            because the end of the schedule may have moved.
        negatives: Centres of most close-ups of good parts; None = random ones.
    """

    def __init__(
        self,
        photos: EpochSampler,
        seed: int,
        batch: int,
        close_ups: CloseUps | None = None,
        *,
        is_close_up: IsCloseUp = lambda _: False,
        negatives: HardNegatives | None = None,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.steps_per_epoch = steps_in_epoch(len(photos), batch)
        self._is_close_up, self._negatives, self._group = is_close_up, negatives, group
        self._count = close_ups.count if close_ups else 1
        self._photos, self._seed, self._batch, self._first = photos, seed, batch, 0

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a step, counted from 1.

        Args:
            step: Steps done before it.
        """
        return step // self.steps_per_epoch + 1

    def seek(self, step: int) -> None:
        """Set where the next pass starts.

        Args:
            step: Steps done, in all epochs.
        """
        self._photos.epoch = self.epoch_of(step)
        self._first = step % self.steps_per_epoch

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch."""
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        """Yield this process's share of each remaining batch of the epoch."""
        before = (self._photos.epoch - 1) * self.steps_per_epoch
        # One order for each close-up of a sample: its close-ups are of several photos,
        # and each photo is in every order once.
        orders = [self._photos.order(turn) for turn in range(self._count)]
        rows = list(zip(*orders, strict=True))
        for step in range(self._first, self.steps_per_epoch):
            is_close_up = self._is_close_up(before + step)
            start = step * self._batch
            whole = enumerate(rows[start : start + self._batch], start)
            yield [
                self._sample(position, photos, is_close_up=is_close_up)
                for position, photos in list(whole)[
                    self._group.rank :: self._group.world_size
                ]
            ]

    def _sample(
        self, position: int, photos: tuple[int, ...], *, is_close_up: bool
    ) -> SampleIndex:
        """Return the sample at a position of the epoch."""
        # Seeded by epoch and position, not by earlier draws: independent of the step at
        # which the training resumed, and of the process.
        sequence = np.random.SeedSequence([self._seed, self._photos.epoch, position])
        seed = int(sequence.generate_state(1, np.uint64)[0] >> 1)
        if not is_close_up:
            return ((photos[0], None),), seed
        rng = np.random.default_rng(sequence.spawn(1)[0])
        return tuple((index, self._centre(index, rng)) for index in photos), seed

    def _centre(self, index: int, rng: np.random.Generator) -> CropCentre | None:
        """Return the hard negative that a close-up of a photo shows, if any."""
        centres = self._negatives.centres.get(index) if self._negatives else None
        if not centres or rng.random() >= HARD_NEGATIVE_SHARE:
            return None
        return centres[int(rng.integers(len(centres)))]


class SeededPhotos(Dataset[list[tuple[Tensor, BoxTarget]]]):
    """Photos whose augmentation depends on their sample index alone.

    Args:
        photos: Augmented with torch's random numbers.
        close_ups: Size of the windows of a sample with several photos.
    """

    def __init__(
        self, photos: TrainingPhotos, close_ups: CloseUps | None = None
    ) -> None:
        self._photos = photos
        self._close_ups = CloseUpPhotos(photos, close_ups) if close_ups else None

    def __getitem__(self, index: Any) -> list[tuple[Tensor, BoxTarget]]:  # noqa: ANN401 (torch's signature)
        """Return one augmented photo, or a close-up of each of several.

        Args:
            index: From a ``ResumableBatchSampler``.
        """
        requests, seed = index
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            if len(requests) == 1 or self._close_ups is None:
                return [self._photos[requests[0][0]]]
            rng = np.random.default_rng(seed)
            return [self._close_ups.crop(request, rng) for request in requests]


def collate_samples(samples: list[list[tuple[Tensor, BoxTarget]]]) -> Batch:
    """Return the batch of several samples.

    Args:
        samples: From ``SeededPhotos``.
    """
    return collate([pair for sample in samples for pair in sample])
