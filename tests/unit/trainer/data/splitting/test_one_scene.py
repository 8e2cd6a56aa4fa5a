"""Frames that differ by noise only are one scene; parts that differ are not."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.boxes import Boxes, IntArray
from tests.simulators.frames import SIZE_PX, frame, surface, write_frames
from trainer.data.dataset import open_dataset
from trainer.data.splitting import one_scene
from trainer.data.splitting.near_duplicates import Fingerprint, fingerprint
from trainer.data.splitting.one_scene import differ_by_noise, find_scenes, joined

BOX = (40, 52, 56, 64)  # x1, y1, x2, y2
DEPTH = 40  # grey levels of the drawn defect


@dataclass(frozen=True)
class SimPhoto:
    path: Path
    fingerprint: Fingerprint
    boxes: Boxes = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    bit_depth: int | None = None
    width_px: int = 96
    height_px: int = 96


def written(path: Path, picture: np.ndarray, *boxes: tuple[int, ...]) -> SimPhoto:
    """Return a photo on disk, with a box for each four corners."""
    assert cv2.imwrite(str(path), picture)
    drawn = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(drawn), np.int64)
    return SimPhoto(path, fingerprint(picture), drawn, labels)


def with_defect(picture: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = BOX
    marked = picture.copy()
    marked[y1:y2, x1:x2] = np.clip(marked[y1:y2, x1:x2].astype(int) + DEPTH, 0, 255)
    return marked


def coded(picture: np.ndarray, quality: int) -> np.ndarray:
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR))


def moved(picture: np.ndarray, shift_px: float) -> np.ndarray:
    matrix = np.array([[1, 0, shift_px], [0, 1, 0]], np.float32)
    size = picture.shape[1::-1]
    return np.asarray(cv2.warpAffine(picture, matrix, size, borderMode=1))


CHANGES = {
    "noise of 1 level": lambda p, rng: frame(rng, p, 1),
    "noise of 8 levels": lambda p, rng: frame(rng, p, 8),
    "JPEG quality 60": lambda p, _: coded(p, 60),
    "JPEG quality 95": lambda p, _: coded(p, 95),
    "brighter": lambda p, rng: frame(rng, np.clip(p.astype(int) + 12, 0, 255), 2),
    "darker": lambda p, rng: frame(rng, np.clip(p.astype(int) - 12, 0, 255), 2),
    "moved by a pixel": lambda p, rng: frame(rng, moved(p, 1), 2),
    "half the size": lambda p, _: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_frames_of_one_scene_are_found_where_all_photos_show_it(
    tmp_path: Path, change: str
) -> None:
    rng = np.random.default_rng(0)
    part = surface(rng)
    photos = [
        written(tmp_path / f"{number}.png", CHANGES[change](part, rng))
        for number in range(4)
    ] + [written(tmp_path / "first.png", part)]
    assert find_scenes(photos).groups == (0, 0, 0, 0, 0)


def test_parts_on_a_fixed_jig_are_different_scenes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    jig = surface(rng).astype(np.float32)
    photos = []
    for part in range(6):
        grain = rng.normal(0, 6, (32, 32, 3)).astype(np.float32)
        large = cv2.resize(grain, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
        photos.append(written(tmp_path / f"{part}.png", frame(rng, jig + large, 2)))
    assert find_scenes(photos).groups == (0, 1, 2, 3, 4, 5)


def test_small_mark_on_an_equal_part_is_no_noise() -> None:
    rng = np.random.default_rng(0)
    part = surface(rng)
    marked = part.copy()
    marked[60:68, 60:68] //= 2
    assert differ_by_noise(part, frame(rng, part))
    assert not differ_by_noise(part, frame(rng, marked))


def test_pictures_of_another_shape_are_not_one_scene() -> None:
    part = surface(np.random.default_rng(0))
    assert not differ_by_noise(part, part[:-16])


def test_frames_with_boxes_in_other_places_are_other_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    part = surface(rng)
    boxes = [(10, 10, 24, 24), (11, 10, 25, 24), (80, 80, 94, 94)]
    photos = [
        written(tmp_path / f"{number}.png", frame(rng, part), box)
        for number, box in enumerate(boxes)
    ]
    assert find_scenes(photos).groups == (0, 0, 2)


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_good_photo_that_is_a_saved_copy_of_a_labelled_one_contradicts_it(
    tmp_path: Path, quality: int
) -> None:
    marked = with_defect(surface(np.random.default_rng(0)))
    copy = written(tmp_path / "a.png", coded(marked, quality))
    labelled = written(tmp_path / "b.png", marked, BOX)
    found = find_scenes([copy, labelled])
    assert found.contradictions == ((1, 0),)
    assert found.groups == (0, 1)


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_good_part_on_the_same_jig_does_not_contradict_the_defective_one(
    tmp_path: Path, noise: float
) -> None:
    rng = np.random.default_rng(0)
    part = surface(rng)
    good = written(tmp_path / "a.png", frame(rng, part, noise))
    bad = written(tmp_path / "b.png", frame(rng, with_defect(part), noise), BOX)
    assert find_scenes([good, bad]).contradictions == ()


def test_photo_that_is_gone_is_in_a_scene_of_its_own(tmp_path: Path) -> None:
    part = surface(np.random.default_rng(0))
    photos = [written(tmp_path / f"{number}.png", part) for number in range(2)]
    photos[1].path.unlink()
    assert find_scenes(photos).groups == (0, 1)


def test_many_frames_are_joined_without_reading_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_scene, "MOST_READ", 6)
    monkeypatch.setattr(one_scene, "READ_AT_ONCE", 2)
    rng = np.random.default_rng(0)
    part = surface(rng)
    photos = [
        written(tmp_path / f"{number}.png", frame(rng, part)) for number in range(30)
    ]
    for photo in photos[::3]:
        photo.path.write_bytes(b"")
    unreadable = set(find_scenes(photos).groups)
    assert len(unreadable) > 1  # too few of the pairs that were read agreed
    for photo in photos[::3]:
        assert cv2.imwrite(str(photo.path), frame(rng, part))
    assert set(find_scenes(photos).groups) == {0}


def test_chain_of_pairs_is_one_group() -> None:
    assert joined([(3, 1), (1, 0)], 5) == [0, 0, 2, 0, 4]


def test_no_photo_is_no_scene() -> None:
    assert find_scenes([]) == one_scene.Scenes((), ())


def test_frames_of_a_part_are_never_divided(tmp_path: Path) -> None:
    root = write_frames(tmp_path / "d", {"train": [0] * 5 + [1] * 5 + [2] * 5})
    dataset = open_dataset(root)
    trained, measured = (
        {photo.path.name.split("-")[1] for photo in photos}
        for photos in dataset.for_training()
    )
    assert len(trained) + len(measured) == 3
    assert not trained & measured


def test_frames_of_a_good_part_are_never_divided_by_an_own_split(
    tmp_path: Path,
) -> None:
    root = write_frames(
        tmp_path / "d", {"train": [0, 1], "val": [2, 3]}, good=[4] * 6 + [5] * 6
    )
    splits = open_dataset(root).splits
    trained, measured = (
        {photo.path.name[0] for photo in splits[name] if photo.is_good}
        for name in ("train", "val")
    )
    assert trained | measured == {"4", "5"}
    assert not trained & measured
