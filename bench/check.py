"""How long ``graftline check`` takes for many photos.

``python bench/check.py --photos 10000``: noisy photos of 640 px with a few boxes, as
JPEG and COCO in a temporary folder, then the command in a fresh process, as a user
types it. Result: ``bench/results/check.json``.
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

MOTIFS = 20  # textures that photos are made of: making 10,000 of them takes minutes
BOXES = 3
LIMIT_S = 600


def write_dataset(root: Path, photos: int, size_px: int) -> int:
    """Write photos, all different, and their boxes.

    Args:
        root: Empty folder.
        photos: How many; nine of ten train.
        size_px: Side.

    Returns:
        Bytes of all photos.
    """
    rng = np.random.default_rng(0)
    small = rng.normal(120, 40, (MOTIFS, size_px // 4, size_px // 4, 3))
    motifs = [cv2.resize(one.clip(0, 255), (size_px, size_px)) for one in small]
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
        picture = np.roll(motifs[number % MOTIFS], number, axis=1).astype(np.uint8)
        name = f"images/{number:06}.jpg"
        (root / name).write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
        written += (root / name).stat().st_size
        document = documents["val" if number % 10 == 0 else "train"]
        document["images"].append({"id": number, "file_name": name})
        for _ in range(BOXES):
            x, y, side = rng.integers(0, (size_px - 64, size_px - 64, 40))
            rows = document["annotations"]
            box = [int(x), int(y), int(side) + 12, int(side) + 12]
            row = {"id": len(rows), "image_id": number, "bbox": box}
            rows.append({**row, "category_id": 1 + number % 2})
    for split, document in documents.items():
        (root / f"{split}.json").write_text(json.dumps(document), "utf-8")
    return written


def measure(root: Path) -> dict[str, Any]:
    """Run the command once.

    Args:
        root: The dataset.
    """
    command = [sys.executable, "-m", "graftline", "check", str(root), "--json"]
    began_s = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=LIMIT_S, text=True
    )
    seconds = time.perf_counter() - began_s
    report = json.loads(done.stdout)
    return {"seconds": round(seconds, 2), "ok": report["ok"], "kinds": report["kinds"]}


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=640, metavar="PX")
    parser.add_argument("--out", type=Path, default=RESULTS / "check.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        written = write_dataset(Path(folder), args.photos, args.size)
        machine = describe_machine()
        outcome = measure(Path(folder))
    document = {
        "machine": machine,
        "config": configuration(args),
        "bytes_per_photo": round(written / args.photos),
        "photos_per_s": round(args.photos / outcome["seconds"], 1),
        **outcome,
    }
    write_result(args.out, document)
    print(json.dumps(document, indent=2))
    return 0 if outcome["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
