"""Augmentation moves boxes with the picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tests.simulators.photos import write_coco
from trainer.data.dataset import open_dataset
from trainer.data.sampling.augmentation import (
    MIN_VISIBLE_SHARE,
    SCALE_RANGE,
    EpochSampler,
    TrainingPhotos,
)


def test_boxes_still_lie_on_the_bright_defects(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 6}))
    photos = TrainingPhotos(dataset.splits["train"], 64, 64)
    torch.manual_seed(0)
    seen = 0
    for turn in range(60):
        picture, target = photos[turn % 6]
        for box in target.boxes.round().int().tolist():
            x1, y1, x2, y2 = box
            inside = picture[:, y1:y2, x1:x2].float().mean()
            assert inside > 170  # brightness and contrast may be 36 % below 250
            seen += 1
    assert seen > 40


def test_no_sliver_of_a_defect_is_learned(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 1}))
    [photo] = dataset.splits["train"]
    corner = np.array([[0, 20, 24, 44]], np.float32)
    photo = replace(photo, boxes=corner, labels=np.zeros(1, np.int64))
    photos = TrainingPhotos([photo], 64, 64)
    torch.manual_seed(0)
    areas = []
    for _ in range(300):
        boxes = photos[0][1].boxes
        areas += ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1)).tolist()
    smallest_whole = (24 * SCALE_RANGE[0] - 1) ** 2
    assert len(areas) > 0
    assert min(areas) > MIN_VISIBLE_SHARE * smallest_whole


def test_picture_has_the_input_size_and_type(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 1}, size_px=80))
    picture, target = TrainingPhotos(dataset.splits["train"], 64, 96)[0]
    assert picture.shape == (3, 64, 96)
    assert picture.dtype == torch.uint8
    assert target.boxes.dtype == torch.float32
    assert target.labels.dtype == torch.int64


def test_every_defective_photo_once_and_a_share_of_good_ones(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 6, "val": 1}, good=40)
    dataset = open_dataset(root)
    photos = dataset.splits["train"]
    sampler = EpochSampler(photos, seed=0)
    order = list(sampler)
    bad = [i for i in order if not photos[i].is_good]
    assert sorted(bad) == list(range(6))
    assert len(order) == len(sampler) == 8


def test_order_is_the_same_for_seed_and_epoch_and_differs_between_epochs(
    tmp_path: Path,
) -> None:
    photos = open_dataset(write_coco(tmp_path / "d", {"train": 9})).splits["train"]
    first, second = EpochSampler(photos, 3), EpochSampler(photos, 3)
    assert list(first) == list(second)
    second.epoch = 1
    assert list(first) != list(second)


def test_augmentation_repeats_with_the_seed(tmp_path: Path) -> None:
    photos = TrainingPhotos(
        open_dataset(write_coco(tmp_path / "d", {"train": 1})).splits["train"], 64, 64
    )
    torch.manual_seed(5)
    first = photos[0][0].numpy().copy()
    torch.manual_seed(5)
    assert np.array_equal(first, photos[0][0].numpy())
