"""The options of a training, and the recipe that they give for a set of photos.

Options that are not given are chosen from the data; the recipe is written into the run.
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
from trainer.data.sampling.defect_size import are_large
from trainer.data.sampling.direction import keeps_direction
from trainer.data.sampling.tiles import cut_photo
from trainer.detectors.names import Activation, Architecture
from trainer.detectors.zoo import NO_WEIGHTS, build_detector
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.choices import BATCH, LEARNING_RATE, LOW_LEARNING_RATE, Freeze
from trainer.fit.input_size import input_size
from trainer.fit.memory import fitting_batch, memory_for_training
from trainer.fit.repeat import Repeat
from trainer.fit.tiling import TileMode, TileOption, choose_tiles

PHOTOS_TO_SEE = 6000  # 300 photos, 20 epochs; measured: bench/results/boards
MIN_EPOCHS, MAX_EPOCHS = 12, 100
# The backbone of such weights needs less change than neck and head.
BACKBONE_SHARE = 0.2
WEIGHT_DECAY = 0.05
WARMUP_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The options of the user; None = chosen from the data.

    The names are stored in the plans of folds.

    Attributes:
        weights: Name, file or ``none``.
        size_px: Longer side of the input.
        size_is_limit: Where minutes are short, the input may be smaller than that.
        minutes: Time that the whole training may take, instead of epochs.
        batch: Photos per step; None = the usual batch, or as many as fit in memory.
        learning_rate: Peak of the schedule; None = by weights and size of the defects.
        backbone_share: Learning rate of the backbone, as a share of it; None = as the
            learning rate.
        frozen_norms: Keep batch statistics; None = only after an earlier run.
        limit: Largest error rate at the thresholds; None = the default rule.
        earlier: Run to continue from; its weights, network and non-linearity are used.
        repeats: Run to repeat; all other options are then ignored.
        pastes: Paste defects onto other photos; None = where they are small.
        turns: Turn photos by 90 degrees; None = where boxes keep no direction.
        close_ups: Train on windows around defects where these are small.
        mines: Train on close-ups of false alarms on good parts.
        selects: The held-out photos may end the training early and choose among its
            averages; false where their predictions must not depend on them.
        tiles: Cut photos into tiles; AUTO = where small boxes would be lost.
        unknown: Add the class ``unknown``, learned from the good parts.
    """

    weights: str
    detector: Architecture = Architecture.YOLOX_NANO
    activation: Activation = Activation.HARDSWISH
    size_px: int | None = None
    size_is_limit: bool = False
    epochs: int | None = None
    minutes: float | None = None
    batch: int | None = None
    learning_rate: float | None = None
    backbone_share: float | None = None
    frozen_norms: bool | None = None
    seed: int = 0
    limit: ErrorLimit | None = None
    earlier: Path | None = None
    repeats: Repeat | None = None
    pastes: bool | None = None
    turns: bool | None = None
    close_ups: bool = True
    mines: bool = True
    freeze: Freeze = Freeze.NOTHING
    selects: bool = True
    tiles: TileOption = TileMode.AUTO
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training, resolved.

    The names are stored in ``run.json`` and in checkpoints.

    Attributes:
        weights: Initial weights.
        epochs: Passes over the photos; with a budget, the number before the pace is
            known.
        batch: Photos per step, over all processes.
        learning_rate: Peak of the cosine.
        weight_decay: For convolution weights only.
        frozen_norms: Batch norms keep the statistics of the earlier run.
        minutes: Time budget; None = the epochs count.
        earlier: Folder of the run that training continues from; None = ``weights``.
        pastes: Defects are also pasted onto other photos.
        close_up_px: Height and width of the windows that most of the training is on;
            None = whole photos from the start.
        mines: Close-ups of good parts show false alarms.
        tiles: How photos and frames are cut; None = not at all.
        turns: Photos are also turned by 90 degrees.
        backbone_share: Learning rate of the backbone, as a share of the others'.
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
    turns: bool = True
    backbone_share: float = 1.0

    @property
    def close_ups(self) -> CloseUps | None:
        """The windows; None = no close-ups."""
        return CloseUps(*self.close_up_px) if self.close_up_px else None


def resolve(options: TrainOptions, photos: tuple[Photo, ...]) -> Recipe:
    """Return the recipe for a set of photos.

    Raises:
        TrainingError: The run to repeat was made by another version.
    """
    if options.repeats:
        return _repeated(options.repeats)
    tiles = choose_tiles(photos, options.size_px, options.tiles)
    if tiles:
        height, width = tiles.tile_height_px, tiles.tile_width_px
        cut = [each.as_photo for photo in photos for each in cut_photo(photo, tiles)]
        photos = tuple(cut[i] for i in EpochSampler(cut, options.seed).order())
    else:
        height, width = input_size(photos, options.size_px)
    close_ups = None
    # Not with a frozen backbone: stored runs have none, and a training resumes and
    # repeats with the recipe that it started with.
    is_whole = not tiles and options.freeze is Freeze.NOTHING
    if options.close_ups and is_whole:
        close_ups = plan_close_ups(photos, height, width)
    defective = sum(not photo.is_good for photo in photos)
    epochs = options.epochs or round(PHOTOS_TO_SEE / max(1, len(photos)))
    if options.epochs is None:
        epochs = min(MAX_EPOCHS, max(MIN_EPOCHS, epochs))
    usual = options.batch or _batch_in_memory(options, (height, width))
    batch = min(usual, max(1, defective))
    has_large = are_large(photos)
    rate, backbone_share = _rates(options, has_large=has_large)
    frozen_norms = options.frozen_norms
    if frozen_norms is None:
        # An earlier run saw the same product: its statistics apply. Those of drawn
        # pictures cost 4 points of mAP@.33 on 50 real boards.
        frozen_norms = bool(options.earlier)
    return Recipe(
        options.detector,
        options.activation,
        options.weights,
        height,
        width,
        epochs,
        batch,
        # The rate is tuned for the usual batch; if memory only allows a smaller one,
        # it falls with the root.
        rate * math.sqrt(min(1, usual / (options.batch or BATCH))),
        WEIGHT_DECAY,
        WARMUP_STEPS,
        frozen_norms or batch == 1,  # one photo has no statistics on a 1 px map
        options.seed,
        options.minutes,
        str(options.earlier.resolve()) if options.earlier else None,
        pastes=not has_large if options.pastes is None else options.pastes,
        close_up_px=(close_ups.height_px, close_ups.width_px) if close_ups else None,
        mines=options.mines and close_ups is not None,
        freeze=options.freeze,
        tiles=tiles,
        turns=not keeps_direction(photos) if options.turns is None else options.turns,
        backbone_share=backbone_share,
    )


def _rates(options: TrainOptions, *, has_large: bool) -> tuple[float, float]:
    """Return the learning rate, and the backbone's share of it.

    Args:
        has_large: Half of the defects or more are large.
    """
    # Random weights, and those that have seen drawn pictures only, change as a whole.
    is_drawn = options.detector in (Architecture.GRAFT_N, Architecture.GRAFT_S)
    knows_photos = options.weights != NO_WEIGHTS and not is_drawn
    rate = LOW_LEARNING_RATE if knows_photos and has_large else LEARNING_RATE
    share = BACKBONE_SHARE if knows_photos and not has_large else 1.0
    return (
        rate if options.learning_rate is None else options.learning_rate,
        share if options.backbone_share is None else options.backbone_share,
    )


def _batch_in_memory(options: TrainOptions, size_px: tuple[int, int]) -> int:
    """Return the usual batch, or a smaller one where memory is short."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_detector(options.detector, 1, options.activation)
    return fitting_batch(model, size_px, BATCH, memory_for_training(device))


def _repeated(repeat: Repeat) -> Recipe:
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
            why=f"Its recipe was written by another version ({exc}).",
            fix="Train it again, then repeat that run.",
        ) from exc
