"""Boxes: repeated, huge, small; described with class and corners."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.photos import write_coco
from trainer.data.checks.boxes import (
    HUGE_SHARE,
    SMALLEST_SIDE_PX,
    corners,
    described,
    duplicate_boxes,
    huge_boxes,
    place_of,
    repeated_boxes,
    small_boxes,
)
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.data.findings import FindingKind


def photo(
    *boxes: tuple[float, float, float, float],
    labels: tuple[int, ...] | None = None,
    places: tuple[str, ...] = (),
) -> Photo:
    """Return a photo of 100 x 100 pixels."""
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    kinds = np.array(labels or [0] * len(boxes), np.int64)
    return Photo(Path("p.png"), "0" * 64, 100, 100, rows, kinds, places=places)


def dataset_of(root: Path, one: Photo) -> Dataset:
    """Return a dataset of one photo."""
    opened = open_dataset(write_coco(root / "d", {"train": 1}))
    labels, assignment = opened.labels, opened.split_assignment
    return Dataset(opened.root, labels, {"train": (one,)}, (), "", assignment)


def test_repeated_box_is_compared_with_the_kept_box_that_it_covers_most() -> None:
    one = photo((0, 0, 50, 50), (60, 60, 90, 90), (60, 60, 90, 89))
    [(first, later, overlap)] = repeated_boxes(one)
    assert (first, later) == (1, 2)
    assert overlap == pytest.approx(29 / 30)


def test_many_boxes_are_compared_without_an_overlap_of_all_pairs() -> None:
    count = 4000
    edges = np.arange(count, dtype=np.float32) * 2
    rows = [(x, 0.0, x + 1, 1.0) for x in edges.tolist()]
    one = photo(*rows, rows[7])
    tracemalloc.start()
    [(first, later, overlap)] = repeated_boxes(one)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (first, later, overlap) == (7, count, 1)
    assert peak_bytes < 4 * count**2 / 10  # the overlaps of all pairs are float32


def test_box_of_another_class_is_not_a_repetition() -> None:
    box = (10, 10, 40, 40)
    assert not list(repeated_boxes(photo(box, box, labels=(0, 1))))
    assert not list(repeated_boxes(photo(box)))
    assert not list(repeated_boxes(photo()))


def test_finding_of_a_repeated_box_has_its_place_and_corners(tmp_path: Path) -> None:
    box = (10.0, 10.0, 40.0, 40.0)
    dataset = dataset_of(tmp_path, photo(box, box, places=("line 1", "line 2")))
    [finding] = duplicate_boxes(dataset)
    assert (finding.kind, finding.place) == (FindingKind.DUPLICATE_BOX, "line 2")
    assert finding.boxes == (box,)
    assert "box dot [10, 10, 40, 40] is there twice" in finding.why


@pytest.mark.parametrize(("side", "count"), [(96.0, 1), (94.0, 0)])
def test_box_of_more_than_most_of_the_photo_is_huge(
    tmp_path: Path,
    side: float,
    count: int,
) -> None:
    assert 94**2 / 100**2 < HUGE_SHARE < 96**2 / 100**2
    assert len(huge_boxes(dataset_of(tmp_path, photo((0, 0, side, side))))) == count


def test_boxes_are_small_at_the_size_of_the_input(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, photo((0, 0, 16, 30), (0, 0, 40, 40)))
    assert not small_boxes(dataset, 50, 50)  # 8 px at half the size
    [finding] = small_boxes(dataset, 49, 200)  # the shorter side decides
    assert f"narrower than {SMALLEST_SIDE_PX} px" in finding.why
    assert finding.boxes == ((0, 0, 16, 30),)
    assert not small_boxes(dataset_of(tmp_path / "other", photo()), 8, 8)


def test_box_without_a_known_place_has_an_empty_one() -> None:
    assert place_of(photo((0, 0, 9, 9)), 0) == ""
    assert place_of(photo((0, 0, 9, 9), places=("line 3",)), 0) == "line 3"


def test_box_is_described_by_class_and_rounded_corners(tmp_path: Path) -> None:
    one = photo((0.4, 0.6, 9, 9), labels=(1,))
    assert described(dataset_of(tmp_path, one), one, 0) == "box bar [0, 1, 9, 9]"
    assert corners(one.boxes[0]) == pytest.approx((0.4, 0.6, 9, 9))
