"""Grows the shipped trunk: YOLOX-nano on an endless stream of synthetic defects.

``python -m trainer.fit.pretrain --minutes 30`` (``make pretrain``). The stream is
numbered: image ``i`` of seed ``s`` is always the same, so an interrupted run goes on
where it was (``--resume``). The result is float16 safetensors plus a JSON card.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.files import sha256_of, write_atomically
from trainer.data.synthetic.defects import KINDS
from trainer.data.synthetic.stream import sample
from trainer.detectors.base import Batch, Target
from trainer.detectors.yolox import YOLOX, YoloxSize
from trainer.detectors.yolox_blocks import Activation
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    Training,
    make_optimizer,
    train_step,
)

logger = logging.getLogger(__name__)

PRETRAINED = Path(__file__).resolve().parents[2] / "models" / "pretrained"
NAME = "graftline-synthetic-nano"
AVERAGE_DECAY = 0.9995
REPORT_EVERY = 50


@dataclass(frozen=True, slots=True)
class PretrainRecipe:
    """All that decides the result, written into the card.

    Attributes:
        size_px: Side of the square pictures.
        batch: Pictures a step.
        steps: Optimizer steps.
        learning_rate: Peak.
        weight_decay: Of convolution weights.
        seed: Of stream and initial weights.
    """

    size_px: int = 256
    batch: int = 16
    steps: int = 4000
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0


class Stream(IterableDataset[tuple[np.ndarray, np.ndarray, np.ndarray]]):
    """Pictures of the generator, numbered, dealt out to the workers in turn.

    Args:
        recipe: Size and seed.
        first: Number of the first picture.
    """

    def __init__(self, recipe: PretrainRecipe, first: int) -> None:
        self.recipe, self.first = recipe, first

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield image ``[S, S, 3]`` uint8, boxes ``[G, 4]``, labels ``[G]``."""
        import cv2  # noqa: PLC0415 (in the worker: its thread pool must be off there)

        cv2.setNumThreads(0)
        worker = get_worker_info()
        start, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        number = self.first + start
        while True:
            seed = np.random.SeedSequence([self.recipe.seed, number])
            rng = np.random.Generator(np.random.PCG64(seed))
            yield sample(rng, self.recipe.size_px)
            number += stride


def collate(rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Batch:
    """Return a batch of the stream's rows.

    Args:
        rows: Image ``[S, S, 3]``, boxes ``[G, 4]``, labels ``[G]`` each.

    Returns:
        ``[N, 3, S, S]`` uint8 and N targets.
    """
    images = torch.from_numpy(np.stack([row[0] for row in rows])).permute(0, 3, 1, 2)
    targets = [Target(torch.from_numpy(b), torch.from_numpy(c)) for _, b, c in rows]
    return images, targets


def begin(recipe: PretrainRecipe) -> Training:
    """Return a training that has not done a step.

    Args:
        recipe: For seed and schedule.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = YOLOX(YoloxSize.NANO, len(KINDS), Activation.HARDSWISH)
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    return Training(
        model,
        make_optimizer(model, recipe.learning_rate, recipe.weight_decay),
        MovingAverage(model, AVERAGE_DECAY),
        Schedule(recipe.learning_rate, recipe.steps, warmup_steps=200),
        device,
    )


def save_state(training: Training, path: Path) -> None:
    """Write what ``--resume`` needs; a crash leaves the file before, whole.

    Args:
        training: What to keep.
        path: Where.
    """
    state = {
        "step": training.step,
        "model": training.model.state_dict(),
        "average": training.average.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(training: Training, path: Path) -> None:
    """Go on from a saved state.

    Args:
        training: Changed in place.
        path: From ``save_state``.
    """
    state = torch.load(path, map_location=training.device, weights_only=True)
    training.step = training.average.steps = state["step"]
    training.model.load_state_dict(state["model"])
    training.average.model.load_state_dict(state["average"])
    training.optimizer.load_state_dict(state["optimizer"])


def ship(training: Training, recipe: PretrainRecipe, folder: Path) -> Path:
    """Write the averaged weights as float16 safetensors, with their card.

    Args:
        training: Finished, or as far as it came.
        recipe: Goes into the card.
        folder: Made if it does not exist.

    Returns:
        The weights file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.safetensors"
    weights = {
        name: (value.half() if value.dtype.is_floating_point else value).contiguous()
        for name, value in training.average.model.state_dict().items()
    }
    save_file(weights, path)
    card = {
        "name": NAME,
        "detector": "yolox-nano",
        "activation": Activation.HARDSWISH.value,
        "license": "Apache-2.0",
        "labels": list(KINDS),
        "data": "synthetic only: trainer.data.synthetic.stream",
        "images": training.step * recipe.batch,
        "steps": training.step,
        "recipe": asdict(recipe),
        "sha256": sha256_of(path),
        "size_bytes": path.stat().st_size,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode())
    return path


def pretrain(recipe: PretrainRecipe, state: Path, workers: int) -> Training:
    """Train to the last step of the recipe, saving the state as it goes.

    Args:
        recipe: What to do.
        state: Checkpoint file; gone on from where it exists.
        workers: Processes that draw pictures.

    Returns:
        The finished training.
    """
    training = begin(recipe)
    if state.exists():
        load_state(training, state)
    stream = Stream(recipe, training.step * recipe.batch)
    loader = DataLoader(
        stream,
        batch_size=recipe.batch,
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    mean, begun, first = 0.0, time.monotonic(), training.step
    for images, targets in loader:
        if training.step >= recipe.steps:
            break
        loss = train_step(training, images, targets)
        mean = loss if training.step == first + 1 else 0.98 * mean + 0.02 * loss
        if training.step % REPORT_EVERY == 0:
            seconds = time.monotonic() - begun
            done = (training.step - first) * recipe.batch
            logger.info(
                "pretrain_step step=%d of=%d loss=%.3f images_per_s=%.1f seconds=%.0f",
                training.step,
                recipe.steps,
                mean,
                done / seconds,
                seconds,
            )
            save_state(training, state)
    return training


def main(arguments: list[str]) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(prog="trainer.fit.pretrain", description=__doc__)
    usual = PretrainRecipe()
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--size", type=int, default=usual.size_px)
    parser.add_argument("--batch", type=int, default=usual.batch)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--workers", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=PRETRAINED)
    parser.add_argument("--state", type=Path, default=Path("pretrain.state.pt"))
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = PretrainRecipe(args.size, args.batch, args.steps, seed=args.seed)
    training = pretrain(recipe, args.state, args.workers)
    path = ship(training, recipe, args.out)
    logger.info("pretrain_done file=%s bytes=%d", path, path.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
