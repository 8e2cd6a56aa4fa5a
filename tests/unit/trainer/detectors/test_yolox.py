"""YOLOX: shapes, names, and that it learns."""

import pytest
import torch
from torch import nn

from trainer.data.sample import BoxTarget
from trainer.detectors.base import DetectionGraph
from trainer.detectors.names import Activation, Architecture, ScoreRule
from trainer.detectors.yolox import PRIOR_BIAS, YOLOX, YoloxSize
from trainer.detectors.yolox_blocks import BaseConv, Focus

pytestmark = pytest.mark.usefixtures("one_thread")

NOTHING = BoxTarget(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


@pytest.fixture
def nano() -> YOLOX:
    torch.manual_seed(0)
    network = YOLOX(YoloxSize.NANO, 3, Activation.HARDSWISH)
    return network.to(memory_format=torch.channels_last)


def two_pictures() -> tuple[torch.Tensor, list[BoxTarget]]:
    """Two dark pictures of 64 px with one bright square each."""
    images = torch.full((2, 3, 64, 64), 40.0)
    images[0, :, 8:24, 8:24] = 220
    images[1, 0, 30:54, 34:58] = 250
    targets = [
        BoxTarget(torch.tensor([[8.0, 8, 24, 24]]), torch.tensor([0])),
        BoxTarget(torch.tensor([[34.0, 30, 58, 54]]), torch.tensor([2])),
    ]
    return images.contiguous(memory_format=torch.channels_last), targets


@pytest.mark.parametrize(
    ("size", "millions"),  # Source: YOLOX README, parameters with 80 classes
    [(YoloxSize.NANO, 0.91), (YoloxSize.TINY, 5.06), (YoloxSize.S, 9.0)],
)
def test_network_has_the_published_number_of_parameters(
    size: YoloxSize, millions: float
) -> None:
    with torch.device("meta"):
        network = YOLOX(size, 80)
    count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert count == pytest.approx(millions, rel=0.01)
    assert network.architecture is Architecture(f"yolox-{size}")


def test_detections_have_the_shape_of_the_contract(nano: YOLOX) -> None:
    with torch.no_grad():
        found = DetectionGraph(nano)(torch.zeros(2, 3, 64, 96))
    assert found.shape == (2, 4 + 3, 8 * 12 + 4 * 6 + 2 * 3)
    assert (found[:, 2:4] > 0).all()
    assert ((found[:, 4:] >= 0) & (found[:, 4:] <= 1)).all()


@pytest.mark.parametrize("training", [True, False])
def test_focus_is_the_published_one(training: bool) -> None:
    """Source: YOLOX 0.3.0, ``Focus``: four slices, then a convolution."""
    torch.manual_seed(0)
    focus = Focus(3, 16, Activation.SILU).train(training)
    norm = focus.conv.bn
    for values in (norm.weight, norm.bias, dict(norm.named_buffers())["running_var"]):
        nn.init.uniform_(values, 0.5, 1.5)
    pictures = torch.rand(2, 3, 16, 24)
    slices = [pictures[..., y::2, x::2] for y, x in ((0, 0), (1, 0), (0, 1), (1, 1))]
    with torch.no_grad():
        found, expected = focus(pictures), focus.conv(torch.cat(slices, dim=1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_new_head_starts_at_one_percent(nano: YOLOX) -> None:
    for prediction in (*nano.head.cls_preds, *nano.head.obj_preds):
        bias = dict(prediction.named_parameters())["bias"]
        assert (bias == PRIOR_BIAS).all()


@pytest.mark.parametrize("rule", ScoreRule)
def test_training_maps_and_detections_are_the_same_predictions(
    nano: YOLOX, rule: ScoreRule
) -> None:
    nano.eval()
    nano.score_rule = rule
    images = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        raw, found = nano(images), nano.detections(images)
    cells, sides = raw.grid.points()
    values = raw.values[0]
    torch.testing.assert_close(found[0, :2].T, (values[:, :2] + cells) * sides[:, None])
    torch.testing.assert_close(found[0, 2:4].T, values[:, 2:4].exp() * sides[:, None])
    objectness, classes = values[:, 4:5].sigmoid(), values[:, 5:].sigmoid()
    if rule is ScoreRule.CLASS_SHARE:
        classes = classes / classes.sum(dim=1, keepdim=True)
    torch.testing.assert_close(found[0, 4:].T, objectness * classes)


def test_odds_of_a_class_change_its_scores_alone(nano: YOLOX) -> None:
    nano.eval()
    images = torch.rand(1, 3, 64, 64) * 255
    odds = torch.tensor([0.2, 1.0, 5.0])
    with torch.no_grad():
        before = nano.detections(images)[0]
        nano.class_odds = odds
        after = nano.detections(images)[0]
    assert torch.equal(after[:4], before[:4])
    was = before[4:] / (1 - before[4:])
    torch.testing.assert_close(after[4:] / (1 - after[4:]), was * odds[:, None])


def test_scores_of_classes_add_up_to_the_objectness(nano: YOLOX) -> None:
    nano.eval()
    assert nano.score_rule is ScoreRule.CLASS_SHARE
    images = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        raw, found = nano(images), nano.detections(images)
        for head in nano.head.cls_preds:  # no class at all
            assert isinstance(head, torch.nn.Conv2d)
            torch.nn.init.zeros_(head.weight)
            assert head.bias is not None
            torch.nn.init.constant_(head.bias, -200)
        nothing = nano.detections(images)
    total = found[0, 4:].sum(dim=0)
    torch.testing.assert_close(total, raw.values[0, :, 4].sigmoid())
    assert nothing.isfinite().all()
    assert (nothing[:, 4:] == 0).all()


def test_a_few_steps_overfit_two_pictures(nano: YOLOX) -> None:
    images, targets = two_pictures()
    optimizer = torch.optim.AdamW(nano.parameters(), 5e-3)
    nano.train()
    losses = []
    for _ in range(45):
        optimizer.zero_grad()
        parts = nano.loss(images, targets)
        parts.total.backward()
        optimizer.step()
        losses.append(float(parts.total.detach()))
    assert losses[-1] < losses[0] * 0.5
    nano.train()  # batch statistics of these two pictures
    with torch.no_grad():
        found = nano.detections(images)
    for index, target in enumerate(targets):
        best = found[index, 4:].max(dim=0).values.argmax()
        assert int(found[index, 4:, best].argmax()) == int(target.labels[0])
        centre = (target.boxes[0, :2] + target.boxes[0, 2:]) / 2
        assert (found[index, :2, best] - centre).abs().max() < 6


def test_loss_parts_add_up(nano: YOLOX) -> None:
    parts = nano.loss(*two_pictures())
    whole = parts.box + parts.objectness + parts.classification
    torch.testing.assert_close(parts.total, whole)


def test_good_parts_alone_have_only_an_objectness_loss(nano: YOLOX) -> None:
    nano.train()
    parts = nano.loss(torch.rand(2, 3, 64, 64) * 255, [NOTHING, NOTHING])
    parts.total.backward()
    assert parts.total > 0
    assert parts.box == parts.classification == 0
    assert all(p.grad is not None for p in nano.parameters())  # DDP wants all


def test_loss_is_float32_and_finite_under_bfloat16_autocast(nano: YOLOX) -> None:
    images, targets = two_pictures()
    nano.train()
    with torch.autocast("cpu", torch.bfloat16):
        parts = nano.loss(images, targets)
    parts.total.backward()
    assert parts.total.dtype is torch.float32
    assert parts.total.isfinite()
    gradients = [p.grad for p in nano.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_wild_predictions_give_a_finite_loss(nano: YOLOX) -> None:
    images, targets = two_pictures()
    raw = nano(images)
    wild = type(raw)(raw.values * 1e4, raw.grid)
    assert nano.loss_of_raw(wild, targets).total.isfinite()


def test_wild_predictions_give_finite_boxes(nano: YOLOX) -> None:
    with torch.no_grad():
        for layer in nano.head.reg_preds:
            layer.bias.fill_(200.0)
        found = nano.eval().detections(torch.zeros(1, 3, 64, 64))
    assert torch.isfinite(found).all()


def test_swapping_the_activation_keeps_every_weight(nano: YOLOX) -> None:
    before = {name: tensor.clone() for name, tensor in nano.state_dict().items()}
    nano.set_activation(Activation.RELU)
    after = nano.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    blocks = [m for m in nano.modules() if isinstance(m, BaseConv)]
    assert all(isinstance(block.act, torch.nn.ReLU) for block in blocks)
    assert nano.activation is Activation.RELU
