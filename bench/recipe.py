"""The gain of each part of the recipe: the same steps on real boards, one part changed.

``python bench/recipe.py DATASET --epochs 7``: 320 steps of eight photos' worth of
pixels each, 640 px, from the COCO weights, one seed. One JSON for each variant in
``bench/results/recipe``; a run that is finished in ``bench/out`` is not trained again.
"""

import argparse
import sys
from dataclasses import replace
from typing import Any

from measuring.boards import COCO, add_dataset, add_out
from measuring.machine import RESULTS, describe_machine, write_result
from measuring.recall import recalls

from trainer.cli.progress import TerminalObserver
from trainer.data.dataset import open_dataset
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import train
from trainer.run import open_run
from trainer.run_record import CHECKPOINT_NAME, RECORD_NAME

VARIANTS: dict[str, dict[str, Any]] = {
    "before": {"learning_rate": 2e-3, "pastes": False, "close_ups": False},
    "rate": {"pastes": False, "close_ups": False},
    "pasted": {"close_ups": False},
    "close-ups": {"pastes": False, "mines": False},
    "both": {"mines": False},
    "mined": {},
}


def main(arguments: list[str]) -> int:
    """Measure every variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset(parser)
    parser.add_argument("--weights", default=str(COCO))
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    add_out(parser)
    args = parser.parse_args(arguments)
    dataset = open_dataset(args.dataset)
    common = TrainOptions(weights=args.weights, epochs=args.epochs)
    for name in args.only:
        run = args.out / f"recipe-{name}"
        machine = describe_machine()
        if not (run / RECORD_NAME).exists():
            run.mkdir(parents=True, exist_ok=True)
            options = replace(common, **VARIANTS[name])
            is_started = (run / CHECKPOINT_NAME).exists()
            train(dataset, options, run, TerminalObserver(), resume=is_started)
        finished = open_run(run)
        record = finished.record
        size_px = record.input_height_px, record.input_width_px
        detector = TorchDetector(finished.model, *size_px)
        held_out, classes = dataset.for_training()[1], len(dataset.labels)
        found = predict_photos(detector, held_out, classes)
        document = {
            "variant": name,
            "machine": machine,
            "recipe": record.recipe,
            "seconds": record.seconds,
            "curve": [point.model_dump() for point in record.curve],
            "metrics": record.metrics.model_dump(),
            "recall_at_one_threshold": recalls(found, held_out),
        }
        write_result(RESULTS / "recipe" / f"{name}.json", document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
