"""Schedule, optimizer, moving average and one step."""

import pytest
import torch

from models.errors import TrainingError
from tests.simulators.trainings import batch, fresh_training
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.engine import Schedule, in_bf16, make_optimizer, train_step


def test_schedule_warms_up_then_falls_to_two_percent() -> None:
    schedule = Schedule(peak=1.0, steps=100, warmup_steps=10)
    rates = [schedule.at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == pytest.approx(0.97, abs=0.03)
    assert rates[-1] == pytest.approx(0.02, abs=0.001)


def test_biases_and_norms_are_not_decayed() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2)
    decayed, others = make_optimizer(model, 1e-3, 0.05).param_groups
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim <= 1 for p in others["params"])
    assert others["weight_decay"] == 0


def test_backbone_learns_at_a_share_of_the_rate() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2)
    backbone = {id(p) for p in model.feature_extractor.parameters()}
    groups = make_optimizer(model, 1e-3, 0.05, 0.25).param_groups
    for group in groups:
        inside = {id(p) in backbone for p in group["params"]}
        assert inside == {group["rate_share"] == 0.25}
    assert sum(len(group["params"]) for group in groups) == len([*model.parameters()])


def test_step_sets_the_rate_of_every_group() -> None:
    training = fresh_training()
    training.optimizer = make_optimizer(training.model, 1e-3, 0.05, 0.25)
    train_step(training, *batch())
    rate = training.schedule.at(0)
    rates = {
        group["rate_share"]: group["lr"] for group in training.optimizer.param_groups
    }
    assert rates == pytest.approx({1.0: rate, 0.25: rate / 4})


def test_average_moves_towards_the_weights() -> None:
    training = fresh_training()
    before = training.average.model.state_dict()["head.cls_preds.0.bias"].clone()
    with torch.no_grad():
        training.model.state_dict()["head.cls_preds.0.bias"].add_(1.0)
    training.average.update(training.model)
    after = training.average.model.state_dict()["head.cls_preds.0.bias"]
    assert torch.allclose(after - before, torch.full_like(after, 1 - 2 / 11))


def test_loss_that_is_not_finite_stops_and_keeps_the_weights() -> None:
    training = fresh_training()
    train_step(training, *batch())
    kept = training.model.state_dict()["head.reg_preds.0.weight"].clone()
    with torch.no_grad():
        training.model.state_dict()["head.obj_preds.0.bias"].fill_(float("nan"))
    with pytest.raises(TrainingError, match="became nan at step 2"):
        train_step(training, *batch())
    assert torch.equal(kept, training.model.state_dict()["head.reg_preds.0.weight"])


def test_frozen_norms_keep_their_statistics_and_still_learn_their_scale() -> None:
    training = fresh_training()
    training.frozen_norms = True
    before = {k: v.clone() for k, v in training.model.state_dict().items()}
    training.enter_training_mode()
    for _ in range(2):
        train_step(training, *batch())
    after = training.model.state_dict()
    for name, value in before.items():
        if name.endswith(("running_mean", "running_var")):
            assert torch.equal(value, after[name]), name
    assert not torch.equal(
        before["backbone.backbone.stem.conv.bn.weight"],
        after["backbone.backbone.stem.conv.bn.weight"],
    )


@pytest.mark.parametrize(
    ("detector", "able", "expected"),
    [
        (Architecture.GRAFT_N, {"avx512_bf16": True}, True),
        (Architecture.GRAFT_N, {"amx_bf16": True}, True),
        (Architecture.GRAFT_N, {"avx512_bf16": False}, False),
        (Architecture.YOLOX_NANO, {"avx512_bf16": True}, False),
        (Architecture.SSDLITE, {"avx512_bf16": True}, False),
    ],
)
def test_only_full_convolutions_on_able_processors_train_in_bf16(
    detector: Architecture,
    able: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    *,
    expected: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    model = build_detector(detector, 2)
    assert in_bf16(model, torch.device("cpu")) is expected
    assert in_bf16(model, torch.device("cuda"))
