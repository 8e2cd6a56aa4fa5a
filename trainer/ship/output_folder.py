"""A package's folder appears whole, or not at all.

Everything is written into the sibling ``.NAME.partial`` and renamed at the end. An
older package of that name is moved to ``.NAME.previous`` for the moment between two
renames; a power cut there is mended by the next start.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import TrainingError
from models.files import fsync_folder
from models.manifest import MANIFEST_NAME


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write into that becomes ``out`` when nothing failed.

    Args:
        out: The package to make; one that is there is replaced.

    Yields:
        An empty folder on the same file system.

    Raises:
        TrainingError: It cannot be written, or ``out`` is something else than a
            package.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 (a link keeps its own name)
    partial = out.with_name(f".{out.name}.partial")
    previous = out.with_name(f".{out.name}.previous")
    _refuse_other_content(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if previous.exists() and not out.exists():
            previous.rename(out)
        for leftover in (partial, previous):
            if leftover.exists():
                shutil.rmtree(leftover)
        partial.mkdir()
    except OSError as exc:
        raise _unwritable(out, exc) from exc
    try:
        yield partial
        _replace(out, partial, previous)
    except OSError as exc:
        raise _unwritable(out, exc) from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(out: Path, partial: Path, previous: Path) -> None:
    """Rename the finished folder, the older one out of its way."""
    for path in partial.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            fsync_folder(path)
    fsync_folder(partial)
    if out.exists():
        out.rename(previous)
    partial.rename(out)
    fsync_folder(out.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _refuse_other_content(out: Path) -> None:
    """Raise if a folder would be replaced that is no package."""
    if not (out.exists() or out.is_symlink()):
        return
    is_package = out.is_dir() and (out / MANIFEST_NAME).is_file()
    is_empty = out.is_dir() and not any(out.iterdir())
    if out.is_symlink() or not (is_package or is_empty):
        raise TrainingError(
            f"{out}: is there already and not a package.",
            why=f"Only a folder with {MANIFEST_NAME} is replaced.",
            fix="Choose another folder with --out, or remove this one yourself.",
        )


def _unwritable(out: Path, cause: OSError) -> TrainingError:
    """Return the error of a folder that cannot be written."""
    return TrainingError(
        f"{out}: cannot be written.",
        why=cause.strerror or str(cause),
        fix="Free space there, or choose another folder with --out.",
    )
