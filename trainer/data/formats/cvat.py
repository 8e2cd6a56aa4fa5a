"""CVAT for images 1.1: one XML of all photos, shapes as corners and points in pixels.

Boxes are read as they are; turned boxes, polygons, polylines, ellipses, masks and
cuboids become their bounding boxes, which is said. The split is the picture's subset,
else the task's. A picture without a shape is a good part, as in every format.
Source: CVAT manual, "CVAT for images".
"""

from collections.abc import Sequence
from pathlib import Path

from models.errors import DatasetError
from trainer.data.formats.files import PictureFinder, plain_name
from trainer.data.formats.rows import (
    Annotations,
    Finding,
    Level,
    PhotoRows,
    Row,
    split_name,
)
from trainer.data.formats.shapes import (
    Corners4,
    Outlines,
    bounding_box,
    ellipse_box,
    number,
    turned,
)
from trainer.data.formats.xml_tree import Element, first_tag, read_xml

FOLDERS = ("", "annotations")
CUSTOMARY_NAME = "annotations.xml"
PROJECTS = ("task", "project", "job")
CUBOID_CORNERS = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")
IGNORED = frozenset({"tag"})  # speaks of the whole picture


def find_files(root: Path) -> list[Path]:
    """Return the CVAT files of a folder.

    Args:
        root: Folder of the dataset.
    """
    found = []
    for path in sorted(
        path for name in FOLDERS for path in (root / name).glob("*.xml")
    ):
        tag = first_tag(path)
        if tag == "annotations" or (tag is None and path.name == CUSTOMARY_NAME):
            found.append(path)
    return found


def read(files: Sequence[Path], root: Path, finder: PictureFinder) -> Annotations:
    """Return what CVAT files say.

    Args:
        files: From ``find_files``.
        root: Folder of the dataset.
        finder: Of its pictures.

    Raises:
        DatasetError: A file is damaged, or made for videos.
    """
    annotations = Annotations()
    for path in files:
        top = read_xml(path)
        if top.all("track"):
            raise DatasetError(
                f"{path}: CVAT for video.",
                why="It holds tracks; photos are trained on.",
                fix="Export the task as 'CVAT for images 1.1'.",
            )
        tasks = [task for meta in top.all("meta") for task in meta.children]
        named = [task for task in tasks if task.tag in PROJECTS]
        subset = next((w for task in named if (w := task.words("subset"))), "")
        annotations.add_labels(
            [
                name
                for task in named
                for labels in task.all("labels")
                for label in labels.all("label")
                if (name := label.words("name"))
            ]
        )
        outlines = Outlines(path)
        for image in top.all("image"):
            photo = _photo(annotations, path, root, finder, image, outlines)
            split = split_name(image.attributes.get("subset", subset))
            annotations.splits.setdefault(split, []).append(photo)
        annotations.findings += outlines.findings()
    return annotations


def _photo(
    annotations: Annotations,
    path: Path,
    root: Path,
    finder: PictureFinder,
    image: Element,
    outlines: Outlines,
) -> PhotoRows:
    """Return one photo with its boxes."""
    name = image.attributes.get("name", "")
    subset = plain_name(image.attributes.get("subset", ""))
    folders = (path.parent, root / "images", root / "images" / subset, root)
    picture = finder.find(name, *folders)
    width, height = (number(image.attributes.get(s)) for s in ("width", "height"))
    said = (
        (int(width), int(height)) if width and height and width > 0 < height else None
    )
    photo = PhotoRows(picture or path.parent / plain_name(name), path, [], said)
    for shape in image.children:
        if shape.tag in IGNORED:
            continue
        place = f"image {image.attributes.get('id', '?')}, line {shape.line}"
        label, box = shape.attributes.get("label", ""), _box(shape, outlines, place)
        if box and label:
            annotations.add_labels([label])
            photo.rows.append(Row(label, box, normalized=False, place=place))
            continue
        why = f"<{shape.tag}> {label!r} has no box that could be read."
        fix = "Draw a box instead, or delete it."
        annotations.findings.append(
            Finding(Level.ERROR, path, place, why, fix, photo=photo.path)
        )
    return photo


def _box(shape: Element, outlines: Outlines, place: str) -> Corners4 | None:
    """Return the bounding box of a shape; None where it has none."""
    degrees = number(shape.attributes.get("rotation", 0)) or 0.0
    match shape.tag:
        case "box":
            box = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
            if box and degrees:
                outlines.add("turned box", place)
                return turned((box[0], box[1], box[2], box[3]), degrees)
            return (box[0], box[1], box[2], box[3]) if box else None
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
            points = _points(shape.attributes.get("points", ""))
            found = bounding_box(points) if points else None
        case _:
            return None
    if found:
        outlines.add(shape.tag, place)
    return found or None


def _numbers(shape: Element, *names: str) -> list[float] | None:
    """Return attributes as numbers; None where one is missing or is no number."""
    values = [number(shape.attributes.get(name)) for name in names]
    known = [value for value in values if value is not None]
    return known if len(known) == len(names) else None


def _points(text: str) -> list[tuple[float, float]] | None:
    """Return the points ``x,y;x,y``; None where they are none."""
    points = []
    for pair in text.split(";"):
        values = [number(word) for word in pair.split(",")]
        if len(values) != 2 or values[0] is None or values[1] is None:
            return None
        points.append((values[0], values[1]))
    return points
