"""A memory of good patches: what it keeps, and how far good parts are from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import DatasetError
from models.tiles import Tiles
from tests.simulators.photos import write_coco
from trainer.data.dataset import open_dataset
from trainer.detectors.graft import GraftSize
from trainer.detectors.names import Activation
from trainer.detectors.yolox import YOLOX
from trainer.unknown.fit import (
    LEAST_SPREAD,
    cover,
    fit_memory,
    require_enough,
    scale_of,
)


def generator() -> torch.Generator:
    """Return a seeded source of random numbers."""
    return torch.Generator().manual_seed(0)


def test_cover_keeps_the_rare_patch_among_many_alike() -> None:
    vectors = torch.randn(500, 8, generator=generator()) * 0.01
    vectors[77] = 5.0
    kept = cover(vectors, 10, generator())
    assert kept.shape == (10, 8)
    assert bool((kept == 5.0).all(dim=1).any())


def test_cover_of_few_patches_keeps_all() -> None:
    vectors = torch.randn(7, 8, generator=generator())
    assert torch.equal(cover(vectors, 10, generator()), vectors)


def test_one_defect_among_good_parts_moves_the_scale_hardly() -> None:
    clean = np.linspace(1.0, 2.0, 50, dtype=np.float32)
    dirty = np.append(clean[:-1], np.float32(30))
    assert scale_of(dirty).usual == pytest.approx(scale_of(clean).usual, abs=0.05)
    assert scale_of(dirty).spread == pytest.approx(scale_of(clean).spread, abs=0.05)
    assert scale_of(dirty).score(30) > 0.99


def test_scale_of_copies_of_one_photo_has_a_spread() -> None:
    scale = scale_of(np.full(30, 2.0, np.float32))
    assert scale.spread == pytest.approx(2 * LEAST_SPREAD)


def test_too_few_good_photos_are_refused_with_how_many_are_missing() -> None:
    with pytest.raises(DatasetError, match="5 photos of good parts") as caught:
        require_enough(5)
    assert "15 more photos" in caught.value.fix


def test_same_photos_and_seed_give_the_same_memory(tmp_path: Path) -> None:
    photos = open_dataset(write_coco(tmp_path / "d", {"train": 1}, good=20)).photos
    good = [photo for photo in photos if photo.is_good]
    torch.manual_seed(0)
    network = YOLOX(GraftSize.N, 1, Activation.RELU)
    first, second = (fit_memory(network, good, (64, 64), seed=1) for _ in range(2))
    assert torch.equal(first.memory.patches, second.memory.patches)
    assert np.array_equal(first.good.distances, second.good.distances)
    assert first.memory.scale.usual == pytest.approx(first.good.scale.usual)
    assert first.description.aligned is not None
    assert first.good.places.shape == (20, 4)
    assert (first.good.places[:, :2] < first.good.places[:, 2:]).all()


def test_photo_of_a_part_is_not_compared_with_others_of_it(tmp_path: Path) -> None:
    """Five pictures, four times each: without their parts each photo knows its copy."""
    photos = open_dataset(write_coco(tmp_path / "d", {"train": 1}, good=5)).photos
    good = [
        replace(photo, sha256=f"{copy}{photo.sha256}")
        for photo in photos
        if photo.is_good
        for copy in range(4)
    ]
    torch.manual_seed(0)
    network = YOLOX(GraftSize.N, 1, Activation.RELU)
    parts = {photo.sha256: photo.path for photo in good}
    size_px = (64, 64)
    alone = fit_memory(network, good, size_px, seed=1, parts=parts).good.distances
    mixed = fit_memory(network, good, size_px, seed=1).good.distances
    assert alone.min() > 2 * np.median(mixed)
    one = dict.fromkeys(parts, "lot")
    assert len(fit_memory(network, good, size_px, seed=1, parts=one).good.photos) == 20


def test_patches_of_tiles_are_those_of_all_tiles(tmp_path: Path) -> None:
    photos = open_dataset(write_coco(tmp_path / "d", {"train": 1}, good=20)).photos
    good = [photo for photo in photos if photo.is_good]
    torch.manual_seed(0)
    network = YOLOX(GraftSize.N, 1, Activation.RELU)
    tiles = Tiles(64, 64, 32, 32, 0)
    fitted = fit_memory(network, good, (32, 32), seed=1, tiles=tiles)
    assert fitted.good.photos == tuple(sorted(good, key=lambda photo: photo.sha256))
    assert len(fitted.memory.patches) == 20 * tiles.count * 4
