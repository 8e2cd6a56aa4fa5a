"""JSON files of a dataset that no reader takes: each is named, with the reason.

A file that is damaged, in a format that is not read, or in a folder that is not
searched may hold the labels of a part of the photos.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from models.photo_provenance import PROVENANCE_NAME
from trainer.data.findings import Finding, Level, first_names
from trainer.data.formats.coco import reader as coco
from trainer.data.formats.coco.document import other_kind
from trainer.data.formats.files import VERDICT_FOLDERS
from trainer.data.formats.json_file import JsonFile, read_json
from trainer.data.formats.label_studio.reader import is_label_studio
from trainer.data.synthetic.line_folder import MARKER as SYNTH_MARKER

FOLDERS = (".", "annotations")  # compared in lower case
LINES = frozenset({".jsonl", ".ndjson"})  # one JSON value a line
MOST_TRIED = 20  # LabelMe writes one file a photo
LABEL_STUDIO_NOTES = {"categories", "info"}  # beside its YOLO exports, without labels
NO_LABELS = frozenset({SYNTH_MARKER, PROVENANCE_NAME})  # files that we write
SYNTH_TRUTH = {"fps", "frame_count", "parts"}  # of the video of `graftline synth`
FIX_DAMAGED = "Export it again, or remove it if it holds no labels."
FIX_UNKNOWN = "None needed if it holds no labels; otherwise export them as COCO."
FIX_MOVE = "Move it to the dataset's folder or to annotations/ if its labels are meant."


def is_searched(root: Path, path: Path) -> bool:
    """Return whether a file is a JSON file in a place where labels are read."""
    if not _is_json(path):
        return False
    folder = path.parent.relative_to(root).as_posix().lower()
    is_roboflow = folder in coco.SPLITS and path.name == coco.ROBOFLOW_NAME
    return folder in FOLDERS or is_roboflow


def _is_json(path: Path) -> bool:
    # macOS writes metadata beside each file, as `._train.json`.
    is_metadata = path.name.startswith("._") or path.name in NO_LABELS
    return path.suffix.lower() == ".json" and not is_metadata


def unread_documents(documents: Iterable[JsonFile]) -> list[Finding]:
    """Return the findings of JSON files in the right place that no reader takes.

    Args:
        documents: Those that are neither COCO nor Label Studio.
    """
    by_reason: dict[str, list[Path]] = {}
    findings = []
    for file in documents:
        if file.fault:
            why = f"{file.fault} Whether it holds labels is not known."
            findings.append(Finding(Level.ERROR, file.path, "", why, FIX_DAMAGED))
        elif reason := _content_of(file.content):
            by_reason.setdefault(reason, []).append(file.path)
    for reason, paths in by_reason.items():
        place = first_names(path.name for path in paths) if paths[1:] else ""
        count = f"{len(paths)} JSON file{'s' * (len(paths) > 1)}"
        why = f"{count} not read: {reason}."
        findings.append(Finding(Level.WARNING, paths[0], place, why, FIX_UNKNOWN))
    return findings


def _content_of(content: object) -> str:
    """Return what a JSON file holds that is not read; empty where it needs no word."""
    if isinstance(content, dict):
        if content.keys() <= LABEL_STUDIO_NOTES or content.keys() >= SYNTH_TRUTH:
            return ""
        if kind := other_kind(content):
            return f"COCO {kind}, without boxes"
        if _is_labelme(content):
            return "LabelMe is not read"
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and {"image_id", "score"} <= first.keys():
        return "detections of a model, without a list of images"
    return "no labels in a known format"


def _is_labelme(content: object) -> bool:
    return isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys()


def unread_lines(root: Path, files: Iterable[Path]) -> list[Finding]:
    """Return a finding where there are files of JSON lines, such as metadata.jsonl."""
    lines = [path for path in files if path.suffix.lower() in LINES]
    if not lines:
        return []
    place = first_names(path.relative_to(root).as_posix() for path in lines)
    why = f"{len(lines)} file{'s' * (len(lines) > 1)} of JSON lines not read."
    return [Finding(Level.WARNING, lines[0], place, why, FIX_UNKNOWN)]


def unread_folders(root: Path, files: Sequence[Path]) -> list[Finding]:
    """Return a finding where label files lie in folders that are not searched."""
    deeper = [
        path
        for path in files
        if _is_json(path)
        and not is_searched(root, path)
        and path.relative_to(root).parts[0] not in VERDICT_FOLDERS
    ]
    found = [path for path in deeper[:MOST_TRIED] if _holds_labels(read_json(path))]
    if not found:
        return []
    names = [path.relative_to(root).as_posix() for path in found]
    place = first_names(names) if found[1:] else ""
    more = f" and perhaps {left} more" if (left := len(deeper) - MOST_TRIED) > 0 else ""
    why = (
        f"{len(found)} JSON file{'s' * (len(found) > 1)}{more} with labels not read: "
        "this folder is not searched."
    )
    return [Finding(Level.WARNING, found[0], place, why, FIX_MOVE)]


def _holds_labels(file: JsonFile) -> bool:
    return coco.is_coco(file) or is_label_studio(file) or _is_labelme(file.content)
