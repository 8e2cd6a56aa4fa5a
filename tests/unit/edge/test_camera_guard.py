"""Measuring of frames, the file of a baseline, and which frames are looked at."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.health.appearance import Measurer, is_odd
from edge.cameras.health.baseline import Background, Baseline, BaselineLearner
from edge.cameras.health.baseline_file import read_baseline
from edge.cameras.health.condition import Condition, QualityLimits
from edge.cameras.health.monitor import ImageQualityMonitor, ImageQualityPlan
from edge.config.camera import CameraHealthSettings, guard_plan
from edge.frame import Stamp
from models.errors import ConfigError
from models.preprocess import Frame
from tests.simulators import scenes

FRAME_NS = 40_000_000
LEARN = 20


def look(guard: ImageQualityMonitor, number: int, picture: Frame) -> str:
    return guard.fault_of(picture, Stamp(number, 10**9 + number * FRAME_NS, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "cam.json"


def learned(path: Path) -> ImageQualityMonitor:
    """Return a guard that has just learned."""
    plan = ImageQualityPlan(1, QualityLimits(alarm_after_s=0.2), LEARN, path)
    guard = ImageQualityMonitor(plan, is_triggered=False)
    for number in range(LEARN):
        assert look(guard, number, scenes.scene(number)) == ""
    return guard


def test_scene_of_a_large_frame_is_small_and_keeps_its_shape() -> None:
    frame = np.full((1080, 1920, 3), 100, np.uint8)
    frame[:540] = 200
    seen = Measurer().measure(frame)
    assert seen.scene.shape == (180, 320)
    assert seen.size_px == (1920, 1080)
    assert (seen.mean, seen.std) == (150, 50)
    assert seen.fill == 0.5
    assert seen.fill_color == (100, 100, 100)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (7, 500), (333, 321)])
def test_frame_of_any_shape_can_be_measured(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    seen = Measurer().measure(noise)
    assert seen.size_px == shape[::-1]
    assert np.isfinite([seen.mean, seen.std, seen.sharpness, seen.contrast]).all()
    is_odd(noise)


def test_defocus_shows_in_the_sharpness_and_less_light_does_not() -> None:
    size_px, nearest = (1920, 1080), cv2.INTER_NEAREST
    frame = cv2.resize(scenes.scene(3), size_px, interpolation=nearest)
    sharp, soft, dim = (
        Measurer().measure(picture).sharpness
        for picture in (
            frame,
            cv2.GaussianBlur(frame, (0, 0), 3),
            (frame * 0.6).astype(np.uint8),
        )
    )
    assert soft < 0.3 * sharp
    assert 0.8 * sharp < dim < 1.25 * sharp


def test_only_the_same_bytes_are_identical() -> None:
    measurer = Measurer()
    first, second = scenes.scene(1), scenes.scene(2)
    seen = [measurer.measure(each) for each in (first, second, second, first)]
    assert [each.is_identical for each in seen] == [False, False, True, False]


@pytest.mark.parametrize(
    "picture_of", [scenes.black, scenes.white, scenes.covered, scenes.green_half]
)
def test_empty_frame_is_odd_at_a_glance(picture_of: object) -> None:
    large = cv2.resize(picture_of(1), (1920, 1080))  # type: ignore[operator]
    assert is_odd(np.asarray(large, np.uint8))
    assert not is_odd(scenes.scene(1))


def test_between_two_looks_only_odd_frames_are_looked_at() -> None:
    guard = ImageQualityMonitor(
        ImageQualityPlan(every_n_frames=100), is_triggered=False
    )
    assert look(guard, 0, scenes.scene(0)) == ""
    assert look(guard, 1, scenes.black(1)) == "black"
    assert look(guard, 2, scenes.green_half(2)) == "torn"
    assert look(guard, 3, scenes.scene(3)) == ""


def test_every_part_is_looked_at(path: Path) -> None:
    learned(path)
    plan = ImageQualityPlan(100, baseline_path=path, baseline=read_baseline(path))
    guard = ImageQualityMonitor(plan, is_triggered=True)
    assert look(guard, 0, scenes.scene(0)) == ""
    assert look(guard, 1, scenes.overexposed(1)) == "over-exposed"


def test_baseline_that_was_learned_is_in_force_and_in_its_file(path: Path) -> None:
    guard = learned(path)
    for number in range(LEARN, LEARN + 30):
        assert look(guard, number, scenes.blurred(number)) == ""
    assert guard.alarms == Condition.BLURRED
    kept = read_baseline(path)
    assert kept is not None
    assert (kept.size_px, kept.looks) == (scenes.SIZE_PX, LEARN)


def test_baseline_comes_out_of_its_file_as_it_went_in(path: Path) -> None:
    learner, measurer = BaselineLearner(LEARN), Measurer()
    results = [learner.add(measurer.measure(scenes.scene(at))) for at in range(LEARN)]
    before = results[-1]
    learned(path)
    after = read_baseline(path)
    assert isinstance(before, Baseline)
    assert after is not None
    assert after.as_document() == before.as_document()
    np.testing.assert_array_equal(after.still, before.still)
    assert json.loads(path.read_text())["schema_version"] == 1


def test_fakes_are_not_learned(path: Path) -> None:
    guard = ImageQualityMonitor(
        ImageQualityPlan(1, QualityLimits(), LEARN, path), is_triggered=False
    )
    for number in range(3 * LEARN):
        look(guard, number, scenes.black(number))
    assert not path.exists()
    for number in range(3 * LEARN, 4 * LEARN):
        look(guard, number, scenes.scene(number))
    kept = read_baseline(path)
    assert kept is not None
    assert kept.mean_low > 50


def test_other_frame_size_while_learning_starts_over(path: Path) -> None:
    guard = ImageQualityMonitor(
        ImageQualityPlan(1, QualityLimits(), LEARN, path), is_triggered=False
    )
    for number in range(LEARN - 1):
        look(guard, number, scenes.scene(number)[:200])
    for number in range(LEARN - 1, 2 * LEARN - 2):
        look(guard, number, scenes.scene(number))
    assert not path.exists()
    look(guard, 2 * LEARN, scenes.scene(0))
    assert path.exists()


def test_disk_that_takes_no_baseline_is_told_and_tried_again(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a file where the folder should be")
    plan = ImageQualityPlan(1, QualityLimits(), LEARN, path / "x.json")
    guard = ImageQualityMonitor(plan, is_triggered=False)
    for number in range(LEARN):
        assert look(guard, number, scenes.scene(number)) == ""
    assert guard.alarms == Condition.UNSAVED
    path.unlink()
    assert look(guard, LEARN, scenes.scene(1)) == ""
    assert guard.alarms == Condition.UNSAVED  # not before some seconds are over
    assert look(guard, LEARN + 300, scenes.scene(2)) == ""
    assert guard.alarms == 0
    assert (path / "x.json").exists()


def test_scene_without_still_edges_says_nothing_of_movement() -> None:
    learner, measurer = BaselineLearner(LEARN), Measurer()
    rng = np.random.default_rng(3)
    results = [
        learner.add(measurer.measure(rng.integers(0, 255, (90, 160, 3), np.uint8)))
        for _ in range(LEARN)
    ]
    assert results[-1] is not None
    background = Background(results[-1])
    assert not background.can_tell
    assert background.likeness(np.zeros((90, 160), np.uint8)) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"background_size_px": [3, 3]}, "pictures have not the 3 x 3 pixels"),
        ({"background_size_px": [-3, -3]}, "pixels of the file"),
        ({"background": "*"}, "not Base64"),
        ({"mean_low": None}, "mean_low"),
    ],
)
def test_file_that_is_no_baseline_is_refused_with_the_reason(
    path: Path, change: dict[str, object], why: str
) -> None:
    learned(path)
    document = json.loads(path.read_text()) | change
    path.write_text(json.dumps(document))
    settings = CameraHealthSettings(baseline=path)
    with pytest.raises(ConfigError, match=why) as caught:
        guard_plan(settings, "cam")
    assert "Delete it" in str(caught.value)
    path.write_bytes(b"\x00\xff")
    with pytest.raises(ConfigError, match="not a camera's baseline"):
        read_baseline(path)


def test_settings_reach_the_rules(path: Path) -> None:
    settings = CameraHealthSettings(frozen_after_s=7, black_below=3, baseline=path)
    plan = guard_plan(settings, "cam")
    assert plan is not None
    assert (plan.limits.frozen_after_s, plan.limits.black_below) == (7, 3)
    assert (plan.baseline_path, plan.baseline) == (path, None)
    assert guard_plan(CameraHealthSettings(enabled=False), "cam") is None
