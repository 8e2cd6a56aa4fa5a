"""Tasks of Label Studio: JSON and JSON-MIN brought to one form.

JSON has a task with a list of annotations; JSON-MIN has one entry for each annotation,
its regions under the name of the labelling control.
Source: Label Studio documentation, "Export annotations", and label-studio-converter.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from trainer.data.formats.files import SUFFIXES
from trainer.data.formats.rows import LabelState
from trainer.data.paths import shown

GEOMETRY = frozenset({"x", "points", "rle", "sequence", "vertices"})
# Choices that mean a good part. Any other choice may be a defect without a box.
GOOD_CHOICES = frozenset(
    {
        "ok",
        "okay",
        "good",
        "pass",
        "passed",
        "normal",
        "no defect",
        "no defects",
        "defect-free",
        "gut",
        "io",
        "i.o.",
        "in ordnung",
    }
)
# Fields of an entry of JSON-MIN that no labelling control writes.
ENTRY_FIELDS = frozenset(
    {
        "id",
        "inner_id",
        "annotation_id",
        "annotator",
        "created_at",
        "updated_at",
        "lead_time",
    }
)
NOT_EXPORTED = "its annotations are not in the export"
FIX_DISPUTED = "Agree on one, and mark it as ground truth."
FIX_NO_BOX = (
    "Draw the defect as a box. If the part is good, submit the task without this, or "
    "take it out of the export and put the photo into good/."
)
UNFINISHED = "its task has no finished annotation"


class Verdict(StrEnum):
    """What an annotation makes of its photo."""

    DEFECTIVE = "defective"  # it has regions
    GOOD = "good"
    UNCLEAR = "unclear"  # no region, but something else


@dataclass(frozen=True, slots=True)
class StudioClass:
    """Something entered for the whole picture, such as a choice."""

    control: str  # "choice", "rating", "field 'lot'"
    value: str = ""  # as a person reads it; empty for free text

    @property
    def means_good(self) -> bool:
        """Whether its text means a good part."""
        return self.value.strip().lower() in GOOD_CHOICES

    def __str__(self) -> str:
        return f"{self.control} {shown(self.value)}" if self.value else self.control


@dataclass(frozen=True, slots=True)
class StudioAnnotation:
    """The annotation of one picture by one person."""

    number: str
    regions: tuple[dict[str, Any], ...]  # those with a place in the picture
    classes: tuple[StudioClass, ...] = ()
    is_truth: bool = False  # marked as ground truth
    changed_at: str = ""  # ISO 8601, as the tool wrote it; sorts as text
    fault: str = ""  # why a part of it could not be read

    @property
    def rank(self) -> tuple[bool, str, int, str]:
        """Sort key: of several annotations the greatest is taken."""
        return self.is_truth, self.changed_at, len(self.number), self.number

    def verdict(self, on_defects: Collection[StudioClass]) -> Verdict:
        """Return what the annotation makes of its photo.

        Args:
            on_defects: What was entered for photos with regions.
        """
        if self.regions:
            return Verdict.DEFECTIVE
        means_good = all(
            one.means_good and one not in on_defects for one in self.classes
        )
        return Verdict.GOOD if means_good and not self.fault else Verdict.UNCLEAR

    def doubt(self) -> tuple[str, str]:
        """Return why it is unclear what the photo shows, and what to do."""
        if self.fault:
            return "its annotation could not be read", "Export it again."
        other = (one for one in self.classes if not one.means_good)
        return f"its {next(other, self.classes[0])} has no box", FIX_NO_BOX


@dataclass(slots=True)
class StudioTask:
    """One task: pictures and what people drew on them."""

    number: str
    # names, URLs resolved; more than one where a task shows several
    pictures: tuple[str, ...]
    # without skipped ones
    annotations: list[StudioAnnotation] = field(default_factory=list)
    # where there is no finished annotation
    state: LabelState = LabelState.UNLABELLED
    reason: str = UNFINISHED
    # somebody drew regions, and skipped the task or did not submit it
    has_discarded_regions: bool = False

    def candidates(self) -> list[StudioAnnotation]:
        """Return the annotations that may be right: ground truth, else all."""
        truths = [one for one in self.annotations if one.is_truth]
        return truths or self.annotations

    def verdicts(self, on_defects: Collection[StudioClass]) -> set[Verdict]:
        """Return what the candidates make of the photo; two where they disagree."""
        return {one.verdict(on_defects) for one in self.candidates()}

    def doubt(self, on_defects: Collection[StudioClass]) -> tuple[str, str] | None:
        """Return why it is unclear what the photo shows, and what to do.

        Args:
            on_defects: As for ``StudioAnnotation.verdict``.
        """
        verdicts, chosen = self.verdicts(on_defects), self.chosen()
        if len(verdicts) > 1:
            return "people disagree whether it shows a defect", FIX_DISPUTED
        if chosen and verdicts == {Verdict.UNCLEAR}:
            return chosen.doubt()
        if self.has_discarded_regions and verdicts == {Verdict.GOOD}:
            return "regions were drawn on it, and not submitted", FIX_DISPUTED
        return None

    def chosen(self) -> StudioAnnotation | None:
        """Return the annotation that is trained on; None where none is finished."""
        return max(self.annotations, key=lambda one: one.rank, default=None)


def is_task(entry: dict[str, Any]) -> bool:
    """Return whether an entry is one of the full export."""
    return isinstance(entry.get("data"), dict) and any(
        name in entry for name in ("annotations", "completions", "predictions")
    )


def is_entry(entry: dict[str, Any]) -> bool:
    """Return whether an entry is one of JSON-MIN."""
    return any(name in entry for name in ("annotation_id", "annotator")) and bool(
        _pictures(entry, None)
    )


def read_tasks(content: Sequence[object]) -> Iterator[StudioTask | str]:
    """Yield the tasks of a document; the place instead of one that is damaged."""
    # By pictures too: two exports joined into one file have the same numbers.
    entries: dict[tuple[str, tuple[str, ...]], StudioTask] = {}
    for place, entry in enumerate(content, 1):
        if not isinstance(entry, dict):
            yield f"entry {place}"
        elif is_task(entry):
            yield _full_task(entry)
        elif is_entry(entry):
            new = StudioTask(_text(entry.get("id", place)), _pictures(entry, None))
            task = entries.setdefault((new.number, new.pictures), new)
            task.annotations.append(_entry_annotation(entry, task.pictures))
        elif pictures := _pictures(_data(entry), None):
            yield StudioTask(_text(entry.get("id", place)), pictures)
        else:
            yield f"entry {place}"
    yield from entries.values()


def _data(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an entry that has no annotation."""
    data = entry.get("data", entry)
    return data if isinstance(data, dict) else {}


def _full_task(entry: dict[str, Any]) -> StudioTask:
    upload = entry.get("file_upload")
    pictures = _pictures(entry["data"], upload if isinstance(upload, str) else None)
    task = StudioTask(_text(entry.get("id", "?")), pictures)
    drawn = _list(entry.get("annotations", entry.get("completions")))
    discarded = [part for part in _list(entry.get("drafts")) if isinstance(part, dict)]
    if any(draft.get("result") for draft in discarded):
        task.reason = "its draft was not submitted"
    for annotation in drawn:
        if not isinstance(annotation, dict):  # its number, as the list of tasks has it
            task.reason = NOT_EXPORTED
        elif annotation.get("was_cancelled") or annotation.get("skipped"):
            task.reason = "its task was skipped"
            discarded.append(annotation)
        else:
            task.annotations.append(_annotation(annotation))
    if not drawn and entry.get("total_annotations"):
        task.reason = NOT_EXPORTED
    if task.reason != UNFINISHED:
        task.state = LabelState.UNCLEAR
    task.has_discarded_regions = any(_annotation(one).regions for one in discarded)
    return task


def _annotation(entry: dict[str, Any]) -> StudioAnnotation:
    result = entry.get("result")
    objects = [part for part in _list(result) if isinstance(part, dict)]
    fault = ""
    if not isinstance(result, list):
        fault = f"its result is {shown(result)}, expected a list."
    elif len(objects) < len(result):
        fault = "its result holds something that is no region."
    regions = tuple(part for part in objects if _is_region(part))
    return StudioAnnotation(
        _text(entry.get("id", "?")),
        regions,
        tuple(_classes(objects, {repr(part.get("id")) for part in regions})),
        entry.get("ground_truth") is True,
        _text(entry.get("updated_at") or entry.get("created_at")),
        fault,
    )


def _is_region(part: dict[str, Any]) -> bool:
    value = part.get("value", part)
    return isinstance(value, dict) and bool(GEOMETRY & value.keys())


def _classes(
    objects: Sequence[dict[str, Any]], regions: Collection[str]
) -> Iterator[StudioClass]:
    """Yield what was entered for the whole picture.

    Args:
        objects: The parts of one result.
        regions: Their ids, as ``repr``; what was entered for them has the same.
    """
    for part in objects:
        value = part.get("value")
        if _is_region(part) or repr(part.get("id")) in regions:
            continue
        if not isinstance(value, dict):
            if part.get("type") != "relation":
                yield StudioClass("result")
            continue
        for control, entered in value.items():
            yield from _entered(control, entered)


def _entered(control: str, entered: object) -> Iterator[StudioClass]:
    """Yield one class for each value of a control; none where it was left empty."""
    if entered in (None, "", [], {}):
        return
    name = "choice" if control == "choices" else control
    values = entered if isinstance(entered, list) else [entered]
    for value in values:
        is_shown = isinstance(value, str | int | float) and control != "text"
        yield StudioClass(name, str(value) if is_shown else "")


def _entry_annotation(
    entry: dict[str, Any], pictures: Collection[str]
) -> StudioAnnotation:
    """Return the annotation that an entry of JSON-MIN is.

    The columns of the imported data are among the fields, and look like choices.
    """
    regions: list[dict[str, Any]] = []
    classes: list[StudioClass] = []
    for name, value in entry.items():
        if name in ENTRY_FIELDS or set(pictures) & set(_named(value)):
            continue
        listed = [value] if isinstance(value, dict) else _list(value)
        parts = [part for part in listed if isinstance(part, dict)]
        regions += [part for part in parts if _is_region(part)]
        for part in parts:
            if not _is_region(part):
                for control, entered in part.items():
                    classes += _entered(control, entered)
        if not parts:
            classes += _entered(f"field {shown(name)}", value)
    return StudioAnnotation(
        _text(entry.get("annotation_id", "?")),
        tuple(regions),
        tuple(classes),
        changed_at=_text(entry.get("updated_at") or entry.get("created_at")),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a scalar as text; empty for anything else."""
    return str(value) if isinstance(value, str | int | float) else ""


def _pictures(data: dict[str, Any], upload: str | None) -> tuple[str, ...]:
    """Return the names of a task's pictures.

    A name with the suffix of a picture counts; where there is none, the value under
    ``image`` does, because some servers give pictures without suffix.
    """
    names = [name for value in data.values() for name in _named(value)]
    known = [name for name in names if has_suffix(name)]
    if not known and upload and has_suffix(upload):
        known = [upload]
    if not known and isinstance(data.get("image"), str):
        known = [picture_name(data["image"])]
    return tuple(dict.fromkeys(name for name in known if name))


def _named(value: object) -> Iterator[str]:
    """Yield the texts of a field as names of pictures, also of its lists."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield picture_name(item)
        elif isinstance(item, dict) and isinstance(item.get("url"), str):
            yield picture_name(item["url"])


def has_suffix(name: str) -> bool:
    """Return whether a name ends as that of a picture does."""
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
