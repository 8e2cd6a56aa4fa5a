"""The photos that calibrate INT8 are a seeded sample of the training photos."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.float_models import calibrate, spots
from trainer.data.dataset import Dataset
from trainer.ship.calibration import own_photos


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return spots(tmp_path_factory.mktemp("spots"), train=12, good=12)


def test_all_photos_calibrate_where_there_are_few(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    assert set(map(id, calibrate(photos).photos)) == set(map(id, photos))


def test_a_quarter_of_a_small_sample_are_good_parts(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    defective = [photo for photo in photos if not photo.is_good]
    good = [photo for photo in photos if photo.is_good][:2]
    chosen = calibrate((*defective, *good), count=8)
    assert len(chosen.photos) == 8
    assert chosen.record()["good_images"] == 2


def test_good_photos_fill_up_where_defective_ones_are_few(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    defective = [photo for photo in photos if not photo.is_good][:2]
    good = [photo for photo in photos if photo.is_good]
    chosen = calibrate((*defective, *good), count=7)
    assert len(chosen.photos) == 7
    assert chosen.record()["good_images"] == 5


def test_same_seed_chooses_the_same_photos_in_any_order(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    first, second = calibrate(photos, 8).record(), calibrate(photos[::-1], 8).record()
    assert first == second
    assert calibrate(photos, 8, seed=1).record() != first


def test_record_names_the_photos_by_their_hash(dataset: Dataset) -> None:
    calibration = calibrate(dataset.splits["train"])
    hashes = calibration.record()["photos_sha256"]
    assert hashes == [photo.sha256 for photo in calibration.photos]


def test_calibration_photos_of_the_run_are_used(
    dataset: Dataset, tmp_path: Path
) -> None:
    photos = dataset.splits["train"]
    for number, photo in enumerate(photos):
        (tmp_path / f"{number}.png").write_bytes(photo.path.read_bytes())
    chosen = own_photos(tmp_path, photos)
    assert {photo.sha256 for photo in chosen} == {photo.sha256 for photo in photos}


def test_foreign_calibration_photo_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "theirs.png").write_bytes(dataset.splits["val"][0].path.read_bytes())
    with pytest.raises(DatasetError, match=r"not photos .* example theirs\.png") as bad:
        own_photos(tmp_path, dataset.splits["train"])
    assert "another product" in bad.value.why


def test_too_few_calibration_photos_are_refused(
    dataset: Dataset, tmp_path: Path
) -> None:
    first, *_ = photos = dataset.splits["train"]
    for name in ("a.png", "the-same.png"):
        (tmp_path / name).write_bytes(first.path.read_bytes())
    with pytest.raises(DatasetError, match="1 different photos are too few") as few:
        own_photos(tmp_path, photos)
    assert f"At least {len(photos)}" in few.value.why
    many = [replace(first, sha256=f"{n:064x}") for n in range(300)]
    with pytest.raises(DatasetError) as enough:
        own_photos(tmp_path, [first, *many])
    assert "At least 100" in enough.value.why
