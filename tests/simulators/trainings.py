"""A training of a small network that no file and no photo is needed for."""

import torch

from trainer.data.sample import BoxTarget
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.engine import MovingAverage, Schedule, Training, make_optimizer


def fresh_training(rate: float = 1e-3) -> Training:
    torch.manual_seed(0)
    model = build_detector(Architecture.YOLOX_NANO, 2).train()
    return Training(
        model,
        make_optimizer(model, rate, 0.05),
        MovingAverage(model),
        Schedule(rate, steps=10, warmup_steps=2),
        torch.device("cpu"),
    )


def batch() -> tuple[torch.Tensor, list[BoxTarget]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=generator).byte()
    box = torch.tensor([[8.0, 8.0, 30.0, 30.0]])
    return images, [
        BoxTarget(box, torch.tensor([0])),
        BoxTarget(box + 9, torch.tensor([1])),
    ]
