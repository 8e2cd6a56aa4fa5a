"""Checkpoints: all that ``--resume`` needs, whole or not there.

Written at the end of each epoch beside the old one and renamed over it, so that kill
-9, Ctrl-C and a full disk leave the last good one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.errors import TrainingError
from trainer.detectors.weights import UNREADABLE
from trainer.fit.engine import Training
from trainer.run import unwritable


def save_checkpoint(path: Path, training: Training, extra: dict[str, Any]) -> None:
    """Write a checkpoint.

    Args:
        path: Where; its folder exists.
        training: What to keep.
        extra: Plain values beside it, for example the epoch.

    Raises:
        TrainingError: It cannot be written; the old one is still there.
    """
    state = {
        "extra": extra,
        "step": training.step,
        "model": training.model.state_dict(),
        "average": training.average.model.state_dict(),
        "average_steps": training.average.steps,
        "optimizer": training.optimizer.state_dict(),
    }
    temporary = path.with_suffix(".partial")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
        temporary.replace(path)
    except (OSError, RuntimeError) as exc:  # torch wraps a full disk in RuntimeError
        temporary.unlink(missing_ok=True)
        cause = exc if isinstance(exc, OSError) else OSError(str(exc))
        raise unwritable(path.parent, cause) from exc


def load_checkpoint(
    path: Path, training: Training, made_with: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Go on from a checkpoint.

    Args:
        path: From ``save_checkpoint``.
        training: Changed in place.
        made_with: What ``extra["made_with"]`` must hold; looked at before any weight.

    Returns:
        The plain values that were saved beside it.

    Raises:
        TrainingError: There is none, it is damaged, or made with something else.
    """
    try:
        state = torch.load(path, map_location=training.device, weights_only=True)
        extra = dict(state["extra"])
        if made_with:
            _refuse_change(path, dict(extra["made_with"]), made_with)
        training.model.load_state_dict(state["model"])
        training.average.model.load_state_dict(state["average"])
        training.optimizer.load_state_dict(state["optimizer"])
        training.step = int(state["step"])
        training.average.steps = int(state["average_steps"])
    except (OSError, *UNREADABLE) as exc:
        raise cannot_resume(path, exc) from exc
    return extra


def cannot_resume(path: Path, cause: Exception) -> TrainingError:
    """Return the error of a checkpoint that is damaged or not of this product.

    Args:
        path: Of the checkpoint.
        cause: What reading it raised.
    """
    said = "".join(str(cause).splitlines()[:1])
    return TrainingError(
        f"{path}: cannot resume.",
        why=f"{type(cause).__name__}: {said}".removesuffix(": "),
        fix="Train again without --resume.",
    )


def _refuse_change(
    path: Path, made_with: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    """Stop where something is not as it was when the checkpoint was written."""
    changed = [key for key, value in wanted.items() if made_with.get(key) != value]
    if changed:
        key = changed[0]
        raise TrainingError(
            f"{path}: made with {key} = {made_with.get(key)}.",
            why=f"Now {key} = {wanted[key]}.",
            fix="Resume with the same photos and options, or train anew without "
            "--resume.",
        )
