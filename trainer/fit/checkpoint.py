"""Checkpoints: everything ``--resume`` needs, written atomically.

Each is written beside the old one and renamed over it, so that the last complete one
survives kill -9, Ctrl-C and a full disk. One is written before the first step, after
each epoch and every minute in between: a kill at any step loses at most a minute.
"""

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from models.errors import TrainingError
from models.files import require_regular, write_atomically
from trainer.detectors.names import Architecture
from trainer.detectors.weights import UNREADABLE
from trainer.fit.engine import Training
from trainer.fit.session import TrainingSession
from trainer.fit.time_plan import TimePlan
from trainer.run_record import unwritable

CHECKPOINT_EVERY_S = 60.0
Value = TypeVar("Value")


class CheckpointFile:
    """The checkpoint of one training.

    Args:
        path: Its folder exists.
        made_with: What must be the same when the training resumes, by name.
    """

    def __init__(self, path: Path, made_with: Mapping[str, str]) -> None:
        self._path, self._made_with = path, dict(made_with)
        self._saved_s = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the latest checkpoint is a minute old."""
        return time.monotonic() - self._saved_s > CHECKPOINT_EVERY_S

    def save(self, session: TrainingSession) -> None:
        """Write the checkpoint, in the leading process only.

        Raises:
            TrainingError: It cannot be written; the old one is still there.
        """
        if session.training.group.is_leader:
            extra = {"made_with": self._made_with} | session.state()
            save_checkpoint(self._path, session.training, extra)
            self._saved_s = time.monotonic()

    def resume(self, session: TrainingSession) -> None:
        """Continue from the checkpoint.

        Args:
            session: Changed in place.

        Raises:
            TrainingError: There is none, it is damaged, or made with something else.
        """
        extra = load_checkpoint(self._path, session.training, self._made_with)
        try:
            session.restore(extra)
        except (KeyError, TypeError, ValueError) as exc:
            raise cannot_resume(self._path, exc) from exc


def stored_plan(path: Path) -> TimePlan:
    """Return the plan of minutes that an interrupted training follows.

    Args:
        path: From ``CheckpointFile``.

    Raises:
        TrainingError: There is no checkpoint, or it is damaged.
    """
    try:
        state = _state(path, torch.device("cpu"))
        plan = state["extra"].get("time_plan")  # 0.1 has none
        return TimePlan.from_state(plan) if plan else TimePlan()
    except (OSError, *UNREADABLE) as exc:
        raise cannot_resume(path, exc) from exc


def stored_start(path: Path) -> tuple[str, Architecture]:
    """Return the weights that an interrupted training started from, and their network.

    Args:
        path: From ``CheckpointFile``.

    Raises:
        TrainingError: There is no checkpoint, or it is damaged.
    """
    return _made_with(
        path, lambda values: (values["weights"], Architecture(values["detector"]))
    )


def stored_input(path: Path) -> tuple[int, int]:
    """Return height and width of the input of an interrupted training.

    Args:
        path: From ``CheckpointFile``.

    Raises:
        TrainingError: There is no checkpoint, or it is damaged.
    """
    return _made_with(
        path,
        lambda values: (int(values["input_height_px"]), int(values["input_width_px"])),
    )


def _made_with(path: Path, read: Callable[[dict[str, str]], Value]) -> Value:
    """Return what is read of the values that must be the same on a resume."""
    try:
        made_with = _state(path, torch.device("cpu"))["extra"]["made_with"]
        return read({key: str(value) for key, value in made_with.items()})
    except (OSError, *UNREADABLE) as exc:
        raise cannot_resume(path, exc) from exc


def save_checkpoint(path: Path, training: Training, extra: dict[str, Any]) -> None:
    """Write a checkpoint.

    Args:
        path: Its folder exists.
        extra: Plain values beside network and optimizer.

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
    # In memory first: torch hides the cause of a failed write.
    content = io.BytesIO()
    torch.save(state, content)
    try:
        write_atomically(path, content.getbuffer(), durable=False)
    except OSError as exc:
        raise unwritable(path, exc) from exc


def load_checkpoint(
    path: Path, training: Training, made_with: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Restore a training from a checkpoint.

    Args:
        path: From ``save_checkpoint``.
        training: Changed in place.
        made_with: What ``extra["made_with"]`` must hold; checked before any weight.

    Returns:
        The plain values that were saved beside it.

    Raises:
        TrainingError: There is none, it is damaged, or made with something else.
    """
    try:
        state = _state(path, training.device)
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


def _state(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what a checkpoint holds; a pipe would never end."""
    require_regular(path)
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def cannot_resume(path: Path, cause: Exception) -> TrainingError:
    """Return the error for a checkpoint that is damaged or not from this product.

    Args:
        cause: Raised while it was read.
    """
    first_line = "".join(str(cause).splitlines()[:1])
    why = f"{type(cause).__name__}: {first_line}".removesuffix(": ")
    if isinstance(cause, FileNotFoundError):
        why = "There is no checkpoint: the training was interrupted before its first "
        why += "step, or this is another folder."
    return TrainingError(
        f"{path}: cannot resume.",
        why=why,
        fix="Train again without --resume.",
    )


def _refuse_change(
    path: Path, made_with: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    keys = dict.fromkeys((*wanted, *made_with))
    changed = [key for key in keys if made_with.get(key) != wanted.get(key)]
    if changed:
        key = changed[0]
        raise TrainingError(
            f"{path}: made with {key} = {made_with.get(key)}.",
            why=f"Now {key} = {wanted.get(key)}.",
            fix="Resume with the same photos and options, or train again without "
            "--resume.",
        )
