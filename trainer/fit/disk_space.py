"""The disk space of a training, required before its first step.

A disk that becomes full after an hour of training costs that hour. The largest files
are known before: the checkpoint holds the network, its moving average, the best average
so far and two moments of the optimizer for each weight. While a file is replaced, the
old one and the new one exist.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from models.errors import TrainingError
from models.files import require_room
from trainer.fit.engine import Training

MOMENTS = 2  # of AdamW, for each trained weight
REPORT_BYTES = 8 << 20  # photos of the report; measured 0.2 to 5 MB
MEGABYTE = 1_000_000


def require_space(folder: Path, training: Training, checkpoint: Path) -> None:
    """Refuse a training whose files do not fit onto the disk.

    Args:
        folder: Where the run is written; exists.
        checkpoint: Its checkpoint; a present one is replaced.

    Raises:
        TrainingError: There is no space left, or the folder cannot be written.
    """
    weights = _bytes(training.model.state_dict().values())
    trained = _bytes(p for p in training.model.parameters() if p.requires_grad)
    whole = 3 * weights + MOMENTS * trained
    present = checkpoint.stat().st_size if checkpoint.exists() else 0
    # the checkpoint and its replacement, the weights of the run, the report
    sizes = [whole, max(1, whole - present), weights, REPORT_BYTES]
    try:
        require_room(folder, sizes)
    except OSError as exc:
        needed = sum(sizes) / MEGABYTE
        raise TrainingError(
            f"{folder}: no space left for this training.",
            why=f"It writes about {needed:.0f} MB, two checkpoints of "
            f"{whole / MEGABYTE:.0f} MB among them; "
            f"{shutil.disk_usage(folder).free / MEGABYTE:.0f} MB are free "
            f"({exc.strerror or exc}).",
            fix="Free space there, or choose another folder with --out.",
        ) from exc


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
