"""Weights as float16, half the size, with the values that float16 cannot hold kept."""

from collections.abc import Mapping

import torch
from torch import Tensor

VARIANCE = ".running_var"


def to_half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a network with floats as float16 where that is safe.

    A tensor stays float32 where a value is too large for float16 (behind pictures of
    0 to 255 the first variance may pass 65,504), or where a variance is so small that
    float16 has fewer digits for it: a division by it would enlarge the error. Weights
    so close to zero add nothing.

    Args:
        state: Tensors by name, floats as float32; other types stay.
    """
    return {
        name: (value.half() if _fits(name, value) else value).contiguous()
        for name, value in state.items()
    }


def _fits(name: str, value: Tensor) -> bool:
    if not value.dtype.is_floating_point or not value.half().isfinite().all():
        return False
    smallest = torch.finfo(torch.float16).smallest_normal
    is_tiny = (value > 0) & (value < smallest)
    return not (name.endswith(VARIANCE) and bool(is_tiny.any()))
