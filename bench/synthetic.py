"""How fast pictures for pretraining are drawn, and how fast they are trained on.

``python bench/synthetic.py``: the stream of ``make pretrain`` at 320 px, drawn by one
process and by one per core (bar: 150 pictures a second on two cores), several rounds in
turns; then whole steps of the pretraining, drawing included. Result:
``bench/results/synthetic.json``.
"""

import argparse
import os
import statistics
import sys
import time
from typing import Any

from measuring.machine import RESULTS, describe_machine, write_result

from pretraining import pretrain
from pretraining.batches import CHUNK, StreamConfig, numbered_batches
from pretraining.pretrain import PretrainRecipe

SIZE_PX, BATCH = 320, 16


def drawn_per_s(workers: int, first: int) -> float:
    """Return how many pictures a second some processes draw once they have started."""
    config = StreamConfig((SIZE_PX,), BATCH, seed=0)
    batches = numbered_batches(
        config, range(first, first + 3 * CHUNK), workers, ahead=False
    )
    for _ in range(CHUNK):
        next(batches)
    started_s, count = time.perf_counter(), 0
    for samples in batches:
        count += len(samples)
    return count / (time.perf_counter() - started_s)


def trained_per_s(recipe: PretrainRecipe, workers: int) -> float:
    """Return how many pictures a second a training draws and trains on."""
    pretraining = pretrain.start_training(recipe)
    config = StreamConfig(recipe.sizes_px, recipe.batch, recipe.seed)
    numbers = range(4 * CHUNK)
    gpu = pretraining.training.device.type == "cuda"
    started_s = 0.0
    for number, samples in enumerate(
        numbered_batches(config, numbers, workers, ahead=gpu)
    ):
        if number == CHUNK:
            started_s = time.perf_counter()
        pretrain.train_batch(pretraining, samples)
    return 3 * CHUNK * recipe.batch / (time.perf_counter() - started_s)


def main(arguments: list[str]) -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(arguments)
    cores = len(os.sched_getaffinity(0))
    machine = describe_machine()
    drawn: dict[int, list[float]] = {1: [], cores: []}
    for number in range(args.rounds):
        for workers, rates in drawn.items():
            rates.append(drawn_per_s(workers, number * 3 * CHUNK))
    document: dict[str, Any] = {
        "machine": machine,
        "size_px": SIZE_PX,
        "drawn_images_per_s": {
            f"{workers} processes": round(statistics.median(rates), 1)
            for workers, rates in drawn.items()
        },
        "pretraining_images_per_s": round(trained_per_s(PretrainRecipe(), cores), 1),
    }
    print(document)
    write_result(RESULTS / "synthetic.json", document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
