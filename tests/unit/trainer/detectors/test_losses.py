"""The parts of the loss, against torch's and torchvision's own."""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torchvision.ops import box_iou, generalized_box_iou

from trainer.detectors.losses import box_loss, class_loss, objectness_loss, overlaps


def random_boxes(seed: int, count: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 100
    return torch.cat((low, low + torch.rand(count, 2, generator=generator) * 80), 1)


def test_overlaps_equal_those_of_torchvision() -> None:
    a, b = random_boxes(0), random_boxes(1)
    iou, giou = overlaps(a[:, None], b)
    torch.testing.assert_close(iou, box_iou(a, b))
    torch.testing.assert_close(giou, generalized_box_iou(a, b))


def test_boxes_without_area_give_finite_overlaps_and_gradients() -> None:
    a = torch.tensor([[5.0, 5, 5, 5]], requires_grad=True)
    loss = box_loss(a, torch.tensor([[5.0, 5, 5, 5]]))
    loss.backward()
    assert loss.isfinite()
    assert a.grad is not None
    assert a.grad.isfinite().all()


def test_box_loss_is_zero_for_the_same_box_and_grows_with_distance() -> None:
    box = torch.tensor([[10.0, 10, 20, 20]])
    far = [float(box_loss(box + shift, box)) for shift in (0, 2, 8, 50)]
    assert far[0] == 0
    assert far == sorted(far)
    assert far[-1] < 2


def test_objectness_loss_equals_binary_cross_entropy() -> None:
    logits = torch.randn(40, generator=torch.Generator().manual_seed(0)) * 5
    positives = torch.tensor([3, 7, 39])
    wanted = torch.zeros(40).index_fill(0, positives, 1.0)
    expected = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    torch.testing.assert_close(objectness_loss(logits, positives), expected)


def test_class_loss_equals_binary_cross_entropy_with_soft_labels() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    labels, overlap = torch.tensor([0, 1, 2, 3, 0, 1]), torch.rand(6)
    wanted = F.one_hot(labels, 4) * overlap[:, None]
    expected = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    torch.testing.assert_close(class_loss(logits, labels, overlap), expected)


def test_extreme_logits_give_finite_losses() -> None:
    logits = torch.tensor([1e4, -1e4])
    assert objectness_loss(logits, torch.tensor([1])).isfinite()
