"""The promise of overkill on a board design that was left out, and the recall there.

``python bench/promise.py``: each of seven designs is left out in turn. Other designs
are held out to choose the threshold on, as ``--group`` does, and a detector is trained
on the rest: the default recipe, 640 px, the same number of steps for each. One JSON for
each design in ``bench/results/promise/``; one that is there is not measured again.
``summary.json`` beside them has the means.

``--with-good`` is the first day of a new design: half of its good boards are in the
data set and none of its defects, the other half is measured. The photos are divided
without groups: each design, the new one too, is trained on and held out
(``DESIGN-with-good.json``).

A run below ``--keep`` is measured again, and not trained.

``without_odds`` has recall and overkill where the odds of the classes stay as the
network gives them. ``without_deciding`` has both where the good parts that alone decide
the threshold are taken out, as a person does who finds a defect on them. ``best`` has
the recall at the lowest threshold that no more than the target's share of
the design's own good boards reach: a perfect choice of the threshold gives no more.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring.boards import SHARED
from measuring.machine import RESULTS, describe_machine, write_result

from models.detections import Detections
from models.manifest import Metrics, Thresholds
from trainer.cli.progress import TerminalObserver
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.data.sampling.augmentation import EpochSampler
from trainer.data.splitting.split_record import SplitOptions
from trainer.detectors.yolox import YOLOX
from trainer.evaluation.calibration import with_odds
from trainer.evaluation.metrics import measure, predict_photos, true_positives
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.deciding import deciding_photos
from trainer.evaluation.thresholds.limits import OVERKILL_TARGET
from trainer.evaluation.thresholds.parts import PhotoOrigins
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.choices import DEFAULT_WEIGHTS
from trainer.fit.class_odds import calibrate, stored_odds
from trainer.fit.options import TrainOptions, resolve
from trainer.fit.recipe import train
from trainer.run import open_run
from trainer.run_record import RECORD_NAME

PROMISE = RESULTS / "promise"
DESIGN = r"(?:^|/)(\d{5})\d{3}\.jpg"  # the first digits of a board's file name
DESIGN_DIGITS = 5
WITH_GOOD = "-with-good"
LEAST_HELD_OUT = 0.2  # of the photos of the other designs, to choose thresholds on


def design(photo: Photo) -> str:
    """Return the design of a board."""
    return photo.path.name[:DESIGN_DIGITS]


def divided(dataset: Dataset, left_out: str) -> tuple[Dataset, list[Photo]]:
    """Return the data set without a design, and the photos of that design."""
    photos = [photo for split in dataset.splits.values() for photo in split]
    rest = [photo for photo in photos if design(photo) != left_out]
    others = sorted({design(photo) for photo in rest})
    # The designs that follow the one left out, in a circle: each is held out in turn.
    circle = [d for d in others if d > left_out] + [d for d in others if d < left_out]
    held: set[str] = set()
    for name in circle:
        if sum(design(photo) in held for photo in rest) >= LEAST_HELD_OUT * len(rest):
            break
        held.add(name)
    val = [photo for photo in rest if design(photo) in held]
    train = [photo for photo in rest if design(photo) not in held]
    measured = [photo for photo in photos if design(photo) == left_out]
    return with_splits(dataset, train, val), measured


def with_good_of(dataset: Dataset, new: str) -> tuple[Dataset, list[Photo]]:
    """Return the data set with half of the good boards of a new design alone.

    Returns:
        It, and the other photos of that design.
    """
    photos = [photo for split in dataset.splits.values() for photo in split]
    of_new = [photo for photo in photos if design(photo) == new]
    good = sorted((p for p in of_new if p.is_good), key=lambda photo: photo.sha256)
    known = good[::2]
    names = {photo.sha256 for photo in known}
    train, val = (
        [photo for photo in dataset.splits[name] if design(photo) != new]
        for name in ("train", "val")
    )
    every = round(1 / LEAST_HELD_OUT)
    val += known[::every]
    train += [photo for number, photo in enumerate(known) if number % every]
    measured = [photo for photo in of_new if photo.sha256 not in names]
    return with_splits(dataset, train, val), measured


def with_splits(
    dataset: Dataset, train: Sequence[Photo], val: Sequence[Photo]
) -> Dataset:
    """Return a data set of these photos."""
    assignment = dataset.split_assignment.with_held_out(val)
    splits = {"train": tuple(train), "val": tuple(val)}
    return replace(dataset, splits=splits, split_assignment=assignment)


def measure_design(
    dataset: Dataset, left_out: str, steps: int, folder: Path, *, with_good: bool
) -> dict[str, Any]:
    """Train without a design, into a folder, and return what came out on it."""
    data, measured = (with_good_of if with_good else divided)(dataset, left_out)
    photos = data.for_training()[0]
    options = TrainOptions(weights=DEFAULT_WEIGHTS, size_px=640, selects=False)
    per_epoch = len(EpochSampler(photos, 0)) // resolve(options, photos).batch
    options = replace(options, epochs=max(1, round(steps / per_epoch)))
    machine, observer = describe_machine(), TerminalObserver()
    try:
        kept = (folder / RECORD_NAME).exists()
        run = open_run(folder) if kept else None
        run = run or train(data, options, folder, observer, resume=False).run
    finally:
        observer.close()
    model, held_out = run.model, data.splits["val"]
    if not isinstance(model, YOLOX):
        raise TypeError(run.record.detector)
    model.class_odds = None
    detector = TorchDetector(model, 640, 640)
    raw = predict_photos(detector, measured, len(data.labels))
    raw_held = predict_photos(detector, held_out, len(data.labels))
    held = calibrate(model, raw_held, held_out, options)
    odds = stored_odds(model, data.labels)
    found = raw
    if odds:
        factors = np.array(list(odds.values()), np.float32)
        found = [with_odds(each, factors) for each in raw]
    origins = PhotoOrigins.of(data.split_assignment, held_out, photos)

    def at_threshold(
        chosen_on: Sequence[Detections], found: Sequence[Detections]
    ) -> tuple[Thresholds, Metrics]:
        """Return the threshold, and the metrics at it."""
        thresholds = choose_thresholds(
            chosen_on, held_out, data.labels, "val", origins=origins
        )
        return thresholds, measure(found, measured, data.labels, thresholds, "measured")

    thresholds, metrics = at_threshold(held, found)
    _, without = at_threshold(raw_held, raw)
    schedule = run.record.schedule
    return {
        "design": left_out,
        "recipe": run.record.recipe,
        "steps": schedule.steps if schedule else None,
        "thresholds": thresholds.model_dump(exclude_none=True),
        "metrics": metrics.model_dump(),
        "class_odds": odds,
        "without_odds": {"recall": without.recall, "overkill": without.overkill},
        "without_deciding": without_deciding(thresholds, data, held, (found, measured)),
        "best": best_choice(found, measured),
        "scores": scores_of(found, measured),
        "scores_held_out": scores_of(held, held_out),
        "train_s": run.record.seconds,
        "machine": machine,
    }


def without_deciding(
    thresholds: Thresholds,
    data: Dataset,
    held: Sequence[Detections],
    measured: tuple[Sequence[Detections], Sequence[Photo]],
) -> dict[str, Any] | None:
    """Return the figures without the good parts that decide; None = none does."""
    trained_on, held_out = data.for_training()
    origins = PhotoOrigins.of(data.split_assignment, held_out, trained_on)
    deciding = deciding_photos(held, held_out, thresholds, origins)
    if deciding is None:
        return None
    scores = dict.fromkeys(data.labels, deciding.threshold_without)
    moved = thresholds.model_copy(update={"scores": scores})
    metrics = measure(*measured, data.labels, moved, "measured")
    return {
        "photos": [photo.path.name for photo, _ in deciding.photos],
        "threshold": deciding.threshold_without,
        "recall": metrics.recall,
        "overkill": metrics.overkill,
    }


def scores_of(
    found: Sequence[Detections], photos: Sequence[Photo]
) -> dict[str, list[float]]:
    """Return the highest score of each good board, and that of each defect found."""
    good, right = [], []
    for one, photo in zip(found, photos, strict=True):
        if photo.is_good:
            good.append(float(one.scores.max(initial=0)))
        else:
            right += one.scores[true_positives(one, photo)].tolist()
    return {
        "good": [round(score, 4) for score in sorted(good, reverse=True)],
        "defects": [round(score, 4) for score in sorted(right, reverse=True)],
    }


def best_choice(
    found: Sequence[Detections], photos: Sequence[Photo]
) -> dict[str, float]:
    """Return the recall at the lowest threshold that keeps the target there."""
    scores = scores_of(found, photos)
    allowed = int(OVERKILL_TARGET * len(scores["good"]))
    threshold = [*scores["good"], 0.0][allowed]
    boxes = sum(len(photo.labels) for photo in photos)
    recall = float(np.sum(np.array(scores["defects"]) > threshold)) / boxes
    return {"threshold": threshold, "recall": round(recall, 4)}


def main(arguments: Sequence[str]) -> int:
    """Measure every design that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="designs, e.g. 20085")
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--with-good", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder for the runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    # The groups are known in the one case alone.
    split = SplitOptions(pattern=None if args.with_good else DESIGN)
    data = open_dataset(SHARED / "data" / "pcb", split=split)
    photos = [photo for split in data.splits.values() for photo in split]
    for name in args.only or sorted({design(photo) for photo in photos}):
        path = PROMISE / f"{name}{WITH_GOOD * args.with_good}.json"
        if not path.exists():
            with tempfile.TemporaryDirectory() as made:
                folder = args.keep / path.stem if args.keep else Path(made)
                folder.mkdir(parents=True, exist_ok=True)
                result = measure_design(
                    data, name, args.steps, folder, with_good=args.with_good
                )
            write_result(path, result)
            print(name, json.dumps([result["metrics"], result["best"]]), flush=True)
    files = {path for path in PROMISE.glob("*.json") if path.stem != "summary"}
    with_good = {path for path in files if path.stem.endswith(WITH_GOOD)}
    summary = {
        "without": summarize(sorted(files - with_good)),
        "with_good": summarize(sorted(with_good)),
    }
    write_result(PROMISE / "summary.json", summary)
    return 0


def summarize(files: Sequence[Path]) -> dict[str, Any]:
    """Return a row for each design, and the means over designs."""
    rows: list[dict[str, Any]] = []
    for path in files:
        cell = json.loads(path.read_text("utf-8"))
        figures = {f: cell["metrics"][f] for f in ("map_33", "recall", "overkill")}
        names = ("without_odds", "without_deciding", "best")
        more = {name: cell[name] for name in names}
        rows.append({"design": cell["design"], **figures, **more})
    if not rows:
        return {}
    means = {
        figure: round(statistics.mean(row[figure] for row in rows), 4)
        for figure in ("map_33", "recall", "overkill")
    }
    for figure in ("recall", "overkill"):
        without = statistics.mean(row["without_odds"][figure] for row in rows)
        means[f"{figure}_without_odds"] = round(without, 4)
    means["best_recall"] = round(statistics.mean(r["best"]["recall"] for r in rows), 4)
    return {"designs": rows, "means": means}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
