"""Options of train that are not given are resolved."""

import argparse
from pathlib import Path

import pytest

from models.manifest import ThresholdRule
from tests.simulators.runs import make_run, write_spots
from tests.simulators.trainings import fresh_training
from trainer.cli.train import add_train_arguments
from trainer.cli.work.options import read_options
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.names import Activation, Architecture
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.checkpoint import save_checkpoint
from trainer.fit.choices import DEFAULT_WEIGHTS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("spots")
    write_spots(folder, train=2, val=2, good=2)
    return open_dataset(folder)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return parser.parse_args(["photos", "--out", "run", *arguments])


def test_default_are_the_weights_of_real_photos_with_their_network(
    dataset: Dataset,
) -> None:
    options = read_options(parse(), dataset, pytest.fail)
    assert options.weights == DEFAULT_WEIGHTS == "yolox-nano-coco-drawn"
    assert options.detector is Architecture.YOLOX_NANO
    assert options.activation is Activation.HARDSWISH
    assert options.limit is None


def test_other_shipped_weights_bring_their_network(dataset: Dataset) -> None:
    args = parse("--weights", "graft-n-synthetic")
    options = read_options(args, dataset, pytest.fail)
    assert options.detector is Architecture.GRAFT_N
    assert options.activation is Activation.RELU


@pytest.mark.parametrize(
    ("detector", "weights"),
    [
        ("graft-n", "graft-n-synthetic"),
        ("yolox-nano", DEFAULT_WEIGHTS),
        ("yolox-tiny", DEFAULT_WEIGHTS),  # refused when they are read: nothing fits
    ],
)
def test_network_without_weights_gets_the_shipped_ones_that_fit(
    dataset: Dataset, detector: str, weights: str
) -> None:
    options = read_options(parse("--detector", detector), dataset, pytest.fail)
    assert (options.detector, options.weights) == (detector, weights)


def test_frozen_backbone_keeps_the_activation_of_its_weights(dataset: Dataset) -> None:
    args = parse("--freeze", "trunk", "--weights", "yolox-nano-coco")
    assert read_options(args, dataset, pytest.fail).activation is Activation.SILU
    args = parse("--freeze", "trunk")  # its backbone was trained further
    assert read_options(args, dataset, pytest.fail).activation is Activation.HARDSWISH
    args = parse("--freeze", "trunk", "--activation", "relu")
    assert read_options(args, dataset, pytest.fail).activation is Activation.RELU
    args = parse("--freeze", "trunk", "--weights", "mine.pth")  # not known
    assert read_options(args, dataset, pytest.fail).activation is Activation.HARDSWISH


@pytest.mark.parametrize(
    ("begun_with", "detector", "weights"),
    [
        ("graft-n-synthetic", "graft-n", "graft-n-synthetic"),
        ("none", "yolox-tiny", "none"),
        ("/runs/earlier", "graft-n", DEFAULT_WEIGHTS),  # --from must be given again
    ],
)
def test_resumed_training_keeps_the_named_weights_that_it_began_with(
    dataset: Dataset, tmp_path: Path, begun_with: str, detector: str, weights: str
) -> None:
    made_with = {"weights": begun_with, "detector": detector}
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, fresh_training(), {"made_with": made_with})
    args = parse("--resume", "--out", str(tmp_path))
    options = read_options(args, dataset, pytest.fail)
    assert options.weights == weights
    if weights == begun_with:
        assert options.detector is Architecture(detector)


def test_weights_of_a_file_are_of_yolox_nano(dataset: Dataset) -> None:
    options = read_options(parse("--weights", "mine.pth"), dataset, pytest.fail)
    assert options.detector is Architecture.YOLOX_NANO


def test_limit_becomes_a_rule_with_its_target(dataset: Dataset) -> None:
    overkill = read_options(parse("--max-overkill", "1%"), dataset, pytest.fail).limit
    escape = read_options(parse("--max-escape", "0.5%"), dataset, pytest.fail).limit
    assert overkill == ErrorLimit(ThresholdRule.OVERKILL, 0.01)
    assert escape == ErrorLimit(ThresholdRule.ESCAPES, 0.005)


def test_earlier_run_gives_weights_and_network(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, dataset)
    monkeypatch.setattr("trainer.cli.work.options.open_run", lambda _: run)
    options = read_options(parse("--from", str(tmp_path)), dataset, pytest.fail)
    assert options.earlier == tmp_path
    assert options.weights == str(tmp_path.resolve())
    assert options.detector is run.record.detector
