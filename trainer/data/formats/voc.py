"""Pascal VOC: one XML a photo, boxes as corners in pixels.

``Annotations/*.xml`` with ``JPEGImages/`` and the splits in ``ImageSets/Main/``; or XML
beside the pictures, in folders ``train``, ``valid`` and ``test`` or in one. A picture
without XML counts as a good part, with a finding. Corners are used as they are:
LabelImg, CVAT, Label Studio and Roboflow count pixels from 0, only the original
challenge from 1, which is a difference of one pixel at most.

The lists in ``ImageSets/Main`` decide about the split, else the folder. Lists of one
class, such as ``scratch_train.txt``, are not splits; ``trainval`` counts where there is
neither ``train`` nor ``val``.

Source: "The PASCAL VOC2012 development kit", annotation format.
"""

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from models.errors import DatasetError
from trainer.data.findings import Corners, Finding, Level, first_names
from trainer.data.formats.files import PictureFinder, is_picture
from trainer.data.formats.rows import Annotations, PhotoRows, Row, split_name
from trainer.data.formats.shapes import (
    Outlines,
    all_numbers,
    centred_box,
    number,
    stated_size,
    turned,
)
from trainer.data.formats.xml_tree import Element, read_xml, root_tag

LABELS_FOLDER = "annotations"  # compared in lower case
LISTS_FOLDER = "Main"
SPLIT_FOLDERS = frozenset({"train", "val", "valid", "validation", "test"})
CORNERS = ("xmin", "ymin", "xmax", "ymax")
TURNED_SIDES = ("cx", "cy", "w", "h")  # roLabelImg


def find_files(files: Sequence[Path]) -> list[Path]:
    """Return the VOC files among all files of a dataset."""
    pictures = {path.with_suffix("") for path in files if is_picture(path)}
    found = []
    for path in files:
        if path.suffix.lower() != ".xml":
            continue
        tag = root_tag(path)
        is_placed = (
            path.parent.name.lower() == LABELS_FOLDER
            or path.with_suffix("") in pictures
        )
        if tag == "annotation" or (tag is None and is_placed):
            found.append(path)
    return found


def read(
    files: Sequence[Path], all_files: Sequence[Path], finder: PictureFinder
) -> Annotations:
    """Return the annotations in VOC files."""
    annotations = Annotations()
    by_file: dict[Path, PhotoRows] = {}
    for path in files:
        photo = _photo(annotations, path, finder)
        if photo:
            by_file[path] = photo
    photos = _each_once(annotations, by_file)
    photos += _unlabelled(annotations, photos, all_files)
    _fill_splits(annotations, photos, all_files, finder.root)
    names = {row.label for photo in photos for row in photo.rows}
    annotations.add_labels(sorted(names))  # VOC defines no order
    return annotations


def _photo(
    annotations: Annotations, path: Path, finder: PictureFinder
) -> PhotoRows | None:
    """Return the photo of one XML with its boxes; None where it cannot be read."""
    try:
        top = read_xml(path)
    except DatasetError as exc:
        picture = finder.find_stem(path)  # without its boxes it is no good part
        annotations.findings.append(
            Finding(Level.ERROR, path, "", exc.why, exc.fix, photo=picture)
        )
        return None
    name = top.text_at("filename") or path.stem
    picture = finder.find_stem(path) or finder.find(name, path.parent)
    photo = finder.photo(picture, name, path, "filename")
    sides = (top.text_at("size", side) for side in ("width", "height"))
    photo.stated_size_px = stated_size(*sides)
    outlines = Outlines(path)
    for count, item in enumerate(top.find_all("object"), 1):
        place = f"object {count}, line {item.line}"
        label, box = item.text_at("name"), _box(item, outlines, place)
        if box and label:
            photo.rows.append(Row(label, box, normalized=False, place=place))
            continue
        why = "an object without four corners." if label else "an object without name."
        fix = "Fix or delete the object."
        annotations.findings.append(
            Finding(Level.ERROR, path, place, why, fix, photo=photo.path)
        )
    annotations.findings += outlines.findings()
    return photo


def _box(item: Element, outlines: Outlines, place: str) -> Corners | None:
    """Return the box of an object: a plain one, or a turned one (roLabelImg)."""
    corners = all_numbers(item.text_at("bndbox", corner) for corner in CORNERS)
    if corners:
        return corners[0], corners[1], corners[2], corners[3]
    sides = all_numbers(item.text_at("robndbox", side) for side in TURNED_SIDES)
    angle = number(item.text_at("robndbox", "angle"))  # radians, clockwise
    if sides is None or angle is None:
        return None
    outlines.add("turned box", place)
    return turned(centred_box(*sides), math.degrees(angle))


def _each_once(
    annotations: Annotations, by_file: dict[Path, PhotoRows]
) -> list[PhotoRows]:
    """Return the photos, without those that a second XML describes again."""
    seen: dict[Path, Path] = {}
    photos = []
    for path, photo in by_file.items():
        first = seen.setdefault(photo.path, path)
        if first == path:
            photos.append(photo)
            continue
        why = f"describes {photo.path.name}, as {first.name} does."
        fix = "Keep one of the two, or give the picture of this one its own name."
        annotations.findings.append(
            Finding(Level.ERROR, path, "filename", why, fix, photo=photo.path)
        )
    return photos


def _unlabelled(
    annotations: Annotations, photos: list[PhotoRows], all_files: Sequence[Path]
) -> list[PhotoRows]:
    """Return the pictures beside labelled ones that no XML describes."""
    folders = {photo.path.parent for photo in photos}
    known = {photo.path for photo in photos}
    others = [
        PhotoRows(path, path.parent)
        for path in all_files
        if is_picture(path) and path.parent in folders and path not in known
    ]
    if others:
        why = f"{len(others)} pictures have no XML: they count as good parts."
        fix = "Label what is on them, or remove those that were not inspected."
        place = first_names(photo.path.name for photo in others)
        annotations.findings.append(
            Finding(Level.WARNING, others[0].path.parent, place, why, fix)
        )
    return others


def _fill_splits(
    annotations: Annotations,
    photos: Sequence[PhotoRows],
    all_files: Sequence[Path],
    root: Path,
) -> None:
    """Put the photos into their splits; those in no list become a finding."""
    lists = _split_lists(all_files)
    if not lists:
        for photo in photos:
            split = annotations.splits.setdefault(_by_folder(photo.path, root), [])
            split.append(photo)
        return
    by_stem: dict[str, list[PhotoRows]] = {}
    for photo in photos:
        by_stem.setdefault(photo.path.stem, []).append(photo)
    listed: set[int] = set()
    for path in lists:
        split = annotations.splits.setdefault(split_name(path.stem), [])
        lost = []
        for line in _lines(path):
            named = _photos_named(line, by_stem)
            new = [photo for photo in named if id(photo) not in listed]
            listed |= {id(photo) for photo in new}
            split += new
            lost += [] if named else [line]
        if lost:
            why = f"{len(lost)} photos of the list are not there."
            fix = "Add them, or export again."
            place = first_names(lost)
            annotations.findings.append(Finding(Level.WARNING, path, place, why, fix))
    if unlisted := [photo for photo in photos if id(photo) not in listed]:
        why = f"{len(unlisted)} photos are in no list of ImageSets/Main: not used."
        fix = "Add them to a list, or remove ImageSets."
        place = first_names(photo.path.name for photo in unlisted)
        annotations.findings.append(
            Finding(Level.WARNING, unlisted[0].path.parent, place, why, fix)
        )


def _by_folder(picture: Path, root: Path) -> str:
    """Return the split of the innermost folder that is named like one."""
    for folder in reversed(picture.parts[len(root.parts) : -1]):
        if folder.lower() in SPLIT_FOLDERS:
            return split_name(folder)
    return "all"


def _split_lists(all_files: Sequence[Path]) -> list[Path]:
    lists = [
        path
        for path in all_files
        if path.parent.name == LISTS_FOLDER and path.suffix.lower() == ".txt"
    ]
    stems = {path.stem for path in lists}
    whole = [
        path
        for path in lists
        if not any(path.stem.endswith(f"_{stem}") for stem in stems)
    ]
    has_parts = {"train", "val"} & {path.stem.lower() for path in whole}
    return [p for p in whole if not (has_parts and p.stem.lower() == "trainval")]


def _lines(path: Path) -> list[str]:
    """Return the names in a list; CVAT puts those with spaces between quotes."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip().strip('"') for line in text.splitlines() if line.strip()]


def _photos_named(line: str, by_stem: dict[str, list[PhotoRows]]) -> list[PhotoRows]:
    """Return the photos of a line: a name, perhaps with folders and a flag behind."""
    for name in (line, *line.rsplit(maxsplit=1)[:1]):
        parts = PurePosixPath(name).parts  # compared only, never opened
        if parts and (found := by_stem.get(parts[-1])):
            fitting = [
                p for p in found if p.path.with_suffix("").parts[-len(parts) :] == parts
            ]
            return fitting or (found if len(found) == 1 else [])
    return []
