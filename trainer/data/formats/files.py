"""Lists the files of a dataset, and finds the file that a label file names.

Annotation tools name pictures as they saw them: by a path on another computer, by a
URL, in Windows' spelling, in another Unicode form. The end of the name is what counts.
"""

import os
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath

from models.errors import DatasetError
from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.formats.rows import PhotoRows
from trainer.data.paths import UnusableNameError, file_below, path_below, shown

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
FOREIGN_FOLDERS = frozenset({"__MACOSX"})
DEEPEST_FOLDER = 64  # os.walk recurses once per level, exports need five


def is_picture(path: Path) -> bool:
    """Return whether a file is named like a picture, and not hidden.

    macOS writes metadata beside each ``a.jpg``, as ``._a.jpg``.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_pipe_or_device(path: Path) -> bool:
    """Return whether a path leads to a file that reading may never come to an end."""
    try:
        mode = path.stat().st_mode
    except OSError:  # reading it reports why
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def files_below(folder: Path) -> list[Path]:
    """Return every file of a folder, sorted; hidden folders are left out.

    Links to folders are followed, each folder once. A link that leads back above the
    folder is not followed: from ``good/`` it would make good parts of all photos.
    Pipes and devices are left out.

    Raises:
        DatasetError: Folders lie in each other deeper than any export has them.
    """
    found: list[Path] = []
    # Not Path.resolve: it raises RuntimeError where a link leads to itself.
    seen = {_identity(above) for above in Path(os.path.realpath(folder)).parents}
    for place, folders, names in os.walk(folder, followlinks=True):
        identity = _identity(Path(place))
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        if len(Path(place).parts) - len(folder.parts) > DEEPEST_FOLDER:
            raise DatasetError(
                f"{folder}: more than {DEEPEST_FOLDER} folders in each other.",
                why="Exports of annotation tools need five.",
                fix="Copy photos and labels into a folder of their own.",
            )
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in FOREIGN_FOLDERS
        ]
        paths = [Path(place, name) for name in names]
        found += [path for path in paths if not is_pipe_or_device(path)]
    return sorted(found)


def _identity(path: Path) -> tuple[int, int]:
    """Return device and inode, which are the same on every path to a folder."""
    status = path.stat()
    return status.st_dev, status.st_ino


def pictures_below(folder: Path) -> list[Path]:
    """Return every picture of a folder, sorted."""
    return [path for path in files_below(folder) if is_picture(path)]


class PictureFinder:
    """Finds the picture that a label file means.

    Args:
        root: Folder of the dataset; no picture outside it is found.
        files: Every file below it.

    Attributes:
        findings: One for each name that fits several pictures alike.
    """

    def __init__(self, root: Path, files: Iterable[Path]) -> None:
        self.root = root
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        self.findings: list[Finding] = []
        for path in files:
            if is_picture(path):
                self._by_name.setdefault(_form(path.name), []).append(path)
                self._by_stem.setdefault(_form(path.stem), []).append(path)

    def find(self, name: str, *folders: Path) -> Path | None:
        """Return the picture of a name, or None.

        Where several have the name, the one whose folders fit best is meant; where
        none fits better than another, none is taken and a finding is kept.

        Args:
            name: As the label file has it, folders and all.
            folders: Searched first, in this order.
        """
        for folder in folders:
            try:
                near = path_below(self.root, folder, name)
            except UnusableNameError:
                continue
            if near.is_file():
                return near
        parts = _parts(name)
        return self._best(parts, self._by_name.get(parts[-1], [])) if parts else None

    def find_stem(self, label_file: PurePath) -> Path | None:
        """Return the picture that has the name of a label file but for its suffix.

        Args:
            label_file: In the picture's folder, or in another one.
        """
        candidates = self._by_stem.get(_form(label_file.stem), [])
        beside = [path for path in candidates if path.parent == label_file.parent]
        return self._best(_parts(str(label_file)), beside or candidates)

    def photo(
        self, picture: Path | None, name: str, source: Path, place: str
    ) -> PhotoRows:
        """Return a photo without boxes yet, its fault where it has no picture.

        Args:
            picture: What was found; None = the name is taken for a path.
            name: As the label file has it.
            place: Where it has the name.
        """
        if picture:
            return PhotoRows(picture, source, place=place)
        try:
            path = file_below(self.root, source.parent, name)
        except UnusableNameError as exc:
            fault = f"the picture's name {shown(name)} cannot be used: {exc}."
            return PhotoRows(source, source, place=place, fault=fault)
        return PhotoRows(path, source, place=place)

    def _best(self, parts: Sequence[str], candidates: list[Path]) -> Path | None:
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        fits = sorted(
            ((_fit(parts, path), path) for path in candidates),
            key=lambda fit: fit[0],
            reverse=True,
        )
        if fits[0][0] > fits[1][0]:
            return fits[0][1]
        why = f"{len(candidates)} pictures could be meant by {'/'.join(parts)!r}."
        fix = "Give the pictures different names, in the annotation tool too."
        self.findings.append(Finding(Level.ERROR, fits[0][1], "", why, fix))
        return None


def unusable_picture(source: Path, place: str, why: str) -> Finding:
    """Return the finding of a picture whose name cannot be used."""
    fix = "Correct the name, or export the labels again."
    return Finding(Level.ERROR, source, place, why, fix, FindingKind.UNREADABLE_PHOTO)


def _form(name: str) -> str:
    """Return one spelling of a name: macOS writes letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def _parts(name: str) -> list[str]:
    """Return the folders and the name; Windows separates them by backslashes."""
    return [_form(part) for part in PurePosixPath(name.replace("\\", "/")).parts]


def _fit(parts: Sequence[str], path: Path) -> int:
    """Return how many folders before the name are the same, from the name upwards."""
    pairs = zip(reversed(parts[:-1]), reversed(path.parts[:-1]), strict=False)
    count = 0
    for part, own in pairs:
        if part != _form(own):
            break
        count += 1
    return count
