"""Which pictures a YOLO dataset has, in which split.

``data.yaml`` names for each split a folder, a list of folders, or a text file with one
picture a line; ``obj.data`` of YOLO 1.1 names such text files, and where CVAT left them
out its folders ``obj_train_data`` and ``obj_valid_data`` tell. Without either, folders
called like splits do, else everything is one split.
Source: Ultralytics' dataset format; CVAT manual, "YOLO"; Darknet's ``.data`` files.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from models.errors import DatasetError
from trainer.data.formats.files import PictureFinder, pictures_below, plain_name
from trainer.data.formats.rows import Finding, Level, named, split_name

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
