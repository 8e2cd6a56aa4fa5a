"""A dataset in memory: photos with boxes in pixels, in splits, good parts included.

A folder in one of the formats of ``trainer.data.formats``. ``good/`` beside the
annotations holds photos of good parts, ``bad/`` those of defective parts without boxes,
which are only measured on. A photo that no label file describes is unlabelled: it is in
no split, because it may show a defect. ``trainer.data.splitting`` decides which photos
are trained on and which are measured on.
"""

import errno
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from models.boxes import Boxes, IntArray
from models.counted import agreeing, counted
from models.errors import DatasetError
from models.pictures import COPY_AGAIN, BitDepthError, PictureError, read_picture
from models.preprocess import Frame
from trainer.data.archive import unpacked
from trainer.data.corners import (
    corners_of,
    turned_findings,
    wrong_size_findings,
)
from trainer.data.decoding import DecodingBudget, decoding_threads
from trainer.data.findings import Finding, FindingKind, Level, first_names
from trainer.data.formats.files import (
    BAD_FOLDER,
    GOOD_FOLDER,
    is_pipe_or_device,
    pictures_below,
    unusable_picture,
)
from trainer.data.formats.limits import BOXES_MAX
from trainer.data.formats.recognize import read_annotations
from trainer.data.formats.rows import Annotations, LabelState, PhotoRows
from trainer.data.picture import decode_photo, is_grey, pixels_sha256
from trainer.data.splitting.assign import assign_splits, shows_defect
from trainer.data.splitting.near_duplicates import (
    Fingerprint,
    fingerprint,
    no_fingerprint,
)
from trainer.data.splitting.split_record import (
    SplitAssignment,
    SplitOptions,
    UnlabelledUse,
)
from trainer.data.splitting.stratify import (
    HELD_OUT,
    HELD_OUT_SHARE,
    TRAIN,
    sorted_by_hash,
)

DEPTH_FIX = (
    "Give photos as the camera of the line takes them, or train with a --bit-depth "
    "that holds all values."
)
# Of good parts, to learn from them alone; fewer say nothing of how good parts differ.
LEAST_GOOD_ALONE = 30
# Of good parts to train on, for the class unknown beside named ones: two thirds of it.
LEAST_GOOD_BESIDE = 20

PhotoOrFaults = tuple["Photo | None", list[Finding]]
OnPhoto = Callable[[int, int], None]  # photos read so far, photos in all


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo and what is labelled on it."""

    path: Path
    sha256: str
    width_px: int  # with the EXIF orientation applied, as is `height_px`
    height_px: int
    boxes: Boxes  # [G, 4] float32, xyxy, pixels of the photo; empty for a good part
    labels: IntArray  # [G] int64, index into the dataset's labels
    source: Path = Path()
    is_grey: bool = False
    state: LabelState = LabelState.LABELLED
    places: tuple[str, ...] = ()  # where in `source` each box is, `G` of them
    # [S, S] uint8, the photo made small and grey
    fingerprint: Fingerprint = field(default_factory=no_fingerprint, repr=False)
    bit_depth: int | None = None  # of a file with more than 8 bits a channel
    brightest: int = 255  # largest value of a channel, as it is trained on
    pixels_sha256: str = ""  # of the decoded pixels; empty = not known
    is_bad: bool = False  # a defective part of which no box is known

    @property
    def content(self) -> str:
        """What copies of the picture share, in whatever file they are."""
        return self.pixels_sha256 or self.sha256

    @property
    def is_good(self) -> bool:
        """Whether the photo shows a part without defects."""
        return len(self.labels) == 0 and not self.is_bad


@dataclass(frozen=True, slots=True)
class Dataset:
    """Photos by split."""

    root: Path  # its folder, or the zip of it
    labels: tuple[str, ...]  # class names; the index is the label
    splits: dict[str, tuple[Photo, ...]]  # name to photos, good ones included
    # what was found while reading; errors make training wrong
    findings: tuple[Finding, ...]
    sha256: str  # hash of all photos and labels; paths do not count
    split_assignment: SplitAssignment
    unlabelled: tuple[Photo, ...] = ()  # may show a defect or not; in no split
    bad: tuple[Photo, ...] = ()  # defective parts without boxes; in no split

    @property
    def photo_count(self) -> int:
        """Number of photos in all splits."""
        return len(self.photos)

    @property
    def has_good_parts_only(self) -> bool:
        """Whether no defect is labelled, and no class is named: only ``unknown``."""
        return not self.labels and bool(self.photos)

    @property
    def bit_depth(self) -> int | None:
        """Bits that hold data in files of more than 8 bits; None = there are none."""
        return self.split_assignment.record.bit_depth

    @property
    def photos(self) -> tuple[Photo, ...]:
        """The photos of all splits."""
        return tuple(p for photos in self.splits.values() for p in photos)

    @property
    def without_boxes(self) -> tuple[Photo, ...]:
        """Good parts, and unlabelled photos on which nothing is drawn."""
        photos = (*self.photos, *self.unlabelled)
        return tuple(photo for photo in photos if photo.is_good)

    def split(self, name: str | None) -> tuple[str, tuple[Photo, ...]]:
        """Return the photos to measure on.

        Args:
            name: None = ``val`` if it has photos, else everything.

        Returns:
            Name of the split (``all`` for everything) and its photos.

        Raises:
            DatasetError: There is no split of that name, or it is empty.
        """
        if name is None:
            name = "val" if self.splits.get("val") else "all"
        if name == "all":
            photos = self.photos
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

    def measured(self, name: str | None) -> tuple[str, tuple[Photo, ...]]:
        """Return the photos to measure on, with those of ``bad/``; see ``split``.

        Raises:
            DatasetError: As ``split``; not where ``bad/`` alone has photos.
        """
        if name is None and self.bad and not self.photos:
            return "all", self.bad
        split, photos = self.split(name)
        return split, (*photos, *self.bad)

    def relative(self, path: Path) -> str:
        """Return a path relative to the dataset; unchanged where it lies elsewhere."""
        inside = path.is_relative_to(self.root)
        return str(path.relative_to(self.root) if inside else path)

    def for_training(self) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
        """Return the photos to train on and those to measure on, disjoint.

        A dataset with a val split brings both. Without one, ``split_assignment`` holds
        a share of the photos out.

        Raises:
            DatasetError: No labelled defect to train on, or none to measure on; without
                any class, fewer than ``LEAST_GOOD_ALONE`` good parts.
        """
        train, val = self.splits.get("train"), self.splits.get("val", ())
        if train is None:
            train, val = self.split("all")[1], ()
        if not val:
            photos, subset = sorted_by_hash(train), self.split_assignment.subset
            train = tuple(p for p in photos if subset(p) == TRAIN)
            val = tuple(p for p in photos if subset(p) == HELD_OUT)
        if self.has_good_parts_only:
            self._refuse_few_good(train, val)
        else:
            self._refuse_without_defects(train, val)
        return train, val

    def _refuse_few_good(self, train: Sequence[Photo], val: Sequence[Photo]) -> None:
        good = len({photo.content for photo in (*train, *val)})  # copies count once
        if good >= LEAST_GOOD_ALONE and not (train and val):
            raise DatasetError(
                f"{self.root}: no good part to {'measure' if train else 'train'} on.",
                why="All photos are of one group.",
                fix="Choose a --group that keeps fewer photos together.",
            )
        if good < LEAST_GOOD_ALONE:
            raise DatasetError(
                f"{self.root}: {counted(good, 'photo')} of good parts, and no "
                "labelled defect.",
                why="From good parts alone the class unknown is learned: how they "
                f"differ takes at least {LEAST_GOOD_ALONE}.",
                fix=f"Put {counted(LEAST_GOOD_ALONE - good, 'more photo')} of other "
                f"good parts into {GOOD_FOLDER}/, or label defects and put the export "
                "of the annotation tool beside it.",
            )

    def _refuse_without_defects(
        self, train: Sequence[Photo], val: Sequence[Photo]
    ) -> None:
        trained = sum(not photo.is_good for photo in train)
        measured = sum(not photo.is_good for photo in val)
        if not trained + measured:
            raise DatasetError(
                f"{self.root}: no photo has a labelled defect.",
                why=f"{counted(len(train) + len(val), 'photo')}, none with a box.",
                fix="Label some defects, or check that the labels were exported.",
            )
        if not (trained and measured):
            raise DatasetError(
                f"{self.root}: no defect to {'measure' if trained else 'train'} on.",
                why=f"{counted(trained, 'photo')} with a labelled defect to train "
                f"on, {measured} "
                "to measure on; both need at least one.",
                fix="Label defects in more photos, divide the splits again, or choose "
                "a --group that keeps fewer photos together.",
            )


def read_photo(photo: Photo) -> Frame:
    """Return a photo's pixels, EXIF orientation applied, ``[H, W, 3]`` uint8, BGR.

    Raises:
        DatasetError: It cannot be read any more, or has another size now.
    """
    try:
        picture = read_picture(photo.path, photo.bit_depth)
    except (OSError, PictureError):
        picture = None
    if picture is None or picture.shape[:2] != (photo.height_px, photo.width_px):
        raise DatasetError(
            f"{photo.path}: changed since the dataset was opened.",
            why="The picture cannot be read, or has another size.",
            fix="Start again.",
        )
    return picture


def open_dataset(
    root: Path, on_photo: OnPhoto | None = None, *, split: SplitOptions | None = None
) -> Dataset:
    """Read a dataset, every picture decoded once.

    Args:
        root: Its folder, or a zip of it.
        split: How to divide it where it brings no val, what unlabelled photos are
            used for, and the bit depth.

    Returns:
        The dataset; boxes partly outside are clipped, unusable rows are left out,
        both with a finding.

    Raises:
        DatasetError: No dataset there, none of its photos can be used, or it cannot be
            divided as ``split`` asks.
    """
    options = split or SplitOptions()
    try:
        folder = unpacked(root)
        annotations = read_annotations(folder)
        known = {photo.path for photo in annotations.photos}
        good, bad = (
            [photo for photo in _photos_in(folder / name) if photo.path not in known]
            for name in (GOOD_FOLDER, BAD_FOLDER)
        )
    except OSError as exc:
        fix = "Give this user the right to read the dataset, or copy it again."
        if exc.errno == errno.EFBIG:
            fix = "Divide it, or export the dataset again; docs: reference/labels.md."
        raise DatasetError(
            f"{exc.filename or root}: cannot be read.",
            why=f"{exc.strerror}.",
            fix=fix,
        ) from exc
    findings = list(annotations.findings)
    photos = _read_photos(annotations, [*good, *bad], options, findings, on_photo)
    verdicts = _bad_among(photos, folder / BAD_FOLDER)
    photos = {key: photo for key, photo in photos.items() if key not in verdicts}
    found = [photo.bit_depth for photo in photos.values() if photo.bit_depth]
    options = replace(options, bit_depth=options.bit_depth or max(found, default=None))

    def used(rows: Iterable[PhotoRows]) -> list[Photo]:
        use = options.unlabelled
        return [photos[id(r)] for r in rows if id(r) in photos and _is_used(r, use)]

    splits = {name: used(rows) for name, rows in annotations.splits.items()}
    good_photos = used([*good, *annotations.unlisted])
    findings += _unlabelled_findings(annotations, options.unlabelled)
    findings += _unmeasurable(root, splits)
    if not any(splits.values()) and not good_photos and not verdicts:
        raise DatasetError(
            f"{root}: no photo can be used.",
            why=str(findings[0]) if findings else "The dataset is empty.",
            fix="Run `graftline check` on it, or export it again.",
        )
    assigned, assignment = assign_splits(root, splits, good_photos, options)
    labels = tuple(annotations.labels)
    return Dataset(
        root,
        labels,
        assigned,
        tuple(findings),
        _content_hash(assigned, labels),
        assignment,
        tuple(
            photos[id(row)]
            for row in annotations.photos
            if id(row) in photos and not _is_used(row, options.unlabelled)
        ),
        tuple(verdicts.values()),
    )


def _is_used(rows: PhotoRows, use: UnlabelledUse) -> bool:
    """Return whether a photo is trained or measured on."""
    is_taken = rows.state is LabelState.UNLABELLED and use is UnlabelledUse.GOOD
    return rows.state is LabelState.LABELLED or is_taken


def _unlabelled_findings(annotations: Annotations, use: UnlabelledUse) -> list[Finding]:
    """Return one finding for each reason why photos are not labelled."""
    by_reason: dict[tuple[LabelState, str], list[PhotoRows]] = defaultdict(list)
    for photo in annotations.photos:
        if photo.state is not LabelState.LABELLED:
            by_reason[photo.state, photo.state_reason].append(photo)
    findings = []
    for (state, reason), photos in by_reason.items():
        names = first_names(photo.path.name for photo in photos)
        count = counted(len(photos), "photo")
        why = f"{count} left out, neither trained nor measured on: {reason}."
        kind = FindingKind.UNLABELLED
        them = agreeing(len(photos), "it", "them")
        good = agreeing(len(photos), "a good part", "good parts")
        fix = f"Label {them}; --unlabelled good takes {them} as {good}."
        if state is LabelState.UNCLEAR:
            kind = FindingKind.UNCLEAR_LABEL
            fix = "Draw the defects as boxes, or correct the label."
        elif _is_used(photos[0], use):
            why = f"{count} taken as good parts, by --unlabelled good: {reason}."
            fix = "Check that " + agreeing(
                len(photos), "it shows no defect.", "none of them shows a defect."
            )
        place = photos[0].path.parent
        fix = photos[0].state_fix or fix
        findings.append(Finding(Level.WARNING, place, names, why, fix, kind))
    return findings


def _read_photos(
    annotations: Annotations,
    good: Sequence[PhotoRows],
    options: SplitOptions,
    findings: list[Finding],
    on_photo: OnPhoto | None,
) -> dict[int, Photo]:
    """Return the photos that can be used, by ``id`` of their rows; faults are added."""
    rows = [*annotations.photos, *good]
    numbers = {label: index for index, label in enumerate(annotations.labels)}
    # By identity: one picture may be listed twice, with other boxes each time.
    photos: dict[int, Photo] = {}
    budget = DecodingBudget()

    def photo_of(row: PhotoRows, depth: int | None) -> PhotoOrFaults:
        return _photo(row, numbers, depth, budget)

    with decoding_threads() as pool:
        read = pool.map(lambda one: photo_of(one, options.bit_depth), rows)
        for done, (photo, faults) in enumerate(read):
            # What is left out anyway makes no training wrong.
            is_used = _is_used(rows[done], options.unlabelled)
            findings += faults if is_used else [f.as_warning() for f in faults]
            if photo:
                photos[id(rows[done])] = photo
            if on_photo:
                on_photo(done + 1, len(rows))
        # One depth for all: each was read with the fewest bits that hold its values.
        depth = max((p.bit_depth for p in photos.values() if p.bit_depth), default=None)
        again = [
            row
            for row in rows
            if id(row) in photos and photos[id(row)].bit_depth not in {None, depth}
        ]
        for row, (photo, _) in zip(
            again, pool.map(lambda one: photo_of(one, depth), again), strict=True
        ):
            if photo:
                photos[id(row)] = photo
    return photos


def _photos_in(folder: Path) -> list[PhotoRows]:
    return [PhotoRows(path, folder) for path in pictures_below(folder)]


def _bad_among(photos: dict[int, Photo], folder: Path) -> dict[int, Photo]:
    """Return the photos of ``bad/`` without boxes, also where a label file has them."""
    return {
        key: replace(photo, is_bad=True)
        for key, photo in photos.items()
        if photo.path.is_relative_to(folder) and not len(photo.labels)
    }


def _unmeasurable(root: Path, splits: dict[str, list[Photo]]) -> list[Finding]:
    """Return a finding where the dataset's own val shows no defect."""
    if "val" not in splits or shows_defect(splits["val"]):
        return []
    count = len(splits["val"])
    why = (
        f"{counted(count, 'photo')}, none with a labelled defect: recall cannot "
        "be measured."
    )
    fix = (
        "Put photos with labelled defects into val; until then "
        f"{HELD_OUT_SHARE:.0%} of the others are held out."
    )
    return [Finding(Level.WARNING, root, "split val", why, fix, FindingKind.SPLITS)]


def _photo(
    rows: PhotoRows,
    known: dict[str, int],
    bit_depth: int | None,
    budget: DecodingBudget,
) -> tuple[Photo | None, list[Finding]]:
    """Return one photo decoded and its boxes in pixels, with what was found."""
    if fault := _fault_of(rows):
        return None, [fault]
    try:
        with budget.content_of(rows.path) as content:
            picture, depth = decode_photo(content, bit_depth)
            return _labelled(rows, known, content, picture, depth)
    except FileNotFoundError:
        return None, [_lost(rows)]
    except OSError as exc:
        return None, [_unreadable(rows, f"cannot be read: {exc.strerror}.")]
    except BitDepthError as exc:
        why, kind = f"the photo cannot be used: {exc}.", FindingKind.BIT_DEPTH
        return None, [Finding(Level.ERROR, rows.path, "", why, DEPTH_FIX, kind)]
    except PictureError as exc:
        return None, [_unreadable(rows, f"cannot be used: {exc}.", exc.fix)]


def _labelled(
    rows: PhotoRows,
    known: dict[str, int],
    content: bytes,
    picture: Frame,
    depth: int | None,
) -> tuple[Photo, list[Finding]]:
    """Return a photo of decoded pixels, with its boxes in pixels."""
    height, width = picture.shape[:2]
    findings = wrong_size_findings(rows, content, width, height)
    findings += turned_findings(rows, content, width, height)
    boxes, labels, places = [], [], []
    for row in rows.rows:
        box, finding = corners_of(rows, row, width, height)
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
        rows.state,
        tuple(places),
        fingerprint(picture),
        depth,
        int(picture.max()),
        pixels_sha256(picture),
    )
    return photo, findings


def _fault_of(rows: PhotoRows) -> Finding | None:
    """Return why a photo cannot be used; None where its file decides."""
    if rows.fault:
        return unusable_picture(rows.source, rows.place, rows.fault)
    if is_pipe_or_device(rows.path):
        return _unreadable(rows, "is a pipe or a device.")
    if len(rows.rows) <= BOXES_MAX:
        return None
    count = counted(len(rows.rows), "box", "boxes")
    why = f"{count} on one photo; at most {BOXES_MAX} are read."
    fix = "Cut the photo into several, or draw one box around defects that touch."
    return Finding(Level.ERROR, rows.source, rows.place, why, fix, photo=rows.path)


def _lost(rows: PhotoRows) -> Finding:
    """Return the finding of a picture that is nowhere, with what names it."""
    place = f" ({rows.place})" if rows.place else ""
    why = f"there is no such photo; {rows.source.name}{place} names it."
    fix, kind = "Copy it there, or correct the name.", FindingKind.UNREADABLE_PHOTO
    return Finding(Level.ERROR, rows.path, "", why, fix, kind)


def _unreadable(rows: PhotoRows, why: str, fix: str = COPY_AGAIN) -> Finding:
    why, kind = f"the photo {why}", FindingKind.UNREADABLE_PHOTO
    return Finding(Level.ERROR, rows.path, "", why, fix, kind)


def _content_hash(splits: dict[str, tuple[Photo, ...]], labels: Iterable[str]) -> str:
    """Return one hash over photos, boxes and labels; paths do not count."""
    digest = hashlib.sha256("\0".join(labels).encode())
    for name in sorted(splits):
        digest.update(name.encode())
        for photo in sorted(splits[name], key=lambda photo: photo.sha256):
            digest.update(photo.sha256.encode())
            digest.update(photo.boxes.tobytes())
            digest.update(photo.labels.tobytes())
    return digest.hexdigest()
