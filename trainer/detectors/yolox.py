"""YOLOX and networks of its structure: anchor-free, one grid cell predicts one box.

Raw maps contain, per cell: x and y offset in cells, log width and height in cells,
one objectness logit and C class logits. Input is BGR 0..255 without any
normalization, as the published checkpoints expect it.

Source:
    YOLOX, arXiv:2107.08430; Megvii-BaseDetection/YOLOX 0.3.0 (Apache-2.0).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from trainer.data.sample import BoxTarget
from trainer.detectors.assign import (
    Assignment,
    BatchTruth,
    Candidates,
    Grid,
    assign,
    find_candidates,
)
from trainer.detectors.base import (
    Count,
    LossParts,
    TrainableDetector,
    own_count,
    static_size,
)
from trainer.detectors.losses import box_loss, class_loss, objectness_loss
from trainer.detectors.names import Activation, Architecture, ScoreRule
from trainer.detectors.yolox_blocks import (
    PAFPN,
    BaseConv,
    Convolutions,
    activation_module,
)

STRIDES_PX = (8, 16, 32)
PRIOR_BIAS = -4.6  # logit of 1 %: nearly every cell is background at the start
BOX_WEIGHT = 5.0  # Source: YOLOX head, reg_weight
SMALLEST_CLASS_SUM = 1e-6  # no class at all: the sum would be zero in float32
LARGEST_LOG_SIZE = 10.0  # e^10 cells: beyond any image, and finite in float32


class Size(Protocol):
    """Parameters that distinguish the networks of this structure."""

    @property
    def width(self) -> float:
        """Channels as a multiple of YOLOX-l's."""

    @property
    def depthwise(self) -> bool:
        """Whether 3 x 3 convolutions are depthwise."""

    @property
    def architecture(self) -> Architecture:
        """The name that packages carry."""


class YoloxSize(StrEnum):
    """The published sizes that are small enough for a line PC."""

    NANO = "nano"
    TINY = "tiny"
    S = "s"

    @property
    def width(self) -> float:
        """Channels as a multiple of YOLOX-l's."""
        return {"nano": 0.25, "tiny": 0.375, "s": 0.5}[self.value]

    @property
    def depthwise(self) -> bool:
        """Whether 3 x 3 convolutions are depthwise."""
        return self is YoloxSize.NANO

    @property
    def architecture(self) -> Architecture:
        """The name that packages carry."""
        return Architecture(f"yolox-{self.value}")


DEPTH = 1  # Source: 3 bottlenecks x 0.33, the same for nano, tiny and s


@dataclass(frozen=True, slots=True)
class RawMaps:
    """The predictions of the head, not decoded.

    Attributes:
        values: ``[N, A, 5 + C]``: x, y, log w, log h, objectness, classes.
    """

    values: Tensor
    grid: Grid


class YOLOXHead(nn.Module):
    """Decoupled head: one tower for classes, one for box and objectness.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int, size: Size, make: Convolutions) -> None:
        super().__init__()
        hidden, base = int(256 * size.width), int(64 * size.width)
        levels = range(len(STRIDES_PX))
        self.cls_convs = nn.ModuleList(_tower(hidden, make) for _ in levels)
        self.reg_convs = nn.ModuleList(_tower(hidden, make) for _ in levels)
        self.cls_preds = nn.ModuleList(
            nn.Conv2d(hidden, num_classes, 1) for _ in levels
        )
        self.reg_preds = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in levels)
        self.obj_preds = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in levels)
        self.stems = nn.ModuleList(
            make.point(channels, hidden) for channels in (base * 4, base * 8, base * 16)
        )
        self.start_from_prior()

    def start_from_prior(self) -> None:
        """Set the biases so that every score starts at 1 %."""
        for prediction in (*self.cls_preds, *self.obj_preds):
            for name, parameter in prediction.named_parameters():
                if name == "bias":
                    nn.init.constant_(parameter, PRIOR_BIAS)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return one ``[N, 5 + C, h, w]`` map per level."""
        maps = []
        for level, feature in enumerate(features):
            x = self.stems[level](feature)
            classes = self.cls_convs[level](x)
            boxes = self.reg_convs[level](x)
            parts = (
                self.reg_preds[level](boxes),
                self.obj_preds[level](boxes),
                self.cls_preds[level](classes),
            )
            maps.append(torch.cat(parts, dim=1))
        return maps


class YOLOX(TrainableDetector):
    """A detector of YOLOX's structure: YOLOX itself, and graft.

    Args:
        num_classes: C.
        activation: SiLU as in the official networks; Hardswish or ReLU use the same
            weights and are fast in INT8.

    Attributes:
        score_rule: That of a stored run is in its record.
        class_odds: ``[C]``, above 0: the factor for the odds of the scores of each
            class, from ``trainer.evaluation.calibration``; None = no factors.
    """

    class_parts: ClassVar[tuple[str, ...]] = ("head.cls_preds.",)
    score_rule: ScoreRule = ScoreRule.CLASS_SHARE
    class_odds: Tensor | None = None

    def __init__(
        self,
        size: Size,
        num_classes: int,
        activation: Activation = Activation.SILU,
    ) -> None:
        super().__init__()
        make = Convolutions(activation, depthwise=size.depthwise)
        self.size, self.num_classes, self.activation = size, num_classes, activation
        self.backbone = PAFPN(int(64 * size.width), DEPTH, make)
        self.head = YOLOXHead(num_classes, size, make)

    @property
    def architecture(self) -> Architecture:
        """Which network this is."""
        return self.size.architecture

    @property
    def gains_from_bf16(self) -> bool:
        """True with full convolutions: 1.6 times as fast; depthwise ones gain less."""
        return not self.size.depthwise

    @property
    def feature_extractor(self) -> nn.Module:
        """CSPDarknet; in published names "backbone" includes the neck."""
        return self.backbone.backbone

    def set_activation(self, activation: Activation) -> None:
        """Swap every non-linearity, keeping all weights.

        Args:
            activation: The new one; fine-tune afterwards.
        """
        for module in self.modules():
            if isinstance(module, BaseConv):
                module.act = activation_module(activation)
        self.activation = activation

    def forward(self, images: Tensor) -> RawMaps:
        """Return the raw maps of ``[N, 3, H, W]`` BGR 0..255 images."""
        maps: list[Tensor] = self.head(self.backbone(images))
        # with channels_last maps this permutation copies nothing
        rows = [level.permute(0, 2, 3, 1).flatten(1, 2) for level in maps]
        return RawMaps(torch.cat(rows, dim=1), _grid(maps))

    def loss_of_raw(
        self, raw: RawMaps, targets: Sequence[BoxTarget], count: Count = own_count
    ) -> LossParts:
        """Return SimOTA's loss of a batch, per positive anchor point.

        Args:
            raw: From ``forward``, any floating type.
            targets: One per image, on the same device.
            count: See ``TrainableDetector``; called once.

        Returns:
            GIoU weighted 5, objectness and classes.
        """
        values = raw.values
        # Sums over thousands of cells lose precision in bfloat16.
        with torch.autocast(values.device.type, enabled=False):
            return _loss(values.float(), raw.grid, targets, count)

    def detections(self, images: Tensor) -> Tensor:
        """Return ``[N, 4 + C, A]`` of ``[N, 3, H, W]``; see ``TrainableDetector``."""
        return self.detections_of_maps(self.feature_maps(images))

    def feature_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the backbone's maps at strides 8, 16 and 32."""
        maps: tuple[Tensor, Tensor, Tensor] = self.feature_extractor(images)
        return maps

    def detections_of_maps(self, features: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return ``[N, 4 + C, A]`` of the maps of ``feature_maps``."""
        maps: list[Tensor] = self.head(self.backbone.join(*features))
        grid = _grid(maps)
        rows = [
            level.reshape(-1, 5 + self.num_classes, height * width)
            for level, (height, width) in zip(maps, grid.shapes, strict=True)
        ]
        values = torch.cat(rows, dim=2)  # [N, 5 + C, A]
        cells, sides = grid.points(features[0].device)
        centre = (values[:, :2] + cells.T) * sides  # [N, 2, A]
        size = values[:, 2:4].clamp(max=LARGEST_LOG_SIZE).exp() * sides  # [N, 2, A]
        classes = values[:, 5:].sigmoid()  # [N, C, A]
        if self.score_rule is ScoreRule.CLASS_SHARE:
            total = classes.sum(dim=1, keepdim=True)
            classes = classes / total.clamp(min=SMALLEST_CLASS_SUM)
        scores = values[:, 4:5].sigmoid() * classes
        if self.class_odds is not None:
            factors = self.class_odds.to(scores)[:, None]  # [C, 1]
            scores = factors * scores / (1 + (factors - 1) * scores)
        return torch.cat((centre, size, scores), dim=1)


def _tower(hidden: int, make: Convolutions) -> nn.Sequential:
    return nn.Sequential(make.spatial(hidden, hidden), make.spatial(hidden, hidden))


def _grid(maps: Sequence[Tensor]) -> Grid:
    shapes = tuple(static_size(level) for level in maps)
    return Grid(shapes, STRIDES_PX)


def _decode(values: Tensor, cells: Tensor, sides_px: Tensor) -> Tensor:
    """Return ``[..., 4]`` xyxy px of ``[..., 4]`` raw values."""
    centre = (values[..., :2] + cells) * sides_px[..., None]
    half = values[..., 2:4].clamp(max=LARGEST_LOG_SIZE).exp() * sides_px[..., None] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def _loss(
    values: Tensor, grid: Grid, targets: Sequence[BoxTarget], count: Count
) -> LossParts:
    flat = values.flatten(0, 1)  # [N * A, 5 + C]
    truth = _join(targets)
    if not len(truth.boxes):  # good parts only
        none = flat.sum() * 0  # zero, so that all weights get a gradient
        return _parts(none, objectness_loss(flat[:, 4], truth.labels), none, count(0))
    candidates = find_candidates(grid, truth.boxes)
    slots = truth.images[:, None] * grid.anchors + candidates.anchors  # [T, K]
    match = _match(flat.detach()[slots], candidates, truth, grid)
    positives = slots[match.targets, match.columns]  # [P]
    learned = flat[positives]  # [P, 5 + C]
    found = _decode(
        learned,
        candidates.cells[match.targets, match.columns],
        candidates.sides_px[match.columns],
    )
    return _parts(
        box_loss(found, truth.boxes[match.targets]) * BOX_WEIGHT,
        objectness_loss(flat[:, 4], positives),
        class_loss(learned[:, 5:], truth.labels[match.targets], match.overlaps),
        count(len(positives)),
    )


def _join(targets: Sequence[BoxTarget]) -> BatchTruth:
    boxes = torch.cat([target.boxes for target in targets])  # [T, 4]
    labels = torch.cat([target.labels for target in targets])  # [T]
    counts = torch.tensor([len(target.labels) for target in targets])
    images = torch.arange(len(targets)).repeat_interleave(counts)
    return BatchTruth(boxes, labels, images.to(labels.device))


@torch.no_grad()
def _match(
    values: Tensor, candidates: Candidates, truth: BatchTruth, grid: Grid
) -> Assignment:
    predicted = _decode(values, candidates.cells, candidates.sides_px)
    scores = (values[..., 4:5].sigmoid() * values[..., 5:].sigmoid()).sqrt()
    return assign(candidates, truth, predicted, scores, anchors=grid.anchors)


def _parts(
    box: Tensor, objectness: Tensor, classes: Tensor, positives: int
) -> LossParts:
    scale = 1 / max(positives, 1)
    return LossParts(
        total=(box + objectness + classes) * scale,
        box=box.detach() * scale,
        objectness=objectness.detach() * scale,
        classification=classes.detach() * scale,
    )
