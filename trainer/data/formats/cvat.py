"""CVAT for images 1.1: one XML of all photos, shapes as corners and points in pixels.

Boxes are read as they are; turned boxes, polygons, polylines, ellipses, masks and
cuboids become their bounding boxes, with a finding. The split is the picture's subset,
else the task's. A picture without a shape is a good part, as in every format: the XML
does not state whether a job is finished. A picture with a tag but without a shape is
unclear, whatever the name of the tag: it may be a defect that is not drawn.

Source: CVAT manual, "CVAT for images"; ids of images count frames of a task, and mean
nothing here.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.counted import counted
from models.errors import DatasetError
from trainer.data.findings import Corners, Finding, FindingKind, Level, first_names
from trainer.data.formats.files import (
    PictureFinder,
    PictureName,
    is_pipe_or_device,
)
from trainer.data.formats.limits import LABELS_MAX_BYTES
from trainer.data.formats.rows import (
    Annotations,
    LabelState,
    PhotoRows,
    Row,
    split_name,
)
from trainer.data.formats.shapes import (
    SIZE_FIX,
    Outlines,
    all_numbers,
    all_points,
    bounding_box,
    ellipse_box,
    number,
    size_fault,
    stated_size,
    turned,
)
from trainer.data.formats.xml_tree import Element, read_xml, root_tag
from trainer.data.paths import UnusableNameError, path_below

LABELS_FOLDER = "annotations"  # compared in lower case
CUSTOMARY_NAME = "annotations.xml"
PROJECTS = ("task", "project", "job")
CUBOID_CORNERS = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")
TAG = "tag"  # labels the whole picture, not a place in it
AT_THE_TOP = frozenset({"version", "meta", "image"})
TAG_FIX = (
    "Draw the defect as a box. Where the tag means a good part, delete the tag, or put "
    "the photo into good/."
)


def find_files(root: Path) -> list[Path]:
    """Return the CVAT files of a dataset."""
    folders = [path for path in root.iterdir() if path.name.lower() == LABELS_FOLDER]
    paths = (path for folder in (root, *folders) for path in folder.glob("*.xml"))
    found = []
    for path in sorted(path for path in paths if not is_pipe_or_device(path)):
        tag = root_tag(path)
        if tag == "annotations" or (tag is None and path.name == CUSTOMARY_NAME):
            found.append(path)
    return found


def read(files: Sequence[Path], finder: PictureFinder) -> Annotations:
    """Return the annotations in CVAT files.

    Raises:
        DatasetError: A file is damaged, or made for videos.
    """
    annotations = Annotations()
    described: dict[Path, PhotoRows] = {}
    for path in files:
        top = read_xml(path, LABELS_MAX_BYTES)
        if top.find_all("track"):
            raise DatasetError(
                f"{path}: CVAT for video.",
                why="It holds tracks; photos are trained on.",
                fix="Export the task as 'CVAT for images 1.1'.",
            )
        projects = [
            task
            for meta in top.find_all("meta")
            for task in meta.children
            if task.tag in PROJECTS
        ]
        subsets = (task.text_at("subset") for task in projects)
        subset = next((text for text in subsets if text), "")
        annotations.add_labels(_labels(projects))
        annotations.findings += _misplaced(path, top)
        _add_images(annotations, path, finder, top.find_all("image"), subset, described)
    return annotations


def _labels(projects: Sequence[Element]) -> list[str]:
    """Return the class names in the order of the task."""
    return [
        name
        for task in projects
        for labels in task.find_all("labels")
        for label in labels.find_all("label")
        if (name := label.text_at("name"))
    ]


def _misplaced(path: Path, top: Element) -> Iterator[Finding]:
    """Yield a finding for each kind of element that is not where CVAT has it."""
    lines: dict[str, list[int]] = defaultdict(list)
    for child in top.children:
        if child.tag not in AT_THE_TOP:
            lines[child.tag].append(child.line)
    for tag, found in lines.items():
        why = (
            f"<{tag}>, {counted(len(found), 'time')}, is not read: it is in no <image>."
        )
        place = first_names(f"line {line}" for line in found)
        yield Finding(Level.ERROR, path, place, why, "Export the task again.")


def _add_images(
    annotations: Annotations,
    path: Path,
    finder: PictureFinder,
    images: Sequence[Element],
    subset: str,
    described: dict[Path, PhotoRows],
) -> None:
    """Add the pictures of one file; each is in one record of all files."""
    outlines = Outlines(path)
    tags: dict[str, list[str]] = defaultdict(list)
    photos = finder.find_all(path, _names(path, finder.root, images, subset))
    for image, photo in zip(images, photos, strict=True):
        first = described.setdefault(photo.path, photo)
        if first is not photo and not photo.fault:
            annotations.findings.append(_described_twice(first, photo))
            continue
        _fill(annotations, photo, image, outlines, tags)
        split = split_name(image.attributes.get("subset", subset))
        annotations.splits.setdefault(split, []).append(photo)
    annotations.findings += outlines.findings()
    for tag, places in tags.items():
        why = (
            f"tag {tag!r}, {counted(len(places), 'time')}, is not read: it has no box."
        )
        annotations.findings.append(
            Finding(Level.WARNING, path, first_names(places), why, TAG_FIX)
        )


def _described_twice(first: PhotoRows, second: PhotoRows) -> Finding:
    """Return the finding of a picture in two records; neither counts."""
    first.state = LabelState.UNCLEAR
    first.state_reason = "two records describe it"
    first.state_fix = "Keep one of the two."
    where = f"{first.source.name}, {first.place}"
    return Finding(
        Level.ERROR,
        second.source,
        second.place,
        f"describes {first.path.name}, as {where} does: two tasks in one dataset?",
        "Keep one of the two, or give the pictures of one task their own names.",
        FindingKind.CONTRADICTION,
        photo=first.path,
    )


def _names(
    path: Path, root: Path, images: Sequence[Element], subset: str
) -> list[PictureName]:
    """Return the pictures' names, each with where CVAT puts those of its subset."""
    subsets = [image.attributes.get("subset", subset) for image in images]
    names: dict[str, list[str]] = defaultdict(list)
    for image, group in zip(images, subsets, strict=True):
        names[group].append(image.attributes.get("name", ""))
    folders = {
        group: _folders(path, root, group, them) for group, them in names.items()
    }
    return [
        PictureName(
            _spellings(image.attributes.get("name", "")),
            folders[group],
            f"image {image.attributes.get('id', '?')}, line {image.line}",
        )
        for image, group in zip(images, subsets, strict=True)
    ]


def _folders(
    path: Path, root: Path, subset: str, names: Sequence[str]
) -> tuple[Path, ...]:
    """Return where the pictures of a subset are: one folder, all where none is there.

    CVAT puts them beside the XML, below ``images/``, or there below the subset.
    """
    places = [path.parent, root / "images", root]
    try:
        below = path_below(root, root / "images", subset)
        places = [below, *places] if subset else places
    except UnusableNameError:  # CVAT itself writes plain names
        pass
    counts = {
        place: sum(_is_there(root, place, name) for name in names) for place in places
    }
    best = max(counts, key=lambda place: counts[place])
    return (best,) if counts[best] else tuple(counts)


def _spellings(name: str) -> tuple[str, ...]:
    """Return a name as it is written, and as it may be on this disk."""
    plain = name.replace("\\", "/")
    forms = (unicodedata.normalize(form, plain) for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys((name, plain, *forms)))


def _is_there(root: Path, folder: Path, name: str) -> bool:
    for spelling in _spellings(name):
        try:
            if path_below(root, folder, spelling).is_file():
                return True
        except UnusableNameError:
            continue
    return False


def _fill(
    annotations: Annotations,
    photo: PhotoRows,
    image: Element,
    outlines: Outlines,
    tags: dict[str, list[str]],
) -> None:
    """Put the shapes of an image onto its photo; what cannot be a box is reported."""
    number_of_image = image.attributes.get("id", "?")
    width, height = (image.attributes.get(side) for side in ("width", "height"))
    photo.stated_size_px = stated_size(width, height)
    if why := size_fault(width, height):
        annotations.findings.append(
            Finding(Level.WARNING, photo.source, photo.place, why, SIZE_FIX)
        )
    for shape in image.children:
        if shape.tag == TAG:
            continue
        place = f"image {number_of_image}, line {shape.line}"
        label, box = shape.attributes.get("label", ""), _box(shape, outlines, place)
        if box and label:
            annotations.add_labels([label])
            photo.rows.append(Row(label, box, normalized=False, place=place))
            continue
        why = f"<{shape.tag}> {label!r} has no box that could be read."
        fix = "Draw a box instead, or delete it."
        annotations.findings.append(
            Finding(Level.ERROR, photo.source, place, why, fix, photo=photo.path)
        )
    drawn = {row.label for row in photo.rows}
    for tag in image.find_all(TAG):
        label = tag.attributes.get("label", "")
        if len(image.find_all(TAG)) == len(image.children):
            photo.state, photo.state_fix = LabelState.UNCLEAR, TAG_FIX
            photo.state_reason = f"its tag {label!r} has no box"
        elif label not in drawn:
            tags[label].append(f"image {number_of_image}, line {tag.line}")


def _box(shape: Element, outlines: Outlines, place: str) -> Corners | None:
    """Return the bounding box of a shape; None where it has none."""
    degrees = number(shape.attributes.get("rotation", 0)) or 0.0
    match shape.tag:
        case "box":
            read = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
            if read is None:
                return None
            box: Corners = (read[0], read[1], read[2], read[3])
            if degrees:
                outlines.add("turned box", place)
                return turned(box, degrees)
            return box
        case "ellipse":
            read = _numbers(shape, "cx", "cy", "rx", "ry")
            found = read and ellipse_box(
                (read[0], read[1]), (read[2], read[3]), degrees
            )
        case "mask":
            read = _numbers(shape, "left", "top", "width", "height")
            found = read and (read[0], read[1], read[0] + read[2], read[1] + read[3])
        case "cuboid":
            names = [f"{side}{corner}" for corner in CUBOID_CORNERS for side in "xy"]
            read = _numbers(shape, *names)
            found = read and bounding_box(zip(read[::2], read[1::2], strict=True))
        case "polygon" | "polyline":
            pairs = shape.attributes.get("points", "").split(";")  # x,y;x,y
            points = all_points(pair.split(",") for pair in pairs)
            found = bounding_box(points) if points else None
        case _:
            return None
    if found:
        outlines.add(shape.tag, place)
    return found or None


def _numbers(shape: Element, *names: str) -> list[float] | None:
    """Return attributes as numbers; None where one is missing or is no number."""
    return all_numbers(shape.attributes.get(name) for name in names)
