"""Pascal VOC: one XML a photo, boxes as corners in pixels.

``Annotations/*.xml`` with ``JPEGImages/`` and the splits in ``ImageSets/Main/``; or XML
beside the pictures, in folders ``train``, ``valid`` and ``test`` or in one. An XML
without objects is that of a good part; a picture without XML is unlabelled, but in
``good/``. ``difficult``, ``truncated`` and ``pose`` do not count, and a ``part`` is no
object. Corners are used as they are: LabelImg, CVAT, Label Studio and Roboflow count
pixels from 0, only the original challenge from 1, which is a difference of one pixel at
most.

Source: "The PASCAL VOC2012 development kit", annotation format.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from models.errors import DatasetError
from trainer.data.findings import Corners, Finding, Level, first_names
from trainer.data.formats.files import (
    PictureFinder,
    is_picture,
    unusable_picture,
)
from trainer.data.formats.rows import (
    Annotations,
    LabelState,
    PhotoRows,
    Row,
)
from trainer.data.formats.shapes import (
    SIZE_FIX,
    Outlines,
    all_numbers,
    centred_box,
    number,
    size_fault,
    stated_size,
    turned,
)
from trainer.data.formats.voc.lists import fill_splits
from trainer.data.formats.voc.pictures import Match, Statement, match_pictures
from trainer.data.formats.xml_tree import Element, read_xml, root_tag

MASK_FOLDERS = frozenset({"SegmentationClass", "SegmentationObject"})  # of PNG files
CORNERS = ("xmin", "ymin", "xmax", "ymax")
TURNED_SIDES = ("cx", "cy", "w", "h")  # roLabelImg


def find_files(files: Sequence[Path]) -> list[Path]:
    """Return the VOC files among all files of a dataset."""
    tags = {path: root_tag(path) for path in files if path.suffix.lower() == ".xml"}
    stems = {path.stem for path in files if is_picture(path)}
    folders = {path.parent for path, tag in tags.items() if tag == "annotation"}
    return [
        path
        for path, tag in tags.items()
        if tag == "annotation"
        or (tag is None and (path.stem in stems or path.parent in folders))
    ]


def read(
    files: Sequence[Path], all_files: Sequence[Path], finder: PictureFinder
) -> Annotations:
    """Return the annotations in VOC files."""
    annotations = Annotations()
    tops = [_top(annotations, path) for path in files]
    statements = [_statement(path, top) for path, top in zip(files, tops, strict=True)]
    matches = match_pictures(finder, statements)
    by_file: dict[Path, PhotoRows] = {}
    doubtful: dict[Path, PhotoRows] = {}
    for path, top, match in zip(files, tops, matches, strict=True):
        reason = f"its XML, {path.name}, may be that of another photo"
        if top is None:
            reason = f"its XML, {path.name}, cannot be read"
        elif match.fault:
            annotations.findings.append(unusable_picture(path, "", match.fault))
        else:
            by_file[path] = _photo(annotations, path, top, match, finder)
            continue
        for picture in match.pictures:
            doubtful[picture] = PhotoRows(
                picture, path, state=LabelState.UNCLEAR, state_reason=reason
            )
    photos = _each_once(annotations, by_file, finder.root)
    known = {photo.path for photo in photos}
    photos += [photo for path, photo in doubtful.items() if path not in known]
    photos += _unlabelled(known | doubtful.keys(), all_files, finder)
    annotations.findings += _renamed(statements, matches)
    fill_splits(annotations, photos, all_files, finder.root)
    names = {row.label for photo in photos for row in photo.rows}
    annotations.add_labels(sorted(names))  # VOC defines no order
    return annotations


def _top(annotations: Annotations, path: Path) -> Element | None:
    """Return the first element of an XML; None with a finding where it is damaged."""
    try:
        return read_xml(path)
    except DatasetError as exc:
        annotations.findings.append(Finding(Level.ERROR, path, "", exc.why, exc.fix))
        return None


def _statement(path: Path, top: Element | None) -> Statement:
    if top is None:
        return Statement(path)
    return Statement(
        path, top.text_at("filename"), top.text_at("folder"), top.text_at("path")
    )


def _renamed(
    statements: Sequence[Statement], matches: Sequence[Match]
) -> list[Finding]:
    """Return one finding for each folder whose files state names that are nowhere."""
    names: dict[Path, list[str]] = defaultdict(list)
    for statement, match in zip(statements, matches, strict=True):
        if match.renamed_from:
            names[statement.file.parent].append(match.renamed_from)
    fix = "None needed if photos and XML files were renamed together."
    return [
        Finding(
            Level.WARNING,
            folder,
            first_names(stated),
            f"no <filename> of the {len(stated)} XML files is that of a picture: the "
            "picture with the name of each XML is taken.",
            fix,
        )
        for folder, stated in names.items()
    ]


def _photo(
    annotations: Annotations,
    path: Path,
    top: Element,
    match: Match,
    finder: PictureFinder,
) -> PhotoRows:
    """Return the photo of one XML with its boxes."""
    name = top.text_at("filename") or path.stem
    photo = (
        PhotoRows(match.picture, path, place="filename")
        if match.picture
        else finder.missing(path, "filename", (name,))
    )
    width, height = (top.text_at("size", side) for side in ("width", "height"))
    photo.stated_size_px = stated_size(width, height)
    if why := size_fault(width, height):
        annotations.findings.append(Finding(Level.WARNING, path, "size", why, SIZE_FIX))
    outlines = Outlines(path)
    faults = [
        (f"line {item.line}", f"<{item.tag}> is not read: it is in another element.")
        for item in _hidden_objects(top)
    ]
    for count, item in enumerate(top.find_all("object"), 1):
        place = f"object {count}, line {item.line}"
        label, box = item.text_at("name"), _box(item, outlines, place)
        if why := _fault_of(label, box):
            faults.append((place, why))
        elif box:
            photo.rows.append(Row(label, box, normalized=False, place=place))
    fix = "Fix or delete the object."
    annotations.findings += [
        Finding(Level.ERROR, path, place, why, fix, photo=photo.path)
        for place, why in faults
    ]
    annotations.findings += outlines.findings()
    return photo


def _hidden_objects(top: Element) -> Iterator[Element]:
    """Yield the objects that are not where VOC has them: they would be lost."""
    pending = [child for child in top.children if child.tag != "object"]
    while pending:
        element = pending.pop(0)
        if element.tag.lower() == "object" or element.find_all("bndbox"):
            yield element
        else:
            pending += element.children


def _fault_of(label: str, box: Corners | None) -> str:
    """Return why an object cannot be read; empty where it can."""
    if not label:
        return "an object without name."
    if box is None:
        return "an object without four corners."
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return f"its corners are in another order: {x1:g}, {y1:g} to {x2:g}, {y2:g}."
    if all(0 <= side <= 1 for side in box) and any(side % 1 for side in box):
        return "its corners are between 0 and 1: shares of the photo, not its pixels."
    return ""


def _box(item: Element, outlines: Outlines, place: str) -> Corners | None:
    """Return the box of an object: a plain one, or a turned one (roLabelImg)."""
    corners = all_numbers(item.text_at("bndbox", corner) for corner in CORNERS)
    if corners:
        return corners[0], corners[1], corners[2], corners[3]
    sides = all_numbers(item.text_at("robndbox", side) for side in TURNED_SIDES)
    angle = number(item.text_at("robndbox", "angle"))  # radians, clockwise
    degrees = number(math.degrees(angle)) if angle is not None else None
    if sides is None or degrees is None:
        return None
    outlines.add("turned box", place)
    return turned(centred_box(*sides), degrees)


def _each_once(
    annotations: Annotations, by_file: dict[Path, PhotoRows], root: Path
) -> list[PhotoRows]:
    """Return the photos, without those that a second XML describes again."""
    seen: dict[Path, Path] = {}
    photos = []
    for path, photo in by_file.items():
        first = seen.setdefault(photo.path, path)
        if first == path:
            photos.append(photo)
            continue
        other = first.relative_to(root).as_posix()
        why = f"describes {photo.path.name}, as {other} does."
        fix = "Keep one of the two, or give the picture of this one its own name."
        annotations.findings.append(
            Finding(Level.ERROR, path, "filename", why, fix, photo=photo.path)
        )
    return photos


def _unlabelled(
    known: AbstractSet[Path], all_files: Sequence[Path], finder: PictureFinder
) -> list[PhotoRows]:
    """Return the pictures that no XML describes; those of ``good/`` need none."""
    return [
        _mask(path)
        if path.parent.name in MASK_FOLDERS
        else PhotoRows(
            path,
            path.parent,
            state=LabelState.UNLABELLED,
            state_reason="it has no XML",
        )
        for path in all_files
        if is_picture(path) and path not in known and not finder.verdict(path)
    ]


def _mask(path: Path) -> PhotoRows:
    """Return a mask as a picture that is never taken as a good part."""
    return PhotoRows(
        path,
        path.parent,
        state=LabelState.UNCLEAR,
        state_reason="it is a mask, not a photo",
        state_fix="None needed: boxes are read from the XML files.",
    )
