"""Windows of the photos around defects."""

from pathlib import Path

import numpy as np
import torch

from trainer.data.closeups import CloseUps, cut_close_up, plan_close_ups
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


def cut(image: torch.Tensor, target: Target, seed: int) -> tuple[torch.Tensor, Target]:
    return cut_close_up(image, target, PLAN, np.random.default_rng(seed))


def test_window_shows_what_its_boxes_say() -> None:
    image = torch.zeros((3, 128, 192), dtype=torch.uint8)
    image[:, 40:50, 60:80] = 255
    target = Target(torch.tensor([[60.0, 40, 80, 50]]), torch.tensor([2]))
    seen = 0
    for seed in range(40):
        window, left = cut(image, target, seed)
        assert window.shape == (3, 64, 96)
        shown = torch.zeros_like(window)
        for (x1, y1, x2, y2), label in zip(left.boxes.int(), left.labels, strict=True):
            shown[:, y1:y2, x1:x2] = 255
            assert label == 2
        rest = (window != shown)[0].sum()
        seen += len(left.labels)
        assert len(left.labels) == 1 or rest <= 100  # less than half of it is seen
        assert len(left.labels) == 0 or rest == 0
    assert seen > 20


def test_most_windows_show_a_defect_and_some_lie_anywhere() -> None:
    image = torch.zeros((3, 640, 960), dtype=torch.uint8)
    target = Target(torch.tensor([[10.0, 10, 20, 20]]), torch.tensor([0]))
    shown = [len(cut(image, target, seed)[1].labels) for seed in range(300)]
    assert 0.7 < np.mean(shown) < 0.9


def test_good_part_is_cut_too() -> None:
    image = torch.arange(128 * 192).reshape(1, 128, 192).expand(3, -1, -1)
    good = Target(torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64))
    windows = [cut(image, good, seed) for seed in range(5)]
    assert all(len(target.labels) == 0 for _, target in windows)
    assert len({int(window[0, 0, 0]) for window, _ in windows}) > 1
