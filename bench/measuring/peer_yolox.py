"""The peer's side of ``peer_train.py``: runs under the peer's own Python, on a CPU.

``python peer_yolox.py pace|train|detect RESULT.json ARGUMENTS``: ARGUMENTS are those of
the peer's own command ``yolox train``, read by its own parser into its own
configuration. Its trainer uses CUDA in five places; each is replaced for a CPU, and its
recipe is unchanged:

* ``Trainer.device`` is ``cpu``, and ``torch.cuda.set_device`` is not called;
* ``DataPrefetcher`` takes the next batch without a CUDA stream;
* ``YoloxConfig.random_resize`` draws the same size without a CUDA tensor to share it;
* evaluation between epochs (a CUDA tensor) is left out: it only selects the best
  checkpoint and changes no weight. Its time is used for more training;
* evaluation after training uses its loader, network, NMS and coordinates, in its order.
"""

import argparse
import functools
import importlib.metadata
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yolox.core.trainer
from torch import Tensor
from yolox.cli.train import make_parser, train
from yolox.cli.utils import parse_model_config_opts, resolve_config
from yolox.config import YoloxConfig
from yolox.core.trainer import Trainer
from yolox.models.yolox import YoloxModule
from yolox.utils import configure_module, postprocess

STRIDE_PX = 32
LIBRARIES = ("pixeltable-yolox", "torch", "torchvision", "opencv-python-headless")
# the workers' queues are full at the start: the first batches are faster than the rest
WARM_UP_STEPS = 10
MEASURED_STEPS = 6  # at each of three sizes


class CpuPrefetcher:
    """The peer's ``DataPrefetcher``: one batch ahead, without a stream.

    Args:
        loader: Endless batches of images, targets and two unused values.
    """

    def __init__(self, loader: Iterable[tuple[Tensor, Tensor, Any, Any]]) -> None:
        self._batches = iter(loader)
        self._ahead = self._take()

    def next(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the batch that was read ahead, and read another."""
        batch, self._ahead = self._ahead, self._take()
        return batch

    def _take(self) -> tuple[Tensor | None, Tensor | None]:
        images, targets, *_ = next(self._batches, (None, None))
        return images, targets


class CpuTrainer(Trainer):  # type: ignore[misc]  # the peer ships no types
    """The peer's trainer without CUDA; it records the time of every epoch."""

    def __init__(self, config: YoloxConfig, args: argparse.Namespace) -> None:
        super().__init__(config, args)
        self.device = "cpu"
        self.curve: list[dict[str, float]] = []
        self.started_s = time.monotonic()

    def before_train(self) -> None:
        """Build everything without choosing a GPU."""
        with _without_gpu_choice():
            super().before_train()

    def after_epoch(self) -> None:
        """Record the time and the loss of the last batch; save as the peer does."""
        super().after_epoch()
        seconds = time.monotonic() - self.started_s
        loss = float(self.meter["total_loss"].latest or 0.0)
        step = (self.epoch + 1) * self.max_iter
        self.curve.append(
            {"epoch": self.epoch + 1, "step": step, "seconds": seconds, "loss": loss}
        )

    def evaluate_and_save_model(self) -> None:
        """Evaluate nothing between epochs; the module text gives the reason."""


@contextmanager
def _without_gpu_choice() -> Iterator[None]:
    choose: Callable[..., None] = torch.cuda.set_device
    torch.cuda.set_device = lambda *_: None
    try:
        yield
    finally:
        torch.cuda.set_device = choose


def _random_resize(config: YoloxConfig, *_: object) -> tuple[int, int]:
    """Return the next input size, drawn as ``YoloxConfig.random_resize`` draws it."""
    height, width = config.input_size
    if config.random_size is None:
        middle, reach = height // STRIDE_PX, config.multiscale_range
        config.random_size = (middle - reach, middle + reach)
    size = random.randint(*config.random_size)  # noqa: S311 (the peer's own draw)
    return STRIDE_PX * size, STRIDE_PX * int(size * width / height)


def read_arguments(arguments: list[str]) -> tuple[YoloxConfig, argparse.Namespace]:
    """Return configuration and arguments as ``yolox train`` makes them."""
    args = make_parser().parse_args(arguments)
    config = resolve_config(args.config)
    config.update(parse_model_config_opts(args.D))
    config.validate()
    args.name = args.name or config.name
    config.random_resize = functools.partial(_random_resize, config)
    return config, args


def measure_pace(config: YoloxConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Return seconds of a step, at three input sizes and on average over all."""
    trainer = CpuTrainer(config, args)
    trainer.before_train()
    trainer.epoch, trainer.iter = 0, 0
    low, high = config.random_size or (
        config.input_size[0] // STRIDE_PX - config.multiscale_range,
        config.input_size[0] // STRIDE_PX + config.multiscale_range,
    )
    measured: dict[int, float] = {}
    for size in ((low + high) // 2, low, high):
        trainer.input_size = (STRIDE_PX * size, STRIDE_PX * size)
        for _ in range(0 if measured else WARM_UP_STEPS):
            trainer.train_one_iter()
        started_s = time.monotonic()
        for _ in range(MEASURED_STEPS):
            trainer.train_one_iter()
        measured[size] = (time.monotonic() - started_s) / MEASURED_STEPS
    sizes = np.arange(low, high + 1)
    line = np.polyfit(np.square(list(measured)), list(measured.values()), 1)
    return {
        "steps_per_epoch": trainer.max_iter,
        "seconds_per_step": float(np.polyval(line, np.square(sizes)).mean()),
        "seconds_at_px": {STRIDE_PX * s: round(t, 3) for s, t in measured.items()},
    }


def train_whole(config: YoloxConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Train to the end of the schedule and return what it took."""
    trainers: list[CpuTrainer] = []

    def keep(args: argparse.Namespace) -> CpuTrainer:
        trainers.append(CpuTrainer(config, args))
        return trainers[0]

    config.get_trainer = keep
    started_s = time.monotonic()
    train(config, args)
    return {
        "seconds": round(time.monotonic() - started_s, 1),
        "checkpoint": str(Path(trainers[0].file_name) / "latest_ckpt.pth"),
        "curve": trainers[0].curve,
        "torch_threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def detect(config: YoloxConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Return the detections on the validation photos, as COCO results."""
    model = YoloxModule.from_pretrained(args.ckpt, config)
    evaluator = config.get_evaluator(args.batch_size, is_distributed=False)
    rows: list[dict[str, Any]] = []
    for images, _, sizes, numbers in evaluator.dataloader:
        with torch.no_grad():
            outputs = postprocess(
                model(images.float()),
                evaluator.num_classes,
                evaluator.confthre,
                evaluator.nmsthre,
            )
        rows += evaluator.convert_to_coco_format(outputs, sizes, numbers)
    return {"nms": evaluator.nmsthre, "lowest": evaluator.confthre, "found": rows}


def main(arguments: list[str]) -> int:
    """Do one thing and write its result.

    Args:
        arguments: Verb, path of the result, and the arguments of ``yolox train``.
    """
    verb, path, *command = arguments
    configure_module()
    yolox.core.trainer.DataPrefetcher = CpuPrefetcher
    verbs = {"pace": measure_pace, "train": train_whole, "detect": detect}
    result = verbs[verb](*read_arguments(command))
    Path(path).write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
