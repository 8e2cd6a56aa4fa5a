"""A run is measured on photos that it was not trained on, with a note."""

from pathlib import Path

import cv2
import pytest

from models.manifest import Promise, ThresholdRule, Thresholds
from tests.simulators.frames import write_frames
from tests.simulators.photos import write_coco
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.splitting.split_record import SplitOptions, write_split_record
from trainer.evaluation.leakage import (
    TrainedParts,
    parts_trained_by,
    trained_parts,
    without_trained,
)


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
    assert "trained on all 6 photos: on new photos its figures are lower" in note


def test_note_on_one_photo_is_singular(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 1}))
    write_split_record(tmp_path, dataset.split_assignment.with_held_out(()))
    _, note = without_trained(dataset, tmp_path)
    assert "was trained on the only photo: " in note


def test_copies_in_another_format_count_as_trained_on(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 20})
    trained = open_dataset(root)
    write_split_record(tmp_path, trained.split_assignment)
    _, held_out = trained.for_training()
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 0]
    for photo in trained.photos:
        cv2.imwrite(str(photo.path), cv2.imread(str(photo.path)), settings)
    again = open_dataset(root, split=SplitOptions(seed=9))
    assert not hashes(again.photos) & hashes(trained.photos)
    measured, _ = without_trained(again, tmp_path)
    assert {p.path for p in measured.splits["val"]} == {p.path for p in held_out}


def parts_of(dataset: Dataset) -> TrainedParts:
    return trained_parts(dataset.split_assignment, *dataset.for_training())


@pytest.mark.parametrize(
    ("val", "good", "known"),
    [
        ([0, 1], [4, 5, 6, 7], TrainedParts()),
        ([0, 2], [], TrainedParts()),
        ([0, 0], [], TrainedParts(defective=True)),
    ],
    ids=["new good parts", "a new part with a defect", "nothing new"],
)
def test_parts_are_new_where_no_frame_of_them_was_trained_on(
    tmp_path: Path, val: list[int], good: list[int], known: TrainedParts
) -> None:
    train = [0, 0, 3] if known.defective or not good else [3, 3, 2]
    root = write_frames(tmp_path / "d", {"train": train, "val": val}, good)
    assert parts_of(open_dataset(root)) == known


def test_training_photos_themselves_are_measured_as_asked(tmp_path: Path) -> None:
    dataset = open_dataset(write_frames(tmp_path / "d", {"train": [0] * 4 + [1] * 4}))
    trained, _ = dataset.for_training()
    assert trained_parts(dataset.split_assignment, trained, trained) == TrainedParts()


def test_package_of_the_same_dataset_measures_nothing_on_frames_of_its_parts(
    tmp_path: Path,
) -> None:
    dataset = open_dataset(
        write_frames(tmp_path / "d", {"train": [0] * 4, "val": [0] * 2})
    )
    val = dataset.splits["val"]
    package = tmp_path / "package"  # no split record
    known = parts_trained_by(package, dataset, dataset.sha256, val)
    assert known == TrainedParts(defective=True)
    assert parts_trained_by(package, dataset, "0" * 64, val) == TrainedParts()


@pytest.mark.parametrize("rule", list(ThresholdRule))
def test_thresholds_claim_nothing_for_parts_that_were_trained_on(
    rule: ThresholdRule,
) -> None:
    thresholds = Thresholds(
        scores={"a": 0.5},
        iou_threshold=0.65,
        rule=rule,
        target=0.02,
        reached=0.0,
        promise=Promise(share=0.05, parts=19),
        at_most=0.05,
        chosen_on="val",
        images=9,
        good_images=4,
    )
    known = TrainedParts(
        defective=rule is ThresholdRule.ESCAPES, good=rule is ThresholdRule.OVERKILL
    )
    is_limited = rule is not ThresholdRule.BEST_F1
    left = known.without_claims(thresholds)
    assert (left.at_most is None) is is_limited
    assert (left.promise is None) is is_limited
    assert TrainedParts().without_claims(thresholds) == thresholds
