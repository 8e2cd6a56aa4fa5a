"""How many planted label errors the list of label issues names.

``python bench/label_errors.py DATASET --weights FILE.pth --photos 160 --folds 3``: one
label of twenty is deleted, relabelled, moved or added, the detectors are trained on the
spoilt labels in folds, and the list is compared with the planted faults. A suspect that
names no planted fault counts as false, even if the original label is wrong there: the
precision is a lower bound. One JSON in ``bench/results/label_errors.json``;
folds that are finished in ``bench/out`` are not trained again.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from measuring.boards import COCO, add_dataset
from measuring.label_faults import Fault, FaultKind, named_faults, plant
from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

from trainer.cli.progress import TerminalObserver
from trainer.data.checks.check import faultless_dataset
from trainer.data.dataset import Dataset
from trainer.fit.options import TrainOptions
from trainer.label_errors.issues import (
    LIKELY_WRONG,
    LabelIssue,
    LabelIssueKind,
    find_label_issues,
)
from trainer.run import open_run
from trainer.study.folds import FOLDER_NAME, CrossTraining, cross_train
from trainer.study.pooled import pooled_metrics

BANDS = ((0.9, 1.01), (0.7, 0.9), (0.5, 0.7), (0.3, 0.5), (0.1, 0.3), (0.05, 0.1))


def spoilt(
    dataset: Dataset, count: int, share: float, seed: int
) -> tuple[Dataset, list[Fault]]:
    """Return a part of the training photos, with planted faults.

    Args:
        count: Photos, good ones in their proportion.
    """
    photos = sorted(dataset.splits["train"], key=lambda photo: photo.sha256)[:count]
    changed, faults = plant(photos, share, len(dataset.labels), seed)
    text = f"{dataset.sha256} {count} {share} {seed}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(dataset, splits={"all": tuple(changed)}, sha256=digest), faults


@contextmanager
def observe_fold(number: int) -> Iterator[TerminalObserver]:
    """Show one fold on the terminal."""
    print("fold", number, flush=True)
    observer = TerminalObserver()
    try:
        yield observer
    finally:
        observer.close()


def evaluate_list(
    crossed: CrossTraining,
    suspects: Sequence[LabelIssue],
    named: Sequence[int | None],
    faults: Sequence[Fault],
) -> dict[str, Any]:
    """Return precision and recall of the list, from its top to its end."""
    right = np.array([one is not None for one in named], bool)
    sure = np.array([suspect.confidence for suspect in suspects])
    listed = [s for s in suspects if s.confidence >= LIKELY_WRONG]
    at = {
        str(k): {
            "precision": round(float(right[:k].mean()), 4),
            "recall": round(len(_found(named[:k])) / len(faults), 4),
        }
        for k in (10, 20, 40, 80, len(faults), len(listed), len(suspects))
        if 0 < k <= len(suspects)
    }
    bands = [
        {
            "sure": [low, min(high, 1.0)],
            "suspects": int(inside.sum()),
            "right": int(right[inside].sum()),
        }
        for low, high in BANDS
        for inside in [(sure >= low) & (sure < high)]
    ]
    everything = _found(named)
    likely = _found(named[: len(listed)])
    return {
        "photos": len(crossed.photos),
        "labels": sum(len(photo.labels) for photo in crossed.photos),
        "planted": len(faults),
        "suspects": len(suspects),
        "more_likely_wrong": len(listed),
        "at": at,
        "sureness": bands,
        "of_planted": {
            kind: {
                "planted": sum(fault.kind is kind for fault in faults),
                "listed": sum(faults[n].kind is kind for n in everything),
                "more_likely_wrong": sum(faults[n].kind is kind for n in likely),
            }
            for kind in FaultKind
        },
        "of_suspects": {
            kind: {
                **_counts("listed", "right", kind, suspects, right),
                **_counts(
                    "more_likely_wrong", "more_likely_wrong_right", kind, listed, right
                ),
            }
            for kind in LabelIssueKind
        },
    }


def _counts(
    all_name: str,
    right_name: str,
    kind: LabelIssueKind,
    suspects: Sequence[LabelIssue],
    right: np.ndarray,
) -> dict[str, int]:
    of_kind = np.array([suspect.kind is kind for suspect in suspects], bool)
    return {
        all_name: int(of_kind.sum()),
        right_name: int((of_kind & right[: len(suspects)]).sum()),
    }


def _found(named: Sequence[int | None]) -> set[int]:
    return {number for number in named if number is not None}


def main(arguments: list[str]) -> int:
    """Plant, train, list and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset(parser)
    parser.add_argument("--weights", default=str(COCO))
    parser.add_argument("--photos", type=int, default=160)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    machine = describe_machine()
    opened = faultless_dataset(args.dataset, trains=True).dataset
    dataset, faults = spoilt(opened, args.photos, args.share, args.seed)
    options = TrainOptions(
        weights=args.weights, size_px=args.size, epochs=args.epochs, seed=args.seed
    )
    name = f"{args.photos}x{args.epochs}-{args.folds}-{args.size}px-{args.seed}"
    out = REPOSITORY / "bench" / "out" / f"label-errors-{name}"
    out.mkdir(parents=True, exist_ok=True)
    crossed = cross_train(dataset, options, out, observe_fold, count=args.folds)
    runs = [open_run(out / FOLDER_NAME / str(n)).record for n in range(args.folds)]
    suspects = find_label_issues(crossed.photos, crossed.found, len(dataset.labels))
    named = named_faults(suspects, crossed.photos, crossed.found, faults)
    measured = evaluate_list(crossed, suspects, named, faults)
    metrics = pooled_metrics(crossed, dataset.labels).model_dump(mode="json")
    result = {
        "machine": machine,
        "options": configuration(args),
        "train_minutes": round(sum(run.seconds for run in runs) / 60, 2),
        "metrics_against_spoilt_labels": metrics,
        **measured,
    }
    write_result(RESULTS / "label_errors.json", result)
    print(measured["at"], measured["of_planted"], measured["sureness"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
