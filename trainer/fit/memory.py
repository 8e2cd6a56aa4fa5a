"""How many photos a step find room in memory.

What training needs besides weights is what each layer keeps for its gradient, and that
grows with the pixels. It is counted once, on a small picture, for the network at hand.
The room is a share of all memory that the machine has, not of what is free now: a
training that is resumed must find the same number.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from models.errors import ConfigError
from trainer.detectors.base import TrainableDetector

ROOM_SHARE = 0.6  # of all memory: the rest is for photos, other programs and peaks
BESIDES_BYTES = 1 << 30  # libraries, weights, optimizer and average
ON_TOP = (
    2.0  # times what layers keep: gradients and workspace. Measured 1.4: 3.8 GB for
)
# eight photos of 640 px through YOLOX-nano, 1 GB of it libraries and decoded photos
PROBE_PX = 128
MEMORY_INFO = Path("/proc/meminfo")
CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def fitting_batch(
    model: TrainableDetector, size_px: tuple[int, int], most: int, room_bytes: float
) -> int:
    """Return the largest batch that finds room, up to a limit.

    Args:
        model: The network.
        size_px: Height and width of the input.
        most: Photos that are enough.
        room_bytes: For one training.

    Raises:
        ConfigError: Not even one photo finds room.
    """
    needed = ON_TOP * kept_bytes(model) * math.prod(size_px)
    fitting = min(most, (room_bytes - BESIDES_BYTES) / needed)
    if fitting < 1:
        raise ConfigError(
            f"Not even one photo of {size_px[1]} x {size_px[0]} px finds room.",
            why=f"A step needs {(needed + BESIDES_BYTES) / 1e9:.1f} GB, "
            f"{room_bytes / 1e9:.1f} GB of this machine's memory may be used.",
            fix="Train with a smaller --size, or on a machine with more memory; "
            "--batch 1 tries it nevertheless.",
        )
    return int(fitting)


def kept_bytes(model: TrainableDetector) -> float:
    """Return what the layers of a network keep for their gradients, bytes a pixel.

    Args:
        model: Left as it is.
    """
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    device = next(model.parameters()).device
    was_training = model.training
    model.eval()  # keeps the statistics as they are
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = model(torch.zeros(1, 3, PROBE_PX, PROBE_PX, device=device))
    del held
    model.train(was_training)
    return sum(kept.values()) / PROBE_PX**2


def room_in_memory(device: torch.device) -> float:
    """Return the bytes that a training may use.

    Args:
        device: Where the network will live.
    """
    if device.type == "cuda":
        return ROOM_SHARE * torch.cuda.get_device_properties(device).total_memory
    return ROOM_SHARE * min(_memory(MEMORY_INFO), _limit(CONTROL_GROUP))


def _memory(path: Path) -> float:
    """Return the memory of the machine, bytes; endless where nothing is known."""
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError:  # not Linux
        return math.inf
    sizes = [line.split()[1] for line in lines if line.startswith("MemTotal:")]
    return 1024 * float(sizes[0]) if sizes else math.inf


def _limit(path: Path) -> float:
    """Return what a container may use, bytes; endless outside of one."""
    try:
        text = path.read_text("ascii").strip()
    except OSError:  # no control groups of version 2
        return math.inf
    return float(text) if text.isdigit() else math.inf
