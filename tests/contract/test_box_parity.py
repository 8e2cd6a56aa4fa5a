"""NumPy boxes give the results of torchvision's boxes."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision import ops

from models.boxes import Boxes, cxcywh_to_xyxy, iou
from models.postprocess import nms

SIZE_PX = 640


def random_boxes(random: np.random.Generator, count: int) -> Boxes:
    """Return boxes of all sizes, in crowds of ten nearly alike."""
    crowds = count // 10
    corner = random.uniform(0, SIZE_PX / 2, (crowds, 2))
    size = random.exponential(SIZE_PX / 6, (crowds, 2)) + 20
    boxes = np.concatenate((corner, corner + size), axis=1).repeat(10, axis=0)
    boxes += random.normal(0, 0.5, boxes.shape)
    return random.permutation(boxes).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_iou_equals_torchvision(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random_boxes(random, 80), random_boxes(random, 60)
    b[:20] = a[:20]
    expected = ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert iou(a, b) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_corners_equal_torchvision(seed: int) -> None:
    boxes = np.random.default_rng(seed).uniform(0, 99, (50, 4)).astype(np.float32)
    expected = ops.box_convert(torch.from_numpy(boxes), "cxcywh", "xyxy").numpy()
    assert cxcywh_to_xyxy(boxes) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("iou_threshold", [0.3, 0.65, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_nms_equals_torchvision(seed: int, iou_threshold: float) -> None:
    random = np.random.default_rng(seed)
    boxes = random_boxes(random, 300)
    labels: npt.NDArray[np.int64] = random.integers(0, 4, 300)
    scores = np.sort(random.uniform(0, 1, 300).astype(np.float32))[::-1].copy()
    expected = ops.batched_nms(
        *map(torch.from_numpy, (boxes, scores, labels)), iou_threshold
    )
    kept = nms(boxes, labels, iou_threshold)
    assert kept.tolist() == sorted(expected.tolist())
    assert len(kept) < 300  # there was something to drop
