"""A dataset in memory: photos with boxes in pixels, in splits, good parts included.

A folder in one of the formats of ``trainer.data.formats``. ``good/`` beside the
annotations holds photos of good parts. Who is trained on and who is measured on stands
in ``trainer.data.splitting.split_record``.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.boxes import Boxes, IntArray
from models.errors import DatasetError
from models.pictures import DamagedPictureError, decode_picture, read_picture
from models.preprocess import Frame
from trainer.data.archive import unpacked
from trainer.data.formats.files import pictures_below
from trainer.data.formats.kinds import Kind
from trainer.data.formats.recognize import read_annotations
from trainer.data.formats.rows import Corners, Finding, Level, PhotoRows, Row
from trainer.data.picture import ends_in_filler, is_grey
from trainer.data.splitting.assign import arrange, shows_defect
from trainer.data.splitting.near_duplicates import (
    Fingerprint,
    fingerprint,
    no_fingerprint,
)
from trainer.data.splitting.split_record import SplitAssignment, SplitOptions
from trainer.data.splitting.stratify import HELD_OUT, HELD_OUT_SHARE, TRAIN, ordered

GOOD_FOLDER = "good"
SMALLEST_BOX_PX = 1.0

OnPhoto = Callable[[int, int], None]  # photos read so far, photos in all


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo and what is labelled on it.

    Attributes:
        path: The picture.
        sha256: Of the file.
        width_px: Width after the orientation of the camera was applied.
        height_px: Height, likewise.
        boxes: ``[G, 4]`` float32, xyxy, pixels of the photo; empty for a good part.
        labels: ``[G]`` int64, index into the dataset's labels.
        source: The annotation file of the boxes.
        is_grey: It shows no colour.
        places: Where in ``source`` each box stands, ``G`` of them.
        fingerprint: ``[S, S]`` uint8, the photo made small and grey.
    """

    path: Path
    sha256: str
    width_px: int
    height_px: int
    boxes: Boxes
    labels: IntArray
    source: Path = Path()
    is_grey: bool = False
    places: tuple[str, ...] = ()
    fingerprint: Fingerprint = field(default_factory=no_fingerprint, repr=False)

    @property
    def is_good(self) -> bool:
        """Whether the photo shows a part without defects."""
        return len(self.labels) == 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """Photos by split.

    Attributes:
        root: Its folder.
        labels: Class names; the index is the label.
        splits: Name to photos, good ones included.
        findings: What was found while reading; errors make training wrong.
        sha256: Hash of all photos and labels.
        division: Which photos are trained on and which are measured on.
    """

    root: Path
    labels: tuple[str, ...]
    splits: dict[str, tuple[Photo, ...]]
    findings: tuple[Finding, ...]
    sha256: str
    division: SplitAssignment

    @property
    def photo_count(self) -> int:
        """Number of photos in all splits."""
        return sum(len(photos) for photos in self.splits.values())

    def split(self, name: str | None) -> tuple[str, tuple[Photo, ...]]:
        """Return the photos to measure on.

        Args:
            name: Of a split; None = ``val`` if it has photos, else everything.

        Returns:
            Name of the split (``all`` for everything) and its photos.

        Raises:
            DatasetError: There is no split of that name, or it is empty.
        """
        if name is None:
            name = "val" if self.splits.get("val") else "all"
        if name == "all":
            photos = tuple(p for split in self.splits.values() for p in split)
        elif name in self.splits:
            photos = self.splits[name]
        else:
            raise DatasetError(
                f"{self.root}: there is no split {name!r}.",
                why=f"The dataset has {', '.join(self.splits)}.",
                fix="Name one of these with --split.",
            )
        if not photos:
            raise DatasetError(
                f"{self.root}: split {name} is empty.",
                why="There is nothing to measure on.",
                fix="Add photos, or name another split with --split.",
            )
        return name, photos

    def for_training(self) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
        """Return the photos to train on and those to measure on, disjoint.

        Without a val split a fifth of the photos is held out: see ``division``.

        Raises:
            DatasetError: No labelled defect to train on, or none to measure on.
        """
        pool, held_out = self.splits.get("train"), self.splits.get("val", ())
        if pool is None:
            pool, held_out = self.split("all")[1], ()
        if not held_out:
            everything, side = ordered(pool), self.division.side
            pool = tuple(p for p in everything if side(p) == TRAIN)
            held_out = tuple(p for p in everything if side(p) == HELD_OUT)
        trained = sum(not photo.is_good for photo in pool)
        measured = sum(not photo.is_good for photo in held_out)
        if not trained + measured:
            raise DatasetError(
                f"{self.root}: no photo has a labelled defect.",
                why=f"{len(pool) + len(held_out)} photos, none with a box.",
                fix="Label some defects, or check that the labels were exported.",
            )
        if not (trained and measured):
            raise DatasetError(
                f"{self.root}: no defect to {'measure' if trained else 'train'} on.",
                why=f"{trained} photos with a labelled defect to train on, {measured} "
                "to measure on; both need at least one.",
                fix="Label defects in more photos, divide the splits anew, or choose "
                "a --group that keeps fewer photos together.",
            )
        return pool, held_out


def read_photo(photo: Photo) -> Frame:
    """Return a photo's picture, turned as the camera meant it.

    Args:
        photo: Of a dataset.

    Returns:
        ``[H, W, 3]`` uint8, BGR.

    Raises:
        DatasetError: It cannot be read any more.
    """
    try:
        picture = read_picture(photo.path)
    except (OSError, DamagedPictureError):
        picture = None
    if picture is None or picture.shape[:2] != (photo.height_px, photo.width_px):
        raise DatasetError(
            f"{photo.path}: changed since the dataset was opened.",
            why="The picture cannot be read, or has another size.",
            fix="Start again.",
        )
    return picture


def open_dataset(
    root: Path,
    on_photo: OnPhoto | None = None,
    *,
    split: SplitOptions | None = None,
) -> Dataset:
    """Read a dataset, every picture decoded once.

    Args:
        root: Its folder, or a zip of it.
        on_photo: Told of every photo that was read.
        split: How to divide it where it brings no val.

    Returns:
        The dataset; boxes partly outside are clipped, unusable rows are left out,
        both with a finding.

    Raises:
        DatasetError: No dataset there, none of its photos can be used, or it cannot be
            divided as wished.
    """
    try:
        folder = unpacked(root)
        annotations = read_annotations(folder)
        known = {p.path for photos in annotations.splits.values() for p in photos}
        good = [photo for photo in _good_photos(folder) if photo.path not in known]
    except OSError as exc:
        raise DatasetError(
            f"{exc.filename or root}: cannot be read.",
            why=f"{exc.strerror}.",
            fix="Let this user read the dataset, or copy it anew.",
        ) from exc
    everything = [p for photos in annotations.splits.values() for p in photos] + good
    numbers = {label: index for index, label in enumerate(annotations.labels)}
    findings = list(annotations.findings)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        read = pool.map(lambda photo: _photo(photo, numbers), everything)
        photos: dict[int, Photo] = {}
        for done, (photo, faults) in enumerate(read):
            findings += faults
            if photo:
                photos[id(everything[done])] = photo
            if on_photo:
                on_photo(done + 1, len(everything))
    splits = {
        name: [photos[id(row)] for row in rows if id(row) in photos]
        for name, rows in annotations.splits.items()
    }
    findings += _unmeasurable(root, splits)
    alone = [photos[id(row)] for row in good if id(row) in photos]
    if not photos:
        raise DatasetError(
            f"{root}: no photo can be used.",
            why=str(findings[0]) if findings else "The dataset is empty.",
            fix="Run `graftline check` on it, or export it again.",
        )
    frozen, division = arrange(root, splits, alone, split or SplitOptions())
    labels = tuple(annotations.labels)
    content = _content_hash(frozen, labels)
    return Dataset(root, labels, frozen, tuple(findings), content, division)


def _good_photos(root: Path) -> list[PhotoRows]:
    """Return the photos of good parts beside the annotations."""
    folder = root / GOOD_FOLDER
    return [PhotoRows(path, folder) for path in pictures_below(folder)]


def _unmeasurable(root: Path, splits: dict[str, list[Photo]]) -> list[Finding]:
    """Say so when the dataset's own val shows no defect."""
    if "val" not in splits or shows_defect(splits["val"]):
        return []
    count = len(splits["val"])
    why = f"{count} photos, none with a labelled defect: recall cannot be measured."
    fix = (
        "Put photos with labelled defects into val; until then "
        f"{HELD_OUT_SHARE:.0%} of the others are held out."
    )
    return [Finding(Level.WARNING, root, "split val", why, fix, Kind.SPLITS)]


def _photo(
    rows: PhotoRows, known: dict[str, int]
) -> tuple[Photo | None, list[Finding]]:
    """Return one photo decoded and its boxes in pixels, with what was found."""
    try:
        content = rows.path.read_bytes()
        picture = decode_picture(content)
    except OSError as exc:
        return None, [_unreadable(rows, f"cannot be read: {exc.strerror}.")]
    except DamagedPictureError:
        return None, [_unreadable(rows, "is not a whole picture.")]
    if ends_in_filler(content, picture):
        why = "is cut off: its end is only the grey that decoders fill in."
        return None, [_unreadable(rows, why)]
    height, width = picture.shape[:2]
    boxes, labels, places = [], [], []
    findings = _wrong_size(rows, width, height)
    for row in rows.rows:
        box, finding = _box(rows, row, width, height)
        findings += [finding] if finding else []
        if box:
            boxes.append(box)
            labels.append(known[row.label])
            places.append(row.place)
    photo = Photo(
        rows.path,
        hashlib.sha256(content).hexdigest(),
        width,
        height,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        rows.source,
        is_grey(picture),
        tuple(places),
        fingerprint(picture),
    )
    return photo, findings


def _unreadable(rows: PhotoRows, why: str) -> Finding:
    """Return the finding of a photo that cannot be used."""
    why, fix = f"the photo {why}", "Copy it anew, or remove it."
    return Finding(Level.ERROR, rows.path, "", why, fix, Kind.UNREADABLE_PHOTO)


def _wrong_size(rows: PhotoRows, width: int, height: int) -> list[Finding]:
    """Say so when boxes were drawn on a picture of another size."""
    said = rows.said_size_px
    if said is None or said == (width, height) or not rows.rows:
        return []
    is_scaled = abs(width * said[1] - height * said[0]) <= max(said)
    if is_scaled and all(row.normalized for row in rows.rows):
        return []  # shares are right in a larger or smaller copy, but for a pixel
    why = (
        f"the photo has {width} x {height} pixels, {rows.source.name} says "
        f"{said[0]} x {said[1]}: its boxes lie elsewhere."
    )
    fix = "Export photos and labels together again."
    if said == (height, width):
        why += " The sides are swapped: the labels ignore the photo's EXIF orientation."
        fix = "Turn the photo's pixels and remove its EXIF orientation, or label anew."
    return [Finding(Level.ERROR, rows.path, "", why, fix, Kind.WRONG_SIZE)]


def _box(
    rows: PhotoRows, row: Row, width: int, height: int
) -> tuple[Corners | None, Finding | None]:
    """Return a box in pixels inside the photo, with what was found."""
    scale_x, scale_y = (width, height) if row.normalized else (1, 1)
    x1, y1 = row.box[0] * scale_x, row.box[1] * scale_y
    x2, y2 = row.box[2] * scale_x, row.box[3] * scale_y
    if not all(np.isfinite((x1, y1, x2, y2))):
        return None, _bad_box(rows, row, "is not finite.", Kind.EMPTY_BOX)
    drawn: Corners = (x1, y1, x2, y2)
    inside = (max(0.0, x1), max(0.0, y1), min(width, x2), min(height, y2))
    shown = f"{row.label} [{x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f}]"
    if x2 - x1 < SMALLEST_BOX_PX or y2 - y1 < SMALLEST_BOX_PX:
        return None, _bad_box(rows, row, f"{shown} is empty.", Kind.EMPTY_BOX, drawn)
    if inside[2] - inside[0] < SMALLEST_BOX_PX or inside[3] - inside[1] < 1:
        why = f"{shown} is outside the photo of {width} x {height} pixels."
        return None, _bad_box(rows, row, why, Kind.OUTSIDE_BOX, drawn)
    tolerance_px = 1.0  # rounding of annotation tools is not worth a word
    if max(-x1, -y1, x2 - width, y2 - height) <= tolerance_px:
        return inside, None
    why = f"box {shown} reaches outside the photo of {width} x {height} pixels."
    fix, kind = "It is clipped; redraw it.", Kind.CLIPPED_BOX
    return inside, Finding(
        Level.WARNING, rows.path, row.place, why, fix, kind, (drawn,)
    )


def _bad_box(
    rows: PhotoRows, row: Row, why: str, kind: Kind, *drawn: Corners
) -> Finding:
    """Return the finding of a box that cannot be used."""
    why, fix = f"box {why}", "Redraw or delete it."
    return Finding(Level.ERROR, rows.path, row.place, why, fix, kind, drawn)


def _content_hash(splits: dict[str, tuple[Photo, ...]], labels: Iterable[str]) -> str:
    """Return one hash over photos, boxes and labels, whatever the paths are."""
    digest = hashlib.sha256("\0".join(labels).encode())
    for name in sorted(splits):
        digest.update(name.encode())
        for photo in sorted(splits[name], key=lambda photo: photo.sha256):
            digest.update(photo.sha256.encode())
            digest.update(photo.boxes.tobytes())
            digest.update(photo.labels.tobytes())
    return digest.hexdigest()
