"""Photos of more than 8 bits a channel: one bit depth for a whole dataset."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.simulators.photos import as_deep, write_coco
from trainer.data.checks.check import CheckReport, check_dataset
from trainer.data.checks.repaired_copy import write_repaired_copy
from trainer.data.dataset import open_dataset, read_photo
from trainer.data.findings import FindingKind, Level
from trainer.data.splitting.split_record import SplitOptions, split_options_of
from trainer.fit.provenance import keep_split


def write_deep(root: Path, shift: int, suffix: str = ".png") -> Path:
    return as_deep(write_coco(root, good=2), shift, suffix)


def of_kind(report: CheckReport, kind: FindingKind) -> list[tuple[Level, str]]:
    return [(f.level, f.why) for f in report.findings if f.kind is kind]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("shift", "bit_depth"), [(0, 8), (2, 10), (4, 12), (6, 14), (8, 16)]
)
def test_bit_depth_is_the_smallest_that_holds_all_photos(
    tmp_path: Path, shift: int, bit_depth: int, suffix: str
) -> None:
    flat = open_dataset(write_coco(tmp_path / "flat", good=2))
    deep = open_dataset(write_deep(tmp_path / "deep", shift, suffix))
    assert (flat.bit_depth, deep.bit_depth) == (None, bit_depth)
    pictures = {photo.path.name: read_photo(photo) for photo in flat.photos}
    for photo in deep.photos:
        assert np.array_equal(read_photo(photo), pictures[photo.path.name])
    of_flat = {photo.path.name: photo.fingerprint for photo in flat.photos}
    for photo in deep.photos:
        assert np.array_equal(photo.fingerprint, of_flat[photo.path.name])


def test_dark_photo_is_not_stretched_by_its_own_values(tmp_path: Path) -> None:
    root = write_deep(tmp_path / "d", 4)
    dark = root / "good" / min(p.name for p in (root / "good").iterdir())
    cv2.imwrite(str(dark), np.full((64, 64), 160, np.uint16))  # fits into 8 bits
    dataset = open_dataset(root)
    assert dataset.bit_depth == 12
    [photo] = [photo for photo in dataset.photos if photo.path == dark]
    assert photo.bit_depth == 12
    assert read_photo(photo).max() == 10
    assert photo.fingerprint.max() == 10


def test_given_bit_depth_is_used_and_a_value_above_it_is_an_error(
    tmp_path: Path,
) -> None:
    root = write_deep(tmp_path / "d", 4)
    given = check_dataset(root, split=SplitOptions(bit_depth=14))
    assert given.dataset.bit_depth == 14
    assert read_photo(given.dataset.photos[0]).max() <= 63
    low = check_dataset(root, split=SplitOptions(bit_depth=12))
    assert not of_kind(low, FindingKind.BIT_DEPTH)
    cv2.imwrite(
        str(root / "images" / "train-0.png"), np.full((64, 64), 4096, np.uint16)
    )
    high = check_dataset(root, split=SplitOptions(bit_depth=12))
    [(level, why)] = of_kind(high, FindingKind.BIT_DEPTH)
    assert level is Level.ERROR
    assert "its values reach 4096, 12 bits end at 4095" in why


def test_photos_of_8_bits_among_deep_ones_are_named(tmp_path: Path) -> None:
    root = write_deep(tmp_path / "d", 4)
    cv2.imwrite(
        str(root / "images" / "train-0.png"), np.full((64, 64, 3), 90, np.uint8)
    )
    [(level, why)] = of_kind(check_dataset(root), FindingKind.BIT_DEPTH)
    assert level is Level.WARNING
    assert why.startswith("has 8 bits a channel, 11 of 12 photos have more than 8")


def test_photos_of_one_kind_are_no_finding(tmp_path: Path) -> None:
    for name, root in (
        ("deep", write_deep(tmp_path / "deep", 4)),
        ("flat", write_coco(tmp_path / "flat", good=2)),
    ):
        assert not of_kind(check_dataset(root), FindingKind.BIT_DEPTH), name


def test_repaired_copy_has_the_bit_depth_of_the_original(tmp_path: Path) -> None:
    root = write_deep(tmp_path / "d", 4)
    report = check_dataset(root, split=SplitOptions(bit_depth=14))
    copy = write_repaired_copy(report, tmp_path / "copy")
    assert copy.report.dataset.bit_depth == 14


def test_split_record_keeps_the_bit_depth(tmp_path: Path) -> None:
    dataset = open_dataset(write_deep(tmp_path / "d", 4))
    keep_split(tmp_path / "run", dataset.split_assignment)
    assert split_options_of(tmp_path / "run").bit_depth == 12


def test_photos_that_one_value_makes_black_are_named(tmp_path: Path) -> None:
    root = write_deep(tmp_path / "d", 4)
    assert not of_kind(check_dataset(root), FindingKind.BLACK_PHOTO)
    bright = root / "images" / "train-0.png"
    pixels = cv2.imread(str(bright), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    pixels[0, 0] = 65535
    cv2.imwrite(str(bright), pixels)
    report = check_dataset(root)
    assert report.dataset.bit_depth == 16
    found = of_kind(report, FindingKind.BLACK_PHOTO)
    assert len(found) == 11
    assert found[0][0] is Level.WARNING
    assert "read with a bit depth of 16" in found[0][1]


def test_black_photo_of_8_bits_is_named(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=1)
    cv2.imwrite(str(root / "good" / "black.png"), np.full((64, 64, 3), 15, np.uint8))
    [(_, why)] = of_kind(check_dataset(root), FindingKind.BLACK_PHOTO)
    assert why == "is nearly black: its largest value is 15 of 255."
