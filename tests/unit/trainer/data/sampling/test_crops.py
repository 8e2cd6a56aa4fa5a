"""Crops of the photos around defects."""

from pathlib import Path

import numpy as np
import torch

from models.boxes import Boxes
from models.preprocess import Frame
from tests.simulators.photos import write_coco
from trainer.data.dataset import Photo, open_dataset
from trainer.data.sampling.augmentation import TrainingPhotos
from trainer.data.sampling.crops import (
    CloseUpPhotos,
    CloseUps,
    cut_close_up,
    plan_close_ups,
)

PLAN = CloseUps(64, 96, 3)


def photo(*boxes: tuple[float, float, float, float]) -> Photo:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int64)
    return Photo(Path("p.jpg"), "0" * 64, 1280, 1280, rows, labels)


def test_small_defects_are_cropped_to_a_third_of_the_photo() -> None:
    plan = plan_close_ups([photo((0, 0, 60, 40)), photo()], 640, 640)
    assert plan == CloseUps(384, 384, 3)


def test_crops_keep_the_shape_of_the_photo() -> None:
    plan = plan_close_ups([photo((0, 0, 60, 40))], 384, 640)
    assert plan == CloseUps(224, 384, 3)


def test_large_defects_need_whole_photos() -> None:
    assert plan_close_ups([photo((0, 0, 300, 40))], 640, 640) is None


def test_small_inputs_need_whole_photos() -> None:
    assert plan_close_ups([photo((0, 0, 20, 20))], 256, 256) is None


def test_photos_without_defects_are_not_cut() -> None:
    assert plan_close_ups([photo()], 640, 640) is None


def picture(*boxes: tuple[int, int, int, int]) -> tuple[Frame, Boxes]:
    """Return a black picture with white defects."""
    content = np.zeros((128, 192, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        content[y1:y2, x1:x2] = 255
    return content, np.array(boxes, np.float32).reshape(-1, 4)


def test_crop_shows_the_defects_of_its_boxes() -> None:
    content, boxes = picture((60, 40, 80, 50))
    sides = set()
    for seed in range(40):
        window, [(x1, y1, x2, y2)] = cut_close_up(
            content, boxes, PLAN, np.random.default_rng(seed)
        )
        assert window.shape == (64, 96, 3)
        rows, columns = np.nonzero(window[..., 0] > 127)
        sides.add(round(float(x2 - x1)))
        if len(rows):
            shown = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            seen = np.clip((x1, y1, x2, y2), 0, (96, 64, 96, 64))
            assert np.abs(seen - shown).max() <= 1
        else:
            assert x2 <= 1 or y2 <= 1 or x1 >= 95 or y1 >= 63
    assert min(sides) < 17
    assert max(sides) > 23


def test_most_crops_show_a_defect_and_some_lie_anywhere() -> None:
    content = np.zeros((640, 960, 3), np.uint8)
    boxes = np.array([[10, 10, 20, 20]], np.float32)
    shown = 0
    for seed in range(300):
        _, [box] = cut_close_up(content, boxes, PLAN, np.random.default_rng(seed))
        shown += bool(0 <= box[0] < 96 and 0 <= box[1] < 64)
    assert 0.7 < shown / 300 < 0.9


def test_good_part_is_cut_too() -> None:
    content = np.arange(128 * 192 * 3).reshape(128, 192, 3).astype(np.uint8)
    nothing = np.zeros((0, 4), np.float32)
    windows = [
        cut_close_up(content, nothing, PLAN, np.random.default_rng(seed))[0]
        for seed in range(5)
    ]
    assert len({int(window[0, 0, 0]) for window in windows}) > 1


def test_requested_centre_is_in_its_crop() -> None:
    content, _ = picture((100, 60, 104, 64))
    nothing = np.zeros((0, 4), np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        window, _ = cut_close_up(content, nothing, PLAN, rng, centre=(102, 62))
        assert window.max() == 255


def test_photo_smaller_than_the_crop_is_padded() -> None:
    content = np.full((30, 300, 3), 9, np.uint8)
    nothing = np.zeros((0, 4), np.float32)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        window, _ = cut_close_up(content, nothing, PLAN, rng)
        assert window.shape == (64, 96, 3)
        assert {9, 114} <= set(np.unique(window).tolist())


def test_close_up_of_a_scaled_photo_has_image_and_boxes(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 4, "val": 1})
    photos = open_dataset(root).splits["train"]
    close_ups = CloseUpPhotos(TrainingPhotos(photos, 64, 64), CloseUps(32, 32, 3))
    image, target = close_ups.crop((0, None), np.random.default_rng(0))
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.uint8
    assert len(target.boxes) == len(target.labels)
