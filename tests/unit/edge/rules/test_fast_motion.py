"""Defects that move too far to be followed are noticed; nuisances are not."""

import numpy as np
import pytest

from edge.rules.fast_motion import EVEN_MIN, FastMotion
from edge.rules.tracker import Tracker
from models.detections import Detections

WIDTH_PX = 320
NOTHING = np.zeros((0, 4), np.float32)


def box(x_px: float, y_px: float = 100, side_px: float = 12) -> np.ndarray:
    corners = (x_px, y_px, x_px + side_px, y_px + side_px)
    return np.array([corners], np.float32)


def passage(step_px: float) -> list[np.ndarray]:
    """Return the boxes of a defect that crosses the frame, and five empty frames."""
    places = np.arange(0, WIDTH_PX, step_px)
    return [*(box(float(x)) for x in places), *[NOTHING] * 5]


def share_after(frames: list[np.ndarray], *, numbers_step: int = 1) -> float | None:
    motion = FastMotion()
    for number, boxes in enumerate(frames):
        frame_id = number * numbers_step
        motion.update(boxes, frame_id, WIDTH_PX, is_confirmed=False)
    return motion.step_share


def test_fast_defects_are_noticed_after_some_passages() -> None:
    assert share_after(passage(52) * (EVEN_MIN - 1)) is None
    assert share_after(passage(52) * EVEN_MIN) == pytest.approx(52 / WIDTH_PX)


@pytest.mark.parametrize("step_px", [2.0, 20.0, 37.0])
def test_slow_defects_are_not_fast(step_px: float) -> None:
    assert share_after(passage(step_px) * 9) is None


def test_steps_are_per_frame_number() -> None:
    assert share_after(passage(60) * 9, numbers_step=2) is None
    fast = share_after(passage(90) * 9, numbers_step=2)
    assert fast == pytest.approx(45 / WIDTH_PX)


def test_confirmed_defect_shows_that_defects_are_followed() -> None:
    motion = FastMotion()
    for number, boxes in enumerate(passage(52) * 9):
        motion.update(boxes, number, WIDTH_PX, is_confirmed=number % 30 == 0)
    assert motion.step_share is None


def test_boxes_of_other_sizes_are_other_defects() -> None:
    sizes = (8, 20, 50)
    frames = [box(60.0 * n, side_px=sizes[n]) for n in range(3)]
    assert share_after([*frames, *[NOTHING] * 5] * 9) is None


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_nuisances_that_jump_at_random_are_not_fast_defects(density: float) -> None:
    rng = np.random.default_rng(5)
    frames = [
        box(*rng.uniform(0, 300, 2)) if rng.random() < density else NOTHING
        for _ in range(20_000)
    ]
    assert share_after(frames) is None


def test_some_fast_objects_among_nuisances_are_no_fast_defects() -> None:
    flickers = [box(50), NOTHING] * 3
    assert share_after((passage(52) + flickers) * 5) is None


def test_tracker_confirms_nothing_of_what_is_noticed() -> None:
    tracker = Tracker(2, 5, iou_threshold=0.2, max_missed=15)
    for number, boxes in enumerate(passage(52) * 9):
        found = Detections(
            boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int64)
        )
        assert len(tracker.update(found, number, frame_width_px=WIDTH_PX)) == 0
