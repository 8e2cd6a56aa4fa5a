"""What a network is trained on: images, or their features, and targets."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class BoxTarget:
    """The ground truth of one image; a good part has no boxes.

    Attributes:
        boxes: ``[G, 4]`` float32, xyxy, input pixels.
        labels: ``[G]`` int64, 0-based class indices.
    """

    boxes: Tensor
    labels: Tensor

    def to(self, device: torch.device | str) -> "BoxTarget":
        """Return the same target on another device; no copy where it is there."""
        return BoxTarget(
            self.boxes.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
        )


@dataclass(frozen=True, slots=True)
class Features:
    """The backbone's feature maps of a batch.

    Attributes:
        maps: ``[N, C, h, w]`` each, any floating type.
    """

    maps: tuple[Tensor, ...]

    def __len__(self) -> int:
        """Return N."""
        return len(self.maps[0])

    def to(self, device: torch.device) -> "Features":
        """Return the same maps in float32 on a device, channels last."""
        last = torch.channels_last
        return Features(
            tuple(
                m.to(device).float().contiguous(memory_format=last) for m in self.maps
            )
        )


Batch = tuple[Tensor | Features, list[BoxTarget]]
"""Images ``[N, 3, H, W]``, BGR, 0..255, or their features, and N targets."""
