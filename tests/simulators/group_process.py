"""One process of a group of two: compares its steps with those of a single process.

``python -m tests.simulators.group_process FILE`` with torchrun's variables; the leader
writes the differences as JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from models.errors import TrainingError
from trainer.data.sample import BoxTarget
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.distributed.data_parallel import SyncedBatchNorm, synchronize
from trainer.fit.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from trainer.fit.distributed.torchrun import run_distributed
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    Training,
    make_optimizer,
    train_step,
)

PHOTOS = 5  # three for one process, two for the other
SSDLITE_PX = 128


def targets(size_px: int, boxes: tuple[int, ...]) -> list[BoxTarget]:
    """Return the truth of photos with so many boxes each."""
    generator = torch.Generator().manual_seed(2)
    made = []
    for count in boxes:
        corner = torch.rand(count, 2, generator=generator) * size_px * 0.5
        side = (0.15 + 0.3 * torch.rand(count, 2, generator=generator)) * size_px
        made.append(
            BoxTarget(torch.cat((corner, corner + side), 1), torch.arange(count) % 2)
        )
    return made


def fresh(
    detector: Architecture, seed: int, group: ProcessGroup = SINGLE_PROCESS
) -> Training:
    torch.manual_seed(seed)
    model = build_detector(detector, 2)
    optimizer, average = make_optimizer(model, 1e-3, 0.05), MovingAverage(model)
    synchronize(model, group)
    training = Training(
        model,
        optimizer,
        average,
        Schedule(1e-3, 10, 2),
        torch.device("cpu"),
        frozen_norms=True,
        group=group,
    )
    training.enter_training_mode()
    return training


def step(
    group: ProcessGroup, detector: Architecture, size_px: int, boxes: tuple[int, ...]
) -> dict[str, float]:
    """Do a step single and one together; return how far they are apart."""
    generator = torch.Generator().manual_seed(1)
    shape = (PHOTOS, 3, size_px, size_px)
    images = torch.randint(0, 256, shape, generator=generator).byte()
    truth = targets(size_px, boxes)
    single = fresh(detector, 0)
    wanted = train_step(single, images, truth)
    together = fresh(detector, group.rank, group)  # the leader's weights count
    mine = slice(group.rank, None, group.world_size)
    got = train_step(together, images[mine], truth[mine])
    pairs = zip(single.model.parameters(), together.model.parameters(), strict=True)
    apart = [distance(a.grad, b.grad) for a, b in pairs]
    return {"loss": abs(got / wanted - 1), "gradient": max(apart)}


def distance(wanted: Tensor | None, got: Tensor | None) -> float:
    assert wanted is not None
    assert got is not None
    scale = max(float(wanted.norm()), 1e-6)
    return float((wanted - got).norm()) / scale


def norm(group: ProcessGroup) -> dict[str, float]:
    """Normalize a batch single and together."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(PHOTOS, 7, 4, 3, generator=generator) * 3 + 20
    slope = torch.randn(PHOTOS, 7, 4, 3, generator=generator)
    mine = slice(group.rank, None, group.world_size)
    single, other = nn.BatchNorm2d(7, momentum=0.03), nn.BatchNorm2d(7, momentum=0.03)
    together = SyncedBatchNorm(other, group)
    whole, part = x.clone().requires_grad_(), x[mine].clone().requires_grad_()
    wanted, got = single(whole), together(part)
    wanted.backward(slope)
    got.backward(slope[mine])
    assert whole.grad is not None
    return {
        "value": distance(wanted[mine], got),
        "gradient": distance(whole.grad[mine], part.grad),
        "mean": distance(single.running_mean, other.running_mean),
        "variance": distance(single.running_var, other.running_var),
    }


def refusal(group: ProcessGroup) -> bool:
    """Return whether a process that differs from the leader is stopped."""
    group.require_same("pins", "equal")
    try:
        group.require_same("photos", f"those of process {group.rank}")
    except TrainingError as error:
        return "photos = those of process 0" in error.why
    return group.is_leader


def compare(group: ProcessGroup) -> int:
    torch.set_num_threads(1)
    yolox = Architecture.YOLOX_NANO
    facts = {
        "yolox": step(group, yolox, 64, (1, 0, 0, 2, 3)),
        "yolox_good_only": step(group, yolox, 64, (1, 0, 2, 0, 1)),
        "ssdlite": step(group, Architecture.SSDLITE, SSDLITE_PX, (1, 0, 0, 2, 0)),
        "ssdlite_good_only": step(
            group, Architecture.SSDLITE, SSDLITE_PX, (1, 0, 2, 0, 1)
        ),
        "norm": norm(group),
        "sum": group.sum_number(group.rank + 3),
        "leader_number": group.leader_number(group.rank + 0.25),
        "refused": refusal(group),
    }
    everywhere = group.sum_number(int(facts["refused"])) == group.world_size
    group.leave_to_leader()
    Path(sys.argv[1]).write_text(json.dumps({**facts, "refused": everywhere}))
    return 0


if __name__ == "__main__":
    verb: Callable[[ProcessGroup], int] = compare
    sys.exit(run_distributed(verb))
