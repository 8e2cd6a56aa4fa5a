"""Measures how long a step and a detection take here, before a training starts.

A budget of minutes decides with it how large the input may be, and how many photos can
be measured in the end.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.tiled_detector import tiled
from trainer.data.dataset import Photo, read_photo
from trainer.data.sample import Batch
from trainer.detectors.zoo import build_detector
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    Training,
    make_optimizer,
    train_step,
)
from trainer.fit.input_size import SIZE_MULTIPLE_PX
from trainer.fit.options import Recipe

# Seconds of a processor that the detections of a trained network add to a photo
# (suppression, scoring); a new network has none. Measured: 0.019 to 0.032.
FOUND_S = 0.03
# The first step of a size takes two to four times as long as the next ones. So the
# second one is timed, on a part of the pictures that costs a quarter: not smaller.
WARM_PX = 64
PROBED_PHOTOS = 2


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of the parts of a training, and the input that they were measured at.

    Attributes:
        load_s: To read and augment the photos of one step.
        train_s: One step, its photos being in memory.
        read_s: To read one photo.
        detect_s: To detect on one photo, all of its tiles.
        found_s: For the detections that a trained network will have on a photo.
        pixels: Size of the input, or of all tiles of a photo.
        step_pixels: Size of the input, or of one tile.
    """

    load_s: float
    train_s: float
    read_s: float
    detect_s: float
    found_s: float
    pixels: int
    step_pixels: int

    def step_s(self, pixels: int) -> float:
        """Return the seconds of one step at an input of so many pixels."""
        return self.load_s + self.train_s * pixels / self.step_pixels

    def photo_s(self, pixels: int) -> float:
        """Return the seconds of one photo at an input, or tiles, of so many pixels."""
        return self.read_s + self.found_s + self.detect_s * pixels / self.pixels


def measure_speed(
    recipe: Recipe,
    label_count: int,
    batch: Batch,
    load_s: float,
    held_out: Sequence[Photo],
) -> Speed:
    """Return the speed of a training that is not started yet.

    Args:
        batch: Whole photos, as they are trained on.
        load_s: Seconds that it took to read them.
        held_out: Photos to detect on.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_detector(recipe.detector, label_count, recipe.activation)
    model.to(device).to(memory_format=torch.channels_last)
    training = Training(
        model.train(),
        make_optimizer(
            model, recipe.learning_rate, recipe.weight_decay, recipe.backbone_share
        ),
        MovingAverage(model),
        Schedule(recipe.learning_rate, 1, recipe.warmup_steps),
        device,
        frozen_norms=True,
    )
    training.enter_training_mode()
    images, targets = batch
    height_px, width_px = (max(WARM_PX, side // 2) for side in images.shape[-2:])
    part = images[..., : _whole(height_px), : _whole(width_px)]
    for _ in range(2):  # the first one does not count
        started_s = time.monotonic()
        train_step(training, part, targets)
        part_s = time.monotonic() - started_s
    train_s = part_s * images[0, 0].numel() / part[0, 0].numel()

    size_px = recipe.input_height_px, recipe.input_width_px
    detector = tiled(TorchDetector(training.average.model, *size_px), recipe.tiles)
    some = held_out[:PROBED_PHOTOS]
    started_s = time.monotonic()
    for photo in some:
        read_photo(photo)
    read_s = (time.monotonic() - started_s) / len(some)
    predict_photos(detector, some[:1], label_count)  # slower, and does not count
    started_s, cpu_started_s = time.monotonic(), time.process_time()
    predict_photos(detector, some, label_count)
    took_s = time.monotonic() - started_s
    found_s = FOUND_S * stretch(took_s, time.process_time() - cpu_started_s)
    step_pixels = size_px[0] * size_px[1]
    tiles = recipe.tiles.count if recipe.tiles else 1
    detect_s = max(0.0, took_s / len(some) - read_s)
    pixels = step_pixels * tiles
    return Speed(load_s, train_s, read_s, detect_s, found_s, pixels, step_pixels)


def _whole(side_px: int) -> int:
    return side_px - side_px % SIZE_MULTIPLE_PX


def stretch(seconds: float, cpu_s: float) -> float:
    """Return how many seconds a second of a processor takes, at least 1.

    Args:
        seconds: That some work took; more than ``cpu_s`` where other programs use this
            machine.
        cpu_s: Seconds of processors that it used.
    """
    return max(1.0, seconds / max(cpu_s, 1e-6))
