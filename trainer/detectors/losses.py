"""The parts of the detection loss, always computed in float32."""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

SMALLEST_AREA_PX2 = 1e-7


def overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalized IoU of boxes, pair by pair.

    Args:
        a: ``[..., 4]`` float32 xyxy px.
        b: The same shape, or one that broadcasts to it.

    Returns:
        IoU in 0..1 and GIoU in -1..1, ``[...]`` float32.

    Source:
        arXiv:1902.09630; parity with torchvision.ops is tested.
    """
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    inner = (high - low).clamp(min=0)
    outer = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(
        a[..., :2], b[..., :2]
    )
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    overlap = inner[..., 0] * inner[..., 1]
    union = size_a[..., 0] * size_a[..., 1] + size_b[..., 0] * size_b[..., 1] - overlap
    hull = outer[..., 0] * outer[..., 1]
    iou = overlap / union.clamp(min=SMALLEST_AREA_PX2)
    return iou, iou - (hull - union) / hull.clamp(min=SMALLEST_AREA_PX2)


def box_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Return the summed generalized-IoU loss.

    Args:
        predicted: ``[P, 4]`` float32 xyxy px.
        wanted: ``[P, 4]`` float32 xyxy px.

    Returns:
        Scalar, 0..2P.
    """
    return (1 - overlaps(predicted, wanted)[1]).sum()


def objectness_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """Return the summed binary cross-entropy over all anchor points.

    ``BCE(x, t) = softplus(x) - x t``, so that no tensor is needed for the targets,
    which are nearly all zero.

    Args:
        logits: ``[N * A]`` float32.
        positives: ``[P]`` int64 indices of the anchor points with target 1.

    Returns:
        Scalar.
    """
    return F.softplus(logits).sum() - logits[positives].sum()


def class_loss(logits: Tensor, labels: Tensor, overlap: Tensor) -> Tensor:
    """Return the summed binary cross-entropy against overlap-aware labels.

    Args:
        logits: ``[P, C]`` float32.
        labels: ``[P]`` int64.
        overlap: ``[P]`` float32 IoU, the wanted score of the right class.

    Returns:
        Scalar.

    Source:
        YOLOX head: ``one_hot(class) * iou``.
    """
    return F.softplus(logits).sum() - (logits[_rows(labels), labels] * overlap).sum()


def _rows(labels: Tensor) -> Tensor:
    return torch.arange(len(labels), device=labels.device)
