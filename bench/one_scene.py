"""Frames of one scene that are found, and different parts that are taken for one.

``python bench/one_scene.py``: for each data set below ``--data`` and for generated
parts,

* the pairs of its photos that are taken for one scene, those with the same pixels left
  out (belts hold copies of one photo in other qualities),
* the share of second frames that are found when a photo gets the noise of a camera,
  JPEG compression, a change of brightness or a small shift,
* how many good twins are taken for a copy of a labelled photo: the same photo, its
  boxes painted over with what is around them; and how many real copies are found.

Result: ``bench/results/one_scene.json``.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)
from near_duplicates import generated

from models.pictures import read_picture
from models.preprocess import Frame
from trainer.data.dataset import Photo, open_dataset, read_photo
from trainer.data.formats.files import pictures_below
from trainer.data.picture import pixels_sha256
from trainer.data.splitting.near_duplicates import fingerprint, smooth
from trainer.data.splitting.one_scene import alike_pairs, differ_by_noise

SETS = ("belt", "lpbf", "screws4", "cookie", "pcb", "aliens")
GENERATED = 160
# noise in grey levels, JPEG quality, shift in pixels, change of brightness; 0 = none
CHANGES = {
    "noise 1, JPEG 95": (1, 95, 0, 0),
    "noise 4, JPEG 90": (4, 90, 0, 0),
    "noise 8": (8, 0, 0, 0),
    "noise 8, JPEG 60": (8, 60, 0, 0),
    "JPEG 60": (0, 60, 0, 0),
    "noise 2, JPEG 90, 1 px, brighter by 15": (2, 90, 1, 15),
    "noise 4, JPEG 80, 2 px, darker by 15": (4, 80, 2, -15),
    "noise 8, JPEG 80, 3 px": (8, 80, 3, 0),
    "noise 2, JPEG 85, 6 px": (2, 85, 6, 0),
}
TWINS = ("noise 1, JPEG 95", "noise 4, JPEG 90", "noise 4, JPEG 80, 2 px, darker by 15")
COPIES = ("noise 1, JPEG 95", "noise 4, JPEG 90", "JPEG 60")
PAINT_PX = 2  # around a box: its edge may show the defect


def changed(picture: Frame, change: str, rng: np.random.Generator) -> Frame:
    """Return a second frame of a picture."""
    noise, quality, shift, brighter = CHANGES[change]
    angle = rng.uniform(0, 2 * np.pi)
    matrix = np.array(
        [[1, 0, shift * np.cos(angle)], [0, 1, shift * np.sin(angle)]], np.float32
    )
    size = picture.shape[1::-1]
    moved = cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    noisy = moved + rng.normal(0, noise, moved.shape) + brighter
    second = np.asarray(noisy.clip(0, 255), np.uint8)
    if not quality:
        return second
    content = cv2.imencode(".jpg", second, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def alike(pictures: Sequence[Frame]) -> list[tuple[int, int]]:
    """Return the pairs that are alike at 48 x 48."""
    small = smooth(np.stack([fingerprint(one) for one in pictures]).astype(np.float32))
    return list(alike_pairs(small, range(len(pictures))))


def measure_pairs(pictures: Sequence[Frame]) -> dict[str, int]:
    """Return how many pairs of different pictures are taken for one scene."""
    first = {pixels_sha256(one): index for index, one in enumerate(pictures)}
    different = [pictures[index] for index in sorted(first.values())]
    pairs = alike(different)
    return {
        "photos": len(different),
        "pairs_alike_at_48_px": len(pairs),
        "pairs_of_one_scene": sum(
            differ_by_noise(different[one], different[other]) for one, other in pairs
        ),
    }


def measure_frames(pictures: Sequence[Frame]) -> dict[str, float]:
    """Return the share of second frames that are found, by kind of change."""
    found = {}
    for change in CHANGES:
        rng = np.random.default_rng(1)
        second = [changed(picture, change, rng) for picture in pictures]
        pairs = zip(pictures, second, strict=True)
        hits = [bool(alike(pair)) and differ_by_noise(*pair) for pair in pairs]
        found[change] = round(float(np.mean(hits)), 3)
    return found


def measure_twins(photos: Sequence[Photo]) -> dict[str, Any]:
    """Return good twins taken for copies, and the share of copies found."""
    twins, copies = dict.fromkeys(TWINS, 0), dict.fromkeys(COPIES, 0)
    rng = np.random.default_rng(2)
    for photo in photos:
        picture = read_photo(photo)
        mask = np.zeros(picture.shape[:2], np.uint8)
        for x1, y1, x2, y2 in photo.boxes.astype(int):
            top, left = max(0, y1 - PAINT_PX), max(0, x1 - PAINT_PX)
            mask[top : y2 + PAINT_PX, left : x2 + PAINT_PX] = 255
        good = np.asarray(cv2.inpaint(picture, mask, 5, cv2.INPAINT_TELEA), np.uint8)
        for shown, counts in ((good, twins), (picture, copies)):
            for change in counts:
                pair = picture, changed(shown, change, rng)
                counts[change] += alike(pair) != [] and differ_by_noise(
                    *pair, photo.boxes
                )
    return {"labelled": len(photos), "twins_flagged": twins, "copies_found": copies}


def measure_set(root: Path, count: int) -> dict[str, Any]:
    """Return all figures of one folder of photos."""
    pictures = [read_picture(path) for path in pictures_below(root)]
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(pictures))[:count].tolist()
    result: dict[str, Any] = {
        **measure_pairs(pictures),
        "second_frames": len(chosen),
        "frames_found": measure_frames([pictures[index] for index in chosen]),
    }
    if (root / "train.json").exists():
        labelled = [photo for photo in open_dataset(root).photos if not photo.is_good]
        order = rng.permutation(len(labelled))[:count].tolist()
        result["good_twins"] = measure_twins([labelled[index] for index in order])
    return result


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=shared)
    parser.add_argument("--count", type=int, default=20, help="photos that are changed")
    parser.add_argument("--out", type=Path, default=RESULTS / "one_scene.json")
    args = parser.parse_args()
    machine, started_s = describe_machine(), time.perf_counter()
    measured = {name: measure_set(args.data / name, args.count) for name in SETS}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "s"
        generated(root, GENERATED)
        measured["generated"] = measure_set(root, args.count)
    document = {
        "machine": machine,
        "config": configuration(args),
        "sets": measured,
        "seconds": round(time.perf_counter() - started_s, 1),
    }
    write_result(args.out, document)
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
