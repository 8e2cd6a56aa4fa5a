"""Writes the demo's data set: COCO photos, good parts, a video and its truth."""

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2

from models.errors import ConfigError, DatasetError
from models.files import require_room
from models.pictures import decode_picture
from trainer.data.splitting.near_duplicates import (
    Fingerprint,
    fingerprint,
    near_duplicates,
)
from trainer.data.synthetic.line import (
    PartLine,
    Passage,
    PlannedPhoto,
    SeedBranch,
    choose_labels,
    make_station,
    seeded_rng,
    take_photo,
)
from trainer.data.synthetic.line_defects import Flaw, LineDefect
from trainer.data.synthetic.line_folder import is_complete, whole_or_nothing
from trainer.data.synthetic.line_scene import Station

SCHEMA_VERSION = 1
DRAWING_VERSION = 4  # raised when the same settings draw something else than before
_VAL_SHARE = 80 / 300
_JPEG_QUALITY = 92
_MOST_PER_PHOTO = 3
_REDRAWS = 5  # rounds; seed 0 needs 2
# measured at 512 px: 6 kB and 2 ms a frame, 37.5 dB; FFV1 takes 350 kB and 19 ms
_CODEC = "mp4v"

LEAST_FREE_BYTES = 1 << 20  # an encoder that failed with less had no space

# called with what is being written, how many are done, and how many there are
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class LineSettings:
    """The settings that determine each byte of a data set."""

    seed: int = 0  # 0 or more
    photos: int = 300  # labelled photos, train and val together
    good: int = 120
    parts: int = 240
    size_px: int = 320  # edge of photos and video
    fps: int = 15  # frames per second that the video's header names

    def check(self) -> None:
        """Raise one error that names all values out of bounds.

        Raises:
            ConfigError: A number is out of bounds.
        """
        bounds = {
            "seed": (0, 2**63 - 1),
            "photos": (4, 100_000),
            "good": (0, 100_000),
            "parts": (2, 100_000),
            "size_px": (256, 768),
            "fps": (1, 240),
        }
        faults = [
            f"--{name.removesuffix('_px')} {value} is not in {low}..{high}"
            for name, (low, high) in bounds.items()
            if not low <= (value := getattr(self, name)) <= high
        ]
        if self.size_px % 2:
            faults.append(f"--size {self.size_px} is odd, and video needs an even one")
        if faults:
            raise ConfigError(
                "The line cannot be drawn.",
                why="; ".join(faults) + ".",
                fix="Give a value in the range, or leave the option out.",
            )

    @property
    def val_photos(self) -> int:
        """Labelled photos in the split ``val``."""
        return max(1, round(self.photos * _VAL_SHARE))


@dataclass(frozen=True, slots=True)
class LineSummary:
    """The content of a data set."""

    out: Path
    already_there: bool  # nothing was written: the same data set was there
    settings: LineSettings

    def as_json(self) -> dict[str, object]:
        """Return the summary for ``--json``."""
        return {
            "out": str(self.out),
            "already_there": self.already_there,
            **asdict(self.settings),
            "train_photos": self.settings.photos - self.settings.val_photos,
            "val_photos": self.settings.val_photos,
            "labels": [label.value for label in LineDefect],
            "video": str(self.out / "line.mp4"),
            "truth": str(self.out / "truth.json"),
        }


def write_line(out: Path, settings: LineSettings, report: Report) -> LineSummary:
    """Write one dataset, or nothing where the same one is there already.

    Args:
        out: The folder to write; its parents are made.

    Raises:
        ConfigError: A setting is out of bounds.
        DatasetError: The folder holds something else, or cannot be written.
    """
    settings.check()
    stored = {"drawing": DRAWING_VERSION, **asdict(settings)}
    if is_complete(out, stored):
        return LineSummary(out, already_there=True, settings=settings)
    with whole_or_nothing(out, stored) as folder:
        station = make_station(settings.seed, settings.size_px)
        _write_photos(folder, station, settings, report)
        _write_video(folder, station, settings, report)
    return LineSummary(out, already_there=False, settings=settings)


def _save_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _annotation(number: int, image_id: int, flaw: Flaw) -> dict[str, object]:
    left, top, right, bottom = (round(float(side), 2) for side in flaw.box)
    width, height = round(right - left, 2), round(bottom - top, 2)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": list(LineDefect).index(flaw.label) + 1,
        "bbox": [left, top, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
    }


@dataclass(slots=True)
class _Split:
    """The photos of one branch."""

    branch: SeedBranch
    count: int
    pattern: str
    # what is labelled on each photo
    labels: list[tuple[Flaw, ...]] = field(default_factory=list)
    # those that `check` computes
    fingerprints: list[Fingerprint] = field(default_factory=list)


def _write_photos(
    folder: Path, station: Station, settings: LineSettings, report: Report
) -> None:
    train = settings.photos - settings.val_photos
    splits = (
        _Split(SeedBranch.TRAIN, train, "images/train-{:05}.jpg"),
        _Split(SeedBranch.VAL, settings.val_photos, "images/val-{:05}.jpg"),
        _Split(SeedBranch.GOOD, settings.good, "good/good-{:05}.jpg"),
    )
    for name, split in zip(
        ("train photos", "val photos", "good parts"), splits, strict=True
    ):
        (folder / split.pattern).parent.mkdir(exist_ok=True)
        for index in range(split.count):
            photo = _draw(settings, station, split.branch, index)
            split.labels.append(photo.flaws)
            split.fingerprints.append(
                _save_jpeg(folder / split.pattern.format(index), photo)
            )
            report(name, index + 1, split.count)
    _redraw_near_duplicates(folder, station, settings, splits)
    for split in splits[:2]:
        _save_annotations(folder, split, settings.size_px)


def _draw(
    settings: LineSettings,
    station: Station,
    branch: SeedBranch,
    index: int,
    attempt: int = 0,
) -> PlannedPhoto:
    rng = seeded_rng(settings.seed, branch, index, attempt)
    labels = () if branch is SeedBranch.GOOD else choose_labels(rng, _MOST_PER_PHOTO)
    return take_photo(rng, station, labels)


def _save_jpeg(path: Path, photo: PlannedPhoto) -> Fingerprint:
    """Write a photo; return its fingerprint as it will be read."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    content = cv2.imencode(".jpg", photo.frame, options)[1].tobytes()
    path.write_bytes(content)
    return fingerprint(decode_picture(content))


def _redraw_near_duplicates(
    folder: Path, station: Station, settings: LineSettings, splits: Sequence[_Split]
) -> None:
    """Draw photos again that look like one of another split.

    Two parts of this family that lie at the same place look alike; a val photo that
    looks like a train photo makes the measurement too good, and ``check`` warns of it.
    Photos of good parts have no split yet, so they may not look like any other.
    """
    photos = [(split, index) for split in splits for index in range(split.count)]
    for attempt in range(1, _REDRAWS + 1):
        groups = near_duplicates([split.fingerprints[i] for split, i in photos])
        first: dict[int, SeedBranch] = {}
        repeated = [
            (split, index)
            for (split, index), group in zip(photos, groups.tolist(), strict=True)
            if (split.branch is SeedBranch.GOOD and group in first)
            or first.setdefault(group, split.branch) is not split.branch
        ]
        for split, index in repeated:
            photo = _draw(settings, station, split.branch, index, attempt)
            split.labels[index] = photo.flaws
            path = folder / split.pattern.format(index)
            split.fingerprints[index] = _save_jpeg(path, photo)
        if not repeated:
            return


def _save_annotations(folder: Path, split: _Split, size_px: int) -> None:
    """Write the labels of a split as COCO."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for index, flaws in enumerate(split.labels):
        name = split.pattern.format(index)
        images.append(
            {"id": index + 1, "file_name": name, "width": size_px, "height": size_px}
        )
        for flaw in flaws:
            annotations.append(_annotation(len(annotations) + 1, index + 1, flaw))
    categories = [
        {"id": number + 1, "name": label.value, "supercategory": "defect"}
        for number, label in enumerate(LineDefect)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    _save_json(folder / f"{split.branch.name.lower()}.json", content)


def _write_video(
    folder: Path, station: Station, settings: LineSettings, report: Report
) -> None:
    line = PartLine(settings.seed, settings.parts, settings.size_px)
    size = (settings.size_px, settings.size_px)
    code = cv2.VideoWriter.fourcc(*_CODEC)
    path = folder / "line.mp4"
    video = cv2.VideoWriter(str(path), code, float(settings.fps), size)
    if not video.isOpened():
        raise DatasetError(
            f"{path} cannot be written.",
            why=f"This OpenCV has no encoder for {_CODEC}.",
            fix="Install opencv-python-headless as requirements/ lists it.",
        )
    passages = []
    for number, (frame, passage) in enumerate(line.render(station)):
        video.write(frame)
        if passage is not None:
            passages.append(passage)
        report("video frames", number + 1, line.frame_count)
    video.release()
    _require_whole(path)
    truth = {
        "schema_version": SCHEMA_VERSION,
        "fps": settings.fps,
        "frame_count": line.frame_count,
        "width": settings.size_px,
        "height": settings.size_px,
        "step_px": line.step_px,
        "parts": [_part(passage) for passage in passages],
    }
    _save_json(folder / "truth.json", truth)


def _require_whole(path: Path) -> None:
    """Raise where the encoder could not write the whole video; it reports no error.

    Raises:
        OSError: The disk is full, or the video has no index.

    Source:
        ISO/IEC 14496-12: an MP4 is a list of boxes, each with its size and type; the
        encoder writes the index (``moov``) last.
    """
    types, start, size = set(), 0, path.stat().st_size
    with path.open("rb") as file:
        while start < size:
            file.seek(start)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4]), header[4:8]
            if length == 1:  # the size follows as 64 bits
                length = int.from_bytes(header[8:16])
            start += max(length, 8)
            if start <= size:
                types.add(kind)
    if b"moov" in types:
        return
    require_room(path.parent, [LEAST_FREE_BYTES])
    raise OSError(errno.EIO, "The encoder could not write the whole video", str(path))


def _part(passage: Passage) -> dict[str, object]:
    """Return a part's entry of ``truth.json``."""
    return {
        "id": passage.part_id,
        "first_frame": passage.first_frame,
        "last_frame": passage.last_frame,
        "defects": [
            {
                "label": seen.label.value,
                "first_frame": min(seen.boxes),
                "last_frame": max(seen.boxes),
                "boxes": {
                    str(frame): [round(float(side), 1) for side in box]
                    for frame, box in seen.boxes.items()
                },
            }
            for seen in passage.defects
        ],
    }
