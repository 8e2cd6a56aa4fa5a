"""Recall and false pairs of the search for shots of the same part.

``python bench/near_duplicates.py``: every photo of the real boards and of the generated
parts shows another part. Some get a second shot with the changes of a real camera, one
kind of change in each row. Recall is the share of these pairs that are grouped, and a
false pair is any other pair that is grouped (some boards show one section of a repeated
pattern: different parts with the same picture). Four consecutive frames of a video are
a burst. Result: ``bench/results/near_duplicates.json``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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

from models.preprocess import Frame
from trainer.data.formats.files import pictures_below
from trainer.data.splitting.near_duplicates import (
    Fingerprint,
    fingerprint,
    near_duplicates,
)

Rng = np.random.Generator
Change = Callable[[Frame, Rng], Frame]
EDGE = 0.04  # of the side: a shift must bring in pixels of the photo itself
BURST_FRAMES, BURST_EVERY = 4, 60


def _moved(picture: Frame, shift_px: float, degrees: float, rng: Rng) -> Frame:
    height, width = picture.shape[:2]
    turn = degrees * rng.choice((-1, 1))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1)
    angle = rng.uniform(0, 2 * np.pi)
    matrix[:, 2] += shift_px * np.cos(angle), shift_px * np.sin(angle)
    moved = cv2.warpAffine(picture, matrix, (width, height), borderMode=1)
    return np.asarray(moved, np.uint8)


def _noisy(picture: Frame, sigma: float, rng: Rng) -> Frame:
    noise = rng.normal(0, sigma, picture.shape)
    return np.asarray((picture + noise).clip(0, 255), np.uint8)


def _coded(picture: Frame, quality: int) -> Frame:
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def _exposed(picture: Frame, factor: float) -> Frame:
    return np.asarray((picture * factor).clip(0, 255), np.uint8)


def _burst(picture: Frame, rng: Rng) -> Frame:
    """Return a shot with all changes combined, as of a part held by hand."""
    moved = _moved(picture, rng.uniform(1, 4), rng.uniform(0, 1), rng)
    return _coded(_noisy(_exposed(moved, rng.uniform(0.92, 1.08)), 3, rng), 85)


CHANGES: dict[str, Change] = {
    "noise of 4 levels": lambda p, rng: _noisy(p, 4, rng),
    "JPEG quality 60": lambda p, _: _coded(p, 60),
    "exposure -10 %": lambda p, _: _exposed(p, 0.9),
    "exposure +10 %": lambda p, _: _exposed(p, 1.1),
    "blur of 1.5 px": lambda p, _: np.asarray(cv2.GaussianBlur(p, (0, 0), 1.5)),
    "shift of 1 px": lambda p, rng: _moved(p, 1, 0, rng),
    "shift of 2 px": lambda p, rng: _moved(p, 2, 0, rng),
    "shift of 4 px": lambda p, rng: _moved(p, 4, 0, rng),
    "shift of 8 px": lambda p, rng: _moved(p, 8, 0, rng),
    "turn of 1 degree": lambda p, rng: _moved(p, 0, 1, rng),
    "turn of 2 degrees": lambda p, rng: _moved(p, 0, 2, rng),
    "all: 1-4 px, 0-1 degree, exposure, noise, JPEG": _burst,
}


def seen(picture: Frame) -> Fingerprint:
    """Return the fingerprint of a photo without its edge."""
    height, width = picture.shape[:2]
    top, left = round(EDGE * height), round(EDGE * width)
    return fingerprint(
        np.ascontiguousarray(picture[top : height - top, left : width - left])
    )


def joined_pairs(groups: Sequence[int]) -> int:
    """Return how many pairs of photos share a group."""
    return sum(count * (count - 1) // 2 for count in Counter(groups).values())


def measure_parts(paths: Sequence[Path], pairs: int) -> dict[str, Any]:
    """Return recall by kind of change, and false pairs."""
    pictures = [np.asarray(cv2.imread(str(path)), np.uint8) for path in paths]
    first = [seen(picture) for picture in pictures]
    chosen = np.random.default_rng(0).permutation(len(paths))[:pairs].tolist()
    alone = joined_pairs(near_duplicates(first).tolist())
    rows = {}
    for kind, change in CHANGES.items():
        rng = np.random.default_rng(1)
        second = [seen(change(pictures[index], rng)) for index in chosen]
        groups = near_duplicates([*first, *second]).tolist()
        later = groups[len(first) :]
        found = sum(groups[i] == group for i, group in zip(chosen, later, strict=True))
        rows[kind] = {
            "recall": round(found / len(chosen), 3),
            "false_pairs": joined_pairs(groups) - found,
        }
    return {
        "photos": len(paths),
        "second_shots": len(chosen),
        "false_pairs_of_the_photos_alone": alone,
        "kinds": rows,
    }


def measure_video(path: Path) -> dict[str, Any]:
    """Return recall of bursts, by how far two frames are apart."""
    frames = list(_bursts(path))
    groups = near_duplicates([fingerprint(frame) for frame in frames]).tolist()
    bursts = [
        groups[i : i + BURST_FRAMES]
        for i in range(0, len(groups) - BURST_FRAMES + 1, BURST_FRAMES)
    ]
    apart = {
        f"{step} frames apart": round(
            float(
                np.mean(
                    [
                        burst[i] == burst[i + step]
                        for burst in bursts
                        for i in range(BURST_FRAMES - step)
                    ]
                )
            ),
            3,
        )
        for step in range(1, BURST_FRAMES)
    }
    return {"bursts": len(bursts), "groups": len(set(groups)), "recall": apart}


def _bursts(path: Path) -> Iterator[Frame]:
    """Yield frames of a video: ``BURST_FRAMES`` in a row, then a pause."""
    video, number = cv2.VideoCapture(str(path)), 0
    try:
        while True:
            is_read, frame = video.read()
            if not is_read:
                return
            if number % BURST_EVERY < BURST_FRAMES:
                yield np.asarray(frame, np.uint8)
            number += 1
    finally:
        video.release()


def generated(folder: Path, count: int) -> list[Path]:
    """Return photos of generated parts, each another one."""
    numbers = ("--photos", count // 2, "--good", count - count // 2, "--parts", 12)
    arguments = ["synth", "--out", folder, *numbers, "--size", 320]
    command = [sys.executable, "-m", "graftline", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    return pictures_below(folder)


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=shared)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--generated", type=int, default=160)
    parser.add_argument("--out", type=Path, default=RESULTS / "near_duplicates.json")
    args = parser.parse_args()
    machine, started_s = describe_machine(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "real boards": pictures_below(args.data / "pcb"),
            "generated parts": generated(Path(folder) / "s", args.generated),
        }
        measured = {n: measure_parts(paths, args.pairs) for n, paths in parts.items()}
    videos = sorted((args.data / "videos").glob("*.mp4"))
    document = {
        "machine": machine,
        "config": configuration(args),
        "parts": measured,
        "videos": {path.name: measure_video(path) for path in videos},
        "seconds": round(time.perf_counter() - started_s, 1),
    }
    write_result(args.out, document)
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
