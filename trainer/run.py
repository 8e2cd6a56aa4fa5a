"""A run on disk: what a training writes and everything after it reads.

::

    RUN/
        run.json            RunRecord: resolved recipe, data, metrics, thresholds
        model.safetensors   averaged weights
        checkpoint.pt       for --resume
        split.json          which photos are trained on and which are measured on
        report.html         for people; report.json has the same figures
        suspects/           labels to check, and good photos that are unlike the others
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from models.errors import TrainingError
from models.files import require_regular, write_atomically
from trainer.detectors.base import TrainableDetector
from trainer.detectors.patch_memory import PatchMemory
from trainer.detectors.unknown import UnknownDetector
from trainer.detectors.weights import UNREADABLE
from trainer.detectors.yolox import YOLOX
from trainer.detectors.zoo import build_detector
from trainer.run_record import (
    RECORD_NAME,
    WEIGHTS_NAME,
    RunRecord,
    read_record,
    unwritable,
)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, ready to measure or to pack."""

    folder: Path
    record: RunRecord
    model: TrainableDetector  # averaged weights, in evaluation mode, on the CPU

    @property
    def named_model(self) -> TrainableDetector:
        """The detector of the named classes, without the memory of good parts."""
        if isinstance(self.model, UnknownDetector):
            return self.model.named
        return self.model


def open_run(folder: Path) -> Run:
    """Return a finished run.

    Args:
        folder: From ``graftline train --out``.

    Raises:
        TrainingError: Not a run, not finished, or damaged.
    """
    record = read_record(folder)
    model = _network(record)
    try:
        require_regular(folder / WEIGHTS_NAME)
        model.load_state_dict(load_file(folder / WEIGHTS_NAME))
    except (OSError, *UNREADABLE) as exc:
        raise TrainingError(
            f"{folder / WEIGHTS_NAME}: cannot be loaded.",
            why=str(exc).splitlines()[0] if str(exc) else type(exc).__name__,
            fix="Train again.",
        ) from exc
    return Run(folder, record, model.eval())


def _network(record: RunRecord) -> TrainableDetector:
    """Return the network of a run, with random weights."""
    # Without named classes the head has one that is never run.
    count = max(1, len(record.named_labels))
    model = build_detector(record.detector, count, record.activation)
    if isinstance(model, YOLOX):
        model.score_rule = record.score_rule
        model.class_odds = _class_odds(record)
    if record.unknown is None:
        return model
    shape = record.unknown
    memory = PatchMemory(shape.rows, shape.inputs)
    return UnknownDetector(model, memory, len(record.named_labels))


def _class_odds(record: RunRecord) -> Tensor | None:
    if record.class_odds is None:
        return None
    return torch.tensor([record.class_odds[name] for name in record.named_labels])


def write_run(folder: Path, record: RunRecord, model: TrainableDetector) -> Run:
    """Write a finished run: the weights first, the record last.

    Args:
        folder: Exists.

    Raises:
        TrainingError: The folder cannot be written.
    """
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    text = record.model_dump_json(indent=2) + "\n"
    try:
        # safetensors' own files are readable by their owner only
        write_atomically(folder / WEIGHTS_NAME, save(weights))
        write_atomically(folder / RECORD_NAME, text.encode())
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    return open_run(folder)
