"""The demo's line shows one part at a time, and labels what is visible."""

import ast
import inspect
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.data.synthetic import line_defects, line_part, line_scene
from trainer.data.synthetic.line import (
    GOOD_SHARE,
    PartLine,
    Passage,
    PlannedPhoto,
    SeedBranch,
    choose_labels,
    make_station,
    seeded_rng,
    take_photo,
)
from trainer.data.synthetic.line_defects import LineDefect, make_part
from trainer.data.synthetic.line_scene import Station, capture_frame, place_part

SIZE_PX = 256
FULL_PX = 320


@pytest.fixture(scope="module")
def station() -> Station:
    return make_station(1, SIZE_PX)


@pytest.fixture(scope="module")
def filmed(station: Station) -> tuple[list[np.ndarray], list[Passage]]:
    frames, passages = [], []
    for frame, passage in PartLine(1, 8, SIZE_PX).render(station):
        frames.append(frame)
        if passage is not None:
            passages.append(passage)
    return frames, passages


def photos(station: Station, branch: SeedBranch, count: int) -> list[PlannedPhoto]:
    taken = []
    for index in range(count):
        rng = seeded_rng(1, branch, index)
        labels = () if branch is SeedBranch.GOOD else choose_labels(rng, 3)
        taken.append(take_photo(rng, station, labels))
    return taken


def test_same_seed_takes_the_same_photo(station: Station) -> None:
    (first,), (again,) = (photos(station, SeedBranch.TRAIN, 1) for _ in range(2))
    np.testing.assert_array_equal(first.frame, again.frame)


def test_train_val_good_and_video_never_share_a_part(station: Station) -> None:
    turns = {
        seeded_rng(1, branch, index).random()
        for branch in SeedBranch
        for index in range(50)
    }
    assert len(turns) == 50 * len(SeedBranch)
    train, val = (photos(station, b, 1)[0] for b in (SeedBranch.TRAIN, SeedBranch.VAL))
    assert (train.frame != val.frame).mean() > 0.2


def test_part_uses_nothing_of_the_pretraining_stream() -> None:
    for module in (line_part, line_defects, line_scene):
        tree = ast.parse(inspect.getsource(module))
        used = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not any(str(name).startswith("pretraining") for name in used)


def test_labelled_photos_have_boxes_inside_the_photo(station: Station) -> None:
    for photo in photos(station, SeedBranch.TRAIN, 25):
        assert photo.flaws
        for flaw in photo.flaws:
            assert (flaw.box >= 0).all()
            assert (flaw.box <= SIZE_PX).all()
            assert (flaw.box[2:] > flaw.box[:2]).all()


@pytest.mark.parametrize("label", list(LineDefect))
@pytest.mark.parametrize("size_px", [SIZE_PX, FULL_PX])
def test_defects_are_6_to_40_px(label: LineDefect, size_px: int) -> None:
    found = 0
    for index in range(12):
        part = make_part(seeded_rng(2, SeedBranch.TRAIN, index), size_px, (label,))
        for flaw in part.flaws:
            sides = flaw.box[2:] - flaw.box[:2]
            assert sides.min() >= 6
            assert sides.max() <= 40
            found += flaw.label is label
    assert found >= 9


def test_defective_part_always_has_a_defect() -> None:
    for index in range(60):
        rng = seeded_rng(3, SeedBranch.VIDEO, index)
        assert make_part(rng, FULL_PX, choose_labels(rng, 2)).flaws


def test_labelled_defect_is_visible_in_the_finished_part() -> None:
    """The part inside a box differs from the same part without the defect."""
    for index in range(20):
        good = make_part(seeded_rng(4, SeedBranch.TRAIN, index), FULL_PX, ())
        bad = make_part(
            seeded_rng(4, SeedBranch.TRAIN, index), FULL_PX, (LineDefect.STAIN,)
        )
        change = np.abs(
            bad.picture * bad.alpha[:, :, None] - good.picture * good.alpha[:, :, None]
        ).max(axis=2)
        left, top, right, bottom = bad.flaws[0].box.astype(int)
        inside = change[top:bottom, left:right].copy()
        change[top - 3 : bottom + 3, left - 3 : right + 3] = 0
        assert inside.max() >= 12
        assert change.max() < inside.max() / 2


def test_good_parts_carry_nuisance_and_no_label() -> None:
    dirty = 0
    for index in range(20):
        rng = seeded_rng(5, SeedBranch.GOOD, index)
        part = make_part(rng, FULL_PX, ())
        assert part.flaws == ()
        inner = part.alpha > 0.99
        placed = place_part(rng, part)
        ratio = float(placed.picture[inner].mean() / part.picture[inner].mean())
        extra = placed.picture[inner].astype(np.float32) - part.picture[inner] * ratio
        dirty += float(np.abs(extra).max()) > 12
    assert dirty >= 15


def test_only_one_missing_hole_is_drawn_for_a_part() -> None:
    drawn = [choose_labels(np.random.default_rng(seed), 3) for seed in range(300)]
    assert max(labels.count(LineDefect.MISSING_HOLE) for labels in drawn) == 1
    assert {len(labels) for labels in drawn} == {1, 2, 3}
    assert {label for labels in drawn for label in labels} == set(LineDefect)


def test_parts_in_the_video_never_overlap_in_time(
    filmed: tuple[list[np.ndarray], list[Passage]],
) -> None:
    _, passages = filmed
    assert [passage.part_id for passage in passages] == list(range(8))
    for earlier, later in pairwise(passages):
        assert earlier.first_frame <= earlier.last_frame < later.first_frame


def test_belt_is_empty_between_two_parts_and_not_during_one(
    station: Station, filmed: tuple[list[np.ndarray], list[Passage]]
) -> None:
    frames, passages = filmed
    step = PartLine(1, 8, SIZE_PX).step_px
    shown = set()
    for passage in passages:
        shown.update(range(passage.first_frame, passage.last_frame + 1))
    for index, frame in enumerate(frames):
        empty = capture_frame(
            seeded_rng(9, SeedBranch.TRAIN), station, index * step, None, (0, 0)
        )
        change = cv2.absdiff(frame, empty).max(axis=2)
        differs = int(np.count_nonzero(change > 25))
        assert not (differs and index not in shown)
    for passage in passages:
        middle = (passage.first_frame + passage.last_frame) // 2
        empty = capture_frame(
            seeded_rng(9, SeedBranch.TRAIN), station, middle * step, None, (0, 0)
        )
        change = cv2.absdiff(frames[middle], empty).max(axis=2)
        assert np.count_nonzero(change > 25) > 1000


def test_video_has_as_many_frames_as_planned(
    filmed: tuple[list[np.ndarray], list[Passage]],
) -> None:
    frames, passages = filmed
    assert len(frames) == PartLine(1, 8, SIZE_PX).frame_count
    assert passages[-1].last_frame < len(frames)


def test_planned_share_of_parts_is_good(
    filmed: tuple[list[np.ndarray], list[Passage]],
) -> None:
    _, passages = filmed
    good = [passage for passage in passages if not passage.defects]
    assert len(good) == round(len(passages) * GOOD_SHARE) == 4


def test_every_defect_of_the_video_is_in_view_for_several_frames(
    filmed: tuple[list[np.ndarray], list[Passage]],
) -> None:
    _, passages = filmed
    defects = [(p, seen) for p in passages for seen in p.defects]
    assert defects
    for passage, seen in defects:
        assert len(seen.boxes) >= 5
        assert min(seen.boxes) >= passage.first_frame
        assert max(seen.boxes) <= passage.last_frame
        for box in seen.boxes.values():
            assert (box >= 0).all()
            assert (box <= SIZE_PX).all()


def test_drawing_modules_never_read_the_wall_clock() -> None:
    folder = Path(inspect.getfile(line_part)).parent
    for path in folder.glob("*.py"):
        source = path.read_text("utf-8")
        assert "import time" not in source
        assert "np.random.seed" not in source
        assert "default_rng()" not in source
