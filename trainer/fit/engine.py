"""Schedule, optimizer, moving average, and one training step.

The loop over the steps is in ``recipe.py``.
"""

import copy
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models.errors import TrainingError
from trainer.data.sample import BoxTarget
from trainer.detectors.base import TrainableDetector
from trainer.fit.distributed.data_parallel import sum_gradients
from trainer.fit.distributed.process_group import SINGLE_PROCESS, ProcessGroup

MAX_GRADIENT_NORM = 10.0  # Source: common for SimOTA detectors; stops rare spikes
FINAL_LR_SHARE = 0.02  # the cosine ends here, not at zero: measured in the prototype
RATE_SHARE = "rate_share"  # key of the optimizer's groups
AVERAGE_DECAY = 0.998  # of the moving average, reached after many steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate over the steps: linear warm-up, then half a cosine.

    The end may be moved while training. The cosine then continues from its present
    phase, faster or slower, and still reaches its end.

    Attributes:
        peak: Learning rate after the warm-up.
        past: Earlier ends: ``(until, steps)``, up to step ``until`` the end was
            planned at ``steps``; in order.
    """

    peak: float
    steps: int
    warmup_steps: int
    past: tuple[tuple[int, int], ...] = ()

    def at(self, step: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: From 0 to ``steps - 1``.
        """
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * self.phase(step)))
        return self.peak * warmup * (cosine * (1 - FINAL_LR_SHARE) + FINAL_LR_SHARE)

    def phase(self, step: int) -> float:
        """Return how much of the cosine is done, 0..1.

        Args:
            step: From 0 to ``steps``.
        """
        begin, phase = 0, 0.0
        # Each plan covers a share of the part of the cosine that the plan before it
        # left.
        for until, steps in (*self.past, (self.steps, self.steps)):
            end = min(step, until)
            phase += (1 - phase) * (end - begin) / max(1, steps - begin)
            if step <= until:
                break
            begin = until
        return phase

    def ending_at(self, steps: int, *, now: int) -> "Schedule":
        """Return the same schedule with another end.

        Args:
            steps: Number of steps in total.
            now: Steps done; their learning rates do not change.
        """
        return replace(self, steps=steps, past=(*self.past, (now, self.steps)))


def make_optimizer(
    model: TrainableDetector,
    peak: float,
    weight_decay: float,
    backbone_share: float = 1.0,
) -> torch.optim.Optimizer:
    """Return AdamW that decays convolution weights but no biases or norms.

    Args:
        model: Its frozen parameters are left out.
        peak: Learning rate, for the record; the schedule sets it at each step.
        weight_decay: Decoupled weight decay of tensors with two or more axes.
        backbone_share: Learning rate of the backbone, as a share of the others'.

    Source:
        AdamW, arXiv:1711.05101; no decay for one-axis tensors is usual since ResNet
        training recipes (arXiv:1812.01187).
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    slow = set()
    if backbone_share != 1:
        slow = {id(p) for p in model.feature_extractor.parameters()}
    groups = [
        {
            "params": params,
            "weight_decay": weight_decay if decays else 0.0,
            RATE_SHARE: backbone_share if is_slow else 1.0,
        }
        for is_slow in (False, True)
        for decays in (True, False)
        if (
            params := [
                p
                for p in trained
                if (p.ndim > 1) is decays and (id(p) in slow) is is_slow
            ]
        )
    ]
    return torch.optim.AdamW(groups, lr=peak, fused=True)


class MovingAverage:
    """Exponential moving average of the weights, which is validated and packed.

    Args:
        model: Copied at the start.

    Source:
        Polyak averaging with the ramp (1 + t) / (10 + t), as in TensorFlow's
        ExponentialMovingAverage, so that few steps already give a useful average.
    """

    def __init__(
        self, model: TrainableDetector, max_decay: float = AVERAGE_DECAY
    ) -> None:
        self.model = copy.deepcopy(model).eval()
        self.steps = 0
        self._max_decay = max_decay
        self.model.requires_grad_(False)  # noqa: FBT003 (torch names it mode)

    @torch.no_grad()
    def update(self, model: TrainableDetector) -> None:
        """Move the average towards the current weights.

        Args:
            model: The model that is being trained.
        """
        self.steps += 1
        decay = min(self._max_decay, (1 + self.steps) / (10 + self.steps))
        averages, values = [], []
        for average, value in zip(
            self.model.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if average.dtype.is_floating_point:
                averages.append(average)
                values.append(value)
            else:  # counters of batch norm
                average.copy_(value)
        torch._foreach_lerp_(averages, values, 1 - decay)  # one kernel


@dataclass(frozen=True, slots=True)
class StepReport:
    """The report of one step to the observer of a training.

    Attributes:
        step: Steps done in total.
        loss: Total loss of the batch, over all processes.
        planned: Steps in total, as planned now; 0 = not planned yet.
        map_50: Latest validation result; None = not validated yet.
        map_photos: Photos that it was measured on.
        held_out: Photos that will be measured on at the end.
    """

    step: int
    loss: float
    learning_rate: float
    planned: int = 0
    map_50: float | None = None
    map_photos: int = 0
    held_out: int = 0


@dataclass(slots=True)
class Training:
    """The network and the state that changes with it.

    Attributes:
        model: In training mode, on its device.
        average: Moving average of the weights; only the leader updates it.
        frozen_norms: Batch norms keep their initial statistics.
        frozen_backbone: The backbone keeps weights and statistics.
        group: The processes that share the photos of each step.
    """

    model: TrainableDetector
    optimizer: torch.optim.Optimizer
    average: MovingAverage
    schedule: Schedule
    device: torch.device
    frozen_norms: bool = False
    frozen_backbone: bool = False
    step: int = 0
    group: ProcessGroup = SINGLE_PROCESS

    @property
    def is_finished(self) -> bool:
        """Whether the schedule has reached its end."""
        return self.step >= self.schedule.steps

    @property
    def phase(self) -> float:
        """How much of the schedule is done, 0..1."""
        return self.schedule.phase(self.step)

    def end_at(self, steps: int) -> None:
        """Move the end of the schedule.

        Args:
            steps: Number of steps in total.
        """
        self.schedule = self.schedule.ending_at(steps, now=self.step)

    def enter_training_mode(self) -> None:
        """Put the model into training mode, except its frozen parts.

        Statistics of batches of eight photos of one product are noisy and narrow: a
        frame unlike all photos (the empty belt) is then outside the range that a
        channel is normalized for. Grafted statistics come from millions of pictures.

        Source:
            Frozen batch norm of fine-tuned detectors, as in Faster R-CNN
            (arXiv:1506.01497) and torchvision's FrozenBatchNorm2d; here scale and
            shift still learn. Measured: bench/results/transfer.
        """
        self.model.train()
        if self.frozen_backbone:
            self.model.feature_extractor.eval()
        if self.frozen_norms:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()


def in_bf16(model: TrainableDetector, device: torch.device) -> bool:
    """Return whether forward and backward run in bfloat16; weights stay float32."""
    if device.type == "cuda":
        return True
    able = torch.cpu.get_capabilities()
    return model.gains_from_bf16 and any(
        able.get(name) for name in ("avx512_bf16", "amx_bf16")
    )


def train_step(training: Training, images: Tensor, targets: list[BoxTarget]) -> float:
    """Do one optimizer step.

    Args:
        training: Changed in place.
        images: ``[N, 3, H, W]`` float32 or uint8, BGR, 0..255; this process's share.
        targets: One for each image; on any device.

    Returns:
        Total loss of the batch, over all processes.

    Raises:
        TrainingError: The loss is not finite; the weights are unchanged.
    """
    device = training.device
    targets = [target.to(device) for target in targets]
    rate = training.schedule.at(training.step)
    for group in training.optimizer.param_groups:
        group["lr"] = rate * group.get(RATE_SHARE, 1.0)  # none in files of 0.1
    images = images.to(device, non_blocking=True).float()
    images = images.contiguous(memory_format=torch.channels_last)
    half = in_bf16(training.model, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        raw = training.model(images)
    # The loss is outside of autocast: its sums over all cells need float32.
    parts = training.model.loss_of_raw(raw, targets, training.group.sum_number)
    training.optimizer.zero_grad(set_to_none=True)
    parts.total.backward()  # type: ignore[no-untyped-call]  # torch's own
    loss = sum_gradients(training.model, parts.total.detach(), training.group)
    # Both checks come before the optimizer: the weights stay usable.
    _refuse_divergence("loss", loss, training.step, rate)
    norm = nn.utils.clip_grad_norm_(training.model.parameters(), MAX_GRADIENT_NORM)
    _refuse_divergence("gradient", float(norm), training.step, rate)
    training.optimizer.step()
    if training.group.is_leader:
        training.average.update(training.model)
    training.step += 1
    return loss


def _refuse_divergence(name: str, value: float, step: int, rate: float) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"The {name} became {value} at step {step + 1}.",
            why=f"Training diverged at learning rate {rate:.2g}.",
            fix="Lower it with --learning-rate, or check the data with "
            "`graftline check`.",
        )
