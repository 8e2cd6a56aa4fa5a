"""One process of a team of two: does what one process does, and says how far off it is.

``python -m tests.simulators.team_process FILE`` with torchrun's variables; the leader
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
from trainer.detectors.base import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.distributed.launch import run_in_team
from trainer.fit.distributed.process_group import ProcessGroup
from trainer.fit.distributed.synced_norm import SyncedBatchNorm
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    Training,
    make_optimizer,
    train_step,
)
from trainer.fit.recipe import join

PHOTOS = 5  # three for one process, two for the other


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


def fresh(detector: Architecture, seed: int) -> Training:
    torch.manual_seed(seed)
    model = build_detector(detector, 2)
    training = Training(
        model,
        make_optimizer(model, 1e-3, 0.05),
        MovingAverage(model),
        Schedule(1e-3, 10, 2),
        torch.device("cpu"),
        frozen_norms=True,
    )
    training.begin_epoch()
    return training


def step(
    team: ProcessGroup, detector: Architecture, size_px: int, boxes: tuple[int, ...]
) -> dict[str, float]:
    """Do a step alone and one together; return how far they are apart."""
    generator = torch.Generator().manual_seed(1)
    shape = (PHOTOS, 3, size_px, size_px)
    images = torch.randint(0, 256, shape, generator=generator).byte()
    truth = targets(size_px, boxes)
    alone = fresh(detector, 0)
    wanted = train_step(alone, images, truth)
    together = fresh(detector, team.rank)  # the leader's weights count
    join(together, team)
    mine = slice(team.rank, None, team.size)
    got = train_step(together, images[mine], truth[mine])
    pairs = zip(alone.model.parameters(), together.model.parameters(), strict=True)
    apart = [distance(a.grad, b.grad) for a, b in pairs]
    return {"loss": abs(got / wanted - 1), "gradient": max(apart)}


def distance(wanted: Tensor | None, got: Tensor | None) -> float:
    assert wanted is not None
    assert got is not None
    scale = max(float(wanted.norm()), 1e-6)
    return float((wanted - got).norm()) / scale


def norm(team: ProcessGroup) -> dict[str, float]:
    """Normalize a batch alone and together."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(PHOTOS, 7, 4, 3, generator=generator) * 3 + 20
    slope = torch.randn(PHOTOS, 7, 4, 3, generator=generator)
    mine = slice(team.rank, None, team.size)
    alone, other = nn.BatchNorm2d(7, momentum=0.03), nn.BatchNorm2d(7, momentum=0.03)
    together = SyncedBatchNorm(other, team)
    whole, part = x.clone().requires_grad_(), x[mine].clone().requires_grad_()
    wanted, got = alone(whole), together(part)
    wanted.backward(slope)
    got.backward(slope[mine])
    assert whole.grad is not None
    return {
        "value": distance(wanted[mine], got),
        "gradient": distance(whole.grad[mine], part.grad),
        "mean": distance(alone.running_mean, other.running_mean),
        "variance": distance(alone.running_var, other.running_var),
    }


def refusal(team: ProcessGroup) -> bool:
    """Return whether a process that differs from the leader is stopped."""
    team.require_same("pins", "equal")
    try:
        team.require_same("photos", f"those of process {team.rank}")
    except TrainingError as error:
        return "photos = those of process 0" in error.why
    return team.is_leader


def work(team: ProcessGroup) -> int:
    torch.set_num_threads(1)
    yolox = Architecture.YOLOX_NANO
    facts = {
        "yolox": step(team, yolox, 64, (1, 0, 0, 2, 3)),
        "yolox_good_only": step(team, yolox, 64, (1, 0, 2, 0, 1)),
        "ssdlite": step(team, Architecture.SSDLITE, 320, (1, 0, 0, 2, 0)),
        "ssdlite_good_only": step(team, Architecture.SSDLITE, 320, (1, 0, 2, 0, 1)),
        "norm": norm(team),
        "count": team.count(team.rank + 3),
        "of_leader": team.of_leader(team.rank + 0.25),
        "refused": refusal(team),
    }
    everywhere = team.count(int(facts["refused"])) == team.size
    team.dismiss_others()
    Path(sys.argv[1]).write_text(json.dumps({**facts, "refused": everywhere}))
    return 0


if __name__ == "__main__":
    verb: Callable[[ProcessGroup], int] = work
    sys.exit(run_in_team(verb))
