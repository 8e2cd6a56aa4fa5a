"""YOLO: one text file a photo, lines of ``class cx cy w h`` as shares of the photo.

With ``data.yaml`` (names and splits), as CVAT's YOLO 1.1 (``obj.data``, ``obj.names``),
or as bare folders ``images/`` and ``labels/`` with ``classes.txt``. A photo without a
text file, or with an empty one, is a good part. Lines of six and more numbers are
outlines and become their bounding boxes, which is said.
Source: docs of Ultralytics' dataset format; YOLO 1.1 as CVAT writes it.

Which pictures a YOLO dataset has, in which split.

``data.yaml`` names for each split a folder, a list of folders, or a text file with one
picture a line; ``obj.data`` of YOLO 1.1 names such text files, and where CVAT left them
out its folders ``obj_train_data`` and ``obj_valid_data`` tell. Without either, folders
called like splits do, else everything is one split.
Source: Ultralytics' dataset format; CVAT manual, "YOLO"; Darknet's ``.data`` files.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from models.errors import DatasetError
from trainer.data.formats.files import (
    SUFFIXES,
    PictureFinder,
    files_below,
    is_picture,
    pictures_below,
    plain_name,
)
from trainer.data.formats.rows import (
    Annotations,
    Finding,
    Level,
    PhotoRows,
    Row,
    named,
    split_name,
)
from trainer.data.formats.shapes import Corners4, Outlines, bounding_box

SETTINGS = ("data.yaml", "data.yml", "dataset.yaml")
SHOWN_CHARACTERS = 200  # of a faulty line
NAMES = ("classes.txt", "obj.names", "labels/classes.txt")


def sign_of(root: Path, *, is_only: bool) -> Path | None:
    """Return what shows that a folder is a YOLO dataset; None where nothing does.

    Args:
        root: Folder of the dataset.
        is_only: No other format was found: an empty ``labels/`` is sign enough.
    """
    for name in (*SETTINGS, "obj.data"):
        if (root / name).is_file():
            return root / name
    for place in ("", *SPLITS):
        folder = root / place / "labels"
        if folder.is_dir() and (is_only or any(folder.rglob("*.txt"))):
            return folder
    if any((root / name).is_file() for name in NAMES):
        files = sorted(root.iterdir())
        pictures = {path.stem for path in files if is_picture(path)}
        beside = (p for p in files if p.suffix == ".txt" and p.stem in pictures)
        return next(beside, None)
    return None


def read(root: Path, finder: PictureFinder) -> Annotations:
    """Return what a YOLO dataset says.

    Args:
        root: Folder of the dataset.
        finder: Of its pictures.

    Raises:
        DatasetError: ``data.yaml`` is damaged, or class names are missing.
    """
    settings = _settings(root)
    annotations = Annotations(labels=_names(root, settings))
    splits, findings = read_splits(root, settings, finder)
    annotations.findings += findings
    for split, pictures in splits.items():
        photos = [_photo(annotations, picture) for picture in pictures]
        annotations.splits[split] = photos
    annotations.findings += _without_picture(annotations)
    return annotations


def _without_picture(annotations: Annotations) -> list[Finding]:
    """Say so when boxes were drawn on pictures that are not there."""
    read = {photo.source for photos in annotations.splits.values() for photo in photos}
    folders = {path.parent for path in read}
    texts = {
        path
        for folder in folders
        if folder.is_dir()
        for path in files_below(folder)
        if path.suffix == ".txt"
    }
    lost = [path for path in sorted(texts - read) if _holds_boxes(path)]
    if not lost:
        return []
    why = f"{len(lost)} label files belong to no picture that can be read."
    fix = f"Add the pictures ({', '.join(sorted(SUFFIXES))}), or delete the files."
    place = named(path.name for path in lost)
    return [Finding(Level.WARNING, lost[0].parent, place, why, fix)]


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
    path = next((root / n for n in SETTINGS if (root / n).is_file()), None)
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
    listed = list(names.values()) if isinstance(names, dict) else names
    if isinstance(listed, list) and any(isinstance(n, list | dict) for n in listed):
        raise DatasetError(
            f"{root / 'data.yaml'}: a class name is a list.",
            why="Expected one text for each class.",
            fix="Mend names in data.yaml.",
        )
    if isinstance(names, dict):
        return _numbered(root, names)
    if isinstance(names, list):
        return [str(name) for name in names]
    for name in NAMES:
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
    outlines = Outlines(path)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        row = _row(line, number, annotations.labels, outlines)
        if isinstance(row, Row):
            photo.rows.append(row)
        else:
            place, fix = f"line {number}", "Mend the line."
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
        return f"{line[:SHOWN_CHARACTERS]!r} is not 'class cx cy w h'."
    is_outline = len(values) >= 6 and len(values) % 2 == 0
    if len(values) != 4 and not is_outline:
        return f"{len(values)} numbers after the class, expected 4."
    if not 0 <= label < len(labels):
        return f"class {words[0][:20]} is unknown, there are {len(labels)}."
    if is_outline:
        outlines.add("polygon", place)
        box = bounding_box(zip(values[::2], values[1::2], strict=True))
    else:
        box = _corners(values)
    return Row(labels[label], box, normalized=True, place=place)


def _corners(values: list[float]) -> Corners4:
    """Return corners of a centre and sides."""
    cx, cy, width, height = values
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


SPLITS = ("train", "val", "valid", "test")
DARKNET_FOLDER = "data/"  # what CVAT puts before every path


def read_splits(
    root: Path, settings: dict[str, Any], finder: PictureFinder
) -> tuple[dict[str, list[Path]], list[Finding]]:
    """Return split name to pictures, and what was found on the way.

    Args:
        root: Folder of the dataset.
        settings: Content of ``data.yaml``; empty where there is none.
        finder: Of the dataset's pictures.

    Raises:
        DatasetError: ``data.yaml`` names a folder that is not there.
    """
    if (root / "obj.data").is_file():
        return _darknet(root, finder)
    base = root / str(settings.get("path", ""))
    base = base if base.is_dir() else root
    splits: dict[str, list[Path]] = {}
    for split in SPLITS:
        value = settings.get(split)
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str):
                pictures = _named_pictures(base, root, name, finder)
                splits.setdefault(split_name(split), []).extend(pictures)
    if splits:
        return splits, []
    for split in SPLITS:
        for folder in (root / "images" / split, root / split / "images"):
            if folder.is_dir():
                splits.setdefault(split_name(split), []).extend(pictures_below(folder))
    everything = root / "images" if (root / "images").is_dir() else root
    return splits or {"all": pictures_below(everything)}, []


def _named_pictures(
    base: Path, root: Path, name: str, finder: PictureFinder
) -> list[Path]:
    """Return the pictures of a split; exports write ``../train/images`` for ours.

    Raises:
        DatasetError: The folder or the list is not there.
    """
    words = PurePosixPath(name.replace("\\", "/")).parts
    ends = [root.joinpath(*words[-count:]) for count in (2, 1) if words]
    for place in (base / name, root / name.removeprefix("../"), *ends):
        if place.is_dir():
            return pictures_below(place)
        if place.suffix == ".txt" and place.is_file():
            return list(_listed(place, root, finder))
    raise DatasetError(
        f"{root / 'data.yaml'}: folder {plain_name(name)} is not there.",
        why="A split names a folder that does not exist.",
        fix="Mend the path in data.yaml.",
    )


def _listed(path: Path, root: Path, finder: PictureFinder) -> Iterator[Path]:
    """Return the pictures of a list, those that are not there included."""
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        if name := line.strip():
            inside = name.removeprefix("./").removeprefix(DARKNET_FOLDER)
            found = finder.find(inside, root, path.parent)
            yield found or root / plain_name(inside)


def _darknet(
    root: Path, finder: PictureFinder
) -> tuple[dict[str, list[Path]], list[Finding]]:
    """Return the splits of a YOLO 1.1 dataset."""
    splits: dict[str, list[Path]] = {}
    findings = []
    for split, name in _pairs((root / "obj.data").read_text("utf-8-sig", "replace")):
        if split.lower() not in SPLITS:
            continue
        listing = root / name.removeprefix(DARKNET_FOLDER)
        inside = pictures_below(root / f"obj_{listing.stem}_data")
        if not listing.is_file():
            splits.setdefault(split_name(split), []).extend(inside)
            continue
        pictures = list(_listed(listing, root, finder))
        splits.setdefault(split_name(split), []).extend(pictures)
        if unlisted := sorted(set(inside) - set(pictures)):
            why = f"{len(unlisted)} pictures are not in the list: they are not used."
            place = named(path.name for path in unlisted)
            fix = "Add them to the list, or remove them."
            findings.append(Finding(Level.WARNING, listing, place, why, fix))
    return splits or {"all": pictures_below(root)}, findings


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    """Return the settings ``name = value`` of a Darknet file."""
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign and name.strip() and value.strip():
            yield name.strip(), value.strip()
