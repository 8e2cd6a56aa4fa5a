"""The folder that a package is packed into."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import TrainingError
from models.files import ForeignFolderError, replaced_folder
from models.manifest import MANIFEST_NAME


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces ``out`` when the block succeeds.

    Raises:
        TrainingError: It cannot be written, or ``out`` is not a package.
    """
    try:
        with replaced_folder(out, marker=MANIFEST_NAME) as folder:
            yield folder
    except ForeignFolderError as exc:
        raise TrainingError(
            f"{out}: exists and is not a package.",
            why=f"Only a folder with {MANIFEST_NAME} is replaced.",
            fix="Choose another folder with --out, or remove this one yourself.",
        ) from exc
    except OSError as exc:
        raise TrainingError(
            f"{out}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Free space there, or choose another folder with --out.",
        ) from exc
