"""A run is measured on photos that it was not trained on, with a note."""

from pathlib import Path

from tests.simulators.photos import write_coco
from trainer.data.dataset import open_dataset
from trainer.data.splitting.split_record import SplitOptions, write_split_record
from trainer.evaluation.leakage import without_trained


def hashes(photos: tuple[object, ...]) -> set[str]:
    return {photo.sha256 for photo in photos}  # type: ignore[attr-defined]


def test_dataset_without_val_is_measured_where_the_run_held_out(tmp_path: Path) -> None:
    for split in ("all", "train"):
        root = write_coco(tmp_path / split, {split: 20})
        trained = open_dataset(root, split=SplitOptions(seed=7))
        write_split_record(tmp_path, trained.split_assignment)
        pool, held_out = trained.for_training()
        again = open_dataset(root)  # divided with another seed, or not at all
        assert hashes(again.split(None)[1]) & hashes(pool)
        measured, note = without_trained(again, tmp_path)
        name, photos = measured.split(None)
        assert (name, hashes(photos)) == ("val", hashes(held_out))
        assert f"the {len(held_out)} photos" in note


def test_other_photos_and_an_own_val_stay_as_they_are(tmp_path: Path) -> None:
    write_split_record(
        tmp_path, open_dataset(write_coco(tmp_path / "a")).split_assignment
    )
    for splits in ({"all": 8}, {"train": 6, "val": 4}):
        other = open_dataset(write_coco(tmp_path / f"{len(splits)}", splits, seed=3))
        assert without_trained(other, tmp_path) == (other, "")


def test_note_states_that_all_photos_were_trained_on(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 6})
    dataset = open_dataset(root)
    write_split_record(tmp_path, dataset.split_assignment.with_held_out(()))
    measured, note = without_trained(dataset, tmp_path)
    assert measured is dataset
    assert "on new photos its figures are lower" in note
