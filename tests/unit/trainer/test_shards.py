"""Every split of the work draws the same pictures."""

from collections.abc import Iterator
from itertools import chain

import pytest
import torch

from tests.simulators.photos import write_coco
from trainer.data.dataset import open_dataset
from trainer.data.shards import Key, SeededPhotos, Shards, make_loader
from trainer.data.transforms import EpochSampler, TrainingPhotos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> TrainingPhotos:
    root = write_coco(tmp_path_factory.mktemp("d") / "d", {"train": 11, "val": 2})
    return TrainingPhotos(open_dataset(root).splits["train"], 64, 64)


class Fixed:
    """An order that repeats a photo."""

    epoch = 1

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[int]:
        yield from (2, 0, 2, 1)


def batches(photos: TrainingPhotos, rank: int, size: int) -> list[list[Key]]:
    order = EpochSampler(photos.photos, 0)
    order.epoch = 3
    return list(Shards(order, 5, 7, rank=rank, size=size))


def test_shares_make_up_the_batches_of_one_process(photos: TrainingPhotos) -> None:
    whole = batches(photos, 0, 1)
    parts = [batches(photos, rank, 3) for rank in range(3)]
    assert [len(keys) for keys in whole] == [5, 5]
    for number, keys in enumerate(whole):
        shares = [part[number] for part in parts]
        assert [len(share) for share in shares] == [2, 2, 1]
        assert sorted(chain(*shares)) == sorted(keys)


def test_incomplete_batch_is_kept_only_where_it_is_the_only_one() -> None:
    assert [len(keys) for keys in Shards(Fixed(), 3, 0)] == [3]
    assert [len(keys) for keys in Shards(Fixed(), 9, 0)] == [4]


def test_picture_follows_from_its_key_and_leaves_other_chance_alone(
    photos: TrainingPhotos,
) -> None:
    seeded = SeededPhotos(photos)
    torch.manual_seed(1)
    first = seeded[1, 99][0]
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    seeded[0, 5]
    assert torch.equal(seeded[1, 99][0], first)
    assert not torch.equal(seeded[1, 98][0], first)


def test_workers_draw_the_pictures_of_one_process(photos: TrainingPhotos) -> None:
    def epoch(workers: int) -> list[torch.Tensor]:
        order = EpochSampler(photos.photos, 0)
        return [
            images for images, _ in make_loader(photos, Shards(order, 5, 0), workers)
        ]

    for alone, with_workers in zip(epoch(0), epoch(2), strict=True):
        assert torch.equal(alone, with_workers)


def test_photo_looks_new_in_every_epoch_and_each_time_in_one() -> None:
    order = Fixed()
    first = next(iter(Shards(order, 4, 0)))
    order.epoch = 2
    second = next(iter(Shards(order, 4, 0)))
    assert [index for index, _ in first] == [2, 0, 2, 1]
    assert len({seed for _, seed in (*first, *second)}) == 8


def test_views_come_back_in_turn() -> None:
    order = Fixed()
    seen: dict[int, set[int]] = {}
    for order.epoch in range(1, 9):
        for index, seed in next(iter(Shards(order, 4, 0, views=3))):
            seen.setdefault(index, set()).add(seed)
    assert {index: len(seeds) for index, seeds in seen.items()} == {0: 3, 1: 3, 2: 3}
