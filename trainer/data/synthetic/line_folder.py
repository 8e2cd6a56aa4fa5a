"""The output folder of ``synth``: written as a whole, and only replaced if unchanged.

A marker lists the files that were written. A later run replaces only a folder with a
marker in which no file was added or changed.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.counted import counted
from models.errors import DatasetError
from models.files import ForeignFolderError, replaced_folder

MARKER = ".synth.json"
SCHEMA_VERSION = 1
_OTHER_FOLDER = "Choose another folder with --out, or remove this one yourself."


@dataclass(frozen=True, slots=True)
class _Marker:
    settings: dict[str, object]
    files: dict[str, int]


def _read_marker(folder: Path) -> _Marker | None:
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
        return _Marker(dict(marker["settings"]), dict(marker["files"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _files(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


def is_complete(folder: Path, settings: Mapping[str, object]) -> bool:
    """Return whether the folder already holds what these settings would write.

    Args:
        folder: The output folder; it may be missing.
        settings: What decides the content, as stored in the marker.

    Returns:
        True where exactly the listed files are there with their sizes; False where the
        folder is missing, empty, or may be replaced.

    Raises:
        DatasetError: The folder holds files that this program did not write.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise DatasetError(
            f"--out {folder} is a file.", why="A folder is needed.", fix=_OTHER_FOLDER
        )
    if not any(folder.iterdir()):
        return False
    marker = _read_marker(folder)
    if marker is None:
        raise DatasetError(
            f"--out {folder} is not empty and was not written by synth.",
            why=f"It holds no {MARKER}; its files would be lost.",
            fix=_OTHER_FOLDER,
        )
    written, present = marker.files, _files(folder)
    foreign = sorted(
        name for name, size in present.items() if written.get(name) != size
    )
    if foreign:
        raise DatasetError(
            f"--out {folder} holds {counted(len(foreign), 'file')} that synth did "
            "not write, "
            f"{foreign[0]} among them.",
            why="They were added or changed since, and would be lost.",
            fix=_OTHER_FOLDER,
        )
    return marker.settings == dict(settings) and present == written


@contextmanager
def whole_or_nothing(folder: Path, settings: Mapping[str, object]) -> Iterator[Path]:
    """Yield a hidden folder to write into, and move it into place at the end.

    Args:
        folder: The output folder; ``is_complete`` has allowed it to be replaced.
        settings: What decides the content; stored in the marker.

    Yields:
        The folder to write into. It is removed if the block fails.

    Raises:
        DatasetError: The folder cannot be written, or must not be replaced.
    """
    try:
        with replaced_folder(folder, marker=MARKER) as partial:
            yield partial
            marker = {
                "schema_version": SCHEMA_VERSION,
                "settings": dict(settings),
                "files": _files(partial),
            }
            (partial / MARKER).write_text(json.dumps(marker, indent=1), "utf-8")
    except ForeignFolderError as exc:
        raise DatasetError(
            f"--out {folder} is not a folder that synth may replace.",
            why="It is a link, or its content was not written by synth.",
            fix=_OTHER_FOLDER,
        ) from exc
    except OSError as exc:
        raise DatasetError(
            f"--out {folder} cannot be written.",
            why=f"{exc.strerror or exc}: {exc.filename or folder}.",
            fix="Choose a folder that you may write to, with room on its disk.",
        ) from exc
