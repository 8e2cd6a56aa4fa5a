"""A run measured on a dataset, also where its classes are in another order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detector import equal_thresholds
from models.errors import DatasetError
from models.heat_map import UNKNOWN_LABEL
from models.manifest import Metrics, Thresholds
from tests.simulators.runs import HEIGHT_PX, LABELS, WIDTH_PX, make_run, write_spots
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.yolox import YOLOX, YoloxSize
from trainer.evaluation.evaluate import (
    TORCH,
    EvaluatedModel,
    Evaluation,
    evaluate,
    relabelled,
)
from trainer.evaluation.torch_detector import TorchDetector


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    write_spots(tmp_path / "d", good=4)
    return open_dataset(tmp_path / "d")


def test_model_is_measured_at_its_own_thresholds(
    tmp_path: Path, dataset: Dataset
) -> None:
    run = make_run(tmp_path, dataset)
    record = run.record
    detector = TorchDetector(run.model, HEIGHT_PX, WIDTH_PX)
    model = EvaluatedModel("spots", TORCH, LABELS, record.thresholds, detector)
    counted: list[None] = []
    outcome = evaluate(model, dataset, None, lambda: counted.append(None))
    assert outcome.metrics == record.metrics
    assert len(counted) == len(outcome.photos) == len(outcome.found)
    assert outcome.as_json()["thresholds"] == record.thresholds.scores


def test_labels_are_counted_in_the_order_of_the_model(dataset: Dataset) -> None:
    photos = dataset.splits["val"]
    swapped = relabelled(photos, dataset, ("unused", LABELS[1], LABELS[0]))
    for before, after in zip(photos, swapped, strict=True):
        assert after.labels.tolist() == np.array([2, 1])[before.labels].tolist()


def test_class_that_the_model_lacks_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match=f"unknown class {LABELS[1]}"):
        relabelled(dataset.splits["val"], dataset, LABELS[:1])


def test_classes_that_model_and_dataset_do_not_share_are_named(
    tmp_path: Path, dataset: Dataset
) -> None:
    run = make_run(tmp_path, dataset)
    detector = TorchDetector(run.model, HEIGHT_PX, WIDTH_PX)
    model = EvaluatedModel("spots", TORCH, LABELS, run.record.thresholds, detector)
    first = tuple(
        photo for photo in dataset.splits["val"] if not (photo.labels != 0).any()
    )
    fewer = replace(dataset, labels=(*LABELS, "scratch"), splits={"val": first})
    outcome = evaluate(model, fewer, "val")
    assert outcome.as_json()["labels_without_boxes"] == [LABELS[1]]
    assert outcome.as_json()["unknown_labels"] == ["scratch"]
    missing, unknown = outcome.label_notes()
    assert missing.startswith(f"class {LABELS[1]!r} of the model has no labelled box")
    assert unknown.startswith("class 'scratch' of the dataset is not a class of the")


def test_photos_without_any_box_are_named_once(
    tmp_path: Path, dataset: Dataset
) -> None:
    run = make_run(tmp_path, dataset)
    detector = TorchDetector(run.model, HEIGHT_PX, WIDTH_PX)
    model = EvaluatedModel("spots", TORCH, LABELS, run.record.thresholds, detector)
    good = tuple(photo for photo in dataset.photos if photo.is_good)
    outcome = evaluate(model, replace(dataset, splits={"val": good}), "val")
    (note,) = outcome.label_notes()
    assert note.startswith("none of these photos has a labelled box")
    assert outcome.as_json()["labels_without_boxes"] == list(LABELS)


def test_unknown_class_without_a_box_needs_no_index(dataset: Dataset) -> None:
    more = replace(dataset, labels=(*LABELS, "unused"))
    photos = more.splits["val"]
    same = relabelled(photos, more, LABELS)
    assert [p.labels.tolist() for p in same] == [p.labels.tolist() for p in photos]


def test_class_unknown_needs_no_box_where_photos_show_bad_parts(
    dataset: Dataset,
) -> None:
    photo = dataset.splits["val"][0]
    nothing = replace(photo, boxes=photo.boxes[:0], labels=photo.labels[:0])
    thresholds = equal_thresholds(0.5, 1)
    named = Thresholds.model_construct(scores={UNKNOWN_LABEL: float(thresholds[0])})
    detector = TorchDetector(YOLOX(YoloxSize.NANO, 1), HEIGHT_PX, WIDTH_PX)
    model = EvaluatedModel("day one", TORCH, (UNKNOWN_LABEL,), named, detector)
    good = Evaluation(model, Metrics.model_construct(), [], (nothing,))
    assert len(list(good.label_notes())) == 1
    bad = replace(good, photos=(replace(nothing, is_bad=True),))
    assert not list(bad.label_notes())
