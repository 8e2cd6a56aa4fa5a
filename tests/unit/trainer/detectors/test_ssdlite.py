"""SSDLite: our decoding is torchvision's own postprocessing, before NMS."""

import pytest
import torch
from torch import nn

from trainer.data.sample import BoxTarget
from trainer.detectors.names import Architecture
from trainer.detectors.ssdlite import SSDLite

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def detector() -> SSDLite:
    """Random weights, large enough that predictions differ from each other."""
    torch.manual_seed(0)
    network = SSDLite(5).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network


def test_detections_equal_those_of_torchvision_before_suppression(
    detector: SSDLite,
) -> None:
    image = torch.randint(0, 256, (3, 320, 320)).float()  # BGR 0..255
    theirs = detector.network
    theirs.score_thresh, theirs.nms_thresh = -1.0, 1.0  # keep everything
    theirs.topk_candidates = theirs.detections_per_img = 10**6
    with torch.no_grad():
        wanted = theirs([image.flip(0) / 255])[0]
        found = detector.detections(image[None])[0]
    centre, size, scores = found[:2].T, found[2:4].T, found[4:].T
    boxes = torch.cat((centre - size / 2, centre + size / 2), 1).clamp(0, 320)
    anchors, classes = scores.shape
    assert len(wanted["scores"]) == anchors * classes
    for label in range(classes):
        theirs_too = wanted["labels"] == label + 1
        # torchvision sorts by score; so do we, ties broken by place
        order = scores[:, label].argsort(descending=True, stable=True)
        torch.testing.assert_close(
            scores[order, label], wanted["scores"][theirs_too], atol=1e-6, rtol=0
        )
        clear = scores[order, label].diff().abs() > 1e-6
        lone = torch.ones(anchors, dtype=torch.bool)
        lone[1:] &= clear
        lone[:-1] &= clear
        assert lone.sum() > 100
        torch.testing.assert_close(
            boxes[order][lone], wanted["boxes"][theirs_too][lone], atol=2e-3, rtol=0
        )
    assert scores.std() > 1e-3


@pytest.mark.parametrize("size_px", [320, 416])
def test_detections_have_the_shape_of_the_contract(
    detector: SSDLite, size_px: int
) -> None:
    with torch.no_grad():
        found = detector.detections(torch.zeros(1, 3, size_px, size_px))
    assert found.shape[:2] == (1, 4 + 5)
    assert (found[:, 4:].sum(1) <= 1 + 1e-5).all()
    assert detector.architecture is Architecture.SSDLITE


def test_loss_without_good_parts_is_torchvisions_own(detector: SSDLite) -> None:
    images = torch.randint(0, 256, (2, 3, 320, 320)).float()
    boxes = torch.tensor([[40.0, 40, 160, 200], [100.0, 20, 300, 90]])
    targets = [BoxTarget(boxes, torch.tensor([0, 4]))] * 2
    theirs = [{"boxes": boxes, "labels": torch.tensor([1, 5])}] * 2
    detector.network.eval()
    raw = detector(images)
    ours = detector.loss_of_raw(raw, targets)
    detector.network.training = True  # the loss; batch norm stays as it is
    wanted = detector.network(list(images.flip(1) / 255), theirs)
    detector.network.training = False
    torch.testing.assert_close(ours.box, wanted["bbox_regression"].detach())
    torch.testing.assert_close(ours.classification, wanted["classification"].detach())


def test_good_parts_alone_have_a_loss() -> None:
    torch.manual_seed(0)
    network = SSDLite(2).train()
    nothing = BoxTarget(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    parts = network.loss(torch.rand(2, 3, 320, 320) * 255, [nothing, nothing])
    parts.total.backward()
    assert parts.classification > 0
    assert parts.box == parts.objectness == 0


def test_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    network = SSDLite(2).train()
    images = torch.rand(2, 3, 320, 320) * 40
    images[:, :, 60:200, 60:200] += 200
    targets = [BoxTarget(torch.tensor([[60.0, 60, 200, 200]]), torch.tensor([1]))] * 2
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        parts = network.loss(images, targets)
        parts.total.backward()
        optimizer.step()
        losses.append(float(parts.total.detach()))
    assert losses[-1] < losses[0] * 0.7
