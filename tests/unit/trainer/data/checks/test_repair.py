"""Repairs in memory: which photos and boxes of a dataset are kept."""

from pathlib import Path

import numpy as np
import pytest

from trainer.data.checks.check import CheckReport
from trainer.data.checks.repair import Repair, repaired
from trainer.data.dataset import Dataset, Photo
from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.splitting.split_record import SplitAssignment, SplitRecord, SplitRule

BOX = [10.0, 10, 30, 30]
SPLIT = SplitAssignment(
    SplitRecord(rule=SplitRule.OWN, seed=0, photos={}), {}, {}, splits_groups=False
)


def photo(name: str, *boxes: list[float], label: int = 0, sha256: str = "") -> Photo:
    return Photo(
        path=Path(name),
        sha256=sha256 or name,
        width_px=64,
        height_px=64,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.full(len(boxes), label, np.int64),
        places=tuple(f"annotation {number}" for number in range(len(boxes))),
    )


def repair(
    splits: dict[str, tuple[Photo, ...]],
    *findings: Finding,
    labels: tuple[str, ...] = ("dent",),
) -> tuple[Dataset, list[Repair]]:
    dataset = Dataset(Path("d"), labels, splits, findings, "0" * 64, SPLIT)
    return repaired(CheckReport(dataset, findings))


def names(dataset: Dataset) -> list[str]:
    return [each.path.name for each in dataset.photos]


def test_dataset_without_faults_is_unchanged() -> None:
    splits = {"train": (photo("a.png", BOX), photo("b.png"))}
    dataset, repairs = repair(splits)
    assert names(dataset) == ["a.png", "b.png"]
    assert repairs == []


def test_spelling_with_the_most_boxes_wins() -> None:
    splits = {
        "train": (
            photo("a.png", BOX, [40, 40, 50, 50], label=1),
            photo("b.png", BOX, label=0),
        )
    }
    dataset, (merged,) = repair(splits, labels=("Dent", "dent"))
    assert dataset.labels == ("dent",)
    assert all((each.labels == 0).all() for each in dataset.photos)
    assert merged.kind is FindingKind.SIMILAR_LABELS
    assert merged.done == "1 box of 'Dent' is 'dent' now."


def test_second_box_on_the_same_place_is_dropped() -> None:
    dataset, (dropped,) = repair({"train": (photo("a.png", BOX, BOX),)})
    assert len(dataset.photos[0].boxes) == 1
    assert dataset.photos[0].places == ("annotation 0",)
    assert (dropped.kind, dropped.place) == (
        FindingKind.DUPLICATE_BOX,
        "annotation 1",
    )


@pytest.mark.parametrize(("is_only", "kept"), [(True, []), (False, ["a.png"])])
def test_photo_without_its_only_box_is_left_out(
    is_only: bool,
    kept: list[str],
) -> None:
    """It would count as a good part."""
    boxes = [] if is_only else [BOX]
    finding = Finding(
        Level.ERROR,
        Path("a.png"),
        "annotation 1",
        "It has no area.",
        "Draw it again.",
        FindingKind.EMPTY_BOX,
    )
    dataset, (lost,) = repair({"train": (photo("a.png", *boxes),)}, finding)
    assert names(dataset) == kept
    assert ("left out" in lost.done) == is_only
    assert lost.left


def test_copy_in_a_measured_split_is_the_one_that_is_kept() -> None:
    train, test = photo("a.png", BOX, sha256="x"), photo("b.png", BOX, sha256="x")
    dataset, (copy,) = repair({"train": (train,), "test": (test,)})
    assert names(dataset) == ["b.png"]
    assert copy.kind is FindingKind.SAME_IN_TWO_SPLITS


def test_copies_that_are_labelled_differently_are_all_left_out() -> None:
    splits = {"train": (photo("a.png", BOX, sha256="x"), photo("b.png", sha256="x"))}
    dataset, repairs = repair(splits)
    assert names(dataset) == []
    assert {each.kind for each in repairs} == {FindingKind.CONTRADICTION}
    assert all(each.left for each in repairs)


def test_repair_is_printed_on_one_line() -> None:
    done = Repair(FindingKind.EMPTY_BOX, Path("a\nb.png"), "", "dropped.", "Draw it.")
    assert str(done).isprintable()
    assert str(done).endswith("dropped. Left for you: Draw it.")
    assert done.as_json()["kind"] == FindingKind.EMPTY_BOX.value
