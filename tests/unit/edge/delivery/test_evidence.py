"""Pictures are on disk before their alert, bounded, and never in the alert's way."""

import hashlib
import os
import re
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.delivery import evidence as evidence_module
from edge.delivery.evidence import EvidenceStore, encode_heat_map, encode_thumbnail
from models.boxes import Boxes
from models.errors import ConfigError
from models.heat_map import HEAT_MAP_MAX_BYTES, check_heat_map
from models.messages import THUMBNAIL_MAX_BYTES
from models.preprocess import Frame

MEBIBYTE = 1 << 20


def noise(height_px: int = 120, width_px: int = 160, seed: int = 0) -> Frame:
    """Return a frame that compresses badly."""
    shape = (height_px, width_px, 3)
    return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


def boxes(*corners: tuple[float, float, float, float]) -> Boxes:
    return np.array(corners, np.float32).reshape(-1, 4)


def decoded(jpeg: bytes) -> Frame:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def test_full_picture_is_on_disk_without_boxes_drawn_into_it(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence", MEBIBYTE)
    frame = np.full((120, 160, 3), 128, np.uint8)
    kept = store.save(frame, boxes((10, 10, 60, 60)), "top/frame-1")
    assert kept.path is not None
    picture = decoded((tmp_path / "evidence" / kept.path).read_bytes())
    assert picture.shape == frame.shape
    assert np.abs(picture.astype(int) - 128).max() < 4
    assert np.abs(decoded(kept.thumbnail).astype(int) - 128).max() < 4


def test_pictures_are_filed_by_day_and_camera(tmp_path: Path) -> None:
    kept = EvidenceStore(tmp_path, MEBIBYTE).save(noise(), boxes(), "top/part-7")
    assert kept.path is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/top/part-7-[0-9a-f]{8}\.jpg", kept.path)


def test_hash_is_that_of_the_thumbnail(tmp_path: Path) -> None:
    kept = EvidenceStore(tmp_path, MEBIBYTE).save(noise(), boxes(), "top/1")
    assert kept.thumbnail_sha256 == hashlib.sha256(kept.thumbnail).hexdigest()


def test_same_name_again_does_not_overwrite_another_picture(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path, MEBIBYTE)
    first = store.save(noise(seed=1), boxes(), "top/frame-1")
    second = store.save(noise(seed=2), boxes(), "top/frame-1")
    assert first.path != second.path
    assert len(list(tmp_path.rglob("*.jpg"))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "top/../../../etc/passwd",
        "/etc/passwd",
        "top/..",
        "top/" + "x" * 400,
        "top/a b\n<script>\x00\u202e",
        "...",
        "",
    ],
)
def test_hostile_name_stays_inside_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "evidence"
    kept = EvidenceStore(folder, MEBIBYTE).save(noise(), boxes(), name)
    assert kept.path is not None
    path = (folder / kept.path).resolve()
    assert path.is_file()
    assert path.is_relative_to(folder.resolve())
    assert re.fullmatch(r"[A-Za-z0-9._/-]+", kept.path)


@pytest.mark.parametrize("is_day", [False, True])
def test_picture_is_not_written_through_a_linked_folder(
    tmp_path: Path, *, is_day: bool
) -> None:
    folder, elsewhere = tmp_path / "evidence", tmp_path / "elsewhere"
    elsewhere.mkdir()
    store = EvidenceStore(folder, MEBIBYTE)
    day = folder / datetime.now(UTC).strftime("%Y-%m-%d")
    if is_day:
        day.symlink_to(elsewhere)
    else:
        day.mkdir()
        (day / "top").symlink_to(elsewhere)
    kept = store.save(noise(), boxes(), "top/frame-1")
    assert (kept.path, store.failures) == (None, 1)
    assert kept.thumbnail
    assert not list(elsewhere.iterdir())


def test_linked_store_is_used(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "evidence").symlink_to("disk")
    kept = EvidenceStore(tmp_path / "evidence", MEBIBYTE).save(
        noise(), boxes(), "top/frame-1"
    )
    assert kept.path is not None
    assert (tmp_path / "disk" / kept.path).is_file()


@pytest.mark.parametrize("size_px", [(1080, 1920), (3000, 4000), (8, 8), (4000, 30)])
def test_thumbnail_fits_for_frames_of_any_size(size_px: tuple[int, int]) -> None:
    jpeg = encode_thumbnail(noise(*size_px), boxes((1, 1, 4, 4)))
    assert len(jpeg) <= THUMBNAIL_MAX_BYTES
    assert jpeg.startswith(b"\xff\xd8\xff")
    height, width = decoded(jpeg).shape[:2]
    assert height / width == pytest.approx(size_px[0] / size_px[1], rel=0.1)


def test_thumbnail_is_larger_where_the_defect_is_small() -> None:
    frame = np.full((1080, 1920, 3), 90, np.uint8)
    coarse = decoded(encode_thumbnail(frame, boxes((0, 0, 300, 300))))
    fine = decoded(encode_thumbnail(frame, boxes((0, 0, 300, 300), (5, 5, 25, 25))))
    assert coarse.shape[1] == 640
    assert fine.shape[1] == 1536  # the 20 px become 16


@pytest.mark.parametrize("size_px", [(66_000, 16), (16, 66_000)])
def test_frame_that_cannot_be_a_jpeg_has_a_thumbnail_all_the_same(
    tmp_path: Path, size_px: tuple[int, int]
) -> None:
    store = EvidenceStore(tmp_path, MEBIBYTE)
    kept = store.save(np.zeros((*size_px, 3), np.uint8), boxes(), "top/1")
    assert kept.path is None
    assert store.failures == 1
    assert max(decoded(kept.thumbnail).shape) == 640


@pytest.mark.parametrize(("width_px", "is_same"), [(640, True), (641, False)])
def test_picture_of_a_small_frame_is_its_thumbnail_too(
    tmp_path: Path, width_px: int, is_same: bool
) -> None:
    frame = np.full((480, width_px, 3), 90, np.uint8)
    kept = EvidenceStore(tmp_path, MEBIBYTE).save(frame, boxes(), "top/frame-1")
    assert kept.path is not None
    assert ((tmp_path / kept.path).read_bytes() == kept.thumbnail) is is_same
    assert max(decoded(kept.thumbnail).shape) == 640


def test_small_frame_whose_picture_is_too_large_has_a_smaller_thumbnail(
    tmp_path: Path,
) -> None:
    kept = EvidenceStore(tmp_path, MEBIBYTE).save(noise(640, 640), boxes(), "top/1")
    assert kept.path is not None
    assert (tmp_path / kept.path).stat().st_size > THUMBNAIL_MAX_BYTES
    assert 0 < len(kept.thumbnail) <= THUMBNAIL_MAX_BYTES


def test_frame_without_pixels_has_neither_picture_nor_thumbnail(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path, MEBIBYTE)
    kept = store.save(np.zeros((0, 16, 3), np.uint8), boxes((0, 0, 9, 9)), "top/1")
    assert (kept.path, kept.thumbnail, kept.thumbnail_sha256) == (None, b"", None)
    assert list(tmp_path.rglob("*.jpg")) == []


def test_oldest_pictures_go_beyond_the_cap(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path, 200_000)
    kept = [store.save(noise(seed=n), boxes(), f"top/{n}").path for n in range(20)]
    there = [path is not None and (tmp_path / path).is_file() for path in kept]
    assert there == sorted(there), "only the newest are there"
    assert any(there)
    assert not all(there)
    total = sum(path.stat().st_size for path in tmp_path.rglob("*.jpg"))
    assert total <= 200_000


def test_pictures_of_an_earlier_run_count_too(tmp_path: Path) -> None:
    old = EvidenceStore(tmp_path, MEBIBYTE)
    first = old.save(noise(), boxes(), "top/1").path
    size_bytes = next(tmp_path.rglob("*.jpg")).stat().st_size
    new = EvidenceStore(tmp_path, size_bytes + 100)
    new.save(noise(seed=3), boxes(), "top/2")
    assert first is not None
    assert not (tmp_path / first).exists()


def test_empty_day_folders_are_removed(tmp_path: Path) -> None:
    day = tmp_path / "2020-01-01" / "top"
    day.mkdir(parents=True)
    (day / "frame-1-0123abcd.jpg").write_bytes(b"x" * 5000)
    EvidenceStore(tmp_path, 6000).save(noise(20, 20), boxes(), "top/2")
    EvidenceStore(tmp_path, 3000).save(noise(20, 20, 1), boxes(), "top/3")
    assert not (tmp_path / "2020-01-01").exists()


def test_disk_that_refuses_writes_loses_the_picture_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EvidenceStore(tmp_path, MEBIBYTE)
    day = evidence_module.datetime.now(evidence_module.UTC).strftime("%Y-%m-%d")
    (tmp_path / day).write_text("a file is in the way")
    for _ in range(3):
        kept = store.save(noise(), boxes(), "top/1")
        assert kept.path is None
        assert kept.thumbnail
    assert store.failures == 3
    assert caplog.text.count("evidence_not_kept") == 1, "logged once"
    (tmp_path / day).unlink()
    assert store.save(noise(), boxes(), "top/1").path is not None
    assert "evidence_back" in caplog.text


def test_half_written_pictures_of_a_power_cut_are_removed(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path, MEBIBYTE)
    kept = store.save(noise(), boxes(), "top/frame-1").path
    assert kept is not None
    picture = tmp_path / kept
    leftover = picture.with_name(f".{picture.name}.99.tmp")
    leftover.write_bytes(b"half")
    EvidenceStore(tmp_path, MEBIBYTE)
    assert not leftover.exists()
    assert picture.exists()


def test_files_of_other_programs_are_never_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "top"
    elsewhere.mkdir(parents=True)
    folder = tmp_path / "home"
    theirs = [
        folder / "wedding.jpg",
        folder / "2024-07-01" / "IMG_0001.jpg",
        folder / "2024-07-01" / "beach-0123abcd.jpg",
        folder / "2024-07-01" / "sea" / "IMG_0001.jpg",
        folder / "2024-07-01" / "sea" / "holiday.tmp",
        folder / "2024-07-01" / "sea" / "more" / "frame-1-0123abcd.jpg",
        folder / "thesis" / "top" / "frame-1-0123abcd.jpg",
        folder / ".thesis.docx.77.tmp",
        elsewhere / "frame-1-0123abcd.jpg",
    ]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5000)
    (folder / "2024-07-02").symlink_to(elsewhere.parent)
    (folder / "2024-07-01" / "link").symlink_to(elsewhere)
    store = EvidenceStore(folder, 1000)
    store.save(noise(), boxes(), "top/frame-1")
    store.save(noise(seed=1), boxes(), "top/frame-2")
    assert [path for path in theirs if not path.exists()] == []


def test_folder_that_cannot_be_created_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"evidence\.folder") as caught:
        EvidenceStore(tmp_path / "file" / "evidence", MEBIBYTE)
    assert caught.value.exit_code == 3
    assert caught.value.fix


def test_pictures_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = EvidenceStore(tmp_path / "evidence", MEBIBYTE)
        kept = store.save(noise(), boxes(), "top/1")
    finally:
        os.umask(before)
    assert kept.path is not None
    modes = {
        stat.S_IMODE(path.stat().st_mode) & 0o077
        for path in [tmp_path / "evidence", *(tmp_path / "evidence").rglob("*")]
    }
    assert modes == {0}


def test_pictures_of_an_earlier_version_are_closed_to_others(tmp_path: Path) -> None:
    day = tmp_path / "2024-07-01"
    (day / "top").mkdir(parents=True)
    day.chmod(0o755)
    EvidenceStore(tmp_path, MEBIBYTE)
    assert stat.S_IMODE(day.stat().st_mode) == 0o700


def test_heat_map_is_kept_beside_its_picture_and_deleted_with_it(
    tmp_path: Path,
) -> None:
    scores = np.arange(600, dtype=np.uint8).reshape(20, 30)
    kept = EvidenceStore(tmp_path, MEBIBYTE).save(noise(), boxes(), "top/f-1", scores)
    assert kept.path is not None
    assert kept.heat_map is not None
    file = tmp_path / kept.heat_map
    assert check_heat_map(file.read_bytes()) == (30, 20)
    stored = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, scores)
    assert file.parent == (tmp_path / kept.path).parent
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name == f"f-1-{digest[:8]}.png"
    # After a restart both make room for others.
    store = EvidenceStore(tmp_path, 60_000)
    for number in range(6):
        store.save(noise(seed=number), boxes(), f"top/next-{number}")
    assert not file.exists()
    assert not (tmp_path / kept.path).exists()


def test_heat_map_that_does_not_shrink_is_halved() -> None:
    scores = np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8)
    png = encode_heat_map(scores)
    assert check_heat_map(png) == (256, 256)
    assert len(png) <= HEAT_MAP_MAX_BYTES


def test_alert_goes_without_a_heat_map_that_cannot_be_written(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence", MEBIBYTE)
    shutil.rmtree(tmp_path / "evidence")
    (tmp_path / "evidence").write_text("a file")
    kept = store.save(noise(), boxes(), "top/f-1", np.zeros((4, 4), np.uint8))
    assert (kept.path, kept.heat_map) == (None, None)
    assert kept.thumbnail
