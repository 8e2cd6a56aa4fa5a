"""The manifest of a model package, ``manifest.json``.

A package is a folder. The manifest names every file with its SHA-256, so the SHA-256
of the manifest is the identity of the whole package; ``models.seal`` holds it in a file
beside the manifest. Readers keep unknown fields and refuse a newer ``schema_version``.

Every detector keeps one graph contract: input ``images [1, 3, H, W]`` float32, BGR,
0..255, letterboxed (top left, padded with 114); output ``detections [1, 4 + C, A]``
float32: centre x, centre y, width and height in input pixels, then ``C`` scores in
0..1. NMS stays outside. With ``tiles`` the input is one tile of the frame.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from models.boxes import FloatArray
from models.postprocess import DecisionRule
from models.tiles import Tiles
from models.value_types import (
    COUNT_MAX,
    INPUT_MAX_PX,
    LABELS_MAX,
    NAME_MAX,
    PAD_VALUE,
    PIXELS_MAX,
    SIDE_MAX_PX,
    TILES_MAX,
    Share,
)

SCHEMA_VERSION = 2  # the newest that this version reads
UNTILED_SCHEMA = 1  # written without tiles, so that older daemons run the package
MANIFEST_NAME = "manifest.json"
SEAL_NAME = "manifest.sha256"
MANIFEST_MAX_BYTES = 4 << 20  # a manifest has some 20 kB

PATH_MAX, FILE_NAME_MAX = 1024, 255  # characters; bytes, as ext4 and NTFS allow
FILES_MAX = 10_000  # a package has some 60
BUILD_MAX = 253_402_300_799  # the last second of the year 9999
ANCHORS_MAX = 10_000_000  # a square input of 4096 px gives some 350,000

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def stays_inside(path: str) -> str:
    """Return the path if it cannot leave the package's folder.

    Raises:
        ValueError: It could, or no file system takes it.
    """
    if len(path) > PATH_MAX or any(
        len(part.encode("utf-8", "surrogatepass")) > FILE_NAME_MAX
        for part in path.split("/")
    ):
        msg = f"{path[:32]!r}… is too long for a file system"
        raise ValueError(msg)
    if not path.isprintable():
        msg = f"{path[:32]!r} has a character that cannot be printed"
        raise ValueError(msg)
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        msg = f"{path!r} would leave the package"
        raise ValueError(msg)
    return path


LabelName = Annotated[str, Field(max_length=NAME_MAX)]
Quantity = Annotated[int, Field(ge=0, le=COUNT_MAX)]
PictureSide = Annotated[int, Field(ge=32, le=SIDE_MAX_PX)]
RelativePath = Annotated[str, AfterValidator(stays_inside)]


class _Part(BaseModel):
    """A part of the manifest: immutable, keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class VariantName(StrEnum):
    """The same model in one file format and precision."""

    OPENVINO_FP32 = "openvino-fp32"
    OPENVINO_INT8 = "openvino-int8"
    ONNX_FP32 = "onnx-fp32"
    ONNX_INT8 = "onnx-int8"


class PrecisionHint(StrEnum):
    """Arithmetic that a runtime uses for what is not quantized."""

    F32 = "f32"
    BF16 = "bf16"


class DetectorInfo(_Part):
    """Which architecture, and under which licence."""

    name: str = Field(description="Architecture, for example yolox-nano.")
    activation: str = Field(description="Non-linearity: silu, hardswish or relu.")
    license: str = Field(description="SPDX identifier of code and weights.")


class InputInfo(_Part):
    """The graph's input and how a frame becomes one."""

    height_px: int = Field(ge=32, le=INPUT_MAX_PX, description="Height of the input.")
    width_px: int = Field(ge=32, le=INPUT_MAX_PX, description="Width of the input.")
    color_order: Literal["BGR"] = "BGR"
    layout: Literal["NCHW"] = "NCHW"
    dtype: Literal["float32"] = "float32"
    value_range: tuple[float, float] = (0.0, 255.0)
    resize_mode: Literal["letterbox-top-left"] = "letterbox-top-left"
    interpolation: Literal["linear"] = "linear"
    pad_value: int = PAD_VALUE
    bit_depth: int | None = Field(
        default=None,
        ge=8,
        le=16,
        description="Bits that hold data in pictures of more than 8 bits a channel: "
        "values are shifted right until 8 bits are left. Null = the model was trained "
        "on 8 bits, and such pictures are refused.",
    )


class TilesInfo(_Part):
    """How a frame is cut into tiles of the input's size (since schema 2).

    The frame is letterboxed into a picture of this size; tiles are spread evenly over
    it, as few as keep the overlap.
    """

    picture_height_px: int = Field(
        ge=32, le=SIDE_MAX_PX, description="Height of the picture."
    )
    picture_width_px: int = Field(
        ge=32, le=SIDE_MAX_PX, description="Width of the picture."
    )
    overlap_px: int = Field(
        ge=0, le=INPUT_MAX_PX, description="Neighbours share at least so much."
    )


class OutputInfo(_Part):
    """The graph's output."""

    name: Literal["detections"] = "detections"
    format: Literal["cxcywh-scores"] = "cxcywh-scores"
    anchors: int = Field(
        ge=1, le=ANCHORS_MAX, description="Candidates that each image gives."
    )


class ThresholdRule(StrEnum):
    """How the thresholds were chosen on the validation data."""

    OVERKILL = "overkill-at-most-target"
    ESCAPES = "escapes-at-most-target"
    BEST_F1 = "best-f1"


class PromiseBasis(StrEnum):
    """Which detectors scored the parts that a promise is stated on."""

    HELD_OUT = "held-out"  # this one, which was not trained on them
    FOLDS = "folds"  # those of a cross-training, each not trained on its own parts


class Promise(_Part):
    """What held-out parts promise of new ones like them, by order statistics.

    Parts are good ones for the rule of overkill, defective ones for that of escapes.
    """

    share: Share = Field(
        description="On average at most this share of parts like these is alarmed, or "
        "escapes. Based on folds: about this share, and about twice as much is "
        "guaranteed, for the detectors of the folds."
    )
    parts: Quantity = Field(
        description="Parts that were counted; frames of one scene are one part."
    )
    basis: PromiseBasis = PromiseBasis.HELD_OUT
    groups: Quantity | None = Field(
        default=None,
        description="Groups that the parts are of, none of them trained on by the "
        "detector that scored them. Null = not known.",
    )
    unseen_group: Share | None = Field(
        default=None,
        description="The share that is not exceeded, on average, for a part of a group "
        "that was not seen; groups weigh the same. Null = no group is known.",
    )


class Thresholds(_Part):
    """Score from which a detection counts, for each label, and why."""

    scores: dict[str, Share] = Field(description="Label to score threshold.")
    iou_threshold: Share = Field(description="Overlap at which NMS drops a box.")
    cross_class_iou: Share | None = Field(
        default=None,
        description="Overlap above which boxes of two labels are one defect, named by "
        "the best score. Null = each is reported, as by earlier versions.",
    )
    unknown_label: LabelName | None = Field(
        default=None,
        description="Label of what no good part shows and no class names; at the place "
        "of a named defect it is that defect. Null = all labels are named.",
    )
    rule: ThresholdRule
    target: Share | None = Field(
        default=None,
        description="Share of good parts that may be alarmed, or of defective "
        "ones that may escape, as the rule says.",
    )
    promise: Promise | None = Field(
        default=None,
        description="What it is on new parts. Null = nothing is promised, or chosen by "
        "an earlier version.",
    )
    reached: Share | None = Field(
        default=None, description="That share on the parts that chose them."
    )
    cross_checked: Share | None = Field(
        default=None,
        description="Of an earlier version: that share when each fifth of the photos "
        "is judged by thresholds chosen on the other four.",
    )
    at_most: Share | None = Field(
        default=None,
        description="That share is not higher, with one-sided 95 % confidence "
        "(Clopper-Pearson).",
    )
    photos_to_show: int | None = Field(
        default=None,
        ge=1,
        description="Photos of that kind which would show the target, without a "
        "single alarm or escape.",
    )
    chosen_on: str = Field(description="Split that the thresholds were chosen on.")
    images: int = Field(
        ge=0, le=COUNT_MAX, description="Photos in that split, good ones included."
    )
    good_images: int = Field(
        ge=0, le=COUNT_MAX, description="Photos of good parts among them."
    )

    def decision_rule(self, labels: Sequence[str]) -> DecisionRule:
        """Return the rule that decides with these thresholds.

        Args:
            labels: In the order of the scores.
        """
        scores = np.array([self.scores[label] for label in labels], np.float32)
        return DecisionRule(scores, self.cross_class_iou, self.unknown_in(labels))

    def unknown_in(self, labels: Sequence[str]) -> int | None:
        """Return the index of the label unknown; None = there is none."""
        name = self.unknown_label
        return labels.index(name) if name is not None and name in labels else None


Interval = tuple[Share, Share]  # lower and upper end
UNKNOWN_INTERVAL = (0.0, 1.0)  # Wilson's of no trial; no trial count gives it otherwise
COUNTED_SHARES = ("recall", "precision", "overkill", "escapes")
WITH_INTERVAL = (*COUNTED_SHARES, "auroc")
MEAN_PRECISIONS = ("map_33", "map_50", "map_75", "map_50_95")


class Metrics(_Part):
    """How well a model does on one set of photos. Shares are 0..1.

    Null or left out = not measured, as is every share of no photo, box or report.
    """

    map_33: Share | None = Field(
        default=None, description="Mean average precision at IoU 0.33."
    )
    map_50: Share | None = Field(
        default=None, description="Mean average precision at IoU 0.50."
    )
    map_75: Share | None = Field(
        default=None, description="Mean average precision at IoU 0.75."
    )
    map_50_95: Share | None = Field(
        default=None, description="Mean over IoU 0.50 to 0.95 by 0.05."
    )
    recall: Share | None = Field(
        default=None, description="Boxes found (right label, IoU >= 0.33)."
    )
    recall_interval: Interval | None = Field(
        default=None, description="95 % Wilson interval."
    )
    precision: Share | None = Field(
        default=None, description="Right ones among the boxes reported."
    )
    precision_interval: Interval | None = Field(
        default=None, description="95 % Wilson interval."
    )
    overkill: Share | None = Field(
        default=None, description="Good photos with at least one detection."
    )
    overkill_interval: Interval | None = Field(
        default=None, description="95 % Wilson interval."
    )
    escapes: Share | None = Field(
        default=None, description="Defective photos with no detection."
    )
    escapes_interval: Interval | None = Field(
        default=None, description="95 % Wilson interval."
    )
    auroc: Share | None = Field(
        default=None,
        description="How often the best score of a defective photo is above that of a "
        "good one: area under the ROC, both kinds of photos whole.",
    )
    auroc_interval: Interval | None = Field(
        default=None, description="95 % interval, Newcombe's method 5."
    )
    images: Quantity = Field(description="Photos measured, good ones included.")
    good_images: Quantity = Field(description="Photos of good parts among them.")
    bad_images: Quantity = Field(
        default=0,
        description="Photos of defective parts without boxes (bad/) among them: they "
        "count in escapes and auroc only.",
    )
    split: str = Field(default="val", description="Split that was measured.")
    not_measured: str = Field(
        default="",
        exclude_if=lambda reason: not reason,  # written only where there is one
        description="Why figures are null although there are photos to count them on.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_unknown_shares(cls, values: object) -> object:
        """Return values in which a share of nothing is null.

        Before it was null, such a share was 0 with the interval 0 to 1.
        """
        if not isinstance(values, dict):
            return values
        read = dict(values)
        for name in COUNTED_SHARES:
            interval = read.get(f"{name}_interval")
            if interval is not None and tuple(interval) == UNKNOWN_INTERVAL:
                read[name] = read[f"{name}_interval"] = None
        if read.get("recall", 0) is None:  # no box: no precision at any recall either
            read |= dict.fromkeys(MEAN_PRECISIONS)
        return read

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Names of the figures that are null."""
        names = (*MEAN_PRECISIONS, *WITH_INTERVAL)
        return tuple(name for name in names if getattr(self, name) is None)

    def without(self, names: Iterable[str], reason: str) -> Self:
        """Return the same metrics with some figures not measured.

        Args:
            names: From ``MEAN_PRECISIONS`` and ``WITH_INTERVAL``.
            reason: Sentence for ``not_measured``.
        """
        figures = {*names}
        intervals = {f"{name}_interval" for name in figures & {*WITH_INTERVAL}}
        gone: dict[str, object] = dict.fromkeys(figures | intervals)
        return self.model_copy(update={**gone, "not_measured": reason})


class LabelledBoxes(_Part):
    """The boxes of one label on the photos of the dataset.

    The line PC compares its rules with them: a smallest size above ``largest_px`` would
    hide every defect of this label.
    """

    count: int = Field(ge=1, description="Boxes, all splits together.")
    smallest_px: float = Field(
        ge=0, description="Longer side of the smallest box, in pixels of its photo."
    )
    median_px: float = Field(ge=0, description="Median of the longer sides.")
    largest_px: float = Field(ge=0, description="Longer side of the largest box.")
    smallest_share: Share = Field(
        description="Smallest longer side of a box, as a share of its photo's longer "
        "side: independent of the photo's resolution."
    )
    largest_share: Share = Field(description="Likewise, the largest.")
    photo_size_px: tuple[int, int] = Field(
        description="Width and height of most of the photos with these boxes."
    )
    centres: tuple[Share, Share, Share, Share] = Field(
        description="Rectangle around the centres of all boxes: x1, y1, x2, y2 as "
        "shares of the photo's width and height."
    )
    highest_score: Share | None = Field(
        default=None,
        description="Highest score of a detection of this label on the photos that "
        "the thresholds were chosen on; null = there is none.",
    )


class AncestorInfo(_Part):
    """An earlier training whose weights this one went on from."""

    name: str = Field(description="Of that run.")
    weights_sha256: Sha256
    dataset_sha256: Sha256 = Field(description="Of its photos and labels.")


class Lineage(_Part):
    """Where the weights come from."""

    dataset_sha256: Sha256 = Field(description="Hash of photos and labels.")
    dataset_images: Quantity
    recipe: dict[str, object] = Field(description="Resolved training recipe.")
    seed: int
    pretrained: str = Field(description="Name of the weights it started from.")
    pretrained_sha256: Sha256 | None = None
    ancestors: tuple[AncestorInfo, ...] = Field(
        default=(), description="Runs that training went on from, the nearest first."
    )
    versions: dict[str, str] = Field(description="Library to version.")


class Tolerance(_Part):
    """How far a run mode may be from the expected golden detections."""

    score: Share = Field(description="Largest difference of a score.")
    iou: Share = Field(description="Smallest overlap of matched boxes.")


class Variant(_Part):
    """One file format and precision that passed the accuracy gate."""

    model: RelativePath = Field(description="File that the runtime opens.")
    runtime: Literal["openvino", "onnxruntime"]
    precision: Literal["fp32", "int8"]
    size_bytes: int = Field(ge=1, le=COUNT_MAX)
    metrics: Metrics | None = Field(default=None, description="Measured on val.")
    map_50_drop: float = Field(default=0, description="Against FP32 torch, absolute.")
    map_75_drop: float = Field(default=0, description="Against FP32 torch, absolute.")
    recall_drop: float = Field(default=0, description="At the thresholds, absolute.")
    overkill_rise: float = Field(default=0, description="Against FP32 torch, absolute.")
    escapes_rise: float = Field(default=0, description="Against FP32 torch, absolute.")
    lost_photos: tuple[str, ...] = Field(
        default=(), description="Val photos whose right detections are all lost."
    )
    activation_ranges: str | None = Field(
        default=None, description="How the calibration photos set the INT8 ranges."
    )
    layers_in_float: tuple[str, ...] = Field(
        default=(), description="ONNX names of the layers that INT8 leaves in float."
    )
    tolerances: dict[PrecisionHint, Tolerance] = Field(
        description="Run modes that are allowed, each with its own tolerance."
    )


class LinePcBudget(_Part):
    """What the package may need on a line PC; the self-test measures it."""

    latency_ms_p99: float | None = Field(
        default=None, gt=0, description="Frame to detections; null = no limit."
    )
    memory_bytes: int | None = Field(
        default=None,
        gt=0,
        le=COUNT_MAX,
        description="Resident memory that a run mode adds; null = no limit.",
    )


class FileEntry(_Part):
    """One file of the package."""

    sha256: Sha256
    size_bytes: Quantity


class Manifest(_Part):
    """The whole manifest."""

    schema_version: int = Field(ge=1, description="Version of this layout.")
    name: str = Field(pattern=r"^[a-z0-9-]{1,32}$", description="Name of the model.")
    build: int = Field(
        ge=0, le=BUILD_MAX, description="UTC second of packing; only ever grows."
    )
    created_at: AwareDatetime
    detector: DetectorInfo
    labels: tuple[LabelName, ...] = Field(
        min_length=1, max_length=LABELS_MAX, description="Index is the label."
    )
    input: InputInfo
    tiles: TilesInfo | None = Field(
        default=None, description="Null = the frame is letterboxed into the input."
    )
    output: OutputInfo
    thresholds: Thresholds
    metrics: Metrics = Field(description="Torch FP32 on the validation split.")
    lineage: Lineage
    labelled_boxes: dict[str, LabelledBoxes] = Field(
        default={},
        description="Label to its boxes; a label without boxes is missing, an older "
        "package has none.",
    )
    variants: dict[VariantName, Variant] = Field(min_length=1)
    budget: LinePcBudget | None = Field(
        default=None,
        exclude_if=lambda budget: budget is None,  # as in packages before it
        description="A run mode that needs more is refused; null = no limits.",
    )
    golden: RelativePath = Field(description="Expected detections of golden frames.")
    files: dict[RelativePath, FileEntry] = Field(
        max_length=FILES_MAX, description="Every file but this one and its seal."
    )
    sealed: bool = Field(
        default=False,
        description=f"Whether {SEAL_NAME} lies beside it: without that file the "
        "package is damaged. False = packed by an earlier version.",
    )

    def score_thresholds(self) -> FloatArray:
        """Return the thresholds in the order of the labels, ``[C]`` float32."""
        return self.thresholds.decision_rule(self.labels).score_thresholds

    def tiling(self) -> Tiles | None:
        """Return how a frame is cut; None = it is not."""
        if self.tiles is None:
            return None
        return Tiles(
            self.tiles.picture_height_px,
            self.tiles.picture_width_px,
            self.input.height_px,
            self.input.width_px,
            self.tiles.overlap_px,
        )

    @model_validator(mode="after")
    def _check_tiles(self) -> Self:
        """Refuse tiles that do not fit the input, or that older daemons ignore."""
        tiling = self.tiling()
        if tiling is not None and math.prod(tiling.picture_size_px) > PIXELS_MAX:
            msg = f"the picture of the tiles has more than {PIXELS_MAX} pixels"
            raise ValueError(msg)
        if tiling is not None and tiling.count > TILES_MAX:
            msg = f"a frame gives {tiling.count} tiles, at most {TILES_MAX} are run"
            raise ValueError(msg)
        if tiling is not None and self.schema_version <= UNTILED_SCHEMA:
            msg = f"tiles need schema {UNTILED_SCHEMA + 1}"
            raise ValueError(msg)
        return self


def build_number(now: datetime) -> int:
    """Return the build number of a package packed at an aware time: UTC seconds."""
    return int(now.timestamp())
