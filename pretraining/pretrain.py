"""Grows the shipped trunk: our detector on an endless stream of synthetic defects.

``python -m pretraining.pretrain --steps 60000`` (``make pretrain``). The stream is
numbered, so an interrupted training goes on where it was (same ``--state``); until the
rate begins to fall, also with another number of steps. The result is float16
safetensors and a JSON card with recipe and log.

The numbered batches that a trunk is pretrained on.

Batch ``i`` of seed ``s`` is always the same, whoever draws it and in which order, so
that an interrupted training goes on where it was.
"""

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.files import sha256_of, write_atomically
from pretraining.defects import KINDS
from pretraining.stream import sample
from trainer.data.sample import Batch, BoxTarget
from trainer.detectors import zoo
from trainer.detectors.base import Architecture
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    Training,
    make_optimizer,
    train_step,
)

logger = logging.getLogger(__name__)


ENLARGED_SHARE = 0.4
LARGEST_SCALE = 2.2
SMALLEST_SCENE_PX = 80
CHUNK = 16

Sample = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """What decides the pictures of a stream.

    Attributes:
        sizes_px: Sides of the square pictures; each batch has one of them.
        batch: Pictures in a batch.
        seed: Of everything.
    """

    sizes_px: tuple[int, ...]
    batch: int
    seed: int


def draw_row(rng: np.random.Generator, size_px: int) -> Sample:
    """Return one picture, perhaps enlarged.

    Args:
        rng: Source of chance.
        size_px: Side of the picture, multiple of 32.
    """
    scale = 1.0
    if rng.random() < ENLARGED_SHARE:
        scale = min(rng.uniform(1.0, LARGEST_SCALE), size_px / SMALLEST_SCENE_PX)
    scene_px = round(size_px / scale)
    image, boxes, labels = sample(rng, scene_px)
    if scene_px == size_px:
        return image, boxes, labels
    method = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    large = cv2.resize(image, (size_px, size_px), interpolation=method)
    boxes = (boxes * (size_px / scene_px)).astype(np.float32)
    return np.asarray(large, np.uint8), boxes, labels


def draw_batch(lesson: StreamConfig, number: int) -> list[Sample]:
    """Return one batch of a stream.

    Args:
        lesson: Which stream.
        number: Of the batch, from 0.

    Returns:
        ``lesson.batch`` pictures of one size; no box is below 4 px.
    """
    rng = np.random.default_rng([lesson.seed, number])
    size_px = int(rng.choice(lesson.sizes_px))
    return [draw_row(rng, size_px) for _ in range(lesson.batch)]


def numbered_batches(
    lesson: StreamConfig, numbers: Sequence[int], workers: int, *, ahead: bool
) -> Iterator[list[Sample]]:
    """Yield batches in order, drawn by other processes.

    Args:
        lesson: Which stream.
        numbers: Of the batches.
        workers: Processes that draw.
        ahead: Draw the next ones while these are used: right beside a GPU. On a CPU
            training wants all cores to itself (it is three times slower beside
            another process), so there one waits for the other.

    Yields:
        One batch a number.
    """
    spawn = multiprocessing.get_context("spawn")
    chunks = [numbers[i : i + CHUNK] for i in range(0, len(numbers), CHUNK)]
    with ProcessPoolExecutor(workers, spawn, _one_thread) as pool:

        def order(index: int) -> list[Future[list[Sample]]]:
            chunk = chunks[index] if index < len(chunks) else ()
            return [pool.submit(draw_batch, lesson, number) for number in chunk]

        ordered = order(0)
        for index in range(len(chunks)):
            batches = [batch.result() for batch in ordered]
            ordered = order(index + 1) if ahead else []
            yield from batches
            ordered = ordered or order(index + 1)


def _one_thread() -> None:
    """Keep OpenCV's own threads off: the workers are the threads."""
    cv2.setNumThreads(0)


PRETRAINED = Path(__file__).resolve().parents[2] / "models" / "pretrained"
AVERAGE_DECAY = 0.9995
REPORT_EVERY_STEPS = 100
SAVE_EVERY_S = 60
COOLDOWN_SHARE = 0.25
LOSS_MEMORY = 0.99


@dataclass(frozen=True, slots=True)
class PretrainRecipe:
    """All that decides the result, written into the card.

    Attributes:
        detector: Which network.
        sizes_px: Sides of the square pictures, one for a whole batch.
        batch: Pictures a step.
        steps: Optimizer steps.
        agnostic_steps: The first steps, in which every defect is just a defect: where
            it is comes before what it is.
        learning_rate: Peak.
        weight_decay: Of convolution weights.
        seed: Of stream and initial weights.
        start: Weights to go on from, a name or a file; with another seed the
            pictures are new ones.
    """

    detector: Architecture = Architecture.GRAFT_N
    sizes_px: tuple[int, ...] = (128, 160, 192, 256)
    batch: int = 16
    steps: int = 60_000
    agnostic_steps: int = 1500
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 0
    start: str = zoo.NO_WEIGHTS

    @property
    def name(self) -> str:
        """Name of the weights, for ``--weights``."""
        return f"{self.detector}-synthetic"


@dataclass(frozen=True, slots=True)
class LongSchedule(Schedule):
    """Warm-up, a long plateau, and a short fall at the end.

    The plateau does not know where the end is, so a training may be made longer.

    Source:
        Hägele et al., arXiv:2405.18392: as good as a cosine of the same length, with
        the root of what is left as the fall.
    """

    def at(self, step: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: From 0 to ``steps - 1``.
        """
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall = max(1, round(self.steps * COOLDOWN_SHARE))
        done = max(0.0, (step + 1 - (self.steps - fall)) / fall)
        return self.peak * warmup * (1 - done**0.5 if done else 1.0)


@dataclass(slots=True)
class Pretraining:
    """A training and what is told about it.

    Attributes:
        recipe: What is done.
        training: What changes.
        earlier: Card of the weights that were gone on from, without their log; None
            for weights without a card, and for none.
        loss: Running mean.
        log: One entry a report.
    """

    recipe: PretrainRecipe
    training: Training
    earlier: dict[str, Any] | None = None
    loss: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)


def collate(rows: list[Sample], *, agnostic: bool) -> Batch:
    """Return a batch of the stream's rows.

    Args:
        rows: Image ``[S, S, 3]``, boxes ``[G, 4]``, labels ``[G]`` each.
        agnostic: Call every defect class 0.

    Returns:
        ``[N, 3, S, S]`` uint8 and N targets.
    """
    images = torch.from_numpy(np.stack([row[0] for row in rows])).permute(0, 3, 1, 2)
    targets = [
        BoxTarget(torch.from_numpy(boxes), torch.from_numpy(labels * (not agnostic)))
        for _, boxes, labels in rows
    ]
    return images, targets


def begin(recipe: PretrainRecipe) -> Pretraining:
    """Return a training that has not done a step.

    Args:
        recipe: What to do.

    Raises:
        TrainingError: The weights to go on from do not fit.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    activation = zoo.usual_activation(recipe.detector)
    model = zoo.build_detector(recipe.detector, len(KINDS), activation)
    zoo.load_weights(model, recipe.start)
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    training = Training(
        model,
        make_optimizer(model, recipe.learning_rate, recipe.weight_decay),
        MovingAverage(model, AVERAGE_DECAY),
        LongSchedule(recipe.learning_rate, recipe.steps, warmup_steps=500),
        device,
    )
    return Pretraining(recipe, training, _card_of(recipe.start))


def save_state(pretraining: Pretraining, path: Path) -> None:
    """Write what going on needs; a crash leaves the file before, whole.

    Args:
        pretraining: What to keep.
        path: Where.
    """
    training = pretraining.training
    state = {
        "step": training.step,
        "model": training.model.state_dict(),
        "average": training.average.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "earlier": pretraining.earlier,
        "loss": pretraining.loss,
        "log": pretraining.log,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(pretraining: Pretraining, path: Path) -> None:
    """Go on from a saved state.

    Args:
        pretraining: Changed in place.
        path: From ``save_state``.
    """
    training = pretraining.training
    state = torch.load(path, map_location=training.device, weights_only=True)
    training.step = training.average.steps = state["step"]
    training.model.load_state_dict(state["model"])
    training.average.model.load_state_dict(state["average"])
    training.optimizer.load_state_dict(state["optimizer"])
    pretraining.loss, pretraining.log = state["loss"], state["log"]
    pretraining.earlier = state["earlier"]


def learn(pretraining: Pretraining, rows: list[Sample]) -> None:
    """Do one step.

    Args:
        pretraining: Changed in place.
        rows: One batch.

    Raises:
        TrainingError: The loss is not finite.
    """
    training, recipe = pretraining.training, pretraining.recipe
    agnostic = training.step < recipe.agnostic_steps
    loss = train_step(training, *collate(rows, agnostic=agnostic))
    first = training.step == 1
    memory = 0.0 if first else LOSS_MEMORY
    pretraining.loss = memory * pretraining.loss + (1 - memory) * loss


def report(pretraining: Pretraining, images_per_s: float) -> None:
    """Add an entry to the log and print it.

    Args:
        pretraining: Changed in place.
        images_per_s: Since the last report, drawing included.
    """
    training, recipe = pretraining.training, pretraining.recipe
    entry = {
        "step": training.step,
        "loss": round(pretraining.loss, 4),
        "learning_rate": training.schedule.at(training.step - 1),
        "images_per_s": round(images_per_s, 1),
    }
    pretraining.log.append(entry)
    left_s = (recipe.steps - training.step) * recipe.batch / images_per_s
    logger.info(
        "pretrain_step step=%d of=%d loss=%.3f images_per_s=%.1f left_min=%.0f",
        training.step,
        recipe.steps,
        pretraining.loss,
        images_per_s,
        left_s / 60,
    )


def pretrain(recipe: PretrainRecipe, state: Path, workers: int) -> Pretraining:
    """Train to the last step of the recipe, saving the state as it goes.

    Args:
        recipe: What to do.
        state: Checkpoint file; gone on from where it exists.
        workers: Processes that draw pictures.

    Returns:
        The finished training.

    Raises:
        TrainingError: The loss is not finite.
    """
    pretraining = begin(recipe)
    if state.exists():
        load_state(pretraining, state)
    training = pretraining.training
    lesson = StreamConfig(recipe.sizes_px, recipe.batch, recipe.seed)
    numbers = range(training.step, recipe.steps)
    gpu = training.device.type == "cuda"
    reported = saved = time.monotonic()
    for rows in numbered_batches(lesson, numbers, workers, ahead=gpu):
        learn(pretraining, rows)
        now = time.monotonic()
        if training.step % REPORT_EVERY_STEPS == 0:
            report(pretraining, REPORT_EVERY_STEPS * recipe.batch / (now - reported))
            reported = now
        if now - saved > SAVE_EVERY_S:
            save_state(pretraining, state)
            saved = now
    save_state(pretraining, state)
    return pretraining


def ship(pretraining: Pretraining, folder: Path) -> Path:
    """Write the averaged weights as float16 safetensors, with card and log.

    Args:
        pretraining: Finished, or as far as it came.
        folder: Made if it does not exist.

    Returns:
        The weights file.
    """
    recipe, training = pretraining.recipe, pretraining.training
    earlier = pretraining.earlier
    images = training.step * recipe.batch + (earlier["images"] if earlier else 0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recipe.name}.safetensors"
    weights = {
        name: _in_half(value).contiguous()
        for name, value in training.average.model.state_dict().items()
    }
    save_file(weights, path)
    card = {
        "name": recipe.name,
        "detector": recipe.detector,
        "activation": zoo.usual_activation(recipe.detector),
        "licence": "Apache-2.0",
        "description": f"Ours, trained on {images:,} drawn pictures of {len(KINDS)} "
        "kinds of defects.",
        "labels": list(KINDS),
        "data": "synthetic only: pretraining.stream",
        "images": images,
        "recipe": asdict(recipe),
        "earlier": earlier,
        "sha256": sha256_of(path),
        "size_bytes": path.stat().st_size,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "log": pretraining.log[:: max(1, len(pretraining.log) // 50)],
    }
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode())
    return path


def _card_of(start: str) -> dict[str, Any] | None:
    """Return what is known of the weights to go on from, without their log."""
    if start == zoo.NO_WEIGHTS:
        return None
    path = zoo.find_weights(start).with_suffix(".json")
    if not path.is_file():
        return None
    card: dict[str, Any] = json.loads(path.read_text("utf-8"))
    told = ("sha256", "images", "recipe", "earlier")
    return {key: card.get(key) for key in told} if "images" in card else None


def _in_half(value: Tensor) -> Tensor:
    """Return a float tensor as float16, but for the rare one that is too large for it.

    Behind pictures of 0 to 255 the first convolution's variance may pass 65,504.
    """
    half = value.half() if value.dtype.is_floating_point else value
    return half if torch.isfinite(half).all() else value


def main(arguments: list[str]) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(prog="pretraining.pretrain", description=__doc__)
    usual = PretrainRecipe()
    parser.add_argument("--detector", type=Architecture, default=usual.detector)
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--sizes", type=int, nargs="+", default=usual.sizes_px)
    parser.add_argument("--batch", type=int, default=usual.batch)
    parser.add_argument("--agnostic-steps", type=int, default=usual.agnostic_steps)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--start", default=usual.start, help="weights to go on from")
    parser.add_argument("--workers", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=PRETRAINED)
    parser.add_argument("--state", type=Path, default=Path("pretrain.state.pt"))
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = PretrainRecipe(
        args.detector,
        tuple(args.sizes),
        args.batch,
        args.steps,
        args.agnostic_steps,
        seed=args.seed,
        start=args.start,
    )
    path = ship(pretrain(recipe, args.state, args.workers), args.out)
    logger.info("pretrain_done file=%s bytes=%d", path, path.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""Share of pictures that are drawn smaller and enlarged: the same defects, coarser."""
"""Batches that are ordered at once."""
"""Image ``[S, S, 3]`` BGR, boxes ``[G, 4]`` xyxy px, labels ``[G]``."""
