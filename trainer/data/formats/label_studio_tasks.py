"""Label Studio's two JSON exports, brought to one form: a task, its annotations.

JSON has a task with a list of annotations; JSON-MIN has one entry for each annotation,
its regions under the name of the labelling control. Of several annotations one is
taken: the one marked as ground truth, else the one changed last, else the one with the
highest id. Skipped ones never count.
Source: Label Studio documentation, "Export annotations", and label-studio-converter.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from trainer.data.formats.files import SUFFIXES

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # what an upload puts before the name


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one person drew on one picture.

    Attributes:
        number: Id of the annotation, as text.
        regions: The objects of the export.
        is_truth: Marked as ground truth.
        changed_at: ISO 8601, as the tool wrote it; sorts as text.
    """

    number: str
    regions: tuple[dict[str, Any], ...]
    is_truth: bool = False
    changed_at: str = ""


@dataclass(slots=True)
class Task:
    """One task: pictures and what people drew on them.

    Attributes:
        number: Id of the task, as text.
        pictures: Names, URLs resolved; more than one where a task shows several.
        judgements: Without skipped ones.
        skipped: How many were skipped.
    """

    number: str
    pictures: tuple[str, ...]
    judgements: list[Judgement] = field(default_factory=list)
    skipped: int = 0

    def chosen(self) -> Judgement | None:
        """Return the annotation that is trained on; None where nobody finished one."""
        return max(self.judgements, key=_rank, default=None)


def _rank(judgement: Judgement) -> tuple[bool, str, int, str]:
    """Return what sorts annotations: the best last."""
    number = judgement.number
    return judgement.is_truth, judgement.changed_at, len(number), number


def is_label_studio(content: object) -> bool:
    """Return whether a JSON document looks like one of the two exports.

    Args:
        content: As it was read.
    """
    if not isinstance(content, list) or not content:
        return False
    first = content[0]
    return isinstance(first, dict) and (_is_task(first) or _is_entry(first))


def read_tasks(content: Sequence[object]) -> Iterator[Task | str]:
    """Return the tasks of a document; a text instead of one that is damaged.

    Args:
        content: The list of the export.
    """
    entries: dict[str, Task] = {}
    for place, entry in enumerate(content, 1):
        if isinstance(entry, dict) and _is_task(entry):
            yield _full_task(entry)
        elif isinstance(entry, dict) and _is_entry(entry):
            number = _text(entry.get("id", place))
            task = entries.setdefault(number, Task(number, _pictures(entry, None)))
            task.judgements.append(_small_judgement(entry))
        else:
            yield f"entry {place}"
    yield from entries.values()


def _is_task(entry: dict[str, Any]) -> bool:
    """Return whether an entry is one of the full export."""
    return isinstance(entry.get("data"), dict) and any(
        name in entry for name in ("annotations", "completions", "predictions")
    )


def _is_entry(entry: dict[str, Any]) -> bool:
    """Return whether an entry is one of JSON-MIN."""
    return any(name in entry for name in ("annotation_id", "annotator")) and bool(
        _pictures(entry, None)
    )


def _full_task(entry: dict[str, Any]) -> Task:
    """Return a task of the full export."""
    upload = entry.get("file_upload")
    pictures = _pictures(entry["data"], upload if isinstance(upload, str) else None)
    task = Task(_text(entry.get("id", "?")), pictures)
    judged = entry.get("annotations", entry.get("completions"))
    for annotation in judged if isinstance(judged, list) else ():
        if not isinstance(annotation, dict):
            continue
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            task.skipped += 1
            continue
        regions = annotation.get("result")
        task.judgements.append(
            Judgement(
                _text(annotation.get("id", "?")),
                _objects(regions),
                annotation.get("ground_truth") is True,
                _text(annotation.get("updated_at") or annotation.get("created_at")),
            )
        )
    return task


def _small_judgement(entry: dict[str, Any]) -> Judgement:
    """Return the annotation that an entry of JSON-MIN is."""
    lists = (value for value in entry.values() if isinstance(value, list))
    return Judgement(
        _text(entry.get("annotation_id", "?")),
        tuple(region for values in lists for region in _objects(values)),
        changed_at=_text(entry.get("updated_at") or entry.get("created_at")),
    )


def _objects(values: object) -> tuple[dict[str, Any], ...]:
    """Return the objects of a list."""
    listed = values if isinstance(values, list) else ()
    return tuple(value for value in listed if isinstance(value, dict))


def _text(value: object) -> str:
    """Return a scalar as text; empty for anything else."""
    return str(value) if isinstance(value, str | int | float) else ""


def _pictures(data: dict[str, Any], upload: str | None) -> tuple[str, ...]:
    """Return the names of a task's pictures.

    A name with the suffix of a picture counts; where none has one, what is under
    ``image`` does, as some servers give pictures without.
    """
    names = [picture_name(text) for text in _strings(data)]
    known = [name for name in names if _has_suffix(name)]
    if not known and upload and _has_suffix(upload):
        known = [upload]
    if not known and isinstance(data.get("image"), str):
        known = [picture_name(data["image"])]
    return tuple(dict.fromkeys(name for name in known if name))


def _strings(data: dict[str, Any]) -> Iterator[str]:
    """Return the texts of a task's data, also of its lists of pictures."""
    for value in data.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict) and isinstance(item.get("url"), str):
                yield item["url"]


def _has_suffix(name: str) -> bool:
    """Return whether a name is that of a picture."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def picture_name(url: str) -> str:
    """Return the path of a picture that a URL gives.

    ``/data/local-files/?d=lot1/a.jpg`` is ``lot1/a.jpg``.

    Args:
        url: A URL, an address in a cloud's store, or a plain path.
    """
    if url.startswith("data:"):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no address
        return url
    if inside := parse_qs(parts.query).get("d"):
        return inside[0]
    is_url = bool(parts.scheme and parts.netloc)
    return unquote(parts.path) if is_url or url.startswith("/data/") else url


def without_prefix(name: str) -> str:
    """Return the name that a picture had before it was uploaded.

    Args:
        name: Path of a picture.
    """
    return UPLOAD_PREFIX.sub("", PurePosixPath(name.replace("\\", "/")).name)
