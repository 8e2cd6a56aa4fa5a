"""Pictures that the label files of a dataset describe more than once.

One picture of one split is read once. Where its records differ, which of them is right
is not known: it is an error, and the picture is left out. The same picture in two
splits is found by ``trainer.data.checks.photos``.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from trainer.data.findings import Finding, Level, first_names
from trainer.data.formats.limits import BOXES_MAX
from trainer.data.formats.rows import Annotations, LabelState, PhotoRows, Row

SAME_BOX = 1.0  # pixels, or per cent of the photo: rounding of annotation tools
PER_CENT = 100.0
DIFFERENT = "it is described twice, and differently"


def merge_repeated(annotations: Annotations) -> None:
    """Keep each picture of a split once, with a finding for every pair of files."""
    repeated: dict[tuple[Path, Path, bool], list[tuple[PhotoRows, PhotoRows]]]
    repeated = defaultdict(list)
    contradicted: list[PhotoRows] = []
    for split, photos in annotations.splits.items():
        first: dict[Path, PhotoRows] = {}
        for photo in photos:
            earlier = photo if photo.fault else first.setdefault(photo.path, photo)
            if earlier is photo:
                continue
            alike = is_alike(earlier, photo)
            repeated[earlier.source, photo.source, alike].append((earlier, photo))
            if not alike:
                contradicted.append(first[photo.path])
            elif earlier.state is LabelState.UNLABELLED:
                first[photo.path] = photo
        annotations.splits[split] = [
            photo for photo in photos if photo.fault or first[photo.path] is photo
        ]
    for (one, other, alike), pairs in repeated.items():
        annotations.findings.append(_finding(one, other, pairs, alike=alike))
    for photo in contradicted:
        photo.state, photo.state_reason = LabelState.UNCLEAR, DIFFERENT
        photo.state_fix = "Keep the record that is right."


def is_alike(one: PhotoRows, other: PhotoRows) -> bool:
    """Return whether two records of a picture have the same boxes, in any order.

    A record that was never finished contradicts no other.
    """
    if LabelState.UNLABELLED in (one.state, other.state):
        return True
    if one.state is not other.state or len(one.rows) != len(other.rows):
        return False
    if len(one.rows) > BOXES_MAX:  # not used anyway; all pairs would take minutes
        return False
    left = list(other.rows)
    for row in one.rows:
        same = next((index for index, own in enumerate(left) if _same(row, own)), None)
        if same is None:
            return False
        del left[same]
    return True


def _same(one: Row, other: Row) -> bool:
    scale = PER_CENT if one.normalized else 1.0
    return one.label == other.label and all(
        abs(a - b) * scale <= SAME_BOX for a, b in zip(one.box, other.box, strict=True)
    )


def _finding(
    one: Path,
    other: Path,
    pairs: Sequence[tuple[PhotoRows, PhotoRows]],
    *,
    alike: bool,
) -> Finding:
    """Return the finding of the pictures that two files, or one, describe twice."""
    count = f"{len(pairs)} picture{'s' * (len(pairs) > 1)}"
    names = first_names(
        f"{later.path.name} is {earlier.place}"
        + (f" of {_name(one, other)}" if one != other else "")
        + f" with {_boxes(earlier)} and {later.place} with {_boxes(later)}"
        for earlier, later in pairs
    )
    place = first_names(later.place for _, later in pairs)
    if alike:
        why = f"{count} described twice, and read once: {names}."
        return Finding(Level.WARNING, other, place, why, "Keep one of the two records.")
    why = f"{count} described twice, and differently: {names}."
    fix = "Keep the record that is right; where two exports were joined, join again."
    return Finding(Level.ERROR, other, place, why, fix)


def _name(one: Path, other: Path) -> str:
    """Return the name of a file, with its folder where another has the same name."""
    return f"{one.parent.name}/{one.name}" if one.name == other.name else one.name


def _boxes(photo: PhotoRows) -> str:
    if photo.state is not LabelState.LABELLED:
        return "no decision"
    count = len(photo.rows)
    return f"{count or 'no'} box{'es' * (count != 1)}"
