"""YOLO: one text file a photo, lines of ``class cx cy w h`` as shares of the photo.

With ``data.yaml`` (names and split folders) or as bare folders ``images/`` and
``labels/`` with ``classes.txt``. A photo without a text file, or with an empty one, is
a good part. Source: docs of Ultralytics' dataset format; YOLO 1.1 as CVAT writes it.
"""

from pathlib import Path
from typing import Any

import yaml

from models.errors import DatasetError
from trainer.data.formats.rows import Annotations, Finding, Level, PhotoRows, Row

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
SPLITS = ("train", "val", "valid", "test")
SHOWN = 3  # label files without a picture that are named


def is_yolo(root: Path) -> bool:
    """Return whether a folder looks like a YOLO dataset.

    Args:
        root: Folder of the dataset.
    """
    return (root / "data.yaml").is_file() or (root / "labels").is_dir()


def read(root: Path) -> Annotations:
    """Return what a YOLO dataset says.

    Args:
        root: Folder of the dataset.

    Raises:
        DatasetError: ``data.yaml`` is damaged, or class names are missing.
    """
    settings = _settings(root)
    annotations = Annotations(labels=_names(root, settings))
    folders = _split_folders(root, settings)
    for split, folder in folders.items():
        annotations.splits[split] = [
            _photo(annotations, picture)
            for picture in sorted(folder.rglob("*"))
            if picture.suffix.lower() in SUFFIXES
        ]
    annotations.findings += _without_picture(annotations, set(folders.values()))
    return annotations


def _without_picture(annotations: Annotations, folders: set[Path]) -> list[Finding]:
    """Say so when boxes were drawn on pictures that are not there."""
    read = {photo.source for photos in annotations.splits.values() for photo in photos}
    labelled = {label_file(folder / "any").parent for folder in folders}
    texts = {path for folder in labelled for path in folder.rglob("*.txt")}
    lost = [path for path in sorted(texts - read) if _holds_boxes(path)]
    if not lost:
        return []
    names = ", ".join(path.name for path in lost[:SHOWN])
    names += ", …" if len(lost) > SHOWN else ""
    why = f"{len(lost)} label files belong to no picture that can be read."
    fix = f"Add the pictures ({', '.join(sorted(SUFFIXES))}), or delete the files."
    return [Finding(Level.WARNING, lost[0].parent, names, why, fix)]


def _holds_boxes(path: Path) -> bool:
    """Return whether a text file begins like a label file."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        numbers = [float(word) for word in next(filter(str.strip, lines), "").split()]
    except (OSError, ValueError):
        return False
    return len(numbers) == 5


def _settings(root: Path) -> dict[str, Any]:
    """Return the content of ``data.yaml``; nothing where there is none."""
    path = root / "data.yaml"
    if not path.is_file():
        return {}
    try:
        settings = yaml.safe_load(_text(path))
    except yaml.YAMLError as exc:
        raise DatasetError(
            f"{path}: not YAML.", why=str(exc), fix="Export the dataset again."
        ) from exc
    if not isinstance(settings, dict):
        raise DatasetError(
            f"{path}: not a YOLO data.yaml.",
            why="Expected names and split folders.",
            fix="Export the dataset again.",
        )
    return settings


def _text(path: Path) -> str:
    """Return a text file, without the mark that Windows writes before it.

    Raises:
        DatasetError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DatasetError(
            f"{path}: not UTF-8.", why=f"{exc}.", fix="Save the file as UTF-8."
        ) from exc


def _names(root: Path, settings: dict[str, Any]) -> list[str]:
    """Return the class names, index is the class."""
    names = settings.get("names")
    if isinstance(names, dict):
        return _numbered(root, names)
    if isinstance(names, list):
        return [str(name) for name in names]
    for name in ("classes.txt", "obj.names", "labels/classes.txt"):
        path = root / name
        if path.is_file():
            lines = _text(path).splitlines()
            return [line.strip() for line in lines if line.strip()]
    raise DatasetError(
        f"{root}: the class names are missing.",
        why="Found neither names in data.yaml nor classes.txt.",
        fix="Write classes.txt with one class name a line.",
    )


def _numbered(root: Path, names: dict[Any, Any]) -> list[str]:
    """Return class names by their number.

    Raises:
        DatasetError: A number is missing: label files would mean other classes.
    """
    by_number = {str(number): str(name) for number, name in names.items()}
    wanted = [str(number) for number in range(len(names))]
    if set(by_number) != set(wanted):
        raise DatasetError(
            f"{root / 'data.yaml'}: classes are numbered {', '.join(by_number)}.",
            why=f"Expected every number from 0 to {len(names) - 1}, as label files do.",
            fix="Number the names from 0 without a gap.",
        )
    return [by_number[number] for number in wanted]


def _split_folders(root: Path, settings: dict[str, Any]) -> dict[str, Path]:
    """Return split name to folder of pictures."""
    base = root / str(settings.get("path", "")) if settings.get("path") else root
    base = base if base.is_dir() else root
    named = {
        "val" if split == "valid" else split: _resolve(base, root, str(settings[split]))
        for split in SPLITS
        if isinstance(settings.get(split), str)
    }
    if named:
        return named
    inside = {
        "val" if split == "valid" else split: folder
        for split in SPLITS
        for folder in (root / "images" / split, root / split / "images")
        if folder.is_dir()
    }
    return inside or {"all": root / "images" if (root / "images").is_dir() else root}


def _resolve(base: Path, root: Path, name: str) -> Path:
    """Return a split's folder; exports write ``../train/images`` for ``train/images``.

    Raises:
        DatasetError: The folder is not there.
    """
    for folder in (base / name, root / name.removeprefix("../")):
        if folder.is_dir():
            return folder
    raise DatasetError(
        f"{root / 'data.yaml'}: folder {name} is not there.",
        why="A split names a folder that does not exist.",
        fix="Mend the path in data.yaml.",
    )


def label_file(picture: Path) -> Path:
    """Return where the labels of a picture lie.

    Args:
        picture: The photo, in a folder ``images`` or beside its text file.
    """
    parts = list(picture.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            moved = Path(*parts).with_suffix(".txt")
            return moved if moved.parent.is_dir() else picture.with_suffix(".txt")
    return picture.with_suffix(".txt")


def _photo(annotations: Annotations, picture: Path) -> PhotoRows:
    """Return one photo with the boxes of its text file."""
    path = label_file(picture)
    photo = PhotoRows(picture, path)
    if not path.is_file():
        return photo
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as exc:
        why = f"cannot be read: {exc.strerror}."
        fix = "Let this user read it, or copy it anew."
        annotations.findings.append(
            Finding(Level.ERROR, path, "", why, fix, photo=picture)
        )
        return photo
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        row = _row(line, number, annotations.labels)
        if isinstance(row, Row):
            photo.rows.append(row)
        else:
            place, fix = f"line {number}", "Mend the line."
            annotations.findings.append(
                Finding(Level.ERROR, path, place, row, fix, photo=picture)
            )
    return photo


def _row(line: str, number: int, labels: list[str]) -> Row | str:
    """Return the box on a line, or what is wrong with it."""
    words = line.split()
    try:
        label, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        return f"{line!r} is not 'class cx cy w h'."
    if len(values) != 4:
        return f"{len(values)} numbers after the class, expected 4."
    if not 0 <= label < len(labels):
        return f"class {label} is unknown, there are {len(labels)}."
    cx, cy, width, height = values
    box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    return Row(labels[label], box, normalized=True, place=f"line {number}")
