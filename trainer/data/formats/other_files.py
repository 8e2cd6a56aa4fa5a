"""Files of a dataset that no reader takes, and links that lead out of it.

Each is named: XML files that are damaged, in another format or in a folder that is not
searched; tables; archives inside the dataset; files that are read but lie elsewhere.
"""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from models.files import read_start
from trainer.data.findings import Finding, Level, first_names
from trainer.data.formats.files import GOOD_FOLDER, VERDICT_FOLDERS, is_picture
from trainer.data.formats.xml_tree import root_tag

ARCHIVES = frozenset({".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz"})
TABLES = frozenset({".csv", ".tsv", ".xlsx"})
RECORDS = frozenset({".tfrecord", ".record"})
NAMED = ARCHIVES | TABLES | RECORDS | {".xml"}
HEAD_BYTES = 16 * 1024
# Tags and columns of boxes in formats that are not read: dlib, TensorFlow, VIA.
XML_OF_BOXES = re.compile(rb"<(box|bndbox|object|polygon)\b", re.IGNORECASE)
ROW_OF_YOLO = re.compile(rb"^\s*\d+(\s+\d*\.\d+){4,}\s*$", re.MULTILINE)
DOCUMENT_TYPE = re.compile(rb"<!DOCTYPE", re.IGNORECASE)
COLUMNS_OF_BOXES = re.compile(
    rb"\b(x_?min|bbox|region_shape_attributes|xtl)\b", re.IGNORECASE
)
# What people call the folder of good parts, in lower case; only `good/` is read so.
GOOD_NAMES = frozenset(
    {"good", "goods", "gut", "gute", "ok", "okay", "io", "normal", "passed", "pass"}
    | {"no_defect", "no-defect", "nodefect", "defect_free", "defect-free"}
    | {"bon", "bons", "bueno", "buenos", "buono", "buoni", "goed"}
)
SIGNS = frozenset(  # files that a dataset has once, at its top
    {"data.yaml", "data.yml", "obj.data", "annotations.xml", "_annotations.coco.json"}
    | {"train.json", "val.json", "valid.json", "test.json", "result.json"}
)
FIX_UNKNOWN = "None needed if they hold no labels; otherwise export them as COCO."


def other_findings(
    root: Path, files: Sequence[Path], taken: Collection[Path], *, is_yolo: bool
) -> list[Finding]:
    """Return what is not read, and what is read from elsewhere.

    Args:
        files: Every file of the dataset.
        taken: The XML files that a reader takes.
        is_yolo: Text files are label files.
    """
    by_reason: dict[tuple[Level, str, str], list[Path]] = defaultdict(list)
    for path in files:
        if path not in taken and (reason := _reason(root, path)):
            by_reason[reason].append(path)
    if not is_yolo and (rows := _files_of_rows(files)):
        why = (
            "rows of YOLO, read in labels/ or beside data.yaml or classes.txt, and not "
            "together with labels of another format"
        )
        by_reason[Level.WARNING, why, FIX_UNKNOWN] = rows
    findings = []
    for (level, why, fix), paths in by_reason.items():
        place = first_names(path.relative_to(root).as_posix() for path in paths)
        count = f"{len(paths)} file{'s' * (len(paths) > 1)} not read"
        findings.append(Finding(level, paths[0], place, f"{count}: {why}.", fix))
    return [*findings, *_outside(root, files)]


def _reason(root: Path, path: Path) -> tuple[Level, str, str] | None:
    """Return how bad it is that a file is not read, why it is not, and what to do."""
    suffix = path.suffix.lower()
    if suffix not in NAMED or path.name.startswith("."):
        return None
    if any(path.is_relative_to(root / folder) for folder in VERDICT_FOLDERS):
        return None
    if suffix in ARCHIVES:
        fix = "Unpack it if it holds photos or labels of this dataset."
        return Level.WARNING, "an archive in the dataset is not unpacked", fix
    if suffix in RECORDS or (suffix in TABLES and _holds(path, COLUMNS_OF_BOXES)):
        return Level.WARNING, "boxes in this format are not read", FIX_UNKNOWN
    return _reason_of_xml(root, path) if suffix == ".xml" else None


def _files_of_rows(files: Sequence[Path]) -> list[Path]:
    """Return the text files with the name of a picture that hold boxes of YOLO."""
    stems = {path.stem for path in files if is_picture(path)}
    return [
        path
        for path in files
        if path.suffix.lower() == ".txt"
        and path.stem in stems
        and _holds(path, ROW_OF_YOLO)
    ]


def _reason_of_xml(root: Path, path: Path) -> tuple[Level, str, str] | None:
    tag = root_tag(path)
    if tag is None and _holds(path, DOCUMENT_TYPE):
        return None  # no label file has one
    if tag is None:
        # Beside other label files it is one of them that was cut off.
        is_placed = path.parent == root or path.parent.name.lower() == "annotations"
        level = Level.ERROR if is_placed else Level.WARNING
        fix = "Export it again, or remove it if it holds no labels."
        return level, "it is not XML; whether it holds labels is not known", fix
    if tag in {"annotations", "annotation"}:
        fix = "Move it to the dataset's folder if its labels are meant."
        return Level.WARNING, "labels in a folder that is not searched", fix
    if _holds(path, XML_OF_BOXES):
        why = f"boxes of a format that is not known, <{tag}>"
        return Level.WARNING, why, FIX_UNKNOWN
    return None


def _holds(path: Path, pattern: re.Pattern[bytes]) -> bool:
    try:
        return bool(pattern.search(read_start(path, HEAD_BYTES)))
    except OSError:  # it is not needed
        return False


def _outside(root: Path, files: Iterable[Path]) -> Iterator[Finding]:
    """Yield a finding where files are read from outside of the dataset."""
    real_root = Path(os.path.realpath(root))

    @cache
    def real(folder: Path) -> Path:
        return Path(os.path.realpath(folder))

    found = []
    for path in files:
        target = real(path) if path.is_symlink() else real(path.parent)
        if not target.is_relative_to(real_root):
            found.append((path, target))
    if found:
        place = first_names(path.relative_to(root).as_posix() for path, _ in found)
        count = f"{len(found)} file{'s' * (len(found) > 1)}"
        why = f"{count} read through links from outside of the dataset: {found[0][1]}."
        fix = "None needed if that is meant: a change there changes this dataset."
        yield Finding(Level.WARNING, found[0][0], place, why, fix)


def misnamed_good(root: Path, picture: Path) -> str:
    """Return the folder of a picture that is named like good parts, but is not read so.

    Returns:
        The folder, relative to the dataset; empty where there is none.
    """
    parts = picture.relative_to(root).parts[:-1]
    for count, part in enumerate(parts, 1):
        if part.casefold() in GOOD_NAMES and parts[:count] != (GOOD_FOLDER,):
            return "/".join(parts[:count])
    return ""


def datasets_inside(root: Path, files: Iterable[Path]) -> list[str]:
    """Return the folders below a dataset's that look like datasets of their own."""
    found = {_dataset_of(path) for path in files}
    names = {f.relative_to(root).as_posix() for f in found if f and f != root}
    return sorted(names)


def _dataset_of(path: Path) -> Path | None:
    """Return the folder whose dataset a file describes; None = it describes none."""
    folder, name = path.parent, path.name.lower()
    if folder.name.lower() == "annotations" and path.suffix.lower() in {
        ".json",
        ".xml",
    }:
        return folder.parent
    if folder.name.lower() == "labels" and path.suffix.lower() == ".txt":
        return folder.parent
    return folder if name in SIGNS else None
