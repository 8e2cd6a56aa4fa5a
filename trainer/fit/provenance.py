"""Records machine, revision and versions of a run, besides photos and recipe.

Figures repeat to the last digit only if all of these are the same.
"""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import torch

import trainer
from models.machine import processor_name
from trainer.data.splitting.split_record import SplitAssignment, write_split_record
from trainer.run_record import Machine, unwritable

LIBRARIES = ("torch", "torchvision", "numpy", "opencv-python-headless")
INSTALLED_IN = Path(trainer.__file__).resolve().parents[1]
REVISION = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")  # SHA-1 or SHA-256


def keep_split(out: Path, division: SplitAssignment) -> None:
    """Write which photos are trained on and which are measured on.

    Args:
        out: Folder of the run; created if it does not exist.

    Raises:
        TrainingError: The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_split_record(out, division)
    except OSError as exc:
        raise unwritable(out, exc) from exc


def library_versions() -> dict[str, str]:
    """Return the versions that the figures depend on."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in LIBRARIES
    }


def this_machine() -> Machine:
    """Return the machine that trains."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return Machine(
        processor=processor_name(),
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        gpu=gpu,
    )


def git_revision(folder: Path = INSTALLED_IN) -> str | None:
    """Return the commit of a checkout; None if the folder is not a checkout.

    Args:
        folder: With ``.git`` in it, a folder or (in a worktree) a file.

    Source:
        gitrepository-layout(5): HEAD, loose and packed refs, commondir, gitfile.
    """
    try:
        return _revision(folder / ".git")
    except (OSError, UnicodeDecodeError):
        return None  # not a checkout, or one that cannot be read


def _revision(git: Path) -> str | None:
    if git.is_file():
        pointer = git.read_text("utf-8").strip().removeprefix("gitdir: ")
        git = (git.parent / pointer).resolve()
    head = (git / "HEAD").read_text("utf-8").strip()
    if not head.startswith("ref: "):
        return _hexadecimal(head)
    name = head.removeprefix("ref: ")
    common = git / "commondir"
    shared = git / common.read_text("utf-8").strip() if common.is_file() else git
    if (shared / name).is_file():
        return _hexadecimal((shared / name).read_text("utf-8").strip())
    for line in (shared / "packed-refs").read_text("utf-8").splitlines():
        revision, _, ref = line.partition(" ")
        if ref == name:
            return _hexadecimal(revision)
    return None


def _hexadecimal(text: str) -> str | None:
    return text if REVISION.fullmatch(text) else None
