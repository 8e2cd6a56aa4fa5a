"""How long ``graftline check`` takes for many photos.

``python bench/check.py --photos 10000``: photos of 640 px with a few boxes, as JPEG and
COCO in a temporary folder, then the command in a new process, as a user starts it.
Three cases: photos that have nothing in common, bursts of five shots of each part, and
shots of a single part, where every photo is similar to all others and the search for
repeated parts has the most work. Result: ``bench/results/check.json``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring.machine import RESULTS, configuration, describe_machine, write_result

from models.preprocess import Frame

GRAIN = 8  # grey levels of noise that differ between shots of one part
MOVED_PX = 6  # largest shift between shots of one part
SHOTS = 5  # of one part in a burst
BOXES = 3
LIMIT_S = 600


def draw(part: int, shot: int, size_px: int) -> Frame:
    """Draw one photo: a part with blobs, a little moved, with a grain of its own.

    Args:
        shot: Seed of the difference between shots of it.
    """
    part_rng, rng = np.random.default_rng(part), np.random.default_rng(1 << 32 | shot)
    coarse = part_rng.uniform(40, 210, (24, 24, 3)).astype(np.float32)
    moved = np.eye(2, 3, dtype=np.float32)
    moved[:, 2] = rng.uniform(-MOVED_PX, MOVED_PX, 2)
    large = cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    border = cv2.BORDER_REFLECT
    large = cv2.warpAffine(large, moved, (size_px, size_px), borderMode=border)
    fine = rng.normal(0, GRAIN, (size_px // 2, size_px // 2, 3)).astype(np.float32)
    picture = large + cv2.resize(fine, large.shape[:2])
    return picture.clip(0, 255).astype(np.uint8)


def write_dataset(root: Path, photos: int, size_px: int, shots: int) -> int:
    """Write photos, all different, and their boxes; return the bytes of all photos.

    Args:
        photos: How many; nine of ten train.
    """
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    documents: dict[str, dict[str, Any]] = {
        split: {
            "images": [],
            "annotations": [],
            "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        }
        for split in ("train", "val")
    }
    written = 0
    for number in range(photos):
        name = f"images/{number:06}.jpg"
        picture = draw(number // shots, number, size_px)
        (root / name).write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
        written += (root / name).stat().st_size
        document = documents["val" if number % 10 == 0 else "train"]
        document["images"].append({"id": number, "file_name": name})
        for place in range(BOXES):
            x, y, side = rng.integers(0, (size_px - 64, size_px - 64, 40))
            rows = document["annotations"]
            box = [int(x), int(y), int(side) + 12, int(side) + 12]
            row = {"id": len(rows), "image_id": number, "bbox": box}
            rows.append({**row, "category_id": 1 + place % 2})
    for split, document in documents.items():
        (root / f"{split}.json").write_text(json.dumps(document), "utf-8")
    return written


def measure(root: Path) -> dict[str, Any]:
    """Run the command once."""
    command = [sys.executable, "-m", "graftline", "check", str(root), "--json"]
    started_s = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=LIMIT_S, text=True
    )
    seconds = time.perf_counter() - started_s
    report = json.loads(done.stdout)
    return {"seconds": round(seconds, 2), "ok": report["ok"], "kinds": report["kinds"]}


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=640, metavar="PX")
    parser.add_argument("--out", type=Path, default=RESULTS / "check.json")
    args = parser.parse_args()
    machine = describe_machine()
    cases = {}
    for case, shots in (("distinct", 1), ("bursts", SHOTS), ("one_part", args.photos)):
        with tempfile.TemporaryDirectory() as folder:
            written = write_dataset(Path(folder), args.photos, args.size, shots)
            outcome = measure(Path(folder))
        cases[case] = {
            "bytes_per_photo": round(written / args.photos),
            "photos_per_s": round(args.photos / outcome["seconds"], 1),
            **outcome,
        }
    document = {"machine": machine, "config": configuration(args), "cases": cases}
    write_result(args.out, document)
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
