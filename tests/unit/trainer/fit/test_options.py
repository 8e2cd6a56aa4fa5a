"""Options become a recipe for the photos at hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.photos import write_coco
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.names import Architecture
from trainer.fit.options import TrainOptions, resolve

OPTIONS = TrainOptions(weights="none", size_px=64, epochs=2, batch=4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(write_coco(tmp_path_factory.mktemp("data") / "d", good=4))


def test_norms_are_frozen_only_after_a_run_on_the_same_product(
    dataset: Dataset, tmp_path: Path
) -> None:
    photos = dataset.splits["train"]
    assert resolve(replace(OPTIONS, earlier=tmp_path), photos).frozen_norms
    assert not resolve(OPTIONS, photos).frozen_norms
    shipped = replace(
        OPTIONS, weights="graft-n-synthetic", detector=Architecture.GRAFT_N
    )
    assert not resolve(shipped, photos).frozen_norms
    assert resolve(replace(shipped, frozen_norms=True), photos).frozen_norms


def test_norms_are_frozen_in_batches_of_one_photo(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    single = replace(OPTIONS, batch=1, frozen_norms=False)
    assert resolve(single, photos).frozen_norms
    one = tuple(photo for photo in photos if not photo.is_good)[:1]
    assert resolve(OPTIONS, one).batch == 1
    assert resolve(OPTIONS, one).frozen_norms


def test_few_photos_get_more_epochs(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    few = resolve(replace(OPTIONS, epochs=None), photos)
    many = resolve(replace(OPTIONS, epochs=None), photos * 60)
    assert (few.epochs, many.epochs) == (100, 12)


@pytest.mark.parametrize(
    ("weights", "detector", "share"),
    [
        ("yolox_nano", Architecture.YOLOX_NANO, 0.2),
        ("none", Architecture.YOLOX_NANO, 1.0),
        ("graft-n-synthetic", Architecture.GRAFT_N, 1.0),
    ],
    ids=["real photos", "random", "drawn"],
)
def test_backbone_that_has_seen_real_photos_learns_slowly(
    dataset: Dataset, weights: str, detector: Architecture, share: float
) -> None:
    options = replace(OPTIONS, weights=weights, detector=detector)
    photos = tuple(
        replace(p, boxes=p.boxes * 0 + np.array([0, 0, 4, 4], np.float32))
        for p in dataset.splits["train"]
    )
    assert resolve(options, photos).backbone_share == share
    assert resolve(replace(options, backbone_share=0.5), photos).backbone_share == 0.5


@pytest.mark.parametrize(
    ("weights", "detector", "rate", "share"),
    [
        ("yolox_nano", Architecture.YOLOX_NANO, 1e-3, 1.0),
        ("none", Architecture.YOLOX_NANO, 3e-3, 1.0),
        ("graft-n-synthetic", Architecture.GRAFT_N, 3e-3, 1.0),
    ],
    ids=["real photos", "random", "drawn"],
)
def test_large_defects_are_learned_at_a_low_rate_and_not_pasted(
    dataset: Dataset, weights: str, detector: Architecture, rate: float, share: float
) -> None:
    options = replace(OPTIONS, weights=weights, detector=detector)
    large = tuple(
        replace(p, boxes=p.boxes * 0 + np.array([0, 0, 30, 20], np.float32))
        for p in dataset.splits["train"]
    )
    recipe = resolve(options, large)
    assert (recipe.learning_rate, recipe.backbone_share) == (rate, share)
    assert not recipe.pastes
    asked = resolve(replace(options, learning_rate=0.5, pastes=True), large)
    assert (asked.learning_rate, asked.pastes) == (0.5, True)


def test_photos_are_turned_unless_their_boxes_keep_a_direction(
    dataset: Dataset,
) -> None:
    photos = dataset.splits["train"]
    wide = tuple(
        replace(
            p,
            boxes=np.tile(np.array([[2, 2, 40, 14]], np.float32), (6, 1)),
            labels=np.zeros(6, np.int64),
        )
        for p in photos
    )
    high = tuple(replace(p, boxes=p.boxes[:, [1, 0, 3, 2]]) for p in wide[::2])
    assert not resolve(OPTIONS, wide).turns
    assert resolve(OPTIONS, (*wide[1::2], *high)).turns
    assert resolve(replace(OPTIONS, turns=True), wide).turns
