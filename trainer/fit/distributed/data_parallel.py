"""A training step on several processes, equal to one process with the whole batch.

Every process draws the same order of photos and takes its share of each batch. Losses
are divided by the count of the *whole* batch and gradients are summed (Goyal et al.,
arXiv:1706.02677, remark 3, describes the error of averaging instead). Batch norm
normalizes over the photos of all processes. torch's ``SyncBatchNorm`` runs on GPUs
only; the one here uses plain operations and two sums per layer, so that training on
several CPUs gives the same result as on one.

Source:
    Ioffe and Szegedy, arXiv:1502.03167, for the two passes; Chan, Golub and LeVeque,
    1979, for joining the variances of parts without cancellation.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.errors import TrainingError
from trainer.fit.distributed.process_group import ProcessGroup, unflatten


def require_share(batch: int, group: ProcessGroup) -> None:
    """Refuse a batch that leaves a process without a photo.

    Args:
        batch: Photos per step, over all processes.

    Raises:
        TrainingError: There are more processes than photos per step.
    """
    if batch < group.world_size:
        raise TrainingError(
            f"{group.world_size} processes share a batch of {batch} photos.",
            why="Each needs at least one photo a step.",
            fix="Start fewer processes, or train more photos a step with --batch.",
        )


def synchronize(model: nn.Module, group: ProcessGroup) -> None:
    """Copy the leader's weights, and use batch norms over all processes.

    Args:
        model: Changed in place; names and parameters stay the same objects.
    """
    group.broadcast_weights(model)
    synchronize_norms(model, group)


def sum_gradients(model: nn.Module, loss: Tensor, group: ProcessGroup) -> float:
    """Sum gradients and loss over all processes, in one collective.

    Args:
        model: After ``backward``; its gradients are changed in place.
        loss: Scalar, this process's part.

    Returns:
        Loss of the whole batch.
    """
    if group.world_size == 1:
        return float(loss)
    gradients = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            # A parameter without a gradient here may have one in another process:
            # all send the same number of values.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    flat = torch.cat([loss.reshape(1), *(g.reshape(-1) for g in gradients)])
    group.all_reduce(flat)
    unflatten(flat[1:], gradients)
    return float(flat[0])


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the photos of all processes; names and weights are the same.

    Args:
        norm: Its weights and statistics are shared, not copied.
    """

    def __init__(self, norm: nn.BatchNorm2d, group: ProcessGroup) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self._group = group
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, C, H, W]`` normalized over the N of all processes."""
        if not self.training:
            return super().forward(x)
        mean, variance, count = _statistics(x.detach().float(), self._group)
        # Running statistics hold the unbiased variance, as torch's own do.
        self._update_running(mean, variance * count / max(count - 1, 1))
        inverse = (variance + self.eps).rsqrt()
        normalized: Tensor = _Normalize.apply(x, mean, inverse, count, self._group)
        return normalized * _row(self.weight) + _row(self.bias)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
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
        group: ProcessGroup,
    ) -> Tensor:
        result = ((x - _row(mean)) * _row(inverse)).to(x.dtype)
        ctx.save_for_backward(result, inverse)
        ctx.count, ctx.group = count, group
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        normalized, inverse = ctx.saved_tensors
        axes = (0, 2, 3)
        wide = gradient.float()
        sums = torch.cat((wide.sum(axes), (wide * normalized).sum(axes)))  # [2 * C]
        ctx.group.all_reduce(sums)
        mean, along = (sums / ctx.count).chunk(2)
        own = (wide - _row(mean) - normalized * _row(along)) * _row(inverse)
        return own.to(gradient.dtype), None, None, None, None


def synchronize_norms(model: nn.Module, group: ProcessGroup) -> None:
    """Replace every batch norm of a network by one over all processes.

    Args:
        model: Changed in place; unchanged for a single process.
    """
    if group.world_size == 1:
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, SyncedBatchNorm(child, group))


def _statistics(x: Tensor, group: ProcessGroup) -> tuple[Tensor, Tensor, int]:
    """Return mean and variance ``[C]`` and the number of values per channel."""
    axes = (0, 2, 3)
    own = x.numel() // x.shape[1]
    sums = torch.cat((x.sum(axes), x.new_tensor([float(own)])))
    group.all_reduce(sums)
    count = int(sums[-1])
    mean = sums[:-1] / count
    # A second pass: squares of differences from the common mean do not cancel.
    squares = (x - _row(mean)).square().sum(axes)
    group.all_reduce(squares)
    return mean, squares / count, count


def _row(values: Tensor) -> Tensor:
    """Return ``[C]`` as ``[1, C, 1, 1]``."""
    return values[None, :, None, None]
