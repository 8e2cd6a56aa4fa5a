"""The record of a run, ``run.json``: what was trained on what, and the figures of it.

Loads no training library: a run whose photos are missing is refused without one.
"""

import math
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import TrainingError
from models.files import read_regular
from models.manifest import LabelName, Metrics, Quantity, Sha256, Thresholds
from models.strict_json import parse_json
from models.tiles import Tiles
from models.value_types import INPUT_MAX_PX, LABELS_MAX, PIXELS_MAX, TILES_MAX
from trainer.detectors.names import Activation, Architecture, ScoreRule

SCHEMA_VERSION = 1
RECORD_NAME = "run.json"
RECORD_MAX_BYTES = 64 << 20  # a long training has some 200 kB
WEIGHTS_NAME = "model.safetensors"
CHECKPOINT_NAME = "checkpoint.pt"
REPORT_NAME = "report.html"
HALF = 0.5  # of the photos: a change that is seen on as many counts as seen
MEMORY_MAX = 1 << 16  # rows of a memory, and numbers of a row
Factor = Annotated[float, Field(gt=0, lt=math.inf)]


class CurvePoint(BaseModel):
    """One epoch of the training curve; the last one may be a part of an epoch."""

    model_config = ConfigDict(frozen=True)

    epoch: int = Field(ge=1)
    step: int = Field(ge=0)
    seconds: float = Field(ge=0, description="Since the start of training.")
    loss: float = Field(description="Mean over the epoch.")
    map_33: float | None = Field(
        default=None, description="On ``photos`` photos; null = not measured."
    )
    map_50: float | None = Field(default=None, description="Likewise.")
    photos: int | None = Field(
        default=None,
        description="Photos that mAP was measured on; fewer than in the metrics = an "
        "estimate of theirs. Null = not measured, or not recorded.",
    )


class ScheduleRecord(BaseModel):
    """How long was trained, and how often validated: repeated by ``--schedule``."""

    model_config = ConfigDict(frozen=True)

    steps: int = Field(ge=0, description="Optimizer steps in all.")
    past: tuple[tuple[int, int], ...] = Field(
        default=(), description="Until which step another number of steps was planned."
    )
    steps_per_epoch: int = Field(ge=1)
    measurements: int = Field(default=0, description="Validations over the schedule.")
    measured_photos: int = Field(default=0, description="Photos validated on.")
    final_photos: int = Field(
        default=0, description="Photos of the measurement at the end; 0 = all."
    )
    mined_photos: int | None = Field(
        default=None, description="Good photos of a round of mining; null = as usual."
    )
    unvalidated: tuple[int, ...] = Field(
        default=(),
        description="Steps after which a validation was due and had no time.",
    )
    unmined: tuple[int, ...] = Field(
        default=(),
        description="Steps before which a round of mining was due and had no time.",
    )
    reduced: tuple[str, ...] = Field(
        default=(), description="What the minutes left no time for."
    )
    minutes: float | None = Field(default=None, description="Budget; null = none.")
    ended_early: bool = False
    kept_step: int | None = Field(
        default=None, description="Step of the weights kept; null = the last."
    )


class Machine(BaseModel):
    """The machine that a run was trained on."""

    model_config = ConfigDict(frozen=True)

    processor: str
    system: str
    cores: int
    threads: int = Field(description="Threads of torch: sums depend on their number.")
    gpu: str | None = None


class Ancestor(BaseModel):
    """An earlier run that training continued from (``--from``)."""

    model_config = ConfigDict(frozen=True)

    name: str
    folder: str = Field(description="Absolute path at the time of training.")
    sha256: Sha256 = Field(description="Hash of its weights.")
    dataset_sha256: Sha256
    pretrained: str
    pretrained_sha256: Sha256 | None = None
    kept_labels: tuple[str, ...] = Field(
        description="Class predictions that were taken over."
    )
    fresh_labels: tuple[str, ...] = Field(
        description="Those that started from random values."
    )


class UnlikePhoto(BaseModel):
    """A good photo, and the place on it that is the least like the others."""

    model_config = ConfigDict(frozen=True)

    photo: str = Field(description="Path in the data set.")
    sha256: Sha256
    score: float = Field(ge=0, le=1, description="By a memory without this photo.")
    box_px: tuple[float, float, float, float] = Field(
        description="Around the place: x1, y1, x2, y2, pixels of the photo."
    )
    held_out: bool = Field(description="Not among those that the memory is made of.")


class VisibleSpots(BaseModel):
    """How often spots of one contrast are seen, drawn on good photos."""

    model_config = ConfigDict(frozen=True)

    contrast: int = Field(
        ge=1, le=255, description="Grey levels that a spot differs from its place by."
    )
    photos: int = Field(ge=1, description="Photos that they were drawn on.")
    sides_px: tuple[float, ...] = Field(
        min_length=1, description="Diameters in pixels of the photo, ascending."
    )
    seen: tuple[float, ...] = Field(
        description="Share of the photos on which a spot of each diameter, or a "
        "smaller one, passes the threshold."
    )

    @property
    def smallest_px(self) -> float | None:
        """Diameter from which on half of the photos report it; None = no such."""
        pairs = zip(self.sides_px, self.seen, strict=True)
        return next((side for side, share in pairs if share >= HALF), None)


class UnknownRecord(BaseModel):
    """The class ``unknown`` of a run: its memory of good parts, and what it can see."""

    model_config = ConfigDict(frozen=True)

    rows: int = Field(ge=1, le=MEMORY_MAX, description="Patches in the memory.")
    inputs: int = Field(ge=1, le=MEMORY_MAX, description="Channels of a patch.")
    good_photos: int = Field(ge=1, description="Photos that it was made of.")
    seconds: float = Field(ge=0, description="Time that it took to make.")
    cell_px: float = Field(
        gt=0,
        description="Side of a cell in pixels of the photo: one vector describes it.",
    )
    aligned: float | None = Field(
        default=None,
        description="Share of the variance of good patches that their place explains, "
        "0..1; null = photos of several sizes, or tiles.",
    )
    scores: tuple[float, ...] = Field(
        default=(), description="Of these photos, each by a memory without it."
    )
    held_out_scores: tuple[float, ...] = Field(
        default=(), description="Of the good photos that are measured on."
    )
    highest: tuple[UnlikePhoto, ...] = Field(
        default=(),
        description="Good photos that are the least like the others, highest first.",
    )
    visible: tuple[VisibleSpots, ...] = Field(
        default=(),
        description="Which drawn spots are seen, the faintest first; empty = not "
        "measured.",
    )
    sees: tuple[str, ...] = Field(
        default=(), description="What it can and cannot see, in sentences."
    )
    notes: tuple[str, ...] = Field(
        default=(), description="What a person should check of the good parts."
    )


class RunRecord(BaseModel):
    """``run.json``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = SCHEMA_VERSION
    name: str = Field(description="Name of the run's folder.")
    detector: Architecture
    activation: Activation
    score_rule: ScoreRule = Field(
        default=ScoreRule.PRODUCT,
        description="How the scores of YOLOX and graft are made.",
    )
    class_odds: dict[LabelName, Factor] | None = Field(
        default=None,
        description="By named label, the factor for the odds of its scores, so that "
        "one threshold suits all; null = 1.",
    )
    labels: tuple[LabelName, ...] = Field(min_length=1, max_length=LABELS_MAX)
    input_height_px: int = Field(ge=32, le=INPUT_MAX_PX)
    input_width_px: int = Field(ge=32, le=INPUT_MAX_PX)
    tiles: Tiles | None = Field(
        default=None, description="How photos are cut; null = not at all."
    )
    seed: int
    recipe: dict[str, object] = Field(description="Resolved recipe.")
    pretrained: str = Field(description="Value of --weights; none = random.")
    pretrained_sha256: Sha256 | None = None
    dataset: str = Field(description="Absolute path at the time of training.")
    dataset_sha256: Sha256
    dataset_images: Quantity
    versions: dict[str, str]
    seconds: float = Field(description="Training time, evaluation not included.")
    thresholds: Thresholds
    metrics: Metrics
    curve: tuple[CurvePoint, ...]
    schedule: ScheduleRecord | None = None
    ancestors: tuple[Ancestor, ...] = Field(
        default=(), description="Runs that training continued from, the nearest first."
    )
    repeats: str | None = Field(default=None, description="Run given to --schedule.")
    unknown: UnknownRecord | None = Field(
        default=None,
        description="The last label is what no good part shows; null = all are named.",
    )
    machine: Machine | None = None
    git_revision: str | None = Field(
        default=None, description="Commit of this installation; null = not a checkout."
    )
    split: dict[str, object] | None = Field(
        default=None, description="How the photos were divided; see split.json."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse what would fill the memory, or has no threshold for a label."""
        if self.tiles is not None:
            pixels = math.prod(self.tiles.picture_size_px)
            if pixels > PIXELS_MAX or self.tiles.count > TILES_MAX:
                msg = f"{self.tiles} are more than {TILES_MAX}, or {PIXELS_MAX} pixels"
                raise ValueError(msg)
        if missing := [
            name for name in self.labels if name not in self.thresholds.scores
        ]:
            msg = f"no threshold for {', '.join(missing[:3])}"
            raise ValueError(msg)
        if self.class_odds and set(self.class_odds) != set(self.named_labels):
            msg = "class_odds are not those of the labels"
            raise ValueError(msg)
        return self

    @property
    def named_labels(self) -> tuple[str, ...]:
        """The labels of defects that were labelled."""
        return self.labels[:-1] if self.unknown else self.labels

    @property
    def bit_depth(self) -> int | None:
        """Bits that hold data in photos of more than 8 bits; None = there were none."""
        depth = (self.split or {}).get("bit_depth")
        return depth if isinstance(depth, int) else None


def read_record(folder: Path) -> RunRecord:
    """Return the record of a finished run.

    Args:
        folder: From ``graftline train --out``.

    Raises:
        TrainingError: Not a run, not finished, or damaged.
    """
    path = folder / RECORD_NAME
    try:
        return RunRecord.model_validate(
            parse_json(read_regular(path, RECORD_MAX_BYTES))
        )
    except OSError as exc:
        unfinished = (folder / CHECKPOINT_NAME).exists()
        raise TrainingError(
            f"{folder}: not a finished run.",
            why=f"{path.name}: {exc.strerror}.",
            fix="Continue with `graftline train ... --resume`."
            if unfinished
            else "Give the folder that `graftline train --out` wrote.",
        ) from exc
    except ValueError as exc:
        raise TrainingError(
            f"{path}: not a run record.", why=str(exc), fix="Train again."
        ) from exc


def unwritable(path: Path, cause: OSError) -> TrainingError:
    """Return the error of a run's file or folder that cannot be written."""
    return TrainingError(
        f"{path}: cannot be written.",
        why=cause.strerror or str(cause),
        fix="Free space there, or choose another folder with --out.",
    )
