"""The sample of a step depends on the seed and the step, not on earlier steps."""

from itertools import chain

import numpy as np
import pytest
import torch

from models.detections import no_detections
from tests.simulators.photos import write_coco
from trainer.data.dataset import Photo, open_dataset
from trainer.data.sampling.augmentation import EpochSampler, TrainingPhotos, make_loader
from trainer.data.sampling.crops import CloseUps
from trainer.fit.distributed.process_group import ProcessGroup
from trainer.fit.hard_negatives import HardNegatives
from trainer.fit.sampler import (
    ResumableBatchSampler,
    SampleIndex,
    SeededPhotos,
    collate_samples,
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Photo, ...]:
    root = write_coco(tmp_path_factory.mktemp("data") / "d", {"train": 7, "val": 1})
    return open_dataset(root).splits["train"]


def pictures(photos: tuple[Photo, ...], step: int, workers: int = 0) -> list[float]:
    """Return a number for each batch from a step to the end of its epoch."""
    sampler = ResumableBatchSampler(EpochSampler(photos, 5), 5, batch=2)
    data = SeededPhotos(TrainingPhotos(photos, 64, 64))
    sampler.seek(step)
    loader = make_loader(data, sampler, workers, collate_samples)
    return [float(images.double().std()) for images, _ in loader]


def test_resumed_epoch_has_the_same_pictures(photos: tuple[Photo, ...]) -> None:
    whole = pictures(photos, 3)
    assert len(whole) == 3
    assert len(set(whole)) == 3
    torch.manual_seed(99)
    assert pictures(photos, 4) == whole[1:]
    assert pictures(photos, 5) == whole[2:]


def test_epochs_differ(photos: tuple[Photo, ...]) -> None:
    assert pictures(photos, 0) != pictures(photos, 3)


def test_workers_make_the_same_pictures(photos: tuple[Photo, ...]) -> None:
    assert pictures(photos, 0, workers=2) == pictures(photos, 0)


def test_global_random_numbers_are_not_changed(
    photos: tuple[Photo, ...],
) -> None:
    data = SeededPhotos(TrainingPhotos(photos, 64, 64))
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    [(first, _)] = data[(((0, None),), 7)]
    assert torch.equal(torch.rand(3), expected)
    [(again, _)] = data[(((0, None),), 7)]
    assert torch.equal(first, again)


def test_epoch_of_a_step(photos: tuple[Photo, ...]) -> None:
    sampler = ResumableBatchSampler(EpochSampler(photos, 0), 0, batch=2)
    assert sampler.steps_per_epoch == 3
    assert [sampler.epoch_of(step) for step in (0, 2, 3, 8)] == [1, 1, 2, 3]


def test_close_ups_of_different_photos_come_before_whole_photos(
    photos: tuple[Photo, ...],
) -> None:
    plan = CloseUps(32, 32, 3)
    sampler = ResumableBatchSampler(
        EpochSampler(photos, 5), 5, 2, plan, is_close_up=lambda step: step < 4
    )
    sampler.seek(3)
    samples = list(chain(*sampler))
    assert [len(requests) for requests, _ in samples] == [3, 3, 1, 1, 1, 1]
    assert any(len(set(requests)) > 1 for requests, _ in samples)
    data = SeededPhotos(TrainingPhotos(photos, 64, 64), plan)
    loader = make_loader(data, sampler, 0, collate_samples)
    shapes = [tuple(images.shape) for images, _ in loader]
    assert shapes == [(6, 3, 32, 32), (2, 3, 64, 64), (2, 3, 64, 64)]


def test_every_photo_is_sampled_once_in_each_turn_of_an_epoch(
    photos: tuple[Photo, ...],
) -> None:
    plan = CloseUps(32, 32, 3)
    sampler = ResumableBatchSampler(
        EpochSampler(photos, 5), 5, 8, plan, is_close_up=lambda _: True
    )
    sampler.seek(0)
    for turn in zip(*(requests for requests, _ in chain(*sampler)), strict=True):
        assert sorted(index for index, _ in turn) == list(range(len(photos)))


def test_resumed_close_ups_are_the_same(photos: tuple[Photo, ...]) -> None:
    plan = CloseUps(32, 32, 3)
    data = SeededPhotos(TrainingPhotos(photos, 64, 64, pastes=True), plan)

    def seen(step: int) -> list[torch.Tensor]:
        sampler = ResumableBatchSampler(
            EpochSampler(photos, 5), 5, 2, plan, is_close_up=lambda _: True
        )
        sampler.seek(step)
        loader = make_loader(data, sampler, 0, collate_samples)
        return [images for images, _ in loader]

    whole, rest = seen(3), seen(4)
    assert len(rest) == 2
    assert all(torch.equal(a, b) for a, b in zip(whole[1:], rest, strict=True))


def test_most_close_ups_of_a_photo_with_hard_negatives_show_one(
    photos: tuple[Photo, ...],
) -> None:
    negatives = HardNegatives(photos, lambda _, part: [no_detections()] * len(part))
    negatives.centres[2] = ((3.0, 4.0), (5.0, 6.0))
    plan = CloseUps(32, 32, 3)
    sampler = ResumableBatchSampler(
        EpochSampler(photos, 5),
        5,
        2,
        plan,
        is_close_up=lambda _: True,
        negatives=negatives,
    )
    seen = []
    for step in range(0, 3 * 30, 3):
        sampler.seek(step)
        requests = [request for requests, _ in chain(*sampler) for request in requests]
        assert all(centre is None for index, centre in requests if index != 2)
        seen += [centre for index, centre in requests if index == 2]
    assert set(seen) == {None, (3.0, 4.0), (5.0, 6.0)}
    assert 0.5 < np.mean([centre is not None for centre in seen]) < 0.9


def test_shares_make_up_the_batches_of_one_process(photos: tuple[Photo, ...]) -> None:
    def batches(rank: int, size: int) -> list[list[SampleIndex]]:
        sampler = ResumableBatchSampler(
            EpochSampler(photos, 5),
            5,
            3,
            CloseUps(32, 32, 3),
            is_close_up=lambda step: step < 1,
            group=ProcessGroup(rank, size),
        )
        return list(sampler)

    whole, parts = batches(0, 1), [batches(rank, 2) for rank in range(2)]
    assert [len(samples) for samples in whole] == [3, 3]
    for number, samples in enumerate(whole):
        shares = [part[number] for part in parts]
        assert [len(share) for share in shares] == [2, 1]
        assert sorted(chain(*shares)) == sorted(samples)


def test_incomplete_batch_is_kept_only_where_it_is_the_only_one(
    photos: tuple[Photo, ...],
) -> None:
    def sizes(batch: int) -> list[int]:
        sampler = ResumableBatchSampler(EpochSampler(photos, 5), 5, batch)
        sampler.seek(0)
        return [len(samples) for samples in sampler]

    assert len(photos) == 7
    assert sizes(3) == [3, 3]
    assert sizes(9) == [7]
