"""Targets and features move between devices and types without loss."""

import torch

from trainer.data.sample import BoxTarget, Features


def test_target_on_its_own_device_keeps_its_tensors() -> None:
    target = BoxTarget(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([1]))
    moved = target.to("cpu")
    assert moved.boxes is target.boxes
    assert moved.labels is target.labels


def test_features_become_float32_with_channels_last() -> None:
    maps = (torch.ones(2, 3, 4, 5, dtype=torch.bfloat16), torch.zeros(2, 8, 2, 2))
    features = Features(maps)
    assert len(features) == 2
    moved = features.to(torch.device("cpu"))
    for before, after in zip(maps, moved.maps, strict=True):
        assert after.dtype == torch.float32
        assert after.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(after, before.float())
