"""YOLO: one text file per photo, lines of ``class cx cy w h`` as shares of the photo.

Three layouts are read: with ``data.yaml`` (names and splits), CVAT's YOLO 1.1
(``obj.data``, ``obj.names``), and folders ``images/`` and ``labels/`` with
``classes.txt``. A photo without a text file, or with an empty one, is a good part. A
line of six or more numbers is an outline; its bounding box is used, with a finding.

``data.yaml`` names for each split a folder, a list of folders, or a text file with one
picture per line. ``obj.data`` of YOLO 1.1 names such text files; where CVAT did not
export them, its folders ``obj_train_data`` and ``obj_valid_data`` are the splits.
Without ``data.yaml`` and ``obj.data``, folders that are named like splits are the
splits; without such folders all pictures are one split.

Source: Ultralytics' dataset format; CVAT manual, "YOLO"; Darknet's ``.data`` files.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from models.errors import DatasetError
from trainer.data.findings import Finding, Level, first_names
from trainer.data.formats.files import (
    SUFFIXES,
    PictureFinder,
    files_below,
    is_picture,
    is_pipe_or_device,
    pictures_below,
    unusable_picture,
)
from trainer.data.formats.rows import Annotations, PhotoRows, Row, split_name
from trainer.data.formats.shapes import Outlines, bounding_box, centred_box
from trainer.data.paths import (
    OutsideNameError,
    UnusableNameError,
    file_below,
    path_below,
    shown,
)

SETTINGS_FILES = ("data.yaml", "data.yml", "dataset.yaml")
DARKNET_SETTINGS = "obj.data"
DARKNET_FOLDER = "data/"  # prefix that CVAT writes before every path
IMAGES_FOLDER, LABELS_FOLDER = "images", "labels"
LABEL_SUFFIX = ".txt"
NAMES_FILES = ("classes.txt", "obj.names", f"{LABELS_FOLDER}/classes.txt")
SPLITS = ("train", "val", "valid", "test")

Splits = dict[str, list[Path]]  # name of the split to pictures


def sign_of(root: Path, *, is_only: bool) -> Path | None:
    """Return the path that identifies a folder as a YOLO dataset; None = no YOLO.

    Args:
        is_only: No other format was found: an empty ``labels/`` is sufficient.
    """
    for name in (*SETTINGS_FILES, DARKNET_SETTINGS):
        if (root / name).is_file():
            return root / name
    for place in ("", *SPLITS):
        folder = root / place / LABELS_FOLDER
        if folder.is_dir() and (is_only or any(_texts_below(folder))):
            return folder
    if any((root / name).is_file() for name in NAMES_FILES):
        files = sorted(root.iterdir())
        pictures = {path.stem for path in files if is_picture(path)}
        beside = (p for p in files if p.suffix == LABEL_SUFFIX and p.stem in pictures)
        return next(beside, None)
    return None


def _texts_below(folder: Path) -> Iterator[Path]:
    return (path for path in files_below(folder) if path.suffix == LABEL_SUFFIX)


def read(finder: PictureFinder) -> Annotations:
    """Return the annotations of a YOLO dataset.

    Raises:
        DatasetError: ``data.yaml`` is damaged, or class names are missing.
    """
    settings = _settings(finder.root)
    annotations = Annotations(labels=_labels(finder.root, settings))
    for split, pictures in _splits(settings, finder, annotations.findings).items():
        photos = [_photo(annotations, picture) for picture in pictures]
        annotations.splits[split] = photos
    annotations.findings += _without_picture(annotations)
    return annotations


def _without_picture(annotations: Annotations) -> list[Finding]:
    """Return a finding if label files hold boxes but their pictures are missing."""
    read = {photo.source for photos in annotations.splits.values() for photo in photos}
    folders = {path.parent for path in read}
    texts = {
        path for folder in folders if folder.is_dir() for path in _texts_below(folder)
    }
    lost = [path for path in sorted(texts - read) if _holds_boxes(path)]
    if not lost:
        return []
    why = f"{len(lost)} label files belong to no picture that can be read."
    fix = f"Add the pictures ({', '.join(sorted(SUFFIXES))}), or delete the files."
    place = first_names(path.name for path in lost)
    return [Finding(Level.WARNING, lost[0].parent, place, why, fix)]


def _holds_boxes(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        numbers = [float(word) for word in next(filter(str.strip, lines), "").split()]
    except (OSError, ValueError):
        return False
    return len(numbers) == 5


def _settings(root: Path) -> dict[str, Any]:
    """Return the content of ``data.yaml``; empty where there is none."""
    path = next((root / n for n in SETTINGS_FILES if (root / n).is_file()), None)
    if path is None:
        return {}
    fix = "Export the dataset again."
    try:
        settings = yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise DatasetError(f"{path}: not YAML.", why=f"{exc}", fix=fix) from exc
    if not isinstance(settings, dict):
        why = "Expected names and split folders."
        raise DatasetError(f"{path}: not a YOLO data.yaml.", why=why, fix=fix)
    if "kpt_shape" in settings:
        why = "Its lines hold key points behind the box."
        fix = "Export the dataset for detection."
        raise DatasetError(f"{path}: labels of poses.", why=why, fix=fix)
    return settings


def _text(path: Path) -> str:
    """Return a text file, without the byte order mark that Windows writes first.

    Raises:
        DatasetError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DatasetError(
            f"{path}: not UTF-8.", why=f"{exc}.", fix="Save the file as UTF-8."
        ) from exc


def _labels(root: Path, settings: dict[str, Any]) -> list[str]:
    """Return the class names, index is the class."""
    names = settings.get("names")
    listed = list(names.values()) if isinstance(names, dict) else names
    if isinstance(listed, list) and any(isinstance(n, list | dict) for n in listed):
        raise DatasetError(
            f"{root / 'data.yaml'}: a class name is a list.",
            why="Expected one text for each class.",
            fix="Correct names in data.yaml.",
        )
    if isinstance(names, dict):
        return _numbered(root, names)
    if isinstance(names, list):
        return [str(name) for name in names]
    for name in NAMES_FILES:
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


def _splits(
    settings: dict[str, Any], finder: PictureFinder, findings: list[Finding]
) -> Splits:
    """Return the pictures of each split; what is wrong is added to the findings.

    Raises:
        DatasetError: ``data.yaml`` or ``obj.data`` names a path that cannot exist.
    """
    root = finder.root
    if (root / DARKNET_SETTINGS).is_file():
        return _darknet_splits(finder, findings)
    splits: Splits = {}
    for split in SPLITS:
        value = settings.get(split)
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str):
                pictures = _pictures_named(split, name, settings, finder, findings)
                splits.setdefault(split_name(split), []).extend(pictures)
    if splits:
        return splits
    for split in SPLITS:
        for folder in (root / IMAGES_FOLDER / split, root / split / IMAGES_FOLDER):
            if folder.is_dir():
                splits.setdefault(split_name(split), []).extend(pictures_below(folder))
    images = root / IMAGES_FOLDER
    return splits or {"all": pictures_below(images if images.is_dir() else root)}


def _pictures_named(
    split: str,
    name: str,
    settings: dict[str, Any],
    finder: PictureFinder,
    findings: list[Finding],
) -> list[Path]:
    """Return the pictures of the folder or list that ``data.yaml`` names for a split.

    Raises:
        DatasetError: Neither exists.
    """
    root = finder.root
    try:
        base = _base_folder(root, str(settings.get("path", "")))
        for place in _places(root, base, name):
            if place.is_dir():
                return pictures_below(place)
            if place.suffix == LABEL_SUFFIX and place.is_file():
                return list(_listed(place, finder, findings))
    except UnusableNameError as exc:
        raise DatasetError(
            f"{root / 'data.yaml'}: {split} or path is not the name of a folder.",
            why=f"Got {shown(name)}; {exc}.",
            fix="Correct the path in data.yaml.",
        ) from exc
    raise DatasetError(
        f"{root / 'data.yaml'}: folder {shown(name)} is not there.",
        why=f"{split} names a folder that does not exist in the dataset.",
        fix="Correct the path in data.yaml.",
    )


def _base_folder(root: Path, path: str) -> Path:
    """Return the folder that ``path`` names, or the dataset's if it is outside it.

    Raises:
        UnusableNameError: No folder can have the name.
    """
    try:
        base = path_below(root, root, path)
    except OutsideNameError:  # a path on the computer that made the export
        return root
    return base if base.is_dir() else root


def _places(root: Path, base: Path, name: str) -> Iterator[Path]:
    """Yield possible places of a folder or list: as named, else by the end of its path.

    Roboflow writes ``../train/images`` for ``train/images``; paths from other computers
    end with folders of the dataset.

    Raises:
        UnusableNameError: No file can have the name.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    ends = ["/".join(parts[-count:]) for count in (2, 1) if parts]
    for folder, end in [
        (base, name),
        (root, name.removeprefix("../")),
        *((root, end) for end in ends),
    ]:
        try:
            yield path_below(root, folder, end)
        except OutsideNameError:
            continue


def _listed(
    path: Path, finder: PictureFinder, findings: list[Finding]
) -> Iterator[Path]:
    """Yield the pictures of a list, including missing ones.

    A line that cannot be the name of a picture becomes a finding.
    """
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = line.strip().removeprefix("./").removeprefix(DARKNET_FOLDER)
        found = finder.find(name, finder.root, path.parent)
        try:
            yield found or file_below(finder.root, finder.root, name)
        except UnusableNameError as exc:
            why = f"{shown(name)} cannot be a picture of the dataset: {exc}."
            findings.append(unusable_picture(path, f"line {number}", why))


def _darknet_splits(finder: PictureFinder, findings: list[Finding]) -> Splits:
    root, splits = finder.root, Splits()
    for line, split, name in _darknet_settings(root / DARKNET_SETTINGS):
        if split.lower() not in SPLITS:
            continue
        try:
            places = list(_places(root, root, name.removeprefix(DARKNET_FOLDER)))
            stem = PurePosixPath(name).stem
            folder = path_below(root, root, f"obj_{stem}_data")
        except UnusableNameError as exc:
            raise DatasetError(
                f"{root / DARKNET_SETTINGS}: line {line} does not name a list.",
                why=f"Got {shown(name)}; {exc}.",
                fix="Correct the line, or export the dataset again.",
            ) from exc
        inside = pictures_below(folder)
        listing = next((place for place in places if place.is_file()), None)
        if listing is None:
            splits.setdefault(split_name(split), []).extend(inside)
            if not inside:
                why = f"neither the list {shown(name)} nor {folder.name}/ is there."
                fix = "Export the dataset again, or remove the line."
                place = f"line {line}"
                findings.append(
                    Finding(Level.WARNING, root / DARKNET_SETTINGS, place, why, fix)
                )
            continue
        pictures = list(_listed(listing, finder, findings))
        splits.setdefault(split_name(split), []).extend(pictures)
        if unlisted := sorted(set(inside) - set(pictures)):
            why = f"{len(unlisted)} pictures are not in the list: they are not used."
            place = first_names(path.name for path in unlisted)
            fix = "Add them to the list, or remove them."
            findings.append(Finding(Level.WARNING, listing, place, why, fix))
    return splits or {"all": pictures_below(root)}


def _darknet_settings(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, name and value of each ``name = value`` in a Darknet file."""
    lines = path.read_text("utf-8-sig", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        name, sign, value = line.partition("=")
        if sign and name.strip() and value.strip():
            yield number, name.strip(), value.strip()


def label_file(picture: Path) -> Path:
    """Return the text file with the labels of a picture.

    Args:
        picture: In a folder ``images``, its labels in ``labels`` beside that, or in
            the same folder as its text file.
    """
    parts = list(picture.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == IMAGES_FOLDER:
            parts[position] = LABELS_FOLDER
            moved = Path(*parts).with_suffix(LABEL_SUFFIX)
            return moved if moved.parent.is_dir() else picture.with_suffix(LABEL_SUFFIX)
    return picture.with_suffix(LABEL_SUFFIX)


def _photo(annotations: Annotations, picture: Path) -> PhotoRows:
    path = label_file(picture)
    photo = PhotoRows(picture, path)
    try:
        text = "" if is_pipe_or_device(path) else path.read_text("utf-8-sig", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return photo  # a good part
    except OSError as exc:
        why = f"cannot be read: {exc.strerror}."
        fix = "Give this user the right to read it, or copy it again."
        annotations.findings.append(
            Finding(Level.ERROR, path, "", why, fix, photo=picture)
        )
        return photo
    outlines = Outlines(path)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        row = _row(line, number, annotations.labels, outlines)
        if isinstance(row, Row):
            photo.rows.append(row)
        else:
            place, fix = f"line {number}", "Correct the line."
            annotations.findings.append(
                Finding(Level.ERROR, path, place, row, fix, photo=picture)
            )
    annotations.findings += outlines.findings()
    return photo


def _row(line: str, number: int, labels: list[str], outlines: Outlines) -> Row | str:
    """Return the box on a line, or what is wrong with it."""
    words, place = line.split(), f"line {number}"
    try:
        label, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        return f"{shown(line)} is not 'class cx cy w h'."
    is_outline = len(values) >= 6 and len(values) % 2 == 0  # three points or more
    if len(values) != 4 and not is_outline:
        return f"{len(values)} numbers after the class, expected 4."
    if not 0 <= label < len(labels):
        return f"class {words[0][:20]} is unknown, there are {len(labels)}."
    if is_outline:
        outlines.add("polygon", place)
        box = bounding_box(zip(values[::2], values[1::2], strict=True))
    else:
        box = centred_box(*values)
    return Row(labels[label], box, normalized=True, place=place)
