"""Label files with boxes that belong to no photo.

Beside a photo without labels such a file is most likely that photo's, under another
name: a photo with defects would be left out, or even be taken for a good part. Without
such photos, only pictures are missing.
"""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainer.data.findings import SHOWN_NAMES, Finding, FindingKind, Level, first_names
from trainer.data.formats.files import SUFFIXES, folded, is_picture
from trainer.data.formats.yolo.label_files import (
    LABEL_SUFFIX,
    LabelFiles,
    plain,
)

KIND = FindingKind.UNCLEAR_LABEL
MOST_COMPARED = 200  # names that are compared letter by letter with each other

Pair = tuple[Path, Path]  # label file, photo


@dataclass(slots=True)
class Orphans:
    """What was found about label files without a photo."""

    findings: list[Finding] = field(default_factory=list)
    # photos without labels that one of the files may belong to
    owners: set[Path] = field(default_factory=set)


def explained(
    label_files: LabelFiles,
    orphans: Sequence[Path],
    unlabelled: Sequence[Path],
    files: Sequence[Path],
) -> Orphans:
    """Return which photos label files without a photo may belong to.

    Args:
        orphans: Label files with boxes.
        unlabelled: Photos of the splits without a label file.
        files: Every file of the dataset; a picture in a format that is not read may
            be the owner.
    """
    found = Orphans()
    pairs = _alike(orphans, unlabelled)
    _report_pairs(label_files, pairs, found)
    paired = {path for path, _ in pairs}
    unread = {folded(p.stem) for p in files if not is_picture(p) and not _is_text(p)}
    rest = [path for path in orphans if path not in paired]
    of_photos = [path for path in rest if folded(path.stem) not in unread]
    near = set(_report_near(label_files, of_photos, unlabelled, found))
    lost = [path for path in rest if path not in near]
    if lost:
        count = f"{len(lost)} label file{'s' * (len(lost) != 1)}"
        verb = "belong" if len(lost) != 1 else "belongs"
        why = f"{count} with boxes {verb} to no picture that can be read."
        fix = f"Add the pictures ({', '.join(sorted(SUFFIXES))}), or delete the files."
        place = first_names(path.name for path in lost)
        found.findings.append(Finding(Level.WARNING, lost[0].parent, place, why, fix))
    return found


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == LABEL_SUFFIX


def _alike(orphans: Iterable[Path], photos: Iterable[Path]) -> list[Pair]:
    """Return label files and photos whose names have the same letters and digits."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for photo in photos:
        by_name[plain(photo.stem)].append(photo)
    return [(path, photo) for path in orphans for photo in by_name[plain(path.stem)]]


def _report_pairs(
    label_files: LabelFiles, pairs: Sequence[Pair], found: Orphans
) -> None:
    if not pairs:
        return
    found.owners |= {photo for _, photo in pairs}
    file, photo = pairs[0]
    wanted = label_files.folders(photo)[0] / f"{photo.stem}{LABEL_SUFFIX}"
    count = len({path for path, _ in pairs})
    what = f"{count} label files with boxes belong" if count > 1 else "its boxes belong"
    why = (
        f"{what} to no photo, while photos of similar names have no label file: "
        f"{_names(label_files, pairs)}."
    )
    fix = (
        f"If they belong together, rename {file.name} to "
        f"{wanted.relative_to(label_files.root)}; otherwise delete it."
    )
    found.findings.append(Finding(Level.ERROR, file, "", why, fix, KIND))


def _report_near(
    label_files: LabelFiles,
    orphans: Sequence[Path],
    unlabelled: Sequence[Path],
    found: Orphans,
) -> list[Path]:
    """Report orphans in the folders where photos without labels should have theirs.

    Returns:
        These files.
    """
    photos: dict[str, list[Path]] = defaultdict(list)
    for photo in unlabelled:
        if photo not in found.owners:
            for folder in label_files.folders(photo):
                photos[label_files.place(folder)].append(photo)
    near = [path for path in orphans if label_files.place(path.parent) in photos]
    for folder in sorted({path.parent for path in near}):
        inside = [path for path in near if path.parent == folder]
        owners = photos[label_files.place(folder)]
        found.owners |= set(owners)
        count = len(inside)
        why = (
            f"{count} label file{'s' * (count != 1)} with boxes, but no photo of "
            f"{'these names' if count != 1 else 'this name'}, while "
            f"{len(owners)} photo{'s have' if len(owners) != 1 else ' has'} no label "
            f"file: {_names(label_files, _likely(inside, owners))}."
        )
        fix = "Rename what belongs together, or delete the label files."
        place = first_names(path.name for path in inside)
        found.findings.append(Finding(Level.ERROR, folder, place, why, fix, KIND))
    return near


def _likely(orphans: Sequence[Path], photos: Sequence[Path]) -> list[Pair]:
    """Return each of the first label files with the photo of the nearest name."""
    names = {plain(photo.stem): photo for photo in photos[:MOST_COMPARED]}
    pairs = []
    for path in orphans[: SHOWN_NAMES + 1]:  # one more for the dots
        near = difflib.get_close_matches(plain(path.stem), names, n=1, cutoff=0)
        pairs += [(path, names[name]) for name in near]
    return pairs


def _names(label_files: LabelFiles, pairs: Iterable[Pair]) -> str:
    root = label_files.root
    return first_names(
        f"{path.relative_to(root)} and {photo.relative_to(root)}"
        for path, photo in pairs
    )
