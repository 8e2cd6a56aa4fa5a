"""torchvision's SSDLite with MobileNetV3-Large, with the interface of all detectors.

Network, anchors, matching and loss are torchvision's. This module adds the conversion
of colours (BGR 0..255 to RGB -1..1), the decoding into the common graph, and a loss for
good parts: torchvision mines negatives in proportion to positives, so an image without
boxes would be ignored.

Source:
    torchvision.models.detection.ssdlite (BSD-3-Clause); arXiv:1905.02244.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from trainer.data.sample import BoxTarget
from trainer.detectors.base import (
    Count,
    LossParts,
    TrainableDetector,
    own_count,
    static_size,
    traced_constants,
)
from trainer.detectors.names import Architecture

MIDDLE_GREY = 127.5  # Source: image_mean = image_std = 0.5 of the builder
GOOD_PART_NEGATIVES = 3  # as many as torchvision mines for one positive


@dataclass(frozen=True, slots=True)
class RawAnchors:
    """The predictions of the head for each anchor box.

    Attributes:
        offsets: ``[N, A, 4]`` encoded dx, dy, dw, dh.
        logits: ``[N, A, 1 + C]``, background first.
        anchors: ``[A, 4]`` float32 xyxy px.
    """

    offsets: Tensor
    logits: Tensor
    anchors: Tensor


class SSDLite(TrainableDetector):
    """``ssdlite320_mobilenet_v3_large``, at 320 px or any larger multiple of 32.

    Args:
        num_classes: C, without background.
    """

    published_prefix: ClassVar[str] = "network."
    class_parts: ClassVar[tuple[str, ...]] = ("network.head.classification_head.",)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.network = ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=num_classes + 1
        )

    @property
    def architecture(self) -> Architecture:
        """Which network this is."""
        return Architecture.SSDLITE

    @property
    def feature_extractor(self) -> nn.Sequential:
        """MobileNetV3, as two blocks."""
        features: nn.Sequential = self.network.backbone.features
        return features

    def forward(self, images: Tensor) -> RawAnchors:
        """Return the raw predictions of ``[N, 3, H, W]`` BGR 0..255 images."""
        x, maps = images[:, [2, 1, 0]] / MIDDLE_GREY - 1, []
        for block in (*self.feature_extractor, *self.network.backbone.extra):
            x = block(x)
            maps.append(x)
        outputs = self.network.head(maps)
        anchors = self._anchors(maps, static_size(images)).to(x.device)
        return RawAnchors(outputs["bbox_regression"], outputs["cls_logits"], anchors)

    def loss_of_raw(
        self, raw: RawAnchors, targets: Sequence[BoxTarget], count: Count = own_count
    ) -> LossParts:
        """Return torchvision's loss, plus the hardest anchors of good parts.

        Args:
            raw: From ``forward``, any floating type.
            targets: One per image, on the same device.
            count: See ``TrainableDetector``; called three times.

        Returns:
            Box and classification parts; objectness is 0.
        """
        offsets, logits = raw.offsets.float(), raw.logits.float()
        matches = [self._match(target, raw.anchors) for target in targets]
        with torch.autocast(offsets.device.type, enabled=False):
            parts = self.network.compute_loss(
                [{"boxes": t.boxes, "labels": t.labels + 1} for t in targets],
                {"bbox_regression": offsets, "cls_logits": logits},
                [raw.anchors] * len(targets),
                matches,
            )
            # torchvision divides by the number of positives in this process's share.
            positives = sum(int((match >= 0).sum()) for match in matches)
            share = max(positives, 1) / max(count(positives), 1)
            box: Tensor = parts["bbox_regression"] * share
            hardest = _good_part_loss(logits, targets, count)
            classes = parts["classification"] * share + hardest
        return LossParts(
            total=box + classes,
            box=box.detach(),
            objectness=torch.zeros_like(box),
            classification=classes.detach(),
        )

    def detections(self, images: Tensor) -> Tensor:
        """Return ``[N, 4 + C, A]`` of ``[N, 3, H, W]``; see ``TrainableDetector``."""
        raw = self(images)
        coder = self.network.box_coder
        low, high = raw.anchors[:, :2].T, raw.anchors[:, 2:].T
        middle, side = (low + high) / 2, high - low  # [2, A] px
        offsets = raw.offsets.transpose(1, 2)  # [N, 4, A]
        scale_x, scale_y, scale_w, scale_h = coder.weights
        shift = offsets[:, :2] / offsets.new_tensor([[scale_x], [scale_y]])
        growth = offsets[:, 2:] / offsets.new_tensor([[scale_w], [scale_h]])
        centre = shift * side + middle
        size = growth.clamp(max=coder.bbox_xform_clip).exp() * side
        scores = raw.logits.softmax(dim=2)[:, :, 1:].transpose(1, 2)
        return torch.cat((centre, size, scores), dim=1)

    def _anchors(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return torchvision's default boxes, ``[A, 4]`` float32 xyxy px."""
        shapes = [torch.empty((1, 1, *static_size(level))) for level in features]
        image = ImageList(torch.empty((1, 1, *size)), [size])
        with traced_constants():
            anchors: Tensor = self.network.anchor_generator(image, shapes)[0]
        return anchors

    @torch.no_grad()
    def _match(self, target: BoxTarget, anchors: Tensor) -> Tensor:
        if not len(target.boxes):
            return torch.full((len(anchors),), -1, device=anchors.device)
        matched: Tensor = self.network.proposal_matcher(box_iou(target.boxes, anchors))
        return matched


def _good_part_loss(
    logits: Tensor, targets: Sequence[BoxTarget], count: Count
) -> Tensor:
    """Return the cross-entropy of the hardest anchors of images without boxes."""
    good = [index for index, target in enumerate(targets) if not len(target.labels)]
    whole = max(count(sum(len(target.labels) for target in targets)), count(len(good)))
    if not good:
        return logits.new_zeros(())
    chosen = logits[good].flatten(0, 1)  # [good * A, 1 + C]
    background = chosen.new_zeros(len(chosen), dtype=torch.int64)
    loss = F.cross_entropy(chosen, background, reduction="none")
    hardest = loss.view(len(good), -1).topk(GOOD_PART_NEGATIVES, dim=1).values
    return hardest.sum() / whole
