"""The splits of Pascal VOC: lists of names in ``ImageSets/Main``, else folders.

Lists of one class, such as ``scratch_train.txt``, are not splits; ``trainval`` counts
where there is neither ``train`` nor ``val``. A photo in two of ``train``, ``val`` and
``test`` is an error. In a list of another name, such as that of a lot, a photo stays in
its split.

Source: "The PASCAL VOC2012 development kit", image sets.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from models.counted import counted
from trainer.data.findings import Finding, FindingKind, Level, first_names
from trainer.data.formats.files import is_picture
from trainer.data.formats.rows import Annotations, LabelState, PhotoRows, split_name
from trainer.data.formats.text_file import read_damaged_text
from trainer.data.formats.voc.pictures import composed

LISTS_FOLDER = "Main"
SPLIT_FOLDERS = frozenset({"train", "val", "valid", "validation", "test"})
RANKED_SPLITS = ("test", "val", "train")  # a photo of two stays measured on


def fill_splits(
    annotations: Annotations,
    photos: Sequence[PhotoRows],
    all_files: Sequence[Path],
    root: Path,
) -> None:
    """Put the photos into their splits; those in no list become a finding."""
    lists = _split_lists(all_files)
    if not lists:
        for photo in photos:
            split = annotations.splits.setdefault(_by_folder(photo.path, root), [])
            split.append(photo)
        return
    by_stem: dict[str, list[PhotoRows]] = defaultdict(list)
    for photo in photos:
        by_stem[composed(photo.path.stem)].append(photo)
    listed: dict[int, Path] = {}  # identity of a photo to the first list that has it
    for path in lists:
        split = annotations.splits.setdefault(split_name(path.stem), [])
        named = {line: _photos_named(line, path, by_stem) for line in _lines(path)}
        new = {
            id(photo): photo
            for photos_of_line in named.values()
            for photo in photos_of_line
            if id(photo) not in listed
        }
        listed |= dict.fromkeys(new, path)
        split += new.values()
        annotations.findings += _list_findings(path, named, listed)
    for photo in photos:
        if id(photo) not in listed:
            _leave_out(photo)
            annotations.unlisted.append(photo)


def _leave_out(photo: PhotoRows) -> None:
    """Note that a labelled photo is in no split, because no list names it."""
    if photo.state is LabelState.LABELLED:
        photo.state = LabelState.UNCLEAR
        photo.state_reason = "it is in no list of ImageSets/Main"
        photo.state_fix = "Add its name to a list, or remove ImageSets."


def _list_findings(
    path: Path, named: dict[str, list[PhotoRows]], listed: dict[int, Path]
) -> Iterator[Finding]:
    """Yield what is wrong with one list: names without photo, photos of two splits."""
    if lost := [line for line, photos in named.items() if not photos]:
        why = f"{counted(len(lost), 'photo')} of the list cannot be found."
        fix = "Add them, or export again."
        yield Finding(Level.WARNING, path, first_names(lost), why, fix)
    if split_name(path.stem) not in RANKED_SPLITS:
        return
    twice: dict[Path, list[str]] = defaultdict(list)
    for photo in (photo for photos in named.values() for photo in photos):
        if listed[id(photo)] != path:
            twice[listed[id(photo)]].append(photo.path.name)
    for other, names in twice.items():
        why = f"{len(names)} of its photos are in {other.name} too."
        fix, kind = "Keep each in one split.", FindingKind.SAME_IN_TWO_SPLITS
        yield Finding(Level.ERROR, path, first_names(names), why, fix, kind)


def _by_folder(picture: Path, root: Path) -> str:
    """Return the split of the innermost folder that is named like one."""
    for folder in reversed(picture.parts[len(root.parts) : -1]):
        if folder.lower() in SPLIT_FOLDERS:
            return split_name(folder)
    return "all"


def _split_lists(all_files: Sequence[Path]) -> list[Path]:
    lists = [
        path
        for path in all_files
        if path.parent.name == LISTS_FOLDER and path.suffix.lower() == ".txt"
    ]
    stems = {path.stem for path in lists}
    whole = [
        path
        for path in lists
        if not any(path.stem.endswith(f"_{stem}") for stem in stems)
    ]
    has_parts = {"train", "val"} & {path.stem.lower() for path in whole}
    kept = [p for p in whole if not (has_parts and p.stem.lower() == "trainval")]
    ranks = {name: rank for rank, name in enumerate(RANKED_SPLITS)}
    return sorted(kept, key=lambda p: ranks.get(split_name(p.stem), len(ranks)))


def _lines(path: Path) -> list[str]:
    """Return the names in a list; CVAT puts those with spaces between quotes."""
    text = read_damaged_text(path)
    return [line.strip().strip('"') for line in text.splitlines() if line.strip()]


def _photos_named(
    line: str, path: Path, by_stem: dict[str, list[PhotoRows]]
) -> list[PhotoRows]:
    """Return the photos of a line: a name, perhaps with folders and a flag behind."""
    for text in (line, *line.rsplit(maxsplit=1)[:1]):
        name = PurePosixPath(composed(text))  # compared only, never opened
        bare = name.with_suffix("") if is_picture(name) else name
        for parts in (name.parts, bare.parts):
            if parts and (found := by_stem.get(parts[-1])):
                return _of_list(found, parts, path)
    return []


def _of_list(
    found: Sequence[PhotoRows], parts: Sequence[str], path: Path
) -> list[PhotoRows]:
    """Return the photos of a stem that a list means: folders fit, its own folder first.

    ``VOC2007`` and ``VOC2012`` in one folder each have lists of their own.
    """
    own = path.parent.parent.parent  # of ImageSets/Main
    near = [photo for photo in found if photo.path.is_relative_to(own)] or list(found)
    folders = tuple(parts[:-1])
    fitting = [p for p in near if not folders or _folders(p, len(folders)) == folders]
    return fitting or (near if len(near) == 1 else [])


def _folders(photo: PhotoRows, count: int) -> tuple[str, ...]:
    return tuple(composed(part) for part in photo.path.parent.parts[-count:])
