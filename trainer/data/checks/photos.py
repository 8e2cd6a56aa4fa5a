"""Finds faults of the photos of a dataset: repeated, mixed, of several sizes.

Photos of one part in train and in val make the measurement too good: copies of one
picture are errors, near-duplicates warnings. Where all photos show one part, nothing
can be measured for other parts.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from models.counted import agreeing, counted
from models.errors import DatasetError
from trainer.data.dataset import Dataset, Photo
from trainer.data.findings import Finding, FindingKind, Level

BLACK = 16  # 12 bits of data read as 16 stay below it
SAME_BOX_PX = 1.0  # rounding of annotation tools
OTHER_SHAPE = 1.25  # ratio of aspect ratios: a fifth of the input is only padding
OTHER_SCALE = 2.0  # ratio of longer sides: defects are half or twice as large

FIX_NEAR = (
    "Keep all shots of one part in one split; a dataset without a val split is divided "
    "that way, and --group names parts, lots or days by their file names."
)

FIX_TORN = "Put all photos into one split: whole groups are then held out."
FIX_UNNAMED = "Correct --group, or take these photos out."

FIX_PART = "Photograph more parts; frames of one part count as one photo."

PhotoOfSplit = tuple[str, Photo]  # name of the split, photo


def repeated_photos(dataset: Dataset) -> list[Finding]:
    """Return pictures that are there more than once, pixel for pixel.

    Another file format, other metadata or an EXIF orientation do not count. In two
    splits, the measurement would be too good; with different labels, one of them is
    wrong.
    """
    return [
        _repeated(dataset, copies[0], later)
        for copies in copies_of(dataset)
        for later in copies[1:]
    ]


def copies_of(dataset: Dataset) -> Iterator[list[PhotoOfSplit]]:
    """Yield the places of each picture that is there more than once."""
    by_content: dict[str, list[PhotoOfSplit]] = defaultdict(list)
    for split, photos in dataset.splits.items():
        for photo in photos:
            by_content[photo.content].append((split, photo))
    yield from (places for places in by_content.values() if len(places) > 1)


def labelled_alike(one: Photo, other: Photo) -> bool:
    """Return whether two copies of a picture have the same boxes, in any order."""
    if len(one.labels) != len(other.labels):
        return False
    ordered = []
    for photo in (one, other):
        keys = (*photo.boxes.round().T[::-1], photo.labels)  # lexsort: last key first
        order = np.lexsort(keys)
        ordered.append((photo.labels[order], photo.boxes[order]))
    (labels, boxes), (others, other_boxes) = ordered
    near = np.abs(boxes - other_boxes) <= SAME_BOX_PX
    return bool((labels == others).all() and near.all())


def _repeated(dataset: Dataset, first: PhotoOfSplit, later: PhotoOfSplit) -> Finding:
    """Return the fault of a picture that occurs several times."""
    (split, photo), (other_split, other) = first, later
    name = dataset.relative(photo.path)
    if photo.path == other.path and photo.source != other.source:
        name += f", which {photo.source.name} and {other.source.name} list,"
    if not labelled_alike(photo, other):
        why = (
            f"the same picture as {name} in {split}, but with "
            f"{_boxes(other)} here and {_boxes(photo)} there."
        )
        fix, kind = (
            "Delete the copy that is labelled wrongly.",
            FindingKind.CONTRADICTION,
        )
        return Finding(Level.ERROR, other.path, other_split, why, fix, kind)
    if split != other_split:
        why = f"the same picture as {name} in {split}."
        fix, kind = "Keep it in one split.", FindingKind.SAME_IN_TWO_SPLITS
        return Finding(Level.ERROR, other.path, other_split, why, fix, kind)
    why = f"the same picture as {name}."
    fix, kind = "Delete one of the two: it counts twice.", FindingKind.DUPLICATE_PHOTO
    return Finding(Level.WARNING, other.path, split, why, fix, kind)


def _boxes(photo: Photo) -> str:
    count = len(photo.labels)
    return f"{count or 'no'} box{'es' * (count != 1)}"


def colour_mix(dataset: Dataset) -> list[Finding]:
    """Return the grey photos among colour ones, or the colour ones among grey."""
    photos = dataset.photos
    grey = [photo for photo in photos if photo.is_grey]
    colour = [photo for photo in photos if not photo.is_grey]
    fewer, more = sorted((grey, colour), key=len)
    is_, others = ("grey", "in colour") if fewer is grey else ("in colour", "grey")
    why = f"is {is_}, {len(more)} of {len(photos)} photos are {others}."
    fix = "Use photos as the camera of the line takes them: all grey or all in colour."
    return [
        Finding(Level.WARNING, photo.path, "", why, fix, FindingKind.COLOUR_MIX)
        for photo in fewer
    ]


def bit_depth_mix(dataset: Dataset) -> list[Finding]:
    """Return the photos of 8 bits a channel among those of more, or these."""
    photos = dataset.photos
    deep = [photo for photo in photos if photo.bit_depth]
    flat = [photo for photo in photos if not photo.bit_depth]
    fewer, more = sorted((deep, flat), key=len)
    has, others = ("more than 8", "8") if fewer is deep else ("8", "more than 8")
    why = (
        f"has {has} bits a channel, {len(more)} of {len(photos)} photos have {others}: "
        "the same light may give another brightness."
    )
    fix = "Use photos as the camera of the line delivers them, all of one kind."
    kind = FindingKind.BIT_DEPTH
    return [Finding(Level.WARNING, photo.path, "", why, fix, kind) for photo in fewer]


def black_photos(dataset: Dataset) -> list[Finding]:
    """Return the photos that are nearly black."""
    findings = []
    for photo in dataset.photos:
        if photo.brightest >= BLACK:
            continue
        why = f"is nearly black: its largest value is {photo.brightest} of 255."
        fix = "Check the exposure, and how its values became 8 bits."
        if photo.bit_depth:
            why = f"{why[:-1]}, read with a bit depth of {photo.bit_depth}."
            fix = "State with --bit-depth how many bits of the camera hold data."
        kind = FindingKind.BLACK_PHOTO
        findings.append(Finding(Level.WARNING, photo.path, "", why, fix, kind))
    return findings


def mixed_sizes(dataset: Dataset) -> list[Finding]:
    """Return photos of another shape than most, or of a very different size."""
    photos = dataset.photos
    sizes = np.array([(p.width_px, p.height_px) for p in photos], float)  # [N, 2]
    shapes, longer = sizes[:, 0] / sizes[:, 1], sizes.max(axis=1)
    typical = int(np.argsort(shapes, kind="stable")[len(photos) // 2])
    usual_px = float(np.sort(longer)[len(photos) // 2])
    width, height = (int(side) for side in sizes[typical])
    findings = []
    for photo, shape, side in zip(photos, shapes, longer, strict=True):
        if _ratio(shape, shapes[typical]) > OTHER_SHAPE:
            why = (
                f"has {photo.width_px} x {photo.height_px} pixels, another shape than "
                f"most ({width} x {height}): much of the input is only padding."
            )
            fix = "Crop it as the camera of the line sees the part, or leave it out."
            kind = FindingKind.SHAPE_MIX
        elif _ratio(side, usual_px) > OTHER_SCALE:
            why = (
                f"has {photo.width_px} x {photo.height_px} pixels, most photos have "
                f"about {usual_px:.0f} on the longer side: if it shows the same, its "
                "defects are of another size than on the line."
            )
            fix = "Take photos with one camera at one distance, or leave it out."
            kind = FindingKind.SCALE_MIX
        else:
            continue
        findings.append(Finding(Level.WARNING, photo.path, "", why, fix, kind))
    return findings


def _ratio(a: float, b: float) -> float:
    """Return the factor between two numbers, at least 1."""
    return max(a / b, b / a)


def near_duplicates_across_splits(dataset: Dataset) -> list[Finding]:
    """Return near-duplicates in two splits, without the copies of one file.

    Returns:
        One warning for each group, at its first photo in the second split.
    """
    seen: dict[int, tuple[str, Photo]] = {}
    reported: set[int] = set()
    findings = []
    for name, photos in _splits_in_force(dataset).items():
        for photo in photos:
            group = dataset.split_assignment.near[photo.sha256]
            where, first = seen.setdefault(group, (name, photo))
            if where == name or group in reported or first.content == photo.content:
                continue
            scenes = dataset.split_assignment.scenes_of((first, photo))
            if dataset.split_assignment.splits_groups and len(scenes) == 1:
                continue  # ``one_part`` reports it
            reported.add(group)
            why = f"looks like the same part as {first.path.name} in {where}."
            kind = FindingKind.NEAR_IN_TWO_SPLITS
            findings.append(
                Finding(Level.WARNING, photo.path, name, why, FIX_NEAR, kind)
            )
    return findings


def groups_of_pattern(dataset: Dataset) -> list[Finding]:
    """Return where the groups of ``--group`` say nothing of groups not seen."""
    assignment = dataset.split_assignment
    if assignment.record.pattern is None:
        return []
    sides: dict[int, set[str]] = defaultdict(set)
    unnamed = []
    for name, photos in _splits_in_force(dataset).items():
        numbers = assignment.named_groups_of(photos)
        for photo, number in zip(photos, numbers, strict=True):
            if number is None:
                unnamed.append(photo)
            else:
                sides[number].add(name)
    findings = []
    if torn := sum(len(names) > 1 for names in sides.values()):
        why = (
            f"{counted(torn, 'group')} of --group {agreeing(torn, 'is', 'are')} in "
            "both splits that the dataset brings: nothing is promised of other groups."
        )
        findings.append(_of_groups(dataset, why, FIX_TORN))
    if unnamed:
        why = (
            f"{counted(len(unnamed), 'photo')} {agreeing(len(unnamed), 'is', 'are')} "
            f"in no group of --group, such as {unnamed[0].path.name}: with one of them "
            "among the held-out good parts nothing is promised of other groups."
        )
        findings.append(_of_groups(dataset, why, FIX_UNNAMED))
    return findings


def _of_groups(dataset: Dataset, why: str, fix: str) -> Finding:
    return Finding(Level.WARNING, dataset.root, "", why, fix, FindingKind.GROUPS)


def near_contradictions(dataset: Dataset) -> list[Finding]:
    """Return photos of good parts that are nearly the picture of a labelled photo.

    The places of the boxes do not differ either: it is not a good part that was put on
    the same jig.
    """
    by_hash = {photo.sha256: photo for photo in dataset.photos}
    findings = []
    for labelled, good in dataset.split_assignment.contradictions:
        if not {labelled, good} <= by_hash.keys():
            continue
        photo, twin = by_hash[labelled], by_hash[good]
        if photo.content == twin.content:
            continue  # ``repeated_photos`` reports it
        names = sorted({dataset.labels[label] for label in photo.labels})
        why = (
            f"nearly the same picture as {dataset.relative(photo.path)}, also where "
            f"that has {_boxes(photo)} ({', '.join(names)}); this one has no boxes."
        )
        fix = "Delete one of the two, or label both alike."
        kind = FindingKind.NEAR_CONTRADICTION
        findings.append(Finding(Level.WARNING, twin.path, "", why, fix, kind))
    return findings


def copies_in_bad(dataset: Dataset) -> list[Finding]:
    """Return an error for each photo of ``bad/`` that the dataset holds elsewhere."""
    others = {photo.content: photo for photo in dataset.photos}
    findings = []
    for photo in dataset.bad:
        if twin := others.get(photo.content):
            shown = "a good part" if twin.is_good else f"labelled with {_boxes(twin)}"
            why = f"it is the same picture as {dataset.relative(twin.path)}, {shown}."
            fix = "Delete one of the two."
            kind = FindingKind.CONTRADICTION
            findings.append(Finding(Level.ERROR, photo.path, "", why, fix, kind))
    return findings


def one_part(dataset: Dataset) -> list[Finding]:
    """Return a finding where photos to measure on show only parts that are trained on.

    Also where all photos of a kind show one part: they count as one.
    """
    try:
        subsets = dataset.for_training()
    except DatasetError:  # ``untrainable`` reports it
        return []
    kinds = (
        ("with a defect", "mAP, recall and escapes", False),
        ("of good parts", "false alarms", True),
    )
    findings = []
    for shown, figures, is_good in kinds:
        trained, measured = (
            [photo for photo in photos if photo.is_good is is_good]
            for photos in subsets
        )
        why = _one_part(dataset, trained, measured, shown, figures)
        if why:
            findings.append(
                Finding(
                    Level.WARNING, dataset.root, "", why, FIX_PART, FindingKind.ONE_PART
                )
            )
    return findings


def _one_part(
    dataset: Dataset,
    trained: Sequence[Photo],
    measured: Sequence[Photo],
    shown: str,
    figures: str,
) -> str:
    """Return why photos of one kind prove nothing for other parts, or nothing."""
    scenes_of = dataset.split_assignment.scenes_of
    count = len(trained) + len(measured)
    parts = len(scenes_of([*trained, *measured]))
    if parts == 1 and count > 1:
        why = (
            f"all {count} photos {shown} show one part: they differ by the camera's "
            "noise only."
        )
    elif measured and scenes_of(measured) <= scenes_of(trained):
        why = (
            f"the {counted(len(measured), 'photo')} {shown} to measure on "
            f"{agreeing(len(measured), 'is a frame', 'are frames')} of parts that are "
            "trained on: they differ from those photos by the camera's noise only."
        )
    else:
        return ""
    if trained and measured:
        why += f" Not measured: {figures}."
    return why


def _splits_in_force(dataset: Dataset) -> dict[str, tuple[Photo, ...]]:
    """Return the splits of the dataset, or those that training makes of it."""
    if dataset.splits.get("train") and dataset.splits.get("val"):
        return dataset.splits
    record = dataset.split_assignment.record.photos
    splits: dict[str, list[Photo]] = {}
    for name, photos in dataset.splits.items():
        for photo in photos:
            place = record.get(photo.sha256)
            splits.setdefault(place.side if place else name, []).append(photo)
    return {name: tuple(photos) for name, photos in splits.items()}
