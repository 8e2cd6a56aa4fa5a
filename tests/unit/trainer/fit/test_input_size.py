"""The size of the input follows photos and boxes."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.photos import write_coco
from trainer.data.dataset import Dataset, open_dataset
from trainer.fit.input_size import input_size


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(write_coco(tmp_path_factory.mktemp("data") / "d", good=4))


def test_input_follows_the_photos_and_is_never_enlarged(tmp_path: Path) -> None:
    small = open_dataset(write_coco(tmp_path / "d", {"train": 1}, size_px=80))
    photos = small.splits["train"]
    assert input_size(photos, None) == (96, 96)
    wide = tuple(
        replace(p, width_px=1280, height_px=720, boxes=p.boxes * 9) for p in photos
    )
    assert input_size(wide, None) == (384, 640)
    assert input_size(wide, 320) == (192, 320)


def test_small_boxes_get_a_larger_input(dataset: Dataset) -> None:
    """Boxes of 12 px and more on photos of 1280 px are 6 px at 640."""
    dots = [p for p in dataset.splits["train"] if list(p.labels) == [0]]
    assert dots
    photos = tuple(replace(p, width_px=1280, height_px=1280) for p in dots)
    assert input_size(photos, None) == (864, 864)
    huge = tuple(replace(p, width_px=4000, height_px=4000) for p in dots)
    assert input_size(huge, None) == (1024, 1024)
    assert input_size(huge, 640) == (640, 640)


def test_photos_of_defective_parts_without_boxes_say_nothing_of_their_size(
    dataset: Dataset,
) -> None:
    photo = dataset.splits["train"][0]
    no_boxes = replace(photo, boxes=photo.boxes[:0], labels=photo.labels[:0])
    bad = replace(no_boxes, is_bad=True)
    assert input_size([bad], None) == input_size([no_boxes], None)
