"""The effort of studies is reported, and impossible ones are refused, beforehand."""

import argparse
from pathlib import Path

import pytest

from models.errors import ConfigError, DatasetError
from tests.simulators.photos import write_coco
from trainer.cli.work.studies import prepare_studies
from trainer.data.dataset import Dataset, open_dataset
from trainer.fit.options import TrainOptions

OPTIONS = TrainOptions(weights="graft-n-synthetic", minutes=5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "d"
    return open_dataset(write_coco(root, {"train": 12, "val": 4}, good=4))


def studies(**asked: object) -> argparse.Namespace:
    nothing = {"folds": None, "learning_curve": False, "compare": None}
    return argparse.Namespace(**(nothing | asked))


def test_without_studies_nothing_is_reported(dataset: Dataset) -> None:
    prepare_studies(studies(), dataset, OPTIONS, pytest.fail)


def test_number_of_trainings_and_minutes_are_reported(dataset: Dataset) -> None:
    lines: list[str] = []
    args = studies(folds=2, learning_curve=True, compare="scratch")
    prepare_studies(args, dataset, OPTIONS, lines.append)
    (line,) = lines
    assert line == (
        "7 trainings of about the same length: the run, 2 for --folds 2, 3 for "
        "--learning-curve, 1 for --compare scratch; --minutes 5 is for each of them, "
        "about 35 in all"
    )


def test_more_folds_than_defective_photos_are_refused(tmp_path: Path) -> None:
    few = open_dataset(write_coco(tmp_path / "d", {"train": 2, "val": 2}))
    with pytest.raises(DatasetError, match="--folds 9"):
        prepare_studies(studies(folds=9), few, OPTIONS, pytest.fail)


def test_random_start_has_nothing_to_compare_with(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        prepare_studies(
            studies(compare="scratch"),
            dataset,
            TrainOptions(weights="none"),
            pytest.fail,
        )
