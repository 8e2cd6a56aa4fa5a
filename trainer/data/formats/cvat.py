"""CVAT for images 1.1: one XML of all photos, shapes as corners and points in pixels.

Boxes are read as they are; turned boxes, polygons, polylines, ellipses, masks and
cuboids become their bounding boxes, with a finding. The split is the picture's subset,
else the task's. A picture without a shape is a good part, as in every format.
Source: CVAT manual, "CVAT for images".
"""

from collections.abc import Sequence
from pathlib import Path

from models.errors import DatasetError
from trainer.data.findings import Corners, Finding, Level
from trainer.data.formats.files import PictureFinder, is_pipe_or_device
from trainer.data.formats.rows import Annotations, PhotoRows, Row, split_name
from trainer.data.formats.shapes import (
    Outlines,
    all_numbers,
    all_points,
    bounding_box,
    ellipse_box,
    number,
    stated_size,
    turned,
)
from trainer.data.formats.xml_tree import Element, read_xml, root_tag
from trainer.data.paths import UnusableNameError, path_below

FOLDERS = ("", "annotations")
CUSTOMARY_NAME = "annotations.xml"
PROJECTS = ("task", "project", "job")
CUBOID_CORNERS = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")
IGNORED = frozenset({"tag"})  # labels the whole picture, not a place in it


def find_files(root: Path) -> list[Path]:
    """Return the CVAT files of a dataset."""
    paths = (path for name in FOLDERS for path in (root / name).glob("*.xml"))
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
    for path in files:
        top = read_xml(path)
        if top.find_all("track"):
            raise DatasetError(
                f"{path}: CVAT for video.",
                why="It holds tracks; photos are trained on.",
                fix="Export the task as 'CVAT for images 1.1'.",
            )
        tasks = [task for meta in top.find_all("meta") for task in meta.children]
        projects = [task for task in tasks if task.tag in PROJECTS]
        subsets = (task.text_at("subset") for task in projects)
        subset = next((text for text in subsets if text), "")
        annotations.add_labels(
            [
                name
                for task in projects
                for labels in task.find_all("labels")
                for label in labels.find_all("label")
                if (name := label.text_at("name"))
            ]
        )
        outlines = Outlines(path)
        for image in top.find_all("image"):
            photo = _photo(annotations, path, finder, image, outlines)
            split = split_name(image.attributes.get("subset", subset))
            annotations.splits.setdefault(split, []).append(photo)
        annotations.findings += outlines.findings()
    return annotations


def _photo(
    annotations: Annotations,
    path: Path,
    finder: PictureFinder,
    image: Element,
    outlines: Outlines,
) -> PhotoRows:
    name = image.attributes.get("name", "")
    image_place = f"image {image.attributes.get('id', '?')}"
    picture = finder.find(name, *_folders(path, finder.root, image))
    photo = finder.photo(picture, name, path, f"{image_place}, line {image.line}")
    sides = (image.attributes.get(side) for side in ("width", "height"))
    photo.stated_size_px = stated_size(*sides)
    for shape in image.children:
        if shape.tag in IGNORED:
            continue
        place = f"{image_place}, line {shape.line}"
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


def _folders(path: Path, root: Path, image: Element) -> list[Path]:
    """Return where CVAT puts the picture: beside the XML, below images/ and subset."""
    images = root / "images"
    folders = [path.parent, images, root]
    try:
        subset = path_below(root, images, image.attributes.get("subset", ""))
    except UnusableNameError:  # CVAT itself writes plain names
        return folders
    return [*folders[:2], subset, root]


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
