"""JSON files of a dataset, each read once, with the reason where that fails."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import DatasetError
from models.files import read_regular
from trainer.data.findings import first_names
from trainer.data.formats.limits import JSON_MAX_PARTS, LABELS_MAX_BYTES
from trainer.data.paths import shown

START_BYTES = 64 * 1024  # enough to recognize what a file holds that was cut off later


@dataclass(frozen=True, slots=True)
class JsonFile:
    """One JSON file."""

    path: Path
    content: object  # the document; None where it could not be read
    fault: str = ""  # why it could not be read; empty if it could
    is_readable: bool = True  # the fault is in the content, not in the file system
    start: str = ""  # how a damaged file starts


def read_json(path: Path) -> JsonFile:
    """Return a JSON file, UTF-8, UTF-16 or UTF-32, with or without byte order mark.

    A key that is twice in one object is a fault: JSON readers keep the last value, and
    the labels under the first one would be lost.
    """
    try:
        content = read_regular(path, LABELS_MAX_BYTES)
    except OSError as exc:
        fault = f"It cannot be read: {exc.strerror}."
        return JsonFile(path, None, fault, is_readable=False)
    if content.count(b"[") + content.count(b"{") > JSON_MAX_PARTS:
        # Before it is read: an empty list of two bytes takes 60 in memory.
        fault = f"It has more than {JSON_MAX_PARTS:,} lists and objects."
        return JsonFile(path, None, fault, start=_text(content[:START_BYTES]))
    try:
        return JsonFile(path, json.loads(content, object_pairs_hook=_each_key_once))
    except RecursionError:
        fault = "Its lists are nested too deep."
    except ValueError as exc:
        fault = f"It is not JSON: {exc}."
    return JsonFile(path, None, fault, start=_text(content[:START_BYTES]))


def refuse_damaged(files: Sequence[JsonFile], fix: str) -> None:
    """Refuse label files of which one is damaged: the others are only a part.

    Raises:
        DatasetError: One could not be read.
    """
    damaged = [file for file in files if file.fault]
    if not damaged:
        return
    first, *others = damaged
    state = "damaged" if first.is_readable else "cannot be read"
    why = " ".join([first.fault, *(f"{f.path.name}: {f.fault}" for f in others)])
    if whole := [file.path.name for file in files if not file.fault]:
        why += f" {first_names(whole)} can be read, but is only a part of the labels."
    fix = f"{fix} If it holds no labels, remove it."
    raise DatasetError(f"{first.path}: {state}.", why=why, fix=fix)


def _text(start: bytes) -> str:
    return start.decode(json.detect_encoding(start), errors="ignore")


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
    message = f"the key {shown(twice)} is twice in one object"
    raise ValueError(message)
