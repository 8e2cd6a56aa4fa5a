"""Reads a checkpoint and grafts it onto a detector.

A checkpoint is a table of named tensors: ``.safetensors``, a torch file with a
state dict, or an official one with the state dict under ``model``. Torch files
are read without running any code they contain (``weights_only``).

All tensors except the class predictions must fit. Class predictions for another number
of classes keep their initialization.
"""

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.counted import counted
from models.errors import TrainingError
from models.files import require_regular, sha256_of
from trainer.detectors.base import TrainableDetector

# Keys of the state dict in training tools. Source: YOLOX "model", torchvision "model",
# Lightning and mmdetection "state_dict".
NESTED_UNDER = ("model", "state_dict")
UNREADABLE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)  # raised by torch.load and safetensors on files in another format
ACCEPTED = "a .safetensors file or a torch state dict (.pth)"


@dataclass(frozen=True, slots=True)
class TransferReport:
    """The weights that a detector received from a checkpoint.

    Attributes:
        sha256: Hash of the file, for the lineage in the manifest.
        reset: Names of tensors that keep their initialization, because the
            checkpoint has other classes.
        unused: Names in the checkpoint that the detector does not have.
    """

    source: Path
    sha256: str
    transferred: int
    reset: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """Return one sentence for the terminal."""
        text = f"{counted(self.transferred, 'tensor')} from {self.source.name}"
        if self.reset:
            text += f", {len(self.reset)} of other classes start from random values"
        if self.unused:
            text += f", {len(self.unused)} unused"
        return text


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a checkpoint, on the CPU.

    Args:
        path: ``.safetensors``, or a torch file.

    Raises:
        TrainingError: The file is missing, unreadable, or not a checkpoint.
    """
    try:
        content = _read(path)
    except OSError as error:
        raise TrainingError(
            f"Weights {path} cannot be read.",
            why=f"{error.strerror or error}.",
            fix="give the path of an existing file, or the name of a checkpoint.",
        ) from error
    except UNREADABLE as error:
        raise TrainingError(
            f"Weights {path} cannot be read.",
            why=f"Expected {ACCEPTED}, got {type(error).__name__} while reading it.",
            fix="download or export the file again.",
        ) from error
    for name in NESTED_UNDER:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not _is_state_dict(content):
        raise TrainingError(
            f"Weights {path} hold no tensors by name.",
            why=f"Expected {ACCEPTED}, got {type(content).__name__}.",
            fix="save the network's state_dict() and give that file.",
        )
    return {_plain(name): tensor for name, tensor in content.items()}


def graft(detector: TrainableDetector, path: Path) -> TransferReport:
    """Copy a checkpoint's tensors into a detector.

    Args:
        detector: Changed in place, and only if all tensors except the class predictions
            fit.

    Raises:
        TrainingError: The file cannot be read, belongs to another network, or
            contains values that are not finite.
    """
    own = detector.state_dict()
    found = _with_prefix(read_tensors(path), own, detector.published_prefix)
    missing = [name for name in own if name not in found]
    other = [n for n in own if n in found and found[n].shape != own[n].shape]
    classes = detector.class_parts
    if wrong := [n for n in (*missing, *other) if not n.startswith(classes)]:
        raise _misfit(detector, path, found, own, wrong)
    if bad := [n for n, t in found.items() if n in own and not _finite(t)]:
        raise TrainingError(
            f"Weights {path} are damaged.",
            why=f"{bad[0]} holds values that are not finite.",
            fix="use an earlier checkpoint.",
        )
    reset = (*missing, *other)
    taken = {name: found[name] for name in own if name not in reset}
    detector.load_state_dict(taken, strict=False)
    unused = tuple(name for name in found if name not in own)
    return TransferReport(path, sha256_of(path), len(taken), reset, unused)


def _read(path: Path) -> Any:  # noqa: ANN401 - a foreign file may hold anything
    require_regular(path)
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":  # safetensors: 8 bytes of header length, then JSON
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_state_dict(content: object) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) for name in content)
        and all(isinstance(tensor, Tensor) for tensor in content.values())
    )


def _plain(name: str) -> str:
    return name.removeprefix("module.")  # DistributedDataParallel puts it there


def _with_prefix(
    found: dict[str, Tensor], own: Mapping[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    if not prefix or any(name in own for name in found):
        return found
    return {prefix + name: tensor for name, tensor in found.items()}


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _misfit(
    detector: TrainableDetector,
    path: Path,
    found: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    wrong: list[str],
) -> TrainingError:
    first = wrong[0]
    got = tuple(found[first].shape) if first in found else "none"
    return TrainingError(
        f"Weights {path} belong to another network than {detector.architecture}.",
        why=f"{len(wrong)} of {len(own)} tensors do not fit; {first}: expected "
        f"{tuple(own[first].shape)}, got {got}.",
        fix="choose the detector that the weights were made for, or other weights.",
    )
