"""Merges an export of the dashboard into a dataset, as a new folder.

The originals are only read. The new folder is COCO for every format of the dataset: one
JSON a split, and ``good/``. A photo that the dataset has already is not added again, so
that an export can be merged twice; where its labels differ, the dataset keeps its own,
and the photo is named.

A dataset with a train split keeps its splits. A new photo that shows the scene of a
photo that is measured on joins it, or else the train split, if that shows it; of the
others, defects are trained on, and good parts are divided as those of a flat ``good/``
are: by sorted SHA-256, even ones train, odd ones are measured on, so that the
thresholds know the false alarms too. All good parts are listed in their split, because
a flat ``good/`` would be divided again.
Without a train split nothing is divided here; ``train --split-like RUN`` keeps what a
run measured on.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from models.boxes import IntArray
from models.errors import DatasetError, TrainingError
from models.files import (
    ForeignFolderError,
    read_regular,
    replaced_folder,
    require_free,
    write_atomically,
)
from models.heat_map import UNKNOWN_LABEL
from models.label_files import LabelledPicture, coco_text
from models.photo_provenance import (
    PROVENANCE_MAX_BYTES,
    PROVENANCE_NAME,
    SCHEMA_VERSION,
    PhotoOrigin,
    PhotoVerdict,
    Provenance,
)
from trainer.data.archive import unpacked
from trainer.data.checks.boxes import corners
from trainer.data.checks.check import CheckReport, check_dataset
from trainer.data.checks.coco_copy import (
    copy_photo,
    free_name,
    labelled_picture,
    split_file,
)
from trainer.data.dataset import Dataset, OnPhoto, Photo, open_dataset
from trainer.data.findings import Finding
from trainer.data.formats.files import GOOD_FOLDER
from trainer.data.formats.rows import LabelState
from trainer.data.outputs import refuse_inside
from trainer.data.splitting.grouping import group_photos
from trainer.data.splitting.split_record import SplitOptions
from trainer.data.splitting.stratify import sorted_by_hash

TRAIN, VAL, EVERYTHING = "train", "val", "all"
# The first that holds a photo of the scene counts.
SETTLING = (VAL, "test", TRAIN)
SAME_BOX_PX = 0.5  # label files round boxes


@dataclass(slots=True)
class Merge:
    """What a merge adds, and what it leaves out.

    Attributes:
        dataset: The merged dataset, in memory.
        added: Number of new photos by split.
        good: How many of them are good parts.
        known: Photos that the dataset has with the same labels.
        disputed: Photos that the dataset has with other labels.
        unchecked: Photos whose boxes no person has confirmed.
        unnamed: Photos with a box of the class ``unknown``, which no person has named.
        unlabelled: Photos without a label.
        findings: What is wrong in the export.
        provenance: Where old and new photos come from; None = nothing is known.
    """

    dataset: Dataset
    added: Counter[str] = field(default_factory=Counter)
    good: int = 0
    known: int = 0
    disputed: list[str] = field(default_factory=list)
    unchecked: int = 0
    unnamed: int = 0
    unlabelled: int = 0
    findings: tuple[Finding, ...] = ()
    provenance: Provenance | None = None

    def as_json(self) -> dict[str, object]:
        """Return it as ``merge --json`` prints it."""
        return {
            "added": dict(self.added),
            "added_good": self.good,
            "already_there": self.known,
            "disputed": self.disputed,
            "not_checked": self.unchecked,
            "not_named": self.unnamed,
            "unlabelled": self.unlabelled,
            "labels": list(self.dataset.labels),
            "splits": {n: len(p) for n, p in self.dataset.splits.items()},
        }


def plan_merge(
    export: Path,
    dataset: Path,
    *,
    takes_predictions: bool = False,
    on_photo: OnPhoto | None = None,
) -> Merge:
    """Return what a merge of an export into a dataset is; nothing is written.

    Args:
        export: Zip or folder of the dashboard, or what an annotation tool made of it.
        takes_predictions: Also photos whose boxes are the model's and that no person
            has judged or corrected.

    Raises:
        DatasetError: One of them cannot be read.
    """
    base = open_dataset(dataset, on_photo)
    options = SplitOptions(bit_depth=base.bit_depth)
    new = open_dataset(export, on_photo, split=options)
    old_origin = _read_provenance(unpacked(dataset))
    origin = _read_provenance(unpacked(export))
    named = [label for label in new.labels if label != UNKNOWN_LABEL]
    labels = tuple(dict.fromkeys((*base.labels, *named)))
    merge = Merge(replace(base, labels=labels), findings=new.findings)
    merge.unlabelled = len(new.unlabelled)
    old = (*base.photos, *base.unlabelled)
    known = {photo.content: (photo, base.labels) for photo in old}  # with its labels
    bad = {photo.content: photo for photo in base.bad}
    taken: list[Photo] = []
    for photo in new.photos:
        stated = origin.photos.get(photo.sha256) if origin else None
        if not takes_predictions and _is_unchecked(photo, new.labels, stated):
            merge.unchecked += 1
        elif UNKNOWN_LABEL not in base.labels and _has_unknown(photo, new.labels):
            merge.unnamed += 1
        elif (twin := known.get(photo.content)) is not None:
            if _shows_the_same(*twin, photo, new.labels):
                merge.known += 1
            else:
                merge.disputed.append(new.relative(photo.path))
        elif photo.content in bad and photo.is_good:
            merge.disputed.append(new.relative(photo.path))
        else:
            bad.pop(photo.content, None)  # its boxes say more than bad/
            known[photo.content] = (photo, new.labels)
            taken.append(replace(photo, labels=_renumbered(photo, new.labels, labels)))
    merge.dataset = replace(merge.dataset, bad=tuple(bad.values()))
    _add(merge, taken)
    merge.provenance = _joined(old_origin, origin, merge.dataset.photos)
    return merge


def write_merge(
    merge: Merge, export: Path, out: Path, on_photo: OnPhoto | None = None
) -> CheckReport:
    """Write the merged dataset, and return it checked.

    Args:
        export: Where the new photos come from.
        out: Folder to make; it is there whole or not at all.

    Raises:
        TrainingError: The folder is not empty, lies in one of the originals, or cannot
            be written.
        DatasetError: A photo cannot be read any more.
    """
    for original in (merge.dataset.root, export):
        refuse_inside(original, out, "--out")
    try:
        with replaced_folder(out) as folder:
            merged = merge.dataset
            photos = (*merged.photos, *merged.unlabelled, *merged.bad)
            require_free(folder, sum(each.path.stat().st_size for each in photos))
            _write(merge, folder)
    except ForeignFolderError as exc:
        raise TrainingError(
            f"{out}: is not empty.",
            why="A merged dataset is written into a new folder only.",
            fix="Choose another folder with --out.",
        ) from exc
    except OSError as exc:
        raise TrainingError(
            f"{out}: the merged dataset cannot be written.",
            why=f"{exc.strerror or exc}.",
            fix="Free space there, or choose another folder with --out.",
        ) from exc
    options = SplitOptions(bit_depth=merge.dataset.bit_depth)
    return check_dataset(out, on_photo=on_photo, split=options)


def _add(merge: Merge, taken: Sequence[Photo]) -> None:
    """Add photos to the splits of the dataset."""
    base = merge.dataset
    splits = {name: list(photos) for name, photos in base.splits.items()}
    place = TRAIN if TRAIN in splits else next(iter(splits), EVERYTHING)
    chosen = [place] * len(taken)
    if place == TRAIN:
        chosen = _splits_of_scenes(base, taken)
    for photo, name in zip(taken, chosen, strict=True):
        splits.setdefault(name, []).append(photo)
        merge.added[name] += 1
        merge.good += photo.is_good
    merged = {name: tuple(photos) for name, photos in splits.items()}
    merge.dataset = replace(base, splits=merged)


def _splits_of_scenes(base: Dataset, taken: Sequence[Photo]) -> list[str]:
    """Return the split of each new photo: that of an old photo of its scene."""
    old = [(name, photo) for name in SETTLING for photo in base.splits.get(name, ())]
    photos = [*(photo for _, photo in old), *taken]
    scenes = group_photos(photos, base.root, None).scenes.tolist() if photos else []
    settled: dict[int, str] = {}
    for (name, _), scene in zip(old, scenes, strict=False):
        settled.setdefault(scene, name)
    of_photo = dict(zip(map(id, taken), scenes[len(old) :], strict=True))
    for photo in taken:
        if not photo.is_good:
            settled.setdefault(of_photo[id(photo)], TRAIN)
    good = sorted_by_hash([photo for photo in taken if photo.is_good])
    for index, photo in enumerate(good):
        is_measured = index % 2 and base.splits.get(VAL)
        settled.setdefault(of_photo[id(photo)], VAL if is_measured else TRAIN)
    return [settled[of_photo[id(photo)]] for photo in taken]


def _write(merge: Merge, folder: Path) -> None:
    dataset, taken = merge.dataset, set[str]()
    for photo in dataset.unlabelled:
        if photo.state is LabelState.UNLABELLED:
            copy_photo(photo, folder, free_name(dataset.root, photo, taken))
    for photo in dataset.bad:
        copy_photo(photo, folder, free_name(dataset.root, photo, taken))
    lists_good = TRAIN in dataset.splits
    for number, (split, photos) in enumerate(dataset.splits.items(), 1):
        listed: list[LabelledPicture] = []
        for photo in photos:
            name = _name_of(dataset.root, photo, taken)
            copy_photo(photo, folder, name)
            if lists_good or not name.startswith(f"{GOOD_FOLDER}/"):
                listed.append(labelled_picture(name, photo, dataset.labels))
        text = coco_text(listed, dataset.labels)
        write_atomically(split_file(folder, split, number), text.encode())
    if merge.provenance is not None:
        content = merge.provenance.model_dump_json(indent=1).encode()
        write_atomically(folder / PROVENANCE_NAME, content)


def _name_of(root: Path, photo: Photo, taken: set[str]) -> str:
    """Return a photo's path in the copy; photos of the export keep their folder."""
    is_new = not photo.path.is_relative_to(root)
    if is_new and photo.path.parent.name == GOOD_FOLDER:
        return free_name(photo.path.parent.parent, photo, taken)
    return free_name(root, photo, taken)


def _is_unchecked(
    photo: Photo, labels: Sequence[str], stated: PhotoOrigin | None
) -> bool:
    """Return whether its boxes are those of the model, and no person confirmed them."""
    if stated is None or stated.verdict is not PhotoVerdict.NONE:
        return False
    if len(stated.labelled) != len(photo.labels):
        return False
    boxes = zip(stated.labelled, photo.labels.tolist(), photo.boxes, strict=True)
    return all(
        mine.label == labels[label]
        and np.allclose(mine.box_px, corners(box), atol=SAME_BOX_PX)
        for mine, label, box in boxes
    )


def _has_unknown(photo: Photo, labels: Sequence[str]) -> bool:
    return any(labels[label] == UNKNOWN_LABEL for label in photo.labels.tolist())


def _shows_the_same(
    one: Photo, labels: Sequence[str], other: Photo, other_labels: Sequence[str]
) -> bool:
    """Return whether two labellings of a picture agree, in any order of the boxes."""
    if one.state is not LabelState.LABELLED or len(one.labels) != len(other.labels):
        return False
    mine = sorted(_described(one, labels))
    theirs = sorted(_described(other, other_labels))
    return all(
        a == b and np.allclose(box, other_box, atol=2 * SAME_BOX_PX)
        for (a, box), (b, other_box) in zip(mine, theirs, strict=True)
    )


def _described(
    photo: Photo, labels: Sequence[str]
) -> list[tuple[str, tuple[float, ...]]]:
    boxes = zip(photo.labels.tolist(), photo.boxes, strict=True)
    return [(labels[label], corners(box)) for label, box in boxes]


def _renumbered(photo: Photo, labels: Sequence[str], wanted: Sequence[str]) -> IntArray:
    numbers = [wanted.index(labels[label]) for label in photo.labels.tolist()]
    return np.array(numbers, np.int64)


def _read_provenance(folder: Path) -> Provenance | None:
    """Return the provenance of a dataset; None where it has none.

    Raises:
        DatasetError: It cannot be read, or is of a newer version.
    """
    path = folder / PROVENANCE_NAME
    try:
        found = Provenance.model_validate_json(read_regular(path, PROVENANCE_MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as exc:
        raise DatasetError(
            f"{path}: cannot be read.",
            why=str(exc).splitlines()[0],
            fix="Export again; or remove the file: then every label counts as checked.",
        ) from exc
    if found.schema_version > SCHEMA_VERSION:
        raise DatasetError(
            f"{path}: schema {found.schema_version} is newer than {SCHEMA_VERSION}.",
            why="A newer version wrote it.",
            fix="Update this installation.",
        )
    return found


def _joined(
    old: Provenance | None, new: Provenance | None, photos: Iterable[Photo]
) -> Provenance | None:
    """Return the provenance of the photos that are there, the older one first."""
    latest = new or old
    if latest is None:
        return None
    there = {photo.sha256 for photo in photos}
    known = (new.photos if new else {}) | (old.photos if old else {})
    kept = {sha256: each for sha256, each in known.items() if sha256 in there}
    return latest.model_copy(update={"photos": kept, "skipped": ()})
