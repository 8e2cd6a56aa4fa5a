"""Targets move between devices without loss."""

import torch

from trainer.data.sample import BoxTarget


def test_target_on_its_own_device_keeps_its_tensors() -> None:
    target = BoxTarget(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([1]))
    moved = target.to("cpu")
    assert moved.boxes is target.boxes
    assert moved.labels is target.labels
