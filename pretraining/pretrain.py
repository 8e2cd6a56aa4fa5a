"""Trains the weights graft-n-synthetic on an endless stream of synthetic defects.

``python -m pretraining.pretrain --steps 60000`` (``make pretrain``). The stream is
numbered, so an interrupted training continues where it stopped (same ``--state``);
before the learning rate starts to fall also with another number of steps. The result
is float16 safetensors and a JSON card with recipe and log.
"""

import argparse
import json
import logging
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models.files import sha256_of, write_atomically
from pretraining.batches import Sample, StreamConfig, numbered_batches
from pretraining.defects import KINDS
from pretraining.half_precision import to_half
from trainer.data.sample import Batch, BoxTarget
from trainer.detectors import zoo
from trainer.detectors.names import Architecture
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    Training,
    make_optimizer,
    train_step,
)

logger = logging.getLogger(__name__)

PRETRAINED = Path(__file__).resolve().parents[1] / "models" / "pretrained"
AVERAGE_DECAY = 0.9995
REPORT_EVERY_STEPS = 100
SAVE_EVERY_S = 60
COOLDOWN_SHARE = 0.25  # of the steps: the fall of the learning rate at the end
LOSS_MEMORY = 0.99  # of the running mean that is logged


@dataclass(frozen=True, slots=True)
class PretrainRecipe:
    """All that decides the result, written into the card."""

    detector: Architecture = Architecture.GRAFT_N
    # sides of the square pictures, one for a whole batch
    sizes_px: tuple[int, ...] = (128, 160, 192, 256)
    batch: int = 16
    steps: int = 60_000
    # the first steps, in which all defects have the same class: the network learns to
    # locate before it learns to classify
    agnostic_steps: int = 1500
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 0
    # weights to continue from, a name or a file; another seed draws new pictures
    start: str = zoo.NO_WEIGHTS
    # learning rate of the backbone, as a share of the others': small where it has
    # learned from photos
    backbone_share: float = 1.0

    @property
    def name(self) -> str:
        """Name of the weights, for ``--weights``."""
        return f"{self.detector}-synthetic"


@dataclass(frozen=True, slots=True)
class LongSchedule(Schedule):
    """Warm-up, a long plateau, and a short fall at the end.

    The plateau does not depend on the number of steps: a training can be made longer.

    Source:
        Hägele et al., arXiv:2405.18392: as good as a cosine of the same length, with
        a fall by the square root.
    """

    def at(self, step: int) -> float:
        """Return the learning rate of a step, from 0 to ``steps - 1``."""
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall = max(1, round(self.steps * COOLDOWN_SHARE))
        done = max(0.0, (step + 1 - (self.steps - fall)) / fall)
        return self.peak * warmup * (1 - done**0.5 if done else 1.0)


@dataclass(slots=True)
class Pretraining:
    """A training with its progress."""

    recipe: PretrainRecipe
    training: Training
    # card of the weights that it started from, without their log; None for weights
    # without a card, and for random weights
    earlier: dict[str, Any] | None = None
    loss: float = 0.0  # running mean
    # one entry for each `REPORT_EVERY_STEPS`
    log: list[dict[str, float]] = field(default_factory=list)


def collate(samples: list[Sample], *, agnostic: bool) -> Batch:
    """Return a batch of the stream's samples.

    Args:
        samples: Image ``[S, S, 3]``, boxes ``[G, 4]``, labels ``[G]`` each.
        agnostic: Call every defect class 0.

    Returns:
        ``[N, 3, S, S]`` uint8 and N targets.
    """
    pictures = np.stack([image for image, _, _ in samples])
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    targets = [
        BoxTarget(torch.from_numpy(boxes), torch.from_numpy(labels * (not agnostic)))
        for _, boxes, labels in samples
    ]
    return images, targets


def start_training(recipe: PretrainRecipe) -> Pretraining:
    """Return a training that has not done a step.

    Raises:
        TrainingError: The weights to continue from do not fit.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    activation = zoo.usual_activation(recipe.detector)
    model = zoo.build_detector(recipe.detector, len(KINDS), activation)
    zoo.load_weights(model, recipe.start)
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    training = Training(
        model,
        make_optimizer(
            model, recipe.learning_rate, recipe.weight_decay, recipe.backbone_share
        ),
        MovingAverage(model, AVERAGE_DECAY),
        LongSchedule(recipe.learning_rate, recipe.steps, warmup_steps=500),
        device,
    )
    return Pretraining(recipe, training, _card_of(recipe.start))


def save_state(pretraining: Pretraining, path: Path) -> None:
    """Write all that is needed to resume; a crash leaves the previous file intact."""
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
    """Restore a training in place from a saved state."""
    training = pretraining.training
    state = torch.load(path, map_location=training.device, weights_only=True)
    training.step = training.average.steps = state["step"]
    training.model.load_state_dict(state["model"])
    training.average.model.load_state_dict(state["average"])
    training.optimizer.load_state_dict(state["optimizer"])
    pretraining.loss, pretraining.log = state["loss"], state["log"]
    pretraining.earlier = state["earlier"]


def train_batch(pretraining: Pretraining, samples: list[Sample]) -> None:
    """Train one step.

    Raises:
        TrainingError: The loss is not finite.
    """
    training, recipe = pretraining.training, pretraining.recipe
    agnostic = training.step < recipe.agnostic_steps
    loss = train_step(training, *collate(samples, agnostic=agnostic))
    first = training.step == 1
    memory = 0.0 if first else LOSS_MEMORY
    pretraining.loss = memory * pretraining.loss + (1 - memory) * loss


def log_progress(pretraining: Pretraining, images_per_s: float) -> None:
    """Append an entry to the log and print it.

    Args:
        images_per_s: Since the last entry, drawing included.
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
        state: Checkpoint file; training resumes from it where it exists.

    Raises:
        TrainingError: The loss is not finite.
    """
    pretraining = start_training(recipe)
    if state.exists():
        load_state(pretraining, state)
    training = pretraining.training
    config = StreamConfig(recipe.sizes_px, recipe.batch, recipe.seed)
    numbers = range(training.step, recipe.steps)
    on_gpu = training.device.type == "cuda"
    logged_s = saved_s = time.monotonic()
    for samples in numbered_batches(config, numbers, workers, ahead=on_gpu):
        train_batch(pretraining, samples)
        now_s = time.monotonic()
        if training.step % REPORT_EVERY_STEPS == 0:
            images = REPORT_EVERY_STEPS * recipe.batch
            log_progress(pretraining, images / (now_s - logged_s))
            logged_s = now_s
        if now_s - saved_s > SAVE_EVERY_S:
            save_state(pretraining, state)
            saved_s = now_s
    save_state(pretraining, state)
    return pretraining


def export_checkpoint(pretraining: Pretraining, folder: Path) -> Path:
    """Write averaged weights as float16 safetensors, card and log; return the file.

    Args:
        folder: Made if it does not exist.
    """
    recipe, training = pretraining.recipe, pretraining.training
    earlier = pretraining.earlier
    images = training.step * recipe.batch + (earlier["images"] if earlier else 0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recipe.name}.safetensors"
    save_file(to_half(training.average.model.state_dict()), path)
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
    if start == zoo.NO_WEIGHTS:
        return None
    path = zoo.find_weights(start).with_suffix(".json")
    if not path.is_file():
        return None
    card: dict[str, Any] = json.loads(path.read_text("utf-8"))
    keys = ("sha256", "images", "recipe", "earlier")
    return {key: card.get(key) for key in keys} if "images" in card else None


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="pretraining.pretrain", description=__doc__)
    defaults = PretrainRecipe()
    parser.add_argument("--detector", type=Architecture, default=defaults.detector)
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--sizes", type=int, nargs="+", default=defaults.sizes_px)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--agnostic-steps", type=int, default=defaults.agnostic_steps)
    parser.add_argument("--rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--backbone-share", type=float, default=defaults.backbone_share)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--start", default=defaults.start, help="weights to continue from"
    )
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
        args.rate,
        seed=args.seed,
        start=args.start,
        backbone_share=args.backbone_share,
    )
    path = export_checkpoint(pretrain(recipe, args.state, args.workers), args.out)
    logger.info("pretrain_done file=%s bytes=%d", path, path.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
