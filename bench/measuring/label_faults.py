"""Faults planted into labels, and which of them a list of label issues names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from models.boxes import Boxes, iou
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.label_errors.issues import LabelIssue

SAME_IOU = 0.3  # from here on an issue's box belongs to the planted fault


class FaultKind(StrEnum):
    """How a label was changed."""

    DELETED = "deleted"
    RELABELLED = "relabelled"
    MOVED = "moved"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault."""

    kind: FaultKind
    photo_sha256: str
    true_box: Boxes  # [4] before the change; for an added box that box
    # index into the photo's boxes after the change; None = deleted
    labelled: int | None


def plant(
    photos: Sequence[Photo], share: float, label_count: int, seed: int
) -> tuple[list[Photo], list[Fault]]:
    """Return photos with a share of their labels spoilt, the four kinds in turn."""
    rng = np.random.default_rng(seed)
    places = [(i, g) for i, photo in enumerate(photos) for g in range(len(photo.boxes))]
    chosen = rng.permutation(len(places))[: round(share * len(places))]
    by_photo: dict[int, dict[int, FaultKind]] = {}
    kinds = list(FaultKind)
    for turn, place in enumerate(chosen):
        index, box = places[place]
        by_photo.setdefault(index, {})[box] = kinds[turn % len(kinds)]
    spoilt, faults = list(photos), []
    for index, wanted in by_photo.items():
        spoilt[index], more = _spoil(photos[index], wanted, label_count, rng)
        faults += more
    return spoilt, faults


def _spoil(
    photo: Photo,
    wanted: dict[int, FaultKind],
    label_count: int,
    rng: np.random.Generator,
) -> tuple[Photo, list[Fault]]:
    boxes: list[np.ndarray] = []
    labels: list[int] = []
    faults = []
    for number, (box, label) in enumerate(zip(photo.boxes, photo.labels, strict=True)):
        kind = wanted.get(number)
        if kind is FaultKind.DELETED:
            faults.append(Fault(kind, photo.sha256, box, None))
            continue
        boxes.append(box)
        labels.append(int(label))
        if kind is FaultKind.RELABELLED:
            labels[-1] = (int(label) + int(rng.integers(1, label_count))) % label_count
        elif kind is FaultKind.MOVED:
            boxes[-1] = _moved(box, photo, rng)
        elif kind is FaultKind.ADDED:
            boxes.append(_elsewhere(box, photo, rng))
            labels.append(int(rng.integers(label_count)))
        if kind:
            faults.append(Fault(kind, photo.sha256, boxes[-1], len(boxes) - 1))
        if kind is FaultKind.MOVED:
            faults[-1] = replace(faults[-1], true_box=box)
    changed = replace(
        photo,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
    )
    return changed, faults


def _moved(box: np.ndarray, photo: Photo, rng: np.random.Generator) -> np.ndarray:
    """Return the box pushed off by a quarter to a half of its sides, kept inside."""
    size = box[2:] - box[:2]
    push = size * rng.uniform(0.25, 0.5, 2) * rng.choice([-1, 1], 2)
    limit = np.array([photo.width_px, photo.height_px], np.float32) - size
    corner = np.clip(box[:2] + push, 0, limit)
    return np.concatenate((corner, corner + size)).astype(np.float32)


def _elsewhere(box: np.ndarray, photo: Photo, rng: np.random.Generator) -> np.ndarray:
    """Return a box of the same size with as little overlap with labels as possible."""
    size = box[2:] - box[:2]
    limit = np.array([photo.width_px, photo.height_px], np.float32) - size
    tries = []
    for _ in range(20):
        corner = rng.uniform(0, 1, 2) * limit
        candidate = np.concatenate((corner, corner + size)).astype(np.float32)
        tries.append((float(iou(candidate[None], photo.boxes).max()), candidate))
    return min(tries, key=lambda one: one[0])[1]


def named_faults(
    suspects: Sequence[LabelIssue],
    photos: Sequence[Photo],
    found: Sequence[Detections],
    faults: Sequence[Fault],
) -> list[int | None]:
    """Return for each suspect the planted fault that it names, or None."""
    by_photo: dict[str, list[int]] = {}
    for number, fault in enumerate(faults):
        by_photo.setdefault(fault.photo_sha256, []).append(number)
    return [
        next(
            (
                number
                for number in by_photo.get(photos[suspect.photo].sha256, [])
                if _names(suspect, found[suspect.photo], faults[number])
            ),
            None,
        )
        for suspect in suspects
    ]


def _names(suspect: LabelIssue, seen: Detections, fault: Fault) -> bool:
    if fault.labelled is not None and suspect.label == fault.labelled:
        return True
    if suspect.detection is None or fault.kind is FaultKind.ADDED:
        return False
    box = seen.boxes[suspect.detection][None]
    return bool(iou(box, fault.true_box[None])[0, 0] >= SAME_IOU)
