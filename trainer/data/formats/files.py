"""Which files a dataset has, and where the picture lies that a label file names.

Annotation tools name pictures as they saw them: by a path on another computer, by a
URL, in Windows' spelling, in another Unicode form. What the name ends with is kept.
"""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from trainer.data.formats.rows import Finding, Level

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
FOREIGN_FOLDERS = frozenset({"__MACOSX"})


def is_picture(path: Path) -> bool:
    """Return whether a file is called like a picture, and not hidden.

    Args:
        path: Of a file. ``._a.jpg`` is no picture: macOS keeps its own data there.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def files_below(folder: Path) -> list[Path]:
    """Return every file of a folder, sorted; hidden folders are left out.

    A link that leads back above the folder is not followed: from ``good/`` it would
    make good parts of all photos. Pipes and devices are no files: reading never ends.

    Args:
        folder: Where to begin. Links to folders are followed, each folder once.
    """
    found: list[Path] = []
    seen = {_identity(above) for above in folder.resolve().parents}
    for place, folders, names in os.walk(folder, followlinks=True):
        identity = _identity(Path(place))
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in FOREIGN_FOLDERS
        ]
        paths = [Path(place, name) for name in names]
        found += [path for path in paths if path.is_file() or not path.exists()]
    return sorted(found)


def _identity(path: Path) -> tuple[int, int]:
    """Return what a folder is known by, whatever path leads to it."""
    status = path.stat()
    return status.st_dev, status.st_ino


def pictures_below(folder: Path) -> list[Path]:
    """Return every picture of a folder, sorted.

    Args:
        folder: Where to begin.
    """
    return [path for path in files_below(folder) if is_picture(path)]


class PictureFinder:
    """Finds the picture that a label file means.

    Args:
        files: Every file of the dataset.
    """

    def __init__(self, files: Iterable[Path]) -> None:
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
            folders: Where it is looked for first, in this order.
        """
        for folder in folders:
            if (near := Path(folder, plain_name(name))).is_file():
                return near
        words = _words(name)
        return self._best(words, self._by_name.get(words[-1], [])) if words else None

    def find_stem(self, label_file: Path) -> Path | None:
        """Return the picture that is called like a label file but for its suffix.

        Args:
            label_file: In the picture's folder, or in another one.
        """
        candidates = self._by_stem.get(_form(label_file.stem), [])
        beside = [path for path in candidates if path.parent == label_file.parent]
        return self._best(_words(str(label_file)), beside or candidates)

    def _best(self, words: list[str], candidates: list[Path]) -> Path | None:
        """Return the candidate in the folders that fit best."""
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        fits = sorted(
            ((_fit(words, path), path) for path in candidates),
            key=lambda fit: fit[0],
            reverse=True,
        )
        if fits[0][0] > fits[1][0]:
            return fits[0][1]
        why = f"{len(candidates)} pictures could be meant by {'/'.join(words)!r}."
        fix = "Give the pictures different names, in the annotation tool too."
        self.findings.append(Finding(Level.ERROR, fits[0][1], "", why, fix))
        return None


def plain_name(name: str) -> str:
    """Return a name that a file can have, whatever a label file holds.

    Args:
        name: From a label file.
    """
    cleaned = name.replace("\0", "\\0")
    try:
        os.fsencode(cleaned)
    except UnicodeEncodeError:
        cleaned = cleaned.encode("utf-8", "backslashreplace").decode("utf-8")
    is_long = any(len(os.fsencode(word)) > 255 for word in cleaned.split("/"))
    return f"{cleaned[:60]}…" if is_long or len(cleaned) > 2000 else cleaned


def _form(name: str) -> str:
    """Return one spelling of a name: macOS writes letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def _words(name: str) -> list[str]:
    """Return the folders and the name, of Windows too."""
    return [_form(word) for word in PurePosixPath(name.replace("\\", "/")).parts]


def _fit(words: list[str], path: Path) -> int:
    """Return how many folders before the name are the same, from the name upwards."""
    pairs = zip(reversed(words[:-1]), reversed(path.parts[:-1]), strict=False)
    count = 0
    for word, part in pairs:
        if word != _form(part):
            break
        count += 1
    return count
