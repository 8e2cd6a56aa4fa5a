"""The class unknown beside named classes, on pictures of 64 px."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import ConfigError, DatasetError
from tests.simulators.photos import write_coco
from tests.unit.trainer.fit.test_recipe import Recorder
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.names import Architecture
from trainer.detectors.unknown import UnknownDetector
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import train
from trainer.fit.unknown_branch import require_unknown
from trainer.run import open_run
from trainer.unknown.visible import CONTRASTS

OPTIONS = TrainOptions(weights="none", size_px=64, epochs=1, batch=4, unknown=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "d"
    return open_dataset(write_coco(root, {"train": 2, "val": 2}, good=40))


def test_run_has_the_named_classes_and_unknown(
    dataset: Dataset, tmp_path: Path
) -> None:
    outcome = train(dataset, OPTIONS, tmp_path, Recorder(), resume=False)
    record = open_run(tmp_path).record
    assert record.labels == (*dataset.labels, "unknown")
    assert record.named_labels == dataset.labels
    assert record.thresholds.unknown_label == "unknown"
    assert set(record.thresholds.scores.values()) == {
        record.thresholds.scores["unknown"]
    }
    assert isinstance(outcome.run.model, UnknownDetector)
    assert record.unknown is not None
    assert record.unknown.good_photos == 20
    assert "learned from 20 photos" in record.unknown.sees[0]
    assert len(record.unknown.scores) == len(record.unknown.held_out_scores) == 20
    assert {photo.held_out for photo in record.unknown.highest} == {True, False}
    assert [one.contrast for one in record.unknown.visible] == list(CONTRASTS)
    assert record.metrics.overkill is not None
    again = replace(OPTIONS, unknown=False, earlier=tmp_path, weights=str(tmp_path))
    (tmp_path / "next").mkdir()
    following = train(dataset, again, tmp_path / "next", Recorder(), resume=False)
    assert following.run.record.ancestors[0].kept_labels == dataset.labels
    assert following.run.record.labels == dataset.labels


def test_too_few_good_parts_are_refused_before_the_training(tmp_path: Path) -> None:
    few = open_dataset(write_coco(tmp_path / "d", good=10))
    with pytest.raises(DatasetError, match="5 photos of good parts: too few"):
        train(few, OPTIONS, tmp_path, Recorder(), resume=False)


def test_class_of_that_name_is_refused(dataset: Dataset) -> None:
    taken = replace(dataset, labels=("dot", "unknown"))
    with pytest.raises(ConfigError, match="has a class of the name unknown"):
        require_unknown(taken, OPTIONS)


def test_network_without_these_maps_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="has no class unknown"):
        require_unknown(dataset, replace(OPTIONS, detector=Architecture.SSDLITE))
