"""The structure of a COCO file: its lists, and ids that name one thing each.

Boxes find their picture and their class by ids alone. Where one id names two pictures,
as in two exports joined into one file, the boxes of one would lie on the other: such a
file is refused.
Source: cocodataset.org, data format.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import DatasetError
from trainer.data.findings import Finding, Level, first_names
from trainer.data.formats.json_file import JsonFile
from trainer.data.paths import shown

CocoId = int | str
LISTS = ("images", "annotations", "categories")
FIX_EXPORT = "Export the dataset as COCO again."
FIX_JOINED = (
    "If two exports were joined, keep each in a file of its own, or export them "
    "together from the annotation tool."
)
# Keys of annotations in COCO files of other kinds, which list the same images.
OTHER_KINDS = {"caption": "captions", "segments_info": "panoptic segmentation"}


@dataclass(frozen=True, slots=True)
class CocoDocument:
    """One COCO file whose ids are sound."""

    path: Path
    images: dict[CocoId, dict[str, Any]]
    categories: dict[CocoId, dict[str, Any]]
    annotations: list[dict[str, Any]]
    findings: list[Finding] = field(default_factory=list)

    def class_of(self, category: CocoId) -> str:
        """Return the class name of a category."""
        return str(self.categories[category]["name"])

    def used_classes(self) -> list[str]:
        """Return class names in order, without a dummy parent that no box uses.

        Roboflow's exports start with a category that is only the others' parent.
        """
        used = {coco_id(entry.get("category_id")) for entry in self.annotations}
        parents = [c.get("supercategory") for c in self.categories.values()]
        names = {number: self.class_of(number) for number in self.categories}
        return [
            name
            for number, name in names.items()
            if number in used or name not in parents
        ]


def other_kind(content: Mapping[str, object]) -> str:
    """Return which COCO file without boxes a document is; empty for none."""
    entries = content.get("annotations")
    entries = entries if isinstance(entries, list) else []
    for key, kind in OTHER_KINDS.items():
        if entries and all(isinstance(e, dict) and key in e for e in entries):
            return kind
    return ""


def coco_id(value: object) -> CocoId | None:
    """Return an id; None where it is neither a text nor a whole number.

    ``1.0`` is 1, as tools write that count in floats; ``true`` is no number.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) else None


def read_document(file: JsonFile) -> CocoDocument:
    """Return the lists of a COCO file.

    Raises:
        DatasetError: It is not COCO, or an id names two things.
    """
    path, content = file.path, file.content
    lists = content if isinstance(content, dict) else {}
    for key in LISTS:
        if not isinstance(lists.get(key), list):
            raise DatasetError(
                f"{path}: no list named {key}.",
                why="COCO has images, annotations and categories.",
                fix=FIX_EXPORT,
            )
    findings: list[Finding] = []
    images = _by_id(path, "image", lists["images"], "file_name", findings)
    categories = _by_id(path, "category", lists["categories"], "name", findings)
    _refuse_malformed(path, lists["annotations"])
    document = CocoDocument(path, images, categories, lists["annotations"], findings)
    _refuse_other_types(document, "image", images)
    _refuse_other_types(document, "category", categories)
    _refuse_class_twice(document)
    document.findings.extend(_repeated_annotation_ids(document))
    return document


def _not_coco(path: Path, why: str) -> DatasetError:
    return DatasetError(f"{path}: not COCO.", why=why, fix=FIX_EXPORT)


def _by_id(
    path: Path,
    kind: str,
    entries: list[object],
    name_key: str,
    findings: list[Finding],
) -> dict[CocoId, dict[str, Any]]:
    """Return the entries of a list by their ids.

    Args:
        name_key: Key of what the id stands for.

    Raises:
        DatasetError: An entry lacks id or name, or two entries have one id.
    """
    found: dict[CocoId, dict[str, Any]] = {}
    repeated: list[str] = []
    different: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for place, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise _not_coco(path, f"{kind} {place} of its list is {shown(entry)}.")
        key, name = coco_id(entry.get("id")), entry.get(name_key)
        if key is None:
            why = f"The id of {kind} {place} is {shown(entry.get('id'))}, expected a "
            raise _not_coco(path, f"{why}whole number.")
        if coco_id(name) is None or (kind == "category" and not str(name).strip()):
            why = f"The {name_key} of {kind} {shown(key)} is {shown(name)}."
            raise _not_coco(path, why)
        first = found.setdefault(key, entry)
        if first is not entry and first == entry:
            repeated.append(f"{kind} {key}")
        elif first is not entry:
            different.append((first, entry))
    if different:
        raise _id_twice(path, kind, name_key, different)
    if repeated:
        why = f"{len(repeated)} entries of the list are there twice, alike: read once."
        fix = "None needed; a new export has each once."
        finding = Finding(Level.WARNING, path, first_names(repeated), why, fix)
        findings.append(finding)
    return found


def _id_twice(
    path: Path,
    kind: str,
    name_key: str,
    pairs: list[tuple[dict[str, Any], dict[str, Any]]],
) -> DatasetError:
    """Return the error of ids that stand for two things each."""
    entry = pairs[0][1]
    first, second = (shown(one[name_key]) for one in pairs[0])
    names = f"to {first} and to {second}"
    if first == second:
        names = f"twice to {first}, with different values"
    count = f"{len(pairs)} id" + ("s are" if len(pairs) > 1 else " is")
    return DatasetError(
        f"{path}: {kind} id {shown(entry['id'])} is given {names}.",
        why=f"{count} used twice. Boxes name their {kind} by its id: those of both "
        "would be mixed.",
        fix=FIX_JOINED,
    )


def _refuse_malformed(path: Path, annotations: list[object]) -> None:
    """Refuse annotations that are no objects, or whose ids are no ids."""
    for place, entry in enumerate(annotations, 1):
        if not isinstance(entry, dict):
            why = f"Annotation {place} of its list is {shown(entry)}."
            raise _not_coco(path, why)
        for key in ("image_id", "category_id"):
            value = entry.get(key)
            if value is not None and coco_id(value) is None:
                why = f"The {key} of annotation {shown(entry.get('id'))} is "
                raise _not_coco(path, f"{why}{shown(value)}.")


def _refuse_other_types(
    document: CocoDocument, kind: str, ids: Iterable[CocoId]
) -> None:
    """Refuse ids that are numbers in one place and texts in another."""
    by_text: dict[str, CocoId] = {}
    references = (coco_id(entry.get(f"{kind}_id")) for entry in document.annotations)
    for value in (*ids, *references):
        if value is None:
            continue
        first = by_text.setdefault(str(value), value)
        if type(first) is not type(value):
            raise DatasetError(
                f"{document.path}: {kind} ids {first!r} and {value!r}: a number and "
                "a text.",
                why="Whether they mean the same is not known.",
                fix=f"Write all {kind} ids as numbers.",
            )


def _refuse_class_twice(document: CocoDocument) -> None:
    """Refuse one class name under two ids that boxes use.

    A name that no box uses is not refused: Roboflow's dummy parent may have the name
    of a class.
    """
    used = {coco_id(entry.get("category_id")) for entry in document.annotations}
    numbers: dict[str, CocoId] = {}
    for number in document.categories:
        name = document.class_of(number)
        if number in used and numbers.setdefault(name, number) != number:
            raise DatasetError(
                f"{document.path}: categories {numbers[name]!r} and {number!r} are "
                f"both named {shown(name)}.",
                why="Boxes of two categories would be one class.",
                fix="Rename one of them, or give both one id. " + FIX_JOINED,
            )


def _repeated_annotation_ids(document: CocoDocument) -> list[Finding]:
    """Return a warning where annotations that differ have one id."""
    first: dict[CocoId, dict[str, Any]] = {}
    repeated: dict[CocoId, None] = {}
    for entry in document.annotations:
        key = coco_id(entry.get("id"))
        if key is not None and first.setdefault(key, entry) != entry:
            repeated[key] = None
    if not repeated:
        return []
    place = first_names(f"annotation {key}" for key in repeated)
    count = f"{len(repeated)} annotation id" + "s" * (len(repeated) > 1)
    why = f"{count} used more than once, for different boxes: all boxes are read."
    return [Finding(Level.WARNING, document.path, place, why, FIX_JOINED)]
