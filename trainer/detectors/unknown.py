"""A detector with the class ``unknown``, in one graph: the backbone runs once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ConfigError
from trainer.data.sample import BoxTarget
from trainer.detectors.base import Count, LossParts, TrainableDetector, own_count
from trainer.detectors.lite0 import Lite0, no_head
from trainer.detectors.names import Architecture
from trainer.detectors.patch_memory import PatchMemory
from trainer.detectors.yolox import YOLOX


class UnknownDetector(TrainableDetector):
    """A detector of named classes, and boxes of what no good part shows.

    Args:
        named: The trained detector; of a run without labels only its backbone is used.
        memory: Holds good patches as this backbone describes them.
        named_classes: C of the named detector; 0 = its neck and head are not run.
    """

    def __init__(
        self, named: TrainableDetector, memory: PatchMemory, named_classes: int
    ) -> None:
        super().__init__()
        self.named, self.memory = with_maps(named), memory
        self.named_classes = named_classes
        self.num_classes = named_classes + 1

    @property
    def architecture(self) -> Architecture:
        """The network of the named classes."""
        return self.named.architecture

    @property
    def feature_extractor(self) -> nn.Module:
        """The backbone of both."""
        return self.named.feature_extractor

    def forward(self, images: Tensor) -> Any:  # noqa: ANN401 - as the named detector
        """Return the raw maps of the named classes."""
        return self.named(images)

    def loss_of_raw(
        self,
        raw: Any,  # noqa: ANN401
        targets: Sequence[BoxTarget],
        count: Count = own_count,
    ) -> LossParts:
        """Return the loss of the named classes; a memory has none."""
        return self.named.loss_of_raw(raw, targets, count)

    def detections(self, images: Tensor) -> Tensor:
        """Return ``[N, 4 + C + 1, A]``; ``unknown`` is the last class.

        The boxes of ``unknown`` are anchors of their own, the last ones: each has a
        score of this class only, and those of the named classes have none of it. The
        score of a cell that is no box has a minus: see ``models.heat_map``.
        """
        if not self.named_classes:
            alone: Tensor = self.memory(self.named.feature_maps(images))
            return alone
        if isinstance(self.named, Lite0):
            raise no_head()
        maps = self.named.feature_maps(images)
        unknown: Tensor = self.memory(maps)  # [N, 5, P]
        known = self.named.detections_of_maps(maps)  # [N, 4 + C, A]
        count, _, anchors = known.shape
        places = unknown.shape[2]
        none_known = unknown.new_zeros((count, self.named_classes, places))
        none_unknown = known.new_zeros((count, 1, anchors))
        return torch.cat(
            (
                torch.cat((known, none_unknown), dim=1),
                torch.cat((unknown[:, :4], none_known, unknown[:, 4:]), dim=1),
            ),
            dim=2,
        )


def with_maps(detector: TrainableDetector) -> YOLOX | Lite0:
    """Return a network that a memory can be made of.

    Raises:
        ConfigError: The network has no maps at strides 8 and 16.
    """
    if isinstance(detector, YOLOX | Lite0):
        return detector
    raise ConfigError(
        f"--detector {detector.architecture}: has no class unknown.",
        why="It is made of the maps at strides 8 and 16 of graft and YOLOX.",
        fix="Choose one of these, or leave --unknown out.",
    )


def require_named(detector: TrainableDetector) -> None:
    """Refuse a network that has no named classes.

    Raises:
        ConfigError: It is ``Lite0``.
    """
    if isinstance(detector, Lite0):
        raise no_head()
