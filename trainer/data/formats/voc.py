"""Pascal VOC: one XML a photo, boxes as corners in pixels.

``Annotations/*.xml`` with ``JPEGImages/`` and the splits in ``ImageSets/Main/``; or XML
beside the pictures, in folders ``train``, ``valid`` and ``test`` or in one. A picture
without XML is taken for a good part, which is said. Corners are used as they stand:
LabelImg, CVAT, Label Studio and Roboflow count pixels from 0, only the original
challenge from 1, which is a difference of one pixel at most.
Source: "The PASCAL VOC2012 development kit", annotation format.

Which photo of a Pascal VOC dataset belongs to which split.

The lists in ``ImageSets/Main`` decide, else the folder. Lists of one class, such as
``scratch_train.txt``, say nothing about splits; ``trainval`` counts where there is
neither ``train`` nor ``val``.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from models.errors import DatasetError
from trainer.data.formats.files import PictureFinder, is_picture, plain_name
from trainer.data.formats.rows import (
    Annotations,
    Finding,
    Level,
    PhotoRows,
    Row,
    named,
    split_name,
)
from trainer.data.formats.shapes import Corners4, Outlines, number, turned
from trainer.data.formats.xml_tree import Element, first_tag, read_xml

LABEL_FOLDER = "annotations"  # in lower case
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find_files(files: Sequence[Path]) -> list[Path]:
    """Return the VOC files among those of a dataset.

    Args:
        files: All of it.
    """
    pictures = {path.with_suffix("") for path in files if is_picture(path)}
    found = []
    for path in files:
        if path.suffix.lower() != ".xml":
            continue
        tag = first_tag(path)
        is_placed = (
            path.parent.name.lower() == LABEL_FOLDER or path.with_suffix("") in pictures
        )
        if tag == "annotation" or (tag is None and is_placed):
            found.append(path)
    return found


def read(
    files: Sequence[Path], everything: Sequence[Path], finder: PictureFinder, root: Path
) -> Annotations:
    """Return what VOC files say.

    Args:
        files: From ``find_files``.
        everything: Every file of the dataset.
        finder: Of its pictures.
        root: Folder of the dataset.
    """
    annotations = Annotations()
    by_file: dict[Path, PhotoRows] = {}
    for path in files:
        photo = _photo(annotations, path, finder)
        if photo:
            by_file[path] = photo
    photos = _each_once(annotations, by_file)
    photos += _unlabelled(annotations, photos, everything)
    fill(annotations, photos, everything, root)
    names = {row.label for photo in photos for row in photo.rows}
    annotations.add_labels(sorted(names))  # VOC has no order of its own
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
    name = top.words("filename") or path.stem
    picture = finder.find_stem(path) or finder.find(name, path.parent)
    width, height = (number(top.words("size", side)) for side in ("width", "height"))
    said = (
        (int(width), int(height)) if width and height and width > 0 < height else None
    )
    photo = PhotoRows(picture or path.parent / plain_name(name), path, [], said)
    outlines = Outlines(path)
    for count, thing in enumerate(top.all("object"), 1):
        place = f"object {count}, line {thing.line}"
        label, box = thing.words("name"), _box(thing, outlines, place)
        if box and label:
            photo.rows.append(Row(label, box, normalized=False, place=place))
            continue
        why = "an object without four corners." if label else "an object without name."
        fix = "Mend or delete the object."
        annotations.findings.append(
            Finding(Level.ERROR, path, place, why, fix, photo=photo.path)
        )
    annotations.findings += outlines.findings()
    return photo


def _box(thing: Element, outlines: Outlines, place: str) -> Corners4 | None:
    """Return the box of an object: a plain one, a turned one (roLabelImg)."""
    values = [number(thing.words("bndbox", corner)) for corner in CORNERS]
    known = [value for value in values if value is not None]
    if len(known) == 4:
        x1, y1, x2, y2 = known
        return x1, y1, x2, y2
    sides = [number(thing.words("robndbox", side)) for side in ("cx", "cy", "w", "h")]
    angle = number(thing.words("robndbox", "angle"))  # radians, clockwise
    known = [value for value in sides if value is not None]
    if len(known) != 4 or angle is None:
        return None
    cx, cy, width, height = known
    corners = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
    outlines.add("turned box", place)
    return turned(corners, math.degrees(angle))


def _each_once(
    annotations: Annotations, by_file: dict[Path, PhotoRows]
) -> list[PhotoRows]:
    """Return the photos, those without that a second XML describes again."""
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
    annotations: Annotations, photos: list[PhotoRows], everything: Sequence[Path]
) -> list[PhotoRows]:
    """Return the pictures beside labelled ones that no XML describes."""
    folders = {photo.path.parent for photo in photos}
    known = {photo.path for photo in photos}
    others = [
        PhotoRows(path, path.parent)
        for path in everything
        if is_picture(path) and path.parent in folders and path not in known
    ]
    if others:
        why = f"{len(others)} pictures have no XML: they are taken for good parts."
        fix = "Label what is on them, or remove those that nobody looked at."
        place = named(photo.path.name for photo in others)
        annotations.findings.append(
            Finding(Level.WARNING, others[0].path.parent, place, why, fix)
        )
    return others


LIST_FOLDER = "Main"
SPLIT_FOLDERS = frozenset({"train", "val", "valid", "validation", "test"})


def fill(
    annotations: Annotations,
    photos: Sequence[PhotoRows],
    everything: Sequence[Path],
    root: Path,
) -> None:
    """Put the photos into their splits.

    Args:
        annotations: Gets the splits, and findings about photos in no list.
        photos: All of them.
        everything: Every file of the dataset.
        root: Folder of the dataset.
    """
    lists = _lists(everything)
    if not lists:
        for photo in photos:
            annotations.splits.setdefault(_by_folder(photo.path, root), []).append(
                photo
            )
        return
    by_stem: dict[str, list[PhotoRows]] = {}
    for photo in photos:
        by_stem.setdefault(photo.path.stem, []).append(photo)
    listed: set[int] = set()
    for path in lists:
        split = annotations.splits.setdefault(split_name(path.stem), [])
        lost = []
        for line in _lines(path):
            meant = [
                photo for photo in _meant(line, by_stem) if id(photo) not in listed
            ]
            listed |= {id(photo) for photo in meant}
            split += meant
            lost += [] if _meant(line, by_stem) else [line]
        if lost:
            why = f"{len(lost)} photos of the list are not there."
            fix = "Add them, or export again."
            annotations.findings.append(
                Finding(Level.WARNING, path, named(lost), why, fix)
            )
    _tell_unlisted(annotations, [p for p in photos if id(p) not in listed])


def _tell_unlisted(annotations: Annotations, photos: Sequence[PhotoRows]) -> None:
    """Say so when photos are in no split."""
    if photos:
        why = f"{len(photos)} photos are in no list of ImageSets/Main: not used."
        fix = "Add them to a list, or remove ImageSets."
        place = named(photo.path.name for photo in photos)
        annotations.findings.append(
            Finding(Level.WARNING, photos[0].path.parent, place, why, fix)
        )


def _by_folder(picture: Path, root: Path) -> str:
    """Return the split that a folder is called after."""
    for word in reversed(picture.parts[len(root.parts) : -1]):
        if word.lower() in SPLIT_FOLDERS:
            return split_name(word)
    return "all"


def _lists(everything: Sequence[Path]) -> list[Path]:
    """Return the files that list whole splits."""
    lists = [
        path
        for path in everything
        if path.parent.name == LIST_FOLDER and path.suffix.lower() == ".txt"
    ]
    stems = {path.stem for path in lists}
    whole = [
        path
        for path in lists
        if not any(path.stem.endswith(f"_{stem}") for stem in stems)
    ]
    has_sides = {"train", "val"} & {path.stem.lower() for path in whole}
    return [p for p in whole if not (has_sides and p.stem.lower() == "trainval")]


def _lines(path: Path) -> list[str]:
    """Return the names in a list; CVAT puts those with spaces between quotes."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip().strip('"') for line in text.splitlines() if line.strip()]


def _meant(line: str, by_stem: dict[str, list[PhotoRows]]) -> list[PhotoRows]:
    """Return the photos of a line: a name, with folders or a flag behind or without."""
    for name in (line, line.rsplit(maxsplit=1)[0]):
        words = Path(name).parts
        if words and (found := by_stem.get(words[-1])):
            fitting = [
                p for p in found if p.path.with_suffix("").parts[-len(words) :] == words
            ]
            return fitting or (found if len(found) == 1 else [])
    return []
