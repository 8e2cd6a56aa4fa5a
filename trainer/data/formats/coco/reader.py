"""COCO: one JSON a split, boxes as x, y, width, height in pixels.

``NAME.json`` at the root or in ``annotations/`` is the split NAME, and so is
``_annotations.coco.json`` in the folder NAME, as Roboflow exports it; ``valid`` is
``val``. Image paths are relative to the JSON, else to ``images/``, to a folder with the
name of the split, or to the root: all those of one folder in the same way.

An image without annotations is a good part. Polygons without a box, and boxes that were
turned in CVAT, become their bounding boxes, with a finding.
Source: cocodataset.org, data format; CVAT manual, "COCO" (attribute ``rotation``).
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from models.counted import counted
from models.errors import DatasetError
from models.pictures import PictureError, read_picture
from trainer.data.findings import Corners, Finding, Level, first_names
from trainer.data.formats.coco.document import (
    FIX_EXPORT,
    CocoDocument,
    CocoId,
    coco_id,
    other_kind,
    read_document,
)
from trainer.data.formats.files import PictureFinder, PictureName, unicode_forms
from trainer.data.formats.json_file import JsonFile, refuse_damaged
from trainer.data.formats.plain_names import with_folders_of_plain_names
from trainer.data.formats.repeated import merge_repeated
from trainer.data.formats.rows import (
    SPLIT_NAMES,
    Annotations,
    LabelState,
    PhotoRows,
    Row,
    split_name,
)
from trainer.data.formats.shapes import (
    Outlines,
    all_numbers,
    all_points,
    bounding_box,
    number,
    stated_size,
    turned,
)
from trainer.data.paths import UnusableNameError, path_below, shown

SPLITS = ("train", "val", "valid", "test")
ROBOFLOW_NAME = "_annotations.coco.json"
KEYS = ('"images"', '"annotations"', '"categories"')
# An annotation is marked so where its box holds several objects, or is not to count.
MARKS = ("iscrowd", "ignore")
FEWEST_BOXES = 2  # one box alone may be drawn too large
FIX_ANNOTATION = "Fix or delete the annotation."


def is_coco(file: JsonFile) -> bool:
    """Return whether a file is COCO with boxes, or is damaged and was one."""
    if file.fault:
        named = split_name(file.path.stem) in SPLIT_NAMES.values()
        is_list = file.start.lstrip().startswith("[")
        holds_keys = any(key in file.start for key in KEYS) and not is_list
        return named or file.path.name == ROBOFLOW_NAME or holds_keys
    content = file.content
    if not isinstance(content, dict) or other_kind(content):
        return False
    has_images = isinstance(content.get("images"), list)
    return has_images or {"annotations", "categories"} <= content.keys()


def read(files: Sequence[JsonFile], finder: PictureFinder) -> Annotations:
    """Return the annotations in COCO files.

    Raises:
        DatasetError: A file is damaged or not COCO, its ids name two things, or its
            boxes have another form.
    """
    refuse_damaged(files, FIX_EXPORT)
    annotations = Annotations()
    for file in files:
        document = read_document(file)
        annotations.add_labels(document.used_classes())
        reader = _DocumentReader(document, finder)
        split = _split_of(file.path, finder.root)
        annotations.splits.setdefault(split, []).extend(reader.photos(split))
        annotations.findings += reader.findings
    merge_repeated(annotations)
    return annotations


def _split_of(path: Path, root: Path) -> str:
    if path.name != ROBOFLOW_NAME:
        return split_name(path.stem)
    return split_name(path.parent.name) if path.parent != root else "all"


class _DocumentReader:
    """Reads the photos of one COCO file."""

    def __init__(self, document: CocoDocument, finder: PictureFinder) -> None:
        self._document, self._finder = document, finder
        self._path = document.path
        self._outlines = Outlines(self._path)
        self._boxes: list[tuple[Corners, PhotoRows]] = []  # x, y, width, height
        self._marked: dict[str, list[str]] = {}  # mark to places of annotations
        self._has_orphans = False
        self.findings = list(document.findings)

    def photos(self, split: str) -> list[PhotoRows]:
        """Return the photos of the file with their boxes.

        Raises:
            DatasetError: All boxes have another form than COCO's.
        """
        images = self._document.images
        photos = self._found(split)
        for key, photo in photos.items():
            photo.stated_size_px = self._stated_size(images[key], photo)
        for entry in self._document.annotations:
            self._add_box(entry, photos)
        for key, photo in photos.items():
            if not photo.rows and (reason := self._doubt(key)):
                photo.state, photo.state_reason = LabelState.UNCLEAR, reason
                photo.state_fix = "Correct the file, or export it again."
        self._refuse_shares()
        self._refuse_corners()
        self.findings += [*self._outlines.findings(), *self._warnings()]
        return list(photos.values())

    def _found(self, split: str) -> dict[CocoId, PhotoRows]:
        """Return the photo of each image, without boxes yet."""
        images = self._document.images
        texts = {key: str(image["file_name"]) for key, image in images.items()}
        starts = self._starts(list(texts.values()), split)
        names = [
            PictureName(
                tuple(dict.fromkeys((text, *unicode_forms(text.replace("\\", "/"))))),
                starts[_folder_of(text)],
                f"image {shown(key)}",
            )
            for key, text in texts.items()
        ]
        names = with_folders_of_plain_names(self._finder, names)
        photos = self._finder.find_all(self._path, names)
        return dict(zip(images, photos, strict=True))

    def _starts(self, texts: list[str], split: str) -> dict[str, tuple[Path, ...]]:
        """Return for each folder of the names where they start.

        One folder of the file is one folder here: a picture that is missing is not
        replaced by a namesake where the others are not.
        """
        root, own = self._finder.root, self._path.parent
        stem = self._path.stem.removeprefix("instances_")
        by_split = [
            base / name
            for base in (root / "images", root)
            for name in dict.fromkeys((stem, split))
        ]
        starts = tuple(dict.fromkeys([own, root / "images", *by_split, root]))
        by_folder: dict[str, list[str]] = defaultdict(list)
        for text in texts:
            by_folder[_folder_of(text)].append(text)
        return {
            folder: self._best_start(starts, names)
            for folder, names in by_folder.items()
        }

    def _best_start(
        self, starts: tuple[Path, ...], names: list[str]
    ) -> tuple[Path, ...]:
        """Return the folder below which most of the names are; all where none is."""
        best, most = starts, 0
        for start in starts:
            count = sum(self._is_there(start, name) for name in names)
            if count > most:
                best, most = (start,), count
            if most == len(names):
                break
        return best

    def _is_there(self, start: Path, name: str) -> bool:
        try:
            return path_below(self._finder.root, start, name).is_file()
        except UnusableNameError:
            return False

    def _stated_size(
        self, image: dict[str, Any], photo: PhotoRows
    ) -> tuple[int, int] | None:
        """Return the size that the file states, and a finding where it is no size."""
        size = image.get("width"), image.get("height")
        if any(_is_no_side(side) for side in size):
            why = f"width is {shown(size[0])} and height is {shown(size[1])}, expected "
            fix = "Correct the size, or export again."
            self._add_error(photo.place, f"{why}whole numbers.", fix, photo)
            return None
        return stated_size(*size)

    def _add_error(
        self, place: str, why: str, fix: str, photo: PhotoRows | None
    ) -> None:
        at_fault = photo.path if photo else None
        self.findings.append(
            Finding(Level.ERROR, self._path, place, why, fix, photo=at_fault)
        )

    def _add_box(self, entry: dict[str, Any], photos: dict[CocoId, PhotoRows]) -> None:
        """Add one annotation to its photo, or a finding."""
        place = f"annotation {entry.get('id', '?')}"
        image, category = coco_id(entry.get("image_id")), entry.get("category_id")
        photo = photos.get(image) if image is not None else None
        number_of_class = coco_id(category)
        fault, box = "", _box(entry, self._outlines, place)
        if photo is None:
            fault = f"image_id {entry.get('image_id')} is not among the images."
            self._has_orphans = True
        elif number_of_class is None:
            fault = "it has no category_id."
        elif number_of_class not in self._document.categories:
            fault = f"category_id {category} is not among the categories."
        elif isinstance(box, str):
            fault = box
        if fault or photo is None or number_of_class is None or isinstance(box, str):
            self._add_error(place, fault, FIX_ANNOTATION, photo)
            return
        label = self._document.class_of(number_of_class)
        photo.rows.append(Row(label, box, normalized=False, place=place))
        self._state_mask_size(entry, photo, place)
        x1, y1, x2, y2 = box
        self._boxes.append(((x1, y1, x2 - x1, y2 - y1), photo))
        for mark in (*MARKS, "score"):
            if entry.get(mark) not in (None, 0, False, "0"):
                self._marked.setdefault(mark, []).append(place)

    def _state_mask_size(
        self, entry: dict[str, Any], photo: PhotoRows, place: str
    ) -> None:
        """Compare the size of a mask with that of the image; it has the same."""
        mask = entry.get("segmentation")
        size = mask.get("size") if isinstance(mask, dict) else None
        if not isinstance(size, list) or len(size) != 2:
            return
        stated = stated_size(size[1], size[0])
        if photo.stated_size_px is None:
            photo.stated_size_px = stated
        elif stated and not _agree(stated, photo.stated_size_px):
            why = f"its mask has the size {shown(size)}, its image another one."
            self._add_error(place, why, FIX_ANNOTATION, photo)

    def _doubt(self, key: CocoId) -> str:
        """Return why an image without boxes is not known to be good; empty if it is."""
        if self._has_orphans:
            return f"annotations of {self._path.name} name images that it does not list"
        # LVIS: an image was searched for some of the classes only.
        searched = self._document.images[key].get("neg_category_ids")
        if isinstance(searched, list):
            numbers = {coco_id(number_of_class) for number_of_class in searched}
            if not self._document.categories.keys() <= numbers:
                return "it was not searched for all classes (neg_category_ids)"
        return ""

    def _refuse_shares(self) -> None:
        """Refuse boxes that are shares of the photo.

        Raises:
            DatasetError: No side or corner is larger than 1.
        """
        values = [value for box, _ in self._boxes for value in box]
        if values and 0 < max(values) <= 1:
            raise DatasetError(
                f"{self._path}: boxes are shares of the photo, not pixels.",
                why=f"{counted(len(self._boxes), 'box', 'boxes')}, and no number "
                "in them exceeds 1.",
                fix="Export as COCO, with x, y, width and height in pixels.",
            )

    def _refuse_corners(self) -> None:
        """Refuse corners in the place of width and height, where that can be known.

        Raises:
            DatasetError: As corners every box fits into its photo; as COCO means them,
                half of the boxes or more reach outside.
        """
        boxes = self._boxes
        may_be = all(w > x and h > y for (x, y, w, h), _ in boxes)
        if len(boxes) < FEWEST_BOXES or not may_be:
            return
        outside = 0
        for (x, y, w, h), photo in boxes:
            width, height = self._size_px(photo)
            if w > width + 1 or h > height + 1:  # a pixel of rounding
                return
            outside += x + w > width + 1 or y + h > height + 1
        if outside * 2 >= len(boxes):
            raise DatasetError(
                f"{self._path}: boxes are corners, x1, y1, x2, y2.",
                why=f"{outside} of {len(boxes)} boxes reach outside their photo as x, "
                "y, width, height; as corners all of them fit.",
                fix="Export as COCO, with x, y, width and height in pixels.",
            )

    def _size_px(self, photo: PhotoRows) -> tuple[float, float]:
        """Return width and height of a photo, endless where they are not known."""
        if photo.stated_size_px and min(photo.stated_size_px):
            return photo.stated_size_px
        try:
            height, width = read_picture(photo.path).shape[:2]
        except (OSError, PictureError):
            return float("inf"), float("inf")
        return width, height

    def _warnings(self) -> list[Finding]:
        """Return what is read, but may be meant in another way."""
        found = []
        for mark, places in self._marked.items():
            count = f"{len(places)} annotation{'s' * (len(places) > 1)}"
            why = f"{count} marked {mark}: the boxes count like others."
            fix = "Delete those that do not hold one defect."
            if mark == "score":
                why = f"{count} with a score, as a model draws them: the boxes count."
                fix = "Confirm each in the annotation tool, or delete it."
            place = first_names(places)
            found.append(Finding(Level.WARNING, self._path, place, why, fix))
        images, is_empty = self._document.images, not self._document.annotations
        if images and is_empty:
            count = f"{len(images)} image{'s' * (len(images) > 1)}"
            why = f"no annotation at all: {count} without a box count as good parts."
            fix = "None needed if they were all inspected; otherwise remove the file."
            found.append(Finding(Level.WARNING, self._path, "", why, fix))
        return found


def _folder_of(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")).parent)


def _agree(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two stated sizes are the same; 0 is not stated."""
    return all(a == b or 0 in (a, b) for a, b in zip(one, other, strict=True))


def _is_no_side(side: object) -> bool:
    """Return whether a width or height is stated, but is no number of pixels."""
    if side is None or side == "":
        return False
    read = number(side)
    return read is None or read < 0 or not read.is_integer()


def _box(entry: dict[str, Any], outlines: Outlines, place: str) -> Corners | str:
    """Return the box of an annotation, or why there is none."""
    stated = entry.get("bbox")
    values = all_numbers(stated) if isinstance(stated, list) else None
    polygon = _polygon_box(entry.get("segmentation"))
    is_empty = not stated or (values is not None and not any(values[2:]))
    if is_empty and polygon:
        outlines.add("polygon", place)
        return polygon
    if values is None or len(values) != 4:
        return _no_box(entry)
    x, y, width, height = values
    box = x, y, x + width, y + height
    attributes = entry.get("attributes")
    rotation = attributes.get("rotation") if isinstance(attributes, dict) else None
    if degrees := number(rotation):
        outlines.add("turned box", place)
        return turned(box, degrees)
    if polygon and not _touch(box, polygon):
        return f"bbox {shown(stated)} and segmentation lie in different places."
    return box


def _no_box(entry: dict[str, Any]) -> str:
    """Return why an annotation has no box."""
    stated = entry.get("bbox")
    if isinstance(stated, list) and len(stated) == 5:
        return f"bbox is {shown(stated)}: a turned box, COCO has upright ones."
    if stated or not isinstance(stated, list | None):
        return f"bbox is {shown(stated)}, expected four numbers."
    if entry.get("segmentation"):
        return "it has no bbox, only a mask."
    keypoints = ", only keypoints" if entry.get("keypoints") else ""
    return f"it has no bbox{keypoints}."


def _polygon_box(segmentation: object) -> Corners | None:
    """Return the bounding box of polygons; None for masks and anything else."""
    parts = segmentation if isinstance(segmentation, list) else []
    points: list[tuple[float, float]] = []
    for part in parts:
        flat = part if isinstance(part, list) else ()
        pairs = zip(flat[::2], flat[1::2], strict=False)
        points += all_points(pairs) or []
    return bounding_box(points) if points else None


def _touch(one: Corners, other: Corners) -> bool:
    return min(one[2], other[2]) >= max(one[0], other[0]) and min(
        one[3], other[3]
    ) >= max(one[1], other[1])
