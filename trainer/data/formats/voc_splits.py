"""Which photo of a Pascal VOC dataset belongs to which split.

The lists in ``ImageSets/Main`` decide, else the folder. Lists of one class, such as
``scratch_train.txt``, say nothing about splits; ``trainval`` counts where there is
neither ``train`` nor ``val``.
"""

from collections.abc import Sequence
from pathlib import Path

from trainer.data.formats.rows import (
    Annotations,
    Finding,
    Level,
    PhotoRows,
    named,
    split_name,
)

LIST_FOLDER = "Main"
SPLIT_FOLDERS = frozenset({"train", "val", "valid", "validation", "test"})


def fill(
    annotations: Annotations,
    photos: Sequence[PhotoRows],
    everything: Sequence[Path],
    root: Path,
) -> None:
    """Put the photos into their splits.

    Args:
        annotations: Gets the splits, and findings about photos in no list.
        photos: All of them.
        everything: Every file of the dataset.
        root: Folder of the dataset.
    """
    lists = _lists(everything)
    if not lists:
        for photo in photos:
            annotations.splits.setdefault(_by_folder(photo.path, root), []).append(
                photo
            )
        return
    by_stem: dict[str, list[PhotoRows]] = {}
    for photo in photos:
        by_stem.setdefault(photo.path.stem, []).append(photo)
    listed: set[int] = set()
    for path in lists:
        split = annotations.splits.setdefault(split_name(path.stem), [])
        lost = []
        for line in _lines(path):
            meant = [
                photo for photo in _meant(line, by_stem) if id(photo) not in listed
            ]
            listed |= {id(photo) for photo in meant}
            split += meant
            lost += [] if _meant(line, by_stem) else [line]
        if lost:
            why = f"{len(lost)} photos of the list are not there."
            fix = "Add them, or export again."
            annotations.findings.append(
                Finding(Level.WARNING, path, named(lost), why, fix)
            )
    _tell_unlisted(annotations, [p for p in photos if id(p) not in listed])


def _tell_unlisted(annotations: Annotations, photos: Sequence[PhotoRows]) -> None:
    """Say so when photos are in no split."""
    if photos:
        why = f"{len(photos)} photos are in no list of ImageSets/Main: not used."
        fix = "Add them to a list, or remove ImageSets."
        place = named(photo.path.name for photo in photos)
        annotations.findings.append(
            Finding(Level.WARNING, photos[0].path.parent, place, why, fix)
        )


def _by_folder(picture: Path, root: Path) -> str:
    """Return the split that a folder is called after."""
    for word in reversed(picture.parts[len(root.parts) : -1]):
        if word.lower() in SPLIT_FOLDERS:
            return split_name(word)
    return "all"


def _lists(everything: Sequence[Path]) -> list[Path]:
    """Return the files that list whole splits."""
    lists = [
        path
        for path in everything
        if path.parent.name == LIST_FOLDER and path.suffix.lower() == ".txt"
    ]
    stems = {path.stem for path in lists}
    whole = [
        path
        for path in lists
        if not any(path.stem.endswith(f"_{stem}") for stem in stems)
    ]
    has_sides = {"train", "val"} & {path.stem.lower() for path in whole}
    return [p for p in whole if not (has_sides and p.stem.lower() == "trainval")]


def _lines(path: Path) -> list[str]:
    """Return the names in a list; CVAT puts those with spaces between quotes."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip().strip('"') for line in text.splitlines() if line.strip()]


def _meant(line: str, by_stem: dict[str, list[PhotoRows]]) -> list[PhotoRows]:
    """Return the photos of a line: a name, with folders or a flag behind or without."""
    for name in (line, line.rsplit(maxsplit=1)[0]):
        words = Path(name).parts
        if words and (found := by_stem.get(words[-1])):
            fitting = [
                p for p in found if p.path.with_suffix("").parts[-len(words) :] == words
            ]
            return fitting or (found if len(found) == 1 else [])
    return []
