"""Recognizes the format in which a folder is labelled, and reads it.

There is no option for the format: each has files that no other has. A folder with
labels of two formats is refused, because which of them are right is not known.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from models.errors import DatasetError
from trainer.data.findings import Finding, FindingKind, Level, first_names
from trainer.data.formats import cvat
from trainer.data.formats.coco import reader as coco
from trainer.data.formats.files import (
    GOOD_FOLDER,
    VERDICT_FOLDERS,
    PictureFinder,
    files_and_packages,
    is_picture,
    unread_formats,
)
from trainer.data.formats.json_file import JsonFile, read_json
from trainer.data.formats.label_studio import reader as label_studio
from trainer.data.formats.other_files import (
    datasets_inside,
    misnamed_good,
    other_findings,
)
from trainer.data.formats.packages import package_finding
from trainer.data.formats.rows import Annotations, LabelState, PhotoRows
from trainer.data.formats.unread_json import (
    FOLDERS,
    is_searched,
    unread_documents,
    unread_folders,
    unread_lines,
)
from trainer.data.formats.voc import reader as voc
from trainer.data.formats.yolo import reader as yolo

KNOWN_FORMATS = (
    "COCO (train.json), YOLO (data.yaml, obj.data, labels/), Pascal VOC "
    "(Annotations/), CVAT (annotations.xml) or Label Studio (JSON)"
)


def read_annotations(root: Path) -> Annotations:
    """Return the annotations in whichever format the folder holds.

    Raises:
        DatasetError: No labels, of two formats, or damaged.
        OSError: A file cannot be read.
    """
    if not root.is_dir():
        raise DatasetError(
            f"{root}: no such dataset.",
            why="Expected a folder with photos and labels, or a zip of one.",
            fix="Give what your annotation tool exported.",
        )
    files, packages = files_and_packages(root)
    if root in packages:
        raise DatasetError(
            f"{root}: this is a model package, not a data set.",
            why="Its golden frames are not photos of parts.",
            fix="Give the folder with the photos and labels.",
        )
    finder = PictureFinder(root, files)
    documents = [read_json(path) for path in _json_files(root, files)]
    found = _readers(root, files, finder, documents)
    others = [
        file
        for file in documents
        if not coco.is_coco(file) and not label_studio.is_label_studio(file)
    ]
    unread = [
        *unread_documents(others),
        *unread_folders(root, files),
        *unread_lines(root, files),
    ]
    if len(found) > 1:
        (first, (file, _)), (second, (other, _)) = list(found.items())[:2]
        raise DatasetError(
            f"{root}: labels of two formats, {first} and {second}.",
            why=f"{file} is {first}, {other} is {second}; only one can be read.",
            fix="Keep one of them in this folder.",
        )
    taken = {*cvat.find_files(root), *voc.find_files(files)}
    unread += other_findings(root, files, taken, is_yolo="YOLO" in found)
    if not found and _has_verdicts_only(root, files, unread):
        unread += [package_finding(folder) for folder in packages]
        return Annotations(findings=[*unread, *unread_formats(files)])
    if not found:
        raise _no_labels(root, files, [_named(root, finding) for finding in unread])
    [(_, read)] = found.values()
    annotations = read()
    annotations.findings += [*finder.findings, *unread]
    annotations.findings += [package_finding(folder) for folder in packages]
    annotations.findings += unread_formats(files)
    annotations.unlisted += _unlisted(annotations, files, finder)
    annotations.findings += _contradicting_good(annotations, finder)
    _explain_folders(root, annotations)
    _refuse_unwritable_labels(root, annotations.labels)
    return annotations


def _named(root: Path, finding: Finding) -> str:
    name = finding.place or finding.file.relative_to(root).as_posix()
    return f"{name}: {finding.why}"


def _no_labels(root: Path, files: list[Path], named: list[str]) -> DatasetError:
    """Return the error of a folder without labels, with what it holds instead."""
    fix = "Export the labels in one of these formats into this folder. Photos of good "
    fix += f"parts need none: put them into {GOOD_FOLDER}/."
    if inside := datasets_inside(root, files):
        named = [f"Labels are in {first_names(inside)}.", *named]
        fix = f"Give one folder of photos and labels, for example {root / inside[0]}."
    why = " ".join(["Expected", KNOWN_FORMATS + ".", *filter(None, named)])
    return DatasetError(f"{root}: no labels found.", why=why, fix=fix)


def _contradicting_good(
    annotations: Annotations, finder: PictureFinder
) -> Iterator[Finding]:
    """Yield a finding for each photo of ``good/`` with boxes; it is left out."""
    for photo in annotations.photos:
        is_used = photo.state is LabelState.LABELLED
        if is_used and photo.rows and finder.is_good(photo.path):
            photo.state = LabelState.UNCLEAR
            photo.state_reason = "it lies in good/, and boxes are drawn on it"
            photo.state_fix = "Move it out of good/, or delete the boxes."
            why = f"it lies in good/, but {photo.source.name} has boxes on it."
            fix, kind = photo.state_fix, FindingKind.CONTRADICTION
            yield Finding(Level.ERROR, photo.path, photo.place, why, fix, kind)


def _explain_folders(root: Path, annotations: Annotations) -> None:
    """Note which photos without a label file are in what may be meant as ``good/``."""
    for photo in annotations.photos:
        is_described = photo.source != photo.path.parent
        if photo.state is LabelState.LABELLED or is_described:
            continue
        if folder := misnamed_good(root, photo.path):
            photo.state_reason = (
                f"it lies in {folder}/, only good/ is read as good parts"
            )
            photo.state_fix = (
                f"Rename {folder}/ to good/, beside the label files, if its photos "
                "show good parts."
            )


def _unlisted(
    annotations: Annotations, files: list[Path], finder: PictureFinder
) -> list[PhotoRows]:
    """Return the pictures that no record means; a verdict of the folder needs none."""
    known = {photo.path for photo in annotations.photos}
    others = [
        path
        for path in files
        if is_picture(path) and path not in known and not finder.verdict(path)
    ]
    # A link to a picture is the same picture.
    real = {os.path.realpath(path) for path in known} if others else set()
    return [
        PhotoRows(
            path,
            path.parent,
            state=LabelState.UNLABELLED,
            state_reason="no label file lists it",
        )
        for path in others
        if os.path.realpath(path) not in real
    ]


def _has_verdicts_only(root: Path, files: list[Path], unread: list[Finding]) -> bool:
    """Return whether all pictures lie in ``good/`` and ``bad/``: none needs a label."""
    pictures = [file.relative_to(root) for file in files if is_picture(file)]
    has_errors = any(finding.level is Level.ERROR for finding in unread)
    return (
        bool(pictures)
        and not has_errors
        and all(picture.parts[0] in VERDICT_FOLDERS for picture in pictures)
    )


def _json_files(root: Path, files: list[Path]) -> list[Path]:
    """Return the JSON files that may hold labels; a folder of that name is reported."""
    paths = [path for name in FOLDERS for path in (root / name).glob("*.json")]
    paths = [path for path in paths if path.is_dir()]
    return sorted({*paths, *(path for path in files if is_searched(root, path))})


def _readers(
    root: Path, files: list[Path], finder: PictureFinder, documents: list[JsonFile]
) -> dict[str, tuple[Path, Callable[[], Annotations]]]:
    """Return the formats that are there, each with a file of it and its reader."""
    found: dict[str, tuple[Path, Callable[[], Annotations]]] = {}
    cocos = [file for file in documents if coco.is_coco(file)]
    studios = [file for file in documents if label_studio.is_label_studio(file)]
    cvats, vocs = cvat.find_files(root), voc.find_files(files)
    vocs = [path for path in vocs if path not in cvats]
    if cocos:
        found["COCO"] = cocos[0].path, lambda: coco.read(cocos, finder)
    if studios:
        found["Label Studio"] = (
            studios[0].path,
            lambda: label_studio.read(studios, finder),
        )
    if cvats:
        found["CVAT"] = cvats[0], lambda: cvat.read(cvats, finder)
    if vocs:
        found["Pascal VOC"] = vocs[0], lambda: voc.read(vocs, files, finder)
    if sign := yolo.sign_of(root, is_only=not found):
        found["YOLO"] = sign, lambda: yolo.read(finder, files)
    return found


def _refuse_unwritable_labels(root: Path, labels: list[str]) -> None:
    """Refuse class names that cannot be encoded: reports and packages hold them."""
    try:
        "".join(labels).encode()
    except UnicodeEncodeError as exc:
        raise DatasetError(
            f"{root}: a class name is not text.",
            why=f"{exc}.",
            fix="Rename the class in the annotation tool, and export again.",
        ) from exc
