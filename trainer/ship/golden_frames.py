"""Chooses the golden frames, and stores what the trained network detects on them.

Golden frames are validation photos, some of them of good parts. They cover every label,
and high, middle and low scores, because low scores change first. The choice depends on
the photos and scores only, so packing twice chooses the same frames.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from models.boxes import FloatArray
from models.detections import Detections
from models.detector import Detector, detect
from models.files import write_atomically
from models.golden import (
    GoldenFrame,
    golden_detections,
    golden_set,
    kept_thresholds,
)
from models.manifest import Thresholds
from models.preprocess import Frame
from trainer.data.dataset import Photo, read_photo
from trainer.ship.parity import STRICT

GOLDEN_FRAMES = 16
GOOD_FRAMES = 4
FOLDER = "golden"
EXPECTED = f"{FOLDER}/expected.json"


def choose_golden(
    photos: Sequence[Photo], found: Sequence[Detections], thresholds: FloatArray
) -> list[int]:
    """Return the positions of the golden photos, ascending.

    Args:
        found: Detections on each photo, down to a low score.
        thresholds: ``[C]`` float32.
    """
    best = [float(d.scores.max(initial=0)) for d in found]
    good = [i for i, photo in enumerate(photos) if photo.is_good]
    defective = [i for i, photo in enumerate(photos) if not photo.is_good]
    wanted = max(GOOD_FRAMES, GOLDEN_FRAMES - len(defective))
    # the good photos with the highest scores, and the one with the lowest
    hardest = sorted(good, key=lambda i: (-best[i], photos[i].sha256))
    chosen = hardest[: wanted - 1] + hardest[-1:] if len(good) > wanted else good
    rest = GOLDEN_FRAMES - len(chosen)
    if len(defective) > rest:
        defective = _spread_over_labels(photos, found, defective, thresholds, rest)
    return sorted([*chosen, *defective])


def _spread_over_labels(
    photos: Sequence[Photo],
    found: Sequence[Detections],
    defective: Sequence[int],
    thresholds: FloatArray,
    count: int,
) -> list[int]:
    """Return photos of every label in turn, spread over that label's scores."""
    queues = []
    for label in sorted({int(n) for i in defective for n in photos[i].labels}):
        holders = [i for i in defective if label in photos[i].labels]
        scores = {i: _best_score(found[i], label) for i in holders}
        holders.sort(key=lambda i: (scores[i], photos[i].sha256))
        # only detections above this score are compared: such photos come first
        limit = float(thresholds[label]) + STRICT.score
        compared = [i for i in holders if scores[i] >= limit]
        others = [i for i in holders if scores[i] < limit]
        queues.append([*_far_apart(compared), *_far_apart(others)])
    chosen: list[int] = []
    while len(chosen) < count:
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return chosen


def _best_score(detections: Detections, label: int) -> float:
    """Return the highest score of one label, 0 without a detection."""
    return float(detections.scores[detections.labels == label].max(initial=0))


def _far_apart(items: Sequence[int]) -> list[int]:
    """Return items reordered so that the first N of them are spread out, for every N.

    Source:
        van der Corput's sequence in base 2.

    >>> _far_apart([10, 11, 12, 13, 14])
    [10, 14, 12, 11, 13]
    """
    bits = max(1, (len(items) - 1).bit_length())
    reversed_bits = [int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits)]
    return [items[n] for n in reversed_bits if n < len(items)]


def write_golden(
    folder: Path,
    photos: Sequence[Photo],
    detector: Detector,
    labels: Sequence[str],
    thresholds: Thresholds,
    disturbed: Sequence[Frame] = (),
) -> None:
    """Write the frames as lossless PNG, with expected detections and decisions.

    Args:
        disturbed: More frames, of no good part.

    Raises:
        OSError: The folder cannot be written.
    """
    (folder / FOLDER).mkdir()
    scores = np.array([thresholds.scores[label] for label in labels], np.float32)
    frames = []
    pictures = [(read_photo(photo), photo.is_good) for photo in photos]
    pictures += [(picture, False) for picture in disturbed]
    for number, (picture, is_good) in enumerate(pictures):
        _, png = cv2.imencode(".png", picture)
        name = f"{number:02}.png"
        (folder / FOLDER / name).write_bytes(png.tobytes())
        found = detect(
            detector,
            picture,
            kept_thresholds(scores),
            iou_threshold=thresholds.iou_threshold,
        )
        frames.append(
            GoldenFrame(file=name, good=is_good, detections=golden_detections(found))
        )
    text = golden_set(frames, labels, thresholds).model_dump_json(indent=1)
    write_atomically(folder / EXPECTED, text.encode() + b"\n")
