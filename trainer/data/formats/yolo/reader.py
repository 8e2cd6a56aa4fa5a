"""YOLO: one text file per photo, lines of ``class cx cy w h`` as shares of the photo.

Four layouts are read: with ``data.yaml`` (names and splits), CVAT's YOLO 1.1
(``obj.data``, ``obj.names``), folders ``images/`` and ``labels/`` with
``classes.txt``, and Roboflow's export for Darknet, folders ``train/``, ``valid/`` and
``test/`` of photos and label files with ``_darknet.labels``. An empty text
file makes a photo a good part. A photo without text file is unlabelled, because the
file may be lost: only ``--unlabelled good`` takes it for background, as some trainers
do.

Source: Ultralytics' dataset format; CVAT manual, "YOLO"; Darknet's ``.data`` files.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.formats.files import (
    PictureFinder,
    files_below,
    folded,
    is_picture,
)
from trainer.data.formats.rows import Annotations, LabelState, PhotoRows
from trainer.data.formats.yolo.class_names import (
    ROBOFLOW_NAMES,
    class_names,
    is_names_file,
    names_files,
)
from trainer.data.formats.yolo.label_files import (
    LABEL_SUFFIX,
    LABELS_FOLDER,
    LabelFiles,
    holds_boxes,
    plain,
)
from trainer.data.formats.yolo.label_rows import read_rows
from trainer.data.formats.yolo.orphans import Orphans, explained
from trainer.data.formats.yolo.settings import (
    DARKNET_SETTINGS,
    SETTINGS_FILES,
    SPLIT_KEYS,
    YoloSettings,
    read_settings,
)
from trainer.data.formats.yolo.splits import SplitReader

NO_LABEL_FILE = "no label file (that of a good part is empty)"
MAY_HAVE_OTHER = "a label file of another name may be meant"
CORRECT_ERROR = "Correct the error about the label file."
DEFECTIVE_IN_GOOD = "in good/, but a label file with boxes has this name"


def sign_of(root: Path, *, is_only: bool) -> Path | None:
    """Return the path that identifies a folder as a YOLO dataset; None = no YOLO.

    Args:
        is_only: No other format was found: an empty ``labels/`` is sufficient.
    """
    for name in (*SETTINGS_FILES, DARKNET_SETTINGS):
        if (root / name).is_file():
            return root / name
    if roboflow := sorted(root.glob(f"*/{ROBOFLOW_NAMES}")):
        return roboflow[0]
    for place in ("", *SPLIT_KEYS):
        for folder in _labels_folders(root / place):
            if is_only or any(map(_is_label_file, files_below(folder))):
                return folder
    files = sorted(path for path in root.iterdir() if path.is_file())
    if any(map(is_names_file, files)) or any(_labels_folders(root)):
        pictures = {folded(path.stem) for path in files if is_picture(path)}
        beside = (p for p in files if _is_label_file(p) and folded(p.stem) in pictures)
        return next(beside, None)
    return None


def _labels_folders(place: Path) -> Iterator[Path]:
    """Yield the folders of label files in a folder: ``labels``, also ``Labels``."""
    if place.is_dir():
        inside = sorted(place.iterdir())
        yield from (p for p in inside if folded(p.name) == LABELS_FOLDER and p.is_dir())


def _is_label_file(path: Path) -> bool:
    return path.suffix.lower() == LABEL_SUFFIX and not is_names_file(path)


def read(finder: PictureFinder, files: Sequence[Path]) -> Annotations:
    """Return the annotations of a YOLO dataset.

    Args:
        files: Every file of the dataset.

    Raises:
        DatasetError: The settings are damaged or contradict each other, or class names
            are missing.
    """
    settings = read_settings(finder.root)
    labels = class_names(settings, files)
    splits = SplitReader(settings, finder)
    annotations = Annotations(splits.read(), labels, splits.findings)
    others = {*names_files(settings, files), *splits.lists}
    label_files = LabelFiles(
        finder.root, [p for p in files if _is_label_file(p) and p not in others]
    )
    photos = [photo for photo in annotations.photos if not photo.fault]
    rest = _others(filter(is_picture, files), [photo.path for photo in photos])
    label_files.add_linked(photo.path for photo in photos)
    claimed = _assign_files(annotations, photos, label_files, finder)
    claimed |= {path for picture in rest for path in label_files.of(picture)}
    unlabelled = [p.path for p in photos if p.state is LabelState.UNLABELLED]
    texts = _others(label_files.paths, claimed)
    splits.warn_of_other_lists(texts)
    lost = [path for path in texts if holds_boxes(path)]
    lost = _refuse_good(annotations, rest, lost, unlabelled, label_files, finder)
    _report_lost(annotations, photos, explained(label_files, lost, unlabelled, files))
    annotations.unlisted += _unlisted(settings, annotations, rest, finder)
    read_rows(annotations, [photo for photo in photos if photo.source in claimed])
    _refuse_listed_good(annotations, photos, finder)
    return annotations


def _others(paths: Iterable[Path], known: Iterable[Path]) -> list[Path]:
    """Return the files that are not known, not through a link either."""
    known = set(known)
    others = [path for path in paths if path not in known]
    real = {os.path.realpath(path) for path in known} if others else set()
    return [path for path in others if os.path.realpath(path) not in real]


def _assign_files(
    annotations: Annotations,
    photos: Iterable[PhotoRows],
    label_files: LabelFiles,
    finder: PictureFinder,
) -> set[Path]:
    """Set the label file or the state of each photo; return all files that count."""
    paths = list(dict.fromkeys(photo.path for photo in photos))
    matches = label_files.match(paths)
    annotations.findings += matches.findings
    for photo in photos:
        photo.source = matches.files.get(photo.path, photo.source)
        if reason := matches.contested.get(photo.path):
            _leave_out(photo, reason)
        elif photo.path not in matches.files and _may_be_labelled(photo, finder):
            photo.state, photo.state_reason = LabelState.UNLABELLED, NO_LABEL_FILE
    return {file for path in paths for file in label_files.of(path)}


def _may_be_labelled(photo: PhotoRows, finder: PictureFinder) -> bool:
    """Return whether a photo needs a label file; a missing one is reported as that."""
    return not finder.verdict(photo.path) and photo.path.exists()


def _refuse_good(
    annotations: Annotations,
    rest: Iterable[Path],
    lost: Sequence[Path],
    unlabelled: Iterable[Path],
    label_files: LabelFiles,
    finder: PictureFinder,
) -> list[Path]:
    """Report photos in ``good/`` that a label file with boxes may belong to.

    Returns:
        The lost files that belong to none of them.
    """
    names = {plain(path.stem) for path in unlabelled}
    by_name = {plain(p.stem): p for p in lost if plain(p.stem) not in names}
    used = set()
    for picture in rest:
        if not finder.is_good(picture):
            continue
        own = [path for path in label_files.of(picture) if holds_boxes(path)]
        file = own[0] if own else by_name.get(plain(picture.stem))
        if file is None:
            continue
        used.add(file)
        annotations.unlisted.append(_defective_in_good(annotations, picture, file))
    return [path for path in lost if path not in used]


def _defective_in_good(
    annotations: Annotations, picture: Path, file: Path
) -> PhotoRows:
    """Return a photo of ``good/`` that has boxes, as one that is left out."""
    why = f"holds boxes, but the only photo of its name is in good/: {picture.name}."
    fix = "Move the photo out of good/, or delete the label file."
    kind = FindingKind.UNCLEAR_LABEL
    annotations.findings.append(
        Finding(Level.ERROR, file, "", why, fix, kind, photo=picture)
    )
    photo = PhotoRows(picture, file)
    _leave_out(photo, DEFECTIVE_IN_GOOD)
    return photo


def _leave_out(photo: PhotoRows, reason: str) -> None:
    """Mark a photo that an error is about; it is never taken as a good part."""
    photo.state, photo.state_reason = LabelState.UNCLEAR, reason
    photo.state_fix = CORRECT_ERROR


def _refuse_listed_good(
    annotations: Annotations, photos: Iterable[PhotoRows], finder: PictureFinder
) -> None:
    """Report photos with boxes that a split takes from ``good/``."""
    for photo in photos:
        if photo.rows and finder.is_good(photo.path):
            _defective_in_good(annotations, photo.path, photo.source)
            _leave_out(photo, DEFECTIVE_IN_GOOD)


def _report_lost(
    annotations: Annotations, photos: Iterable[PhotoRows], orphans: Orphans
) -> None:
    annotations.findings += orphans.findings
    for photo in photos:
        if photo.path in orphans.owners:
            _leave_out(photo, MAY_HAVE_OTHER)


def _unlisted(
    settings: YoloSettings,
    annotations: Annotations,
    rest: Iterable[Path],
    finder: PictureFinder,
) -> Iterator[PhotoRows]:
    """Yield the pictures outside of ``good/`` that no split has.

    They are no part of the dataset for any trainer, so never taken as good parts.
    """
    known = {photo.path for photo in annotations.photos}
    of = f" of {settings.name}" if settings.name else ""
    for path in rest:
        if path in known or finder.verdict(path):
            continue
        folder = path.parent.relative_to(finder.root)
        yield PhotoRows(
            path,
            path.parent,
            state=LabelState.UNCLEAR,
            state_reason=f"no split{of} has it, in folder {folder}",
            state_fix="Name the folder or the photos in a split, or remove them.",
        )
