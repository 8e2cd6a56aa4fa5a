"""The number of photos per step that fit in memory.

Besides the weights, training needs the tensors that each layer keeps for its gradient,
whose size grows with the pixels. They are counted once, on a small picture, for the
given network. The memory for training is a share of the machine's total memory, not of
its free memory: a training that resumes must get the same number.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from models.errors import ConfigError
from trainer.detectors.base import TrainableDetector

MEMORY_SHARE = 0.6  # of all memory: the rest is for photos, other programs and peaks
FIXED_BYTES = 1 << 30  # libraries, weights, optimizer and average
# Times what layers keep: gradients and workspace. Measured 1.4: 3.8 GB for eight
# photos of 640 px through YOLOX-nano, 1 GB of it libraries and decoded photos.
OVERHEAD = 2.0
PROBE_PX = 128
MEMORY_INFO = Path("/proc/meminfo")
CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def fitting_batch(
    model: TrainableDetector,
    size_px: tuple[int, int],
    max_batch: int,
    available_bytes: float,
) -> int:
    """Return the largest batch that fits in memory, up to a limit.

    Args:
        size_px: Height and width of the input.
        available_bytes: For one training.

    Raises:
        ConfigError: Not even one photo fits.
    """
    needed = OVERHEAD * kept_bytes(model) * math.prod(size_px)
    fitting = min(max_batch, (available_bytes - FIXED_BYTES) / needed)
    if fitting < 1:
        raise ConfigError(
            f"Not even one photo of {size_px[1]} x {size_px[0]} px fits in memory.",
            why=f"A step needs {(needed + FIXED_BYTES) / 1e9:.1f} GB, "
            f"{available_bytes / 1e9:.1f} GB of this machine's memory may be used.",
            fix="Train with a smaller --size, or on a machine with more memory; "
            "--batch 1 tries it nevertheless.",
        )
    return int(fitting)


def kept_bytes(model: TrainableDetector) -> float:
    """Return the bytes per pixel that the layers of a network keep for gradients.

    Args:
        model: Not changed.
    """
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    device = next(model.parameters()).device
    was_training = model.training
    model.eval()  # training mode would change the statistics of the norms
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = model(torch.zeros(1, 3, PROBE_PX, PROBE_PX, device=device))
    del held  # until here it kept the storages apart: freed ones are used again
    model.train(was_training)
    return sum(kept.values()) / PROBE_PX**2


def memory_for_training(device: torch.device) -> float:
    """Return the bytes that a training may use."""
    if device.type == "cuda":
        return MEMORY_SHARE * torch.cuda.get_device_properties(device).total_memory
    return MEMORY_SHARE * min(_machine_bytes(MEMORY_INFO), _limit_bytes(CONTROL_GROUP))


def _machine_bytes(path: Path) -> float:
    """Return the memory of the machine; infinite if it is not known."""
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError:  # not Linux
        return math.inf
    sizes = [line.split()[1] for line in lines if line.startswith("MemTotal:")]
    return 1024 * float(sizes[0]) if sizes else math.inf


def _limit_bytes(path: Path) -> float:
    """Return the memory limit of the container; infinite outside of a container."""
    try:
        text = path.read_text("ascii").strip()
    except OSError:  # no control groups of version 2
        return math.inf
    return float(text) if text.isdigit() else math.inf
