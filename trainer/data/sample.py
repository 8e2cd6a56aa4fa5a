"""Training samples: images and their targets."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class BoxTarget:
    """The ground truth of one image; a good part has no boxes."""

    boxes: Tensor  # [G, 4] float32, xyxy, input pixels
    labels: Tensor  # [G] int64, 0-based class indices

    def to(self, device: torch.device | str) -> "BoxTarget":
        """Return the same target on another device; no copy where it is there."""
        return BoxTarget(
            self.boxes.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
        )


Batch = tuple[Tensor, list[BoxTarget]]
"""Images ``[N, 3, H, W]``, BGR, 0..255, and N targets."""
