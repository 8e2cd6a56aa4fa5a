"""Batch norm over the photos of all processes, on any device.

torch's ``SyncBatchNorm`` runs on GPUs only; this one is made of plain operations and
two sums a layer, so that training on several CPUs is the training of one.

Source:
    Ioffe and Szegedy, arXiv:1502.03167, for the two passes; Chan, Golub and LeVeque,
    1979, for joining the variances of parts without cancellation.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.fit.distributed.process_group import ProcessGroup


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose batch is that of the whole team; the same names and weights.

    Args:
        norm: Whose weights and statistics are taken over, not copied.
        team: Who shares the batch.
    """

    def __init__(self, norm: nn.BatchNorm2d, team: ProcessGroup) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self._team = team
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, C, H, W]`` normalized over the N of all processes."""
        if not self.training:
            return super().forward(x)
        mean, variance, count = _statistics(x.detach().float(), self._team)
        self._follow(mean, variance * count / max(count - 1, 1))
        inverse = (variance + self.eps).rsqrt()
        normalized: Tensor = _Normalize.apply(x, mean, inverse, count, self._team)
        return normalized * _row(self.weight) + _row(self.bias)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of this batch."""
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum or 0.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _Normalize(torch.autograd.Function):
    """``(x - mean) * inverse``, differentiated through the mean and the variance."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        mean: Tensor,
        inverse: Tensor,
        count: int,
        team: ProcessGroup,
    ) -> Tensor:
        result = ((x - _row(mean)) * _row(inverse)).to(x.dtype)
        ctx.save_for_backward(result, inverse)
        ctx.count, ctx.team = count, team
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        normalized, inverse = ctx.saved_tensors
        axes = (0, 2, 3)
        wide = gradient.float()
        sums = torch.cat((wide.sum(axes), (wide * normalized).sum(axes)))  # [2 * C]
        ctx.team.sum_into(sums)
        mean, along = (sums / ctx.count).chunk(2)
        own = (wide - _row(mean) - normalized * _row(along)) * _row(inverse)
        return own.to(gradient.dtype), None, None, None, None


def share_norms(model: nn.Module, team: ProcessGroup) -> None:
    """Let every batch norm of a network see the photos of all processes.

    Args:
        model: Changed in place; names and weights stay.
        team: Who shares the batch; nothing happens in a team of one.
    """
    if team.size == 1:
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, SyncedBatchNorm(child, team))


def _statistics(x: Tensor, team: ProcessGroup) -> tuple[Tensor, Tensor, int]:
    """Return mean and variance ``[C]`` and the number of values a channel."""
    axes = (0, 2, 3)
    own = x.numel() // x.shape[1]
    sums = torch.cat((x.sum(axes), x.new_tensor([float(own)])))
    team.sum_into(sums)
    count = int(sums[-1])
    mean = sums[:-1] / count
    squares = (x - _row(mean)).square().sum(axes)
    team.sum_into(squares)
    return mean, squares / count, count


def _row(values: Tensor) -> Tensor:
    """Return ``[C]`` as ``[1, C, 1, 1]``."""
    return values[None, :, None, None]
