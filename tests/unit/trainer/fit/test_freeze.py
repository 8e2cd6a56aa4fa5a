"""With ``--freeze trunk`` only neck and head learn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.errors import TrainingError
from tests.simulators.photos import write_coco
from trainer.cli.progress import SilentObserver
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.names import Activation, Architecture
from trainer.detectors.zoo import build_detector, load_weights
from trainer.fit.choices import Freeze
from trainer.fit.engine import StepReport
from trainer.fit.freeze import freeze_backbone
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import train
from trainer.run import open_run

WEIGHTS = "graft-n-synthetic"
OPTIONS = TrainOptions(
    weights=WEIGHTS,
    detector=Architecture.GRAFT_N,
    activation=Activation.RELU,
    size_px=64,
    epochs=3,
    batch=4,
    freeze=Freeze.BACKBONE,
    frozen_norms=False,
)


class Interrupting(SilentObserver):
    """Stops after some steps, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self._after = after

    def step(self, epoch: int, report: StepReport) -> None:
        if report.step == self._after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "d"
    return open_dataset(write_coco(root, {"train": 8, "val": 2}))


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps, two an epoch."""
    out = tmp_path_factory.mktemp("run")
    train(dataset, OPTIONS, out, SilentObserver(), resume=False)
    return out


def test_backbone_keeps_weights_and_statistics_and_the_neck_learns(
    finished: Path,
) -> None:
    start = build_detector(Architecture.GRAFT_N, 2)
    load_weights(start, WEIGHTS)
    model = open_run(finished).model
    trained = model.feature_extractor.state_dict()
    for name, value in start.feature_extractor.state_dict().items():
        assert torch.equal(value, trained[name]), name
    changed = "backbone.C3_p3.conv1.conv.weight"
    assert not torch.equal(model.state_dict()[changed], start.state_dict()[changed])


def test_frozen_part_is_stored_by_the_name_of_its_option(finished: Path) -> None:
    assert open_run(finished).record.recipe["freeze"] == "trunk"


def test_interrupted_training_resumes_to_the_same_weights(
    dataset: Dataset, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(dataset, OPTIONS, tmp_path, Interrupting(3), resume=False)
    train(dataset, OPTIONS, tmp_path, SilentObserver(), resume=True)
    whole, parts = open_run(finished).model, open_run(tmp_path).model
    pairs = zip(whole.state_dict().values(), parts.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


@pytest.mark.parametrize("detector", [Architecture.YOLOX_NANO, Architecture.SSDLITE])
def test_backbone_is_what_the_class_head_is_not_part_of(detector: Architecture) -> None:
    model = build_detector(detector, 2)
    frozen = {id(value) for value in model.feature_extractor.parameters()}
    for name, value in model.named_parameters():
        assert (id(value) in frozen) <= ("backbone" in name)
        assert id(value) not in frozen or not name.startswith(model.class_parts)


def test_random_backbone_is_not_frozen(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="would stay random"):
        freeze_backbone(
            build_detector(Architecture.YOLOX_NANO, 2), "none", Activation.HARDSWISH
        )
    options = replace(OPTIONS, weights="none")
    with pytest.raises(TrainingError, match="would stay random"):
        train(dataset, options, tmp_path, SilentObserver(), resume=False)


def test_backbone_with_another_activation_is_not_frozen() -> None:
    model = build_detector(Architecture.GRAFT_N, 2, Activation.SILU)
    with pytest.raises(TrainingError, match="trained with relu, not silu"):
        freeze_backbone(model, WEIGHTS, Activation.SILU)
    assert all(parameter.requires_grad for parameter in model.parameters())
    freeze_backbone(model, "some.pth", Activation.SILU)  # a file without an entry
    frozen = model.feature_extractor.parameters()
    assert not any(parameter.requires_grad for parameter in frozen)
