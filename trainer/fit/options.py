"""What was asked for, and the recipe that it becomes for the photos at hand.

What nobody asked for is chosen from the data; the recipe is written into the run.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from models.errors import TrainingError
from models.tiles import Tiles
from trainer.data.dataset import Photo
from trainer.data.sampling.augmentation import EpochSampler
from trainer.data.sampling.crops import CloseUps, plan_close_ups
from trainer.data.sampling.tiles import cut_photo
from trainer.detectors.base import Architecture
from trainer.detectors.yolox_blocks import Activation
from trainer.detectors.zoo import build_detector
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.frozen_trunk import Freeze
from trainer.fit.input_size import input_size
from trainer.fit.memory import fitting_batch, room_in_memory
from trainer.fit.repeat import Repeat
from trainer.fit.tiling import TileMode, TileOption, choose_tiles

PHOTOS_TO_SEE = 6000  # 300 photos, 20 epochs; measured: bench/results/boards
FEWEST_EPOCHS, MOST_EPOCHS = 12, 100
BATCH = 8
LEARNING_RATE = 4e-3  # AdamW; measured: bench/results/recipe
WEIGHT_DECAY = 0.05
WARMUP_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What the user asked for; None = chosen from the data.

    Attributes:
        weights: Name, file or ``none``; None = the shipped checkpoint.
        detector: Architecture; None = the one that the weights are of.
        activation: Non-linearity; None = Hardswish, which INT8 likes.
        size_px: Longer side of the input.
        epochs: Passes over the photos.
        minutes: Time that the whole training may take, instead of epochs.
        batch: Photos a step; None = eight, or as many as find room in memory.
        learning_rate: Peak.
        frozen_norms: Keep batch statistics; None = those of an earlier run.
        seed: Of everything random.
        limit: Of errors at the thresholds; None = the rule.
        earlier: Run to go on from; its weights, network and non-linearity win.
        repeats: Run to do once more; then nothing else counts.
        pastes: Put defects onto other photos.
        close_ups: Look at windows around defects where these are small.
        mines: Look closer at what was taken for a defect on good parts.
        freeze: What is not trained.
        selects: The photos to measure on may end the training early and choose among
            its averages; not where they are to be predicted as never met.
        tiles: Cut photos into tiles; AUTO = where small boxes would be lost.
    """

    weights: str
    detector: Architecture = Architecture.YOLOX_NANO
    activation: Activation = Activation.HARDSWISH
    size_px: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch: int | None = None
    learning_rate: float = LEARNING_RATE
    frozen_norms: bool | None = None
    seed: int = 0
    limit: ErrorLimit | None = None
    earlier: Path | None = None
    repeats: Repeat | None = None
    pastes: bool = True
    close_ups: bool = True
    mines: bool = True
    freeze: Freeze = Freeze.NOTHING
    selects: bool = True
    tiles: TileOption = TileMode.AUTO


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training, resolved.

    Attributes:
        detector: Architecture.
        activation: Non-linearity.
        weights: Where training starts from.
        input_height_px: Of the graph's input.
        input_width_px: Of the graph's input.
        epochs: Passes over the photos; with a budget, before it is known how many
            fit.
        batch: Photos a step.
        learning_rate: Peak of the cosine.
        weight_decay: Of convolution weights.
        warmup_steps: Linear warm-up.
        frozen_norms: Batch statistics stay those of an earlier run; always so in
            batches of one photo, which have none where a map is one pixel. Those of
            drawn pictures cost 4 points of mAP@.33 on 50 real boards.
        seed: Of everything random.
        minutes: Time budget; None = the epochs count.
        earlier: Folder of the run that training goes on from; None = of ``weights``.
        pastes: Defects are also put onto other photos.
        close_up_px: Height and width of the windows that most of the training looks
            at; None = whole photos from the beginning.
        mines: Close-ups of good parts show what was taken for a defect there.
        freeze: What is not trained.
        tiles: How photos and frames are cut; None = they are looked at as a whole.
    """

    detector: Architecture
    activation: Activation
    weights: str
    input_height_px: int
    input_width_px: int
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    frozen_norms: bool
    seed: int
    minutes: float | None = None
    earlier: str | None = None
    pastes: bool = False
    close_up_px: tuple[int, int] | None = None
    mines: bool = False
    freeze: Freeze = Freeze.NOTHING
    tiles: Tiles | None = None

    @property
    def close_ups(self) -> CloseUps | None:
        """The windows, if there are any."""
        return CloseUps(*self.close_up_px) if self.close_up_px else None


def resolve(wishes: TrainOptions, photos: tuple[Photo, ...]) -> Recipe:
    """Return the recipe for the photos at hand.

    Args:
        wishes: What was asked for.
        photos: To train on.

    Raises:
        TrainingError: The run to repeat was made by another version.
    """
    if wishes.repeats:
        return _repeated(wishes.repeats)
    tiles = choose_tiles(photos, wishes.size_px, wishes.tiles)
    if tiles:
        height, width = tiles.tile_height_px, tiles.tile_width_px
        cut = [each.as_photo for photo in photos for each in cut_photo(photo, tiles)]
        photos = tuple(cut[i] for i in EpochSampler(cut, wishes.seed).order())
    else:
        height, width = input_size(photos, wishes.size_px)
    close_ups = None
    is_whole = not tiles and wishes.freeze is Freeze.NOTHING  # a cache wants few views
    if wishes.close_ups and is_whole:
        close_ups = plan_close_ups(photos, height, width)
    defective = sum(not photo.is_good for photo in photos)
    epochs = wishes.epochs or round(PHOTOS_TO_SEE / max(1, len(photos)))
    if wishes.epochs is None:
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, epochs))
    usual = wishes.batch or _batch_in_memory(wishes, (height, width))
    batch = min(usual, max(1, defective))
    frozen_norms = wishes.frozen_norms
    if frozen_norms is None:
        frozen_norms = bool(wishes.earlier)  # the same product: they hold
    return Recipe(
        wishes.detector,
        wishes.activation,
        wishes.weights,
        height,
        width,
        epochs,
        batch,
        wishes.learning_rate * math.sqrt(min(1, usual / (wishes.batch or BATCH))),
        WEIGHT_DECAY,
        WARMUP_STEPS,
        frozen_norms or batch == 1,
        wishes.seed,
        wishes.minutes,
        str(wishes.earlier.resolve()) if wishes.earlier else None,
        pastes=wishes.pastes,
        close_up_px=(close_ups.height_px, close_ups.width_px) if close_ups else None,
        mines=wishes.mines and close_ups is not None,
        freeze=wishes.freeze,
        tiles=tiles,
    )


def _batch_in_memory(wishes: TrainOptions, size_px: tuple[int, int]) -> int:
    """Return the usual batch, or a smaller one where memory is short."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_detector(wishes.detector, 1, wishes.activation)
    return fitting_batch(model, size_px, BATCH, room_in_memory(device))


def _repeated(repeat: Repeat) -> Recipe:
    """Return the recipe that a run was made with."""
    stored = dict(repeat.record.recipe)
    stored["detector"] = repeat.record.detector
    stored["activation"] = repeat.record.activation
    stored["minutes"] = None  # they have become steps
    window = stored.get("close_up_px")
    stored["close_up_px"] = tuple(window) if isinstance(window, list) else window
    cut = stored.get("tiles")
    stored["tiles"] = Tiles(**cut) if isinstance(cut, dict) else None
    try:
        return Recipe(**stored)  # type: ignore[arg-type]  # values of JSON
    except TypeError as exc:
        raise TrainingError(
            f"{repeat.name}: cannot be repeated.",
            why=f"Its recipe is of another version ({exc}).",
            fix="Train it again, then repeat that run.",
        ) from exc
