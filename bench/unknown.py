"""What the class ``unknown`` finds, learned from photos of good parts alone.

``python bench/unknown.py``: for each product below ``--data`` the good photos are
divided into three parts; the memory is made of two of them, and the third and all
defective photos are scored. One JSON for each product, which is not measured again:

* the area under the ROC of the best score of a photo, and the share of defective photos
  whose score is above that of all but 2 and 5 % of the good ones;
* the same where only the score inside of the labelled boxes counts (the right reason);
* what the branch costs: time to make it, bytes, and milliseconds alone and beside the
  detector of named classes.

Both backbones: EfficientNet-Lite0, of runs of good parts alone, and YOLOX-nano as
pretrained on COCO, before the training that ``--unknown`` follows.

Result: ``bench/results/unknown/PRODUCT-NETWORK.json``.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measuring.machine import RESULTS, configuration, describe_machine, write_result

from models.heat_map import CELL_PX
from models.manifest import PrecisionHint
from models.openvino_detector import OpenVinoDetector
from models.preprocess import Letterbox, letterbox_image, planar
from trainer.data.dataset import Photo, open_dataset, read_photo
from trainer.detectors.base import TrainableDetector
from trainer.detectors.names import Architecture
from trainer.detectors.patch_memory import PatchMemory
from trainer.detectors.unknown import UnknownDetector, with_maps
from trainer.detectors.yolox import YOLOX
from trainer.detectors.zoo import build_detector, load_weights
from trainer.evaluation.intervals import auroc_of, wilson
from trainer.fit.input_size import input_size
from trainer.ship.export import convert_openvino, export_onnx
from trainer.unknown.fit import fit_memory

PRODUCTS = {  # the class that counts as a defect; empty = all
    "aliens": "",
    "cookie": "",
    "screws4": "hole",
    "belt": "",
    "pcb": "",
}
NETWORKS = {
    Architecture.LITE0: "efficientnet-lite0-imagenet",
    Architecture.YOLOX_NANO: "yolox-nano-coco",
}
NAMED = 6  # classes of the detector whose time is compared
PARTS = 3
OVERKILL = (0.02, 0.05)
REPEATS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the products that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=list(PRODUCTS))
    parser.add_argument("--most", type=int, default=80, help="defective photos")
    args = parser.parse_args(arguments)
    cells = [(n, a) for a in NETWORKS for n in args.only or PRODUCTS]
    for name, architecture in cells:
        path = RESULTS / "unknown" / f"{name}-{architecture}.json"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        found = measure(args.data / name, PRODUCTS[name], args.most, architecture)
        document = {
            "machine": describe_machine(),
            "configuration": configuration(args) | {"parts": PARTS},
        }
        write_result(path, document | found)
        sys.stdout.write(f"{name} {json.dumps(found)}\n")
    return 0


def measure(
    root: Path, label: str, most: int, architecture: Architecture
) -> dict[str, object]:
    """Return the figures of one product."""
    good, defective = photos_of(root, label, most)
    size = input_size([*good, *defective], None)
    network = build_detector(architecture, NAMED)
    load_weights(network, NETWORKS[architecture])
    network.eval()
    folds, seconds = [], []
    for part in range(PARTS):
        held_out = good[part::PARTS]
        fitted_on = [p for p in good if p not in held_out]
        started_s = time.monotonic()
        memory = fit_memory(with_maps(network), fitted_on, size, seed=part).memory
        seconds.append(time.monotonic() - started_s)
        both = UnknownDetector(network, memory, 0).eval()
        folds.append(
            (
                [scores(both, photo, size)[0] for photo in held_out],
                [scores(both, photo, size) for photo in defective],
            )
        )
    return {
        "input_px": size,
        "good_photos": len(good),
        "defective_photos": len(defective),
        "whole_photo": figures([(g, [whole for whole, _ in b]) for g, b in folds]),
        "inside_boxes": None
        if not len(defective[0].boxes)
        else figures([(g, [inside for _, inside in b]) for g, b in folds]),
        "fit_seconds": [round(value, 1) for value in seconds],
        "memory_bytes": memory.patches.numel() * memory.patches.element_size(),
        "milliseconds": latencies(network, memory, size),
    }


def latencies(
    network: TrainableDetector, memory: PatchMemory, size: tuple[int, int]
) -> dict[str, float]:
    """Return the time of the run of good parts alone, and beside named classes."""
    found = {"alone": latency_ms(UnknownDetector(network, memory, 0).eval(), size)}
    if isinstance(network, YOLOX):
        both = UnknownDetector(network, memory, NAMED).eval()
        found["named"] = latency_ms(network, size)
        found["named_and_unknown"] = latency_ms(both, size)
    return found


def photos_of(root: Path, label: str, most: int) -> tuple[list[Photo], list[Photo]]:
    """Return good photos by hash, and some defective ones with boxes of one label."""
    dataset = open_dataset(root)
    good, defective = [], [*dataset.bad]
    for photo in sorted(dataset.photos, key=lambda one: one.sha256):
        if photo.is_good:
            good.append(photo)
            continue
        wanted = np.ones(len(photo.labels), bool)
        if label:
            wanted = photo.labels == dataset.labels.index(label)
        if wanted.any():
            boxes, labels = photo.boxes[wanted], photo.labels[wanted]
            defective.append(replace(photo, boxes=boxes, labels=labels))
    step = max(1, len(defective) // most)
    return good, defective[::step][:most]


def scores(
    model: UnknownDetector, photo: Photo, size: tuple[int, int]
) -> tuple[float, float]:
    """Return the largest distance on a photo, and inside of its boxes."""
    image, _ = letterbox_image(read_photo(photo), *size)
    with torch.inference_mode():
        maps = model.named.feature_maps(torch.from_numpy(planar(image)))
        distances = model.memory.distances(maps)[0, 0].numpy()
    mapping = Letterbox(photo.height_px, photo.width_px, *size)
    inside = 0.0
    for x1, y1, x2, y2 in mapping.boxes_to_input(photo.boxes) / CELL_PX:
        cells = distances[
            int(y1) : max(int(y1) + 1, int(np.ceil(y2))),
            int(x1) : max(int(x1) + 1, int(np.ceil(x2))),
        ]
        inside = max(inside, float(cells.max(initial=0)))
    return float(distances.max()), inside


def figures(folds: Sequence[tuple[list[float], list[float]]]) -> dict[str, object]:
    """Return the mean area under the ROC, and what is caught at an overkill."""
    areas = [auroc_of(good, defective) for good, defective in folds]
    result: dict[str, object] = {
        "auroc": round(float(np.mean([area[0] for area in areas if area])), 4),
        "auroc_interval_of_one_part": [round(v, 4) for v in areas[0][1]]
        if areas[0]
        else None,
    }
    for share in OVERKILL:
        caught, total = 0, 0
        for good, defective in folds:
            limit = float(np.quantile(good, 1 - share, method="higher"))
            caught += sum(score > limit for score in defective)
            total += len(defective)
        one = total // len(folds)
        result[f"caught_at_{share:.0%}"] = round(caught / total, 4)
        result[f"caught_at_{share:.0%}_interval"] = [
            round(v, 4) for v in wilson(round(caught / len(folds)), one)
        ]
    return result


def latency_ms(model: TrainableDetector, size: tuple[int, int]) -> float:
    """Return the least time of one inference in OpenVINO, float32, in milliseconds.

    The least of many: on a shared machine it is disturbed the least.
    """
    with tempfile.TemporaryDirectory() as folder:
        onnx, ir = Path(folder, "m.onnx"), Path(folder, "m.xml")
        export_onnx(
            model, onnx, input_height_px=size[0], input_width_px=size[1], info={}
        )
        convert_openvino(onnx, ir, {})
        detector = OpenVinoDetector(ir, PrecisionHint.F32)
        image = np.zeros((*size, 3), np.uint8)
        times = []
        for _ in range(REPEATS):
            started_s = time.perf_counter()
            detector.infer(image)
            times.append(time.perf_counter() - started_s)
    return round(1000 * min(times), 2)


if __name__ == "__main__":
    raise SystemExit(main())
