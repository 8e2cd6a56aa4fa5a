"""split.json keeps every known photo in its subset, also of older runs."""

import os
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.photos import write_coco
from trainer.data.dataset import open_dataset
from trainer.data.splitting.split_record import (
    SPLIT_NAME,
    SplitOptions,
    UnlabelledUse,
    read_split_record,
    split_options_of,
    write_split_record,
)
from trainer.data.splitting.stratify import HELD_OUT, TRAIN


def test_known_photos_keep_their_subset_when_photos_are_added(tmp_path: Path) -> None:
    small = open_dataset(write_coco(tmp_path / "a", {"train": 10}))
    write_split_record(tmp_path, small.split_assignment)
    like = read_split_record(tmp_path)
    root = write_coco(tmp_path / "b", {"train": 40})
    for number in range(10):  # the same ten photos, and thirty new ones
        name = f"images/train-{number}.png"
        (root / name).write_bytes((tmp_path / "a" / name).read_bytes())
    grown = open_dataset(root, split=SplitOptions(seed=5, like=like, like_name="a"))
    for before, after in zip(small.for_training(), grown.for_training(), strict=True):
        assert {p.sha256 for p in before} <= {p.sha256 for p in after}
    assert len(grown.for_training()[1]) == 8
    other = write_coco(tmp_path / "c", seed=9)
    with pytest.raises(DatasetError, match="no photo of it was divided"):
        open_dataset(other, split=SplitOptions(like=like, like_name="a"))


@pytest.mark.parametrize("content", [b"{}", b"no JSON", b"\xff"])
def test_record_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SPLIT_NAME).write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_split_record(tmp_path)


def test_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d"))
    write_split_record(tmp_path, dataset.split_assignment)
    path = tmp_path / SPLIT_NAME
    text = path.read_text("utf-8").replace('"schema_version": 1', '"schema_version": 2')
    path.write_text(text, "utf-8")
    with pytest.raises(DatasetError, match="schema 2 is newer than 1"):
        split_options_of(tmp_path)


def test_run_of_an_older_version_took_unlabelled_photos_as_good(
    tmp_path: Path,
) -> None:
    usual = SplitOptions(unlabelled=UnlabelledUse.GOOD, bit_depth=16)
    assert split_options_of(tmp_path) == usual


def test_held_out_photos_are_not_trained_on(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d", {"train": 6}))
    first, *others = dataset.photos
    assignment = dataset.split_assignment.with_held_out([first])
    assert assignment.subset(first) == HELD_OUT
    assert {assignment.subset(photo) for photo in others} == {TRAIN}
    assert assignment.sha256 != dataset.split_assignment.sha256
    assert assignment.summary()["photos"] == {"train": 5, "val": 1}


@pytest.mark.parametrize("kind", ["pattern", "pipe", "device"])
def test_record_that_no_training_writes_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "split.json"
    match kind:
        case "pattern":
            path.write_text('{"rule": "own", "seed": 0, "pattern": "((", "photos": {}}')
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_split_record(tmp_path)
