"""Windows of the photos around defects."""

from pathlib import Path

import numpy as np
import torch

from trainer.data.closeups import CloseUps, cut_close_ups, plan_close_ups
from trainer.data.dataset import Photo
from trainer.detectors.base import Target

PLAN = CloseUps(64, 96, 3)


def photo(*boxes: tuple[float, float, float, float]) -> Photo:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int64)
    return Photo(Path("p.jpg"), "0" * 64, 1280, 1280, rows, labels)


def test_small_defects_are_looked_at_in_windows_of_a_third_of_the_photo() -> None:
    plan = plan_close_ups([photo((0, 0, 60, 40)), photo()], 640, 640)
    assert plan == CloseUps(384, 384, 3)


def test_windows_keep_the_shape_of_the_photo() -> None:
    plan = plan_close_ups([photo((0, 0, 60, 40))], 384, 640)
    assert plan == CloseUps(224, 384, 3)


def test_large_defects_want_whole_photos() -> None:
    assert plan_close_ups([photo((0, 0, 300, 40))], 640, 640) is None


def test_small_inputs_want_whole_photos() -> None:
    assert plan_close_ups([photo((0, 0, 20, 20))], 256, 256) is None


def test_photos_without_defects_are_not_cut() -> None:
    assert plan_close_ups([photo()], 640, 640) is None


def test_window_shows_what_its_boxes_say() -> None:
    image = torch.zeros((3, 128, 192), dtype=torch.uint8)
    image[:, 40:50, 60:80] = 255
    target = Target(torch.tensor([[60.0, 40, 80, 50]]), torch.tensor([2]))
    images, targets = cut_close_ups((image[None], [target]), PLAN, (1, 2))
    assert images.shape == (3, 3, 64, 96)
    for window, cut in zip(images, targets, strict=True):
        shown = torch.zeros_like(window)
        for (x1, y1, x2, y2), label in zip(cut.boxes.int(), cut.labels, strict=True):
            shown[:, y1:y2, x1:x2] = 255
            assert label == 2
        rest = (window != shown)[0].sum()
        assert len(cut.labels) == 1 or rest <= 100  # less than half of it is seen
        assert len(cut.labels) == 0 or rest == 0


def test_most_windows_show_a_defect_and_some_lie_anywhere() -> None:
    image = torch.zeros((1, 3, 640, 960), dtype=torch.uint8)
    target = Target(torch.tensor([[10.0, 10, 20, 20]]), torch.tensor([0]))
    shown = [
        len(cut.labels)
        for seed in range(100)
        for cut in cut_close_ups((image, [target]), PLAN, (seed,))[1]
    ]
    assert 0.7 < np.mean(shown) < 0.9


def test_good_part_is_cut_too() -> None:
    image = torch.arange(128 * 192).reshape(1, 1, 128, 192).expand(1, 3, -1, -1)
    good = Target(torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64))
    images, targets = cut_close_ups((image, [good]), PLAN, (0,))
    assert all(len(target.labels) == 0 for target in targets)
    assert len({int(window[0, 0, 0]) for window in images}) > 1


def test_same_seed_cuts_the_same_windows() -> None:
    image = torch.arange(128 * 192).reshape(1, 1, 128, 192).expand(1, 3, -1, -1)
    good = Target(torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64))
    once = cut_close_ups((image, [good]), PLAN, (7, 3))[0]
    assert torch.equal(once, cut_close_ups((image, [good]), PLAN, (7, 3))[0])
    assert not torch.equal(once, cut_close_ups((image, [good]), PLAN, (7, 4))[0])
