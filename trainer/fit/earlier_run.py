"""``--from RUN``: training continues from an earlier product's run.

The network is that of the run: architecture, non-linearity and all weights. Classes are
matched by name: a row of the class predictions is copied if the new product has a label
of the same name, at any position; new labels start from random rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import ConfigError
from models.files import sha256_of
from trainer.detectors.base import TrainableDetector
from trainer.detectors.names import Architecture
from trainer.detectors.weights import TransferReport
from trainer.run import Run
from trainer.run_record import WEIGHTS_NAME, Ancestor, RunRecord

BACKGROUND_ROWS = {Architecture.SSDLITE: 1}  # before the classes; others have none


@dataclass(frozen=True, slots=True)
class Inheritance:
    """The weights that a detector received from an earlier run.

    Attributes:
        kept: Labels whose class predictions were copied.
    """

    transfer: TransferReport
    kept: tuple[str, ...]
    fresh: tuple[str, ...]


def inherit(model: TrainableDetector, labels: tuple[str, ...], run: Run) -> Inheritance:
    """Copy an earlier run's weights into a new detector, class by class.

    Args:
        model: It has the run's architecture and non-linearity; changed in place.
    """
    old_labels = run.record.named_labels
    kept = tuple(label for label in labels if label in old_labels)
    fresh = tuple(label for label in labels if label not in old_labels)
    background = BACKGROUND_ROWS.get(model.architecture, 0)
    rows = [(i, i) for i in range(background)] + [
        (background + labels.index(label), background + old_labels.index(label))
        for label in kept
    ]
    own, old = model.state_dict(), run.named_model.state_dict()
    # A run of good parts alone has one class that is not trained.
    counts = (background + len(labels), background + max(1, len(old_labels)))
    for name, tensor in own.items():
        if _has_class_rows(name, tensor, old[name], model, counts):
            own[name] = _with_rows(tensor, old[name], counts, rows)
        else:
            own[name] = old[name]
    model.load_state_dict(own)
    path = run.folder / WEIGHTS_NAME
    partly = tuple(
        name
        for name, tensor in own.items()
        if fresh and _has_class_rows(name, tensor, old[name], model, counts)
    )
    report = TransferReport(path, sha256_of(path), len(own) - len(partly), partly, ())
    return Inheritance(report, kept, fresh)


def _has_class_rows(
    name: str,
    new: Tensor,
    old: Tensor,
    model: TrainableDetector,
    counts: tuple[int, int],
) -> bool:
    """Return whether a tensor's first axis counts classes, in one or more anchors."""
    if not name.startswith(model.class_parts) or not new.ndim:
        return False
    anchors = new.shape[0] // counts[0]
    return (anchors * counts[0], anchors * counts[1]) == (new.shape[0], old.shape[0])


def _with_rows(
    new: Tensor, old: Tensor, counts: tuple[int, int], rows: list[tuple[int, int]]
) -> Tensor:
    """Return the new tensor with rows of the old one, in every anchor alike."""
    mixed = new.clone(memory_format=torch.contiguous_format)
    target = mixed.view(-1, counts[0], *new.shape[1:])  # [anchors, classes, ...]
    source = old.reshape(-1, counts[1], *old.shape[1:])
    with torch.no_grad():
        for new_row, old_row in rows:
            target[:, new_row] = source[:, old_row]
    return mixed


def refuse_other_network(
    record: RunRecord, detector: Architecture | None, activation: str | None
) -> None:
    """Refuse a network that differs from that of the run.

    Args:
        detector: None = not given.
        activation: None = not given.

    Raises:
        ConfigError: They differ.
    """
    wanted = {"detector": detector, "activation": activation}
    has = {"detector": record.detector, "activation": record.activation}
    for name, value in wanted.items():
        if value is not None and value != has[name]:
            raise ConfigError(
                f"--{name} {value}: --from {record.name} has {has[name]}.",
                why="Its weights fit no other network.",
                fix=f"Leave --{name} out, or train without --from.",
            )


def ancestors(run: Run, found: Inheritance) -> tuple[Ancestor, ...]:
    """Return the runs that a training is based on, the latest first."""
    record = run.record
    parent = Ancestor(
        name=record.name,
        folder=str(run.folder.resolve()),
        sha256=found.transfer.sha256,
        dataset_sha256=record.dataset_sha256,
        pretrained=record.pretrained,
        pretrained_sha256=record.pretrained_sha256,
        kept_labels=found.kept,
        fresh_labels=found.fresh,
    )
    return (parent, *record.ancestors)
