"""Classes: too rare, in one subset only, spelled in two ways; too few good parts."""

from dataclasses import replace
from pathlib import Path

from tests.simulators.photos import write_coco
from trainer.data.checks.labels import (
    FEW_EXAMPLES,
    FEW_GOOD,
    box_counts,
    one_sided_labels,
    rare_labels,
    similar_labels,
    spellings,
    too_few_good,
    untrainable,
)
from trainer.data.dataset import open_dataset
from trainer.data.findings import FindingKind, Level
from trainer.evaluation.thresholds.limits import OVERKILL_TARGET
from trainer.evaluation.thresholds.order_statistics import parts_needed


def test_boxes_are_counted_by_class_over_all_splits(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 6, "val": 3}))
    assert box_counts(dataset) == {0: 6, 1: 6}  # of three photos: dot, bar, both


def test_class_with_few_boxes_is_rare_and_one_with_enough_is_not(
    tmp_path: Path,
) -> None:
    few = open_dataset(write_coco(tmp_path / "a", {"train": 3}))
    assert [f.place for f in rare_labels(few)] == ["dot", "bar"]
    enough = open_dataset(write_coco(tmp_path / "b", {"train": 15}))
    assert box_counts(enough)[0] == FEW_EXAMPLES
    assert not rare_labels(enough)


def test_class_without_any_box_is_rare(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 15}))
    unused = replace(dataset, labels=(*dataset.labels, "crack"))
    [finding] = rare_labels(unused)
    assert (finding.place, finding.kind) == ("crack", FindingKind.RARE_LABEL)
    assert "has 0 boxes" in finding.why


def test_names_that_differ_by_case_or_space_are_one_error(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 2}))
    mixed = replace(dataset, labels=("dot", "bar", "Dot ", "b ar", "crack"))
    assert spellings(mixed) == [["dot", "Dot "], ["bar", "b ar"], ["crack"]]
    found = similar_labels(mixed)
    assert [(f.level, f.place) for f in found] == [
        (Level.ERROR, "'dot', 'Dot '"),
        (Level.ERROR, "'bar', 'b ar'"),
    ]


def test_classes_in_both_subsets_are_not_one_sided(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d"))
    assert not one_sided_labels(dataset)
    assert not untrainable(dataset)


def test_dataset_that_cannot_be_divided_is_untrainable_and_not_one_sided(
    tmp_path: Path,
) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 1}))
    assert not one_sided_labels(dataset)
    [finding] = untrainable(dataset)
    assert (finding.level, finding.kind) == (Level.ERROR, FindingKind.SPLITS)
    assert not finding.why.startswith(str(dataset.root))


def test_good_parts_are_counted_where_the_dataset_is_measured(tmp_path: Path) -> None:
    few = open_dataset(write_coco(tmp_path / "a", good=4))
    [finding] = too_few_good(few)
    assert finding.why.startswith("2 photos of good parts")
    enough = open_dataset(write_coco(tmp_path / "b", {"val": 1}, good=FEW_GOOD))
    assert not too_few_good(enough)


def test_wanted_good_parts_are_those_of_the_usual_promise() -> None:
    assert parts_needed(OVERKILL_TARGET) == FEW_GOOD
