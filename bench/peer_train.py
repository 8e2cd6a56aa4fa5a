"""A peer trained on the same boards, from the same weights, for the same ten minutes.

``python bench/peer_train.py DATASET --weights FILE.pth --minutes 10``: the peer is
pixeltable-yolox, the maintained packaging of Megvii's YOLOX (Apache-2.0), with the
same network, YOLOX-nano, and another recipe. It is trained by its own trainer with its
own settings on the photos that ``graftline train`` trains on; its pace is measured
first, and the number of epochs chosen so that its schedule ends in time. Its checkpoint
(the moving average) is measured on the same val photos, through its own pre- and
postprocessing, with the metrics of ``graftline evaluate``.

All files are in ``bench/out/peer-yolox``; a training that is finished there is not
repeated. ``--prepare`` only installs the peer and writes the photos.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring.machine import REPOSITORY, RESULTS, describe_machine, write_result
from measuring.peer_data import as_detections, write_photos
from measuring.peer_environment import PEER, peer_python

from trainer.data.dataset import Photo, open_dataset
from trainer.evaluation.metrics import measure
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.text import thresholds_text
from trainer.report.operating_point import operating_curve

BATCH = 8  # of the fine-tuning commands in the peer's documentation, and ours
ITS_EPOCHS, ITS_WARM_UP, ITS_UNMIXED = 300, 5, 15  # its default schedule
SAME_INPUT = ("input_size=640,640", "test_size=640,640", "random_size=15,25")
# by name: settings that differ from the peer's defaults, and whether the epochs of
# warm-up and without mosaic keep their share of this shorter schedule
TRAININGS: dict[str, tuple[tuple[str, ...], bool]] = {
    "defaults": ((), False),
    "in-proportion": ((), True),
    "same-input": (SAME_INPUT, True),
}
ADAPTED = {
    "as its README fine-tunes": "num_classes, data_dir, output_dir, --ckpt, -b 8",
    "data_num_workers": "one for each core, as torch asks for; its default is 4",
    "max_epoch": "as many epochs as fit into the minutes at the pace measured first",
    "in-proportion, same-input": "warmup_epochs and no_aug_epochs keep their share of "
    "its 300 epochs; by default they are 5 and 15 epochs whatever max_epoch is",
    "same-input": "640 px, as ours chose for these photos, multi-scale 480 to 800 px, "
    "as its page on image sizes says; its defaults are 416 px and 320 to 640 px",
    "CPU": "device, prefetcher and random_resize without CUDA calls; no evaluation "
    "between epochs, whose time goes into training: bench/measuring/peer_yolox.py",
    "minutes": "of training alone; ours hold reading the photos and ten measurements",
}
CHILD = Path(__file__).parent / "measuring" / "peer_yolox.py"


class Peer:
    """Runs the peer in one folder."""

    def __init__(self, folder: Path, label_count: int) -> None:
        self.folder = folder.resolve()
        self.photos = self.folder / "photos"
        self._label_count = label_count
        self._python = peer_python(self.folder / "environment")

    def arguments(self, name: str, checkpoint: Path, settings: list[str]) -> list[str]:
        """Return the arguments of ``yolox train``; settings only where they differ."""
        own = [
            f"num_classes={self._label_count}",
            f"data_dir={self.photos}",
            f"output_dir={self.folder}",
            f"data_num_workers={len(os.sched_getaffinity(0))}",
        ]
        arguments = ["-c", "yolox_nano", "-n", name, "-b", str(BATCH)]
        arguments += ["--ckpt", str(checkpoint)]
        return arguments + [part for one in own + settings for part in ("-D", one)]

    def run(self, verb: str, name: str, arguments: list[str]) -> dict[str, Any]:
        """Run one verb, or return its result where it is finished.

        Args:
            verb: ``pace``, ``train`` or ``detect``.
        """
        path = self.folder / f"{name}-{verb}.json"
        if not path.exists():
            command = [str(self._python), str(CHILD), verb, str(path), *arguments]
            print("$", shlex.join(command), flush=True)
            subprocess.run(command, check=True, cwd=self.folder)
        result: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return result


def wrapped(weights: Path, folder: Path) -> Path:
    """Return a checkpoint as the peer reads it: the same tensors, under ``model``.

    Args:
        weights: State dict with the official names, bare or under ``model``.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    path = folder / f"{weights.stem}-as-checkpoint.pth"
    torch.save({"model": state.get("model", state)}, path)
    return path.resolve()


def schedule(pace: dict[str, Any], minutes: float, *, in_proportion: bool) -> list[str]:
    """Return the settings of a schedule that ends in time.

    Args:
        in_proportion: Shorten warm-up and the epochs without mosaic as well.
    """
    epoch_s = pace["seconds_per_step"] * pace["steps_per_epoch"]
    epochs = max(1, round(minutes * 60 / epoch_s))
    settings = [f"max_epoch={epochs}"]
    if in_proportion:
        warm_up = max(1, round(ITS_WARM_UP * epochs / ITS_EPOCHS))
        unmixed = max(1, round(ITS_UNMIXED * epochs / ITS_EPOCHS))
        settings += [f"warmup_epochs={warm_up}", f"no_aug_epochs={unmixed}"]
    return settings


def evaluate_peer(
    found: dict[str, Any], photos: tuple[Photo, ...], labels: tuple[str, ...]
) -> dict[str, Any]:
    """Return the metrics of the peer's detections, by the code that measures ours.

    Args:
        found: From the verb ``detect``.
    """
    detections = as_detections(found["found"], len(photos))
    thresholds = choose_thresholds(detections, photos, labels, "val")
    scores = np.array([thresholds.scores[label] for label in labels], np.float32)
    curve = operating_curve(detections, photos, scores)
    shares = zip(curve.shifts, curve.found, curve.alarmed, curve.escaped, strict=True)
    return {
        "nms_iou_threshold": found["nms"],
        "lowest_score": found["lowest"],
        "metrics": measure(detections, photos, labels, thresholds, "val").model_dump(
            mode="json"
        ),
        "thresholds": thresholds.scores,
        "promise": thresholds_text(thresholds),
        "operating_curve": [
            {
                "shift": round(float(shift), 4),
                "recall": hits / max(1, curve.boxes),
                "overkill": alarmed / curve.good if curve.good else None,
                "escapes": escaped / max(1, curve.defective),
            }
            for shift, hits, alarmed, escaped in shares
        ],
    }


def train(peer: Peer, name: str, start: Path, minutes: float) -> dict[str, Any]:
    """Train once and return what it took, with what was found on val."""
    different, in_proportion = TRAININGS[name]
    label = f"{name}-{minutes:g}min"
    pace_arguments = peer.arguments(f"{label}-pace", start, list(different))
    pace = peer.run("pace", label, pace_arguments)
    settings = [*different, *schedule(pace, minutes, in_proportion=in_proportion)]
    arguments = peer.arguments(label, start, settings)
    trained = peer.run("train", label, arguments)
    checkpoint = Path(trained["checkpoint"])
    found = peer.run("detect", label, peer.arguments(label, checkpoint, settings))
    return {
        "command": shlex.join(["yolox", "train", *arguments]),
        "settings": settings,
        "pace": pace,
        "train_minutes": round(trained["seconds"] / 60, 2),
        "curve": trained["curve"],
        "torch_threads": trained["torch_threads"],
        "versions": trained["versions"],
        "found": found,
    }


def main(arguments: list[str]) -> int:
    """Train and measure the peer."""
    args = _parse(arguments)
    dataset = open_dataset(args.dataset)
    pool, held_out = dataset.for_training()
    args.out.mkdir(parents=True, exist_ok=True)
    peer = Peer(args.out, len(dataset.labels))
    write_photos(peer.photos, {"train": pool, "val": held_out}, dataset.labels)
    start = wrapped(args.weights, args.out)
    if args.prepare:
        print(f"{PEER} is installed, {len(pool)} training photos are written.")
        return 0
    trainings = {}
    if args.result.exists():  # keep the trainings that are not repeated now
        trainings = json.loads(args.result.read_text("utf-8"))["trainings"]
    for name in args.trainings:
        machine = describe_machine()
        done = train(peer, name, start, args.minutes)
        figures = evaluate_peer(done.pop("found"), held_out, dataset.labels)
        trainings[name] = {"machine": machine, **done, **figures}
        print(name, json.dumps(figures["metrics"]), flush=True)
    document = {
        "peer": PEER,
        "detector": "yolox-nano",
        "weights": str(args.weights),
        "dataset_sha256": dataset.sha256,
        "photos_trained_on": len(pool),
        "good_photos_trained_on": sum(photo.is_good for photo in pool),
        "minutes": args.minutes,
        "adapted": ADAPTED,
        "trainings": trainings,
    }
    write_result(args.result, document)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    shared = Path(os.environ.get("GRAFTLINE_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "dataset", type=Path, nargs="?", default=shared / "data" / "pcb"
    )
    weights = shared / "weights" / "yolox_nano_coco.pth"
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--trainings", nargs="+", choices=list(TRAININGS), default=list(TRAININGS)
    )
    out = REPOSITORY / "bench" / "out" / "peer-yolox"
    parser.add_argument("--out", type=Path, default=out)
    result = RESULTS / "train" / "peer_yolox.json"
    parser.add_argument("--result", type=Path, default=result)
    parser.add_argument("--prepare", action="store_true", help="train nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
