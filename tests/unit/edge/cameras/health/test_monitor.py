"""Which frames are measured, and how a baseline is learned and saved."""

from pathlib import Path

import pytest

from edge.cameras.health.baseline_file import read_baseline
from edge.cameras.health.condition import Condition
from edge.cameras.health.monitor import ImageQualityMonitor
from edge.cameras.settings import CameraHealthSettings
from edge.frame import Stamp
from models.preprocess import Frame
from tests.simulators import scenes

FRAME_NS = 40_000_000
LEARN = 20


def monitor_of(
    path: Path | None = None, *, is_triggered: bool = False, **settings: object
) -> ImageQualityMonitor:
    """Return a monitor that measures every frame, unless set otherwise."""
    values = {"every_n_frames": 1, "learn_frames": LEARN, "baseline": path} | settings
    health = CameraHealthSettings(**values)  # type: ignore[arg-type]
    return ImageQualityMonitor(health, None, is_triggered=is_triggered)


def check(monitor: ImageQualityMonitor, number: int, picture: Frame) -> str:
    return monitor.fault_of(picture, Stamp(number, 10**9 + number * FRAME_NS, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "cam.json"


def learned(path: Path) -> ImageQualityMonitor:
    """Return a monitor that has just learned a baseline."""
    monitor = monitor_of(path, alarm_after_s=0.2)
    for number in range(LEARN):
        assert check(monitor, number, scenes.scene(number)) == ""
    return monitor


def test_unusable_frames_are_found_between_two_measured_frames() -> None:
    monitor = monitor_of(every_n_frames=100)
    assert check(monitor, 0, scenes.scene(0)) == ""
    assert check(monitor, 1, scenes.black(1)) == "black"
    assert check(monitor, 2, scenes.green_half(2)) == "torn"
    assert check(monitor, 3, scenes.scene(3)) == ""


def test_every_part_is_measured(path: Path) -> None:
    learned(path)
    monitor = monitor_of(path, is_triggered=True, every_n_frames=100)
    assert check(monitor, 0, scenes.scene(0)) == ""
    assert check(monitor, 1, scenes.overexposed(1)) == "over-exposed"


def test_learned_baseline_is_used_and_saved(path: Path) -> None:
    monitor = learned(path)
    for number in range(LEARN, LEARN + 30):
        assert check(monitor, number, scenes.blurred(number)) == ""
    assert monitor.conditions == Condition.BLURRED
    saved = read_baseline(path)
    assert saved is not None
    assert (saved.size_px, saved.looks) == (scenes.SIZE_PX, LEARN)


def test_baseline_that_the_daemon_read_is_not_learned_again(path: Path) -> None:
    learned(path)
    baseline = read_baseline(path)
    path.unlink()
    health = CameraHealthSettings(baseline=path, learn_frames=LEARN)
    monitor = ImageQualityMonitor(health, baseline, is_triggered=False)
    for number in range(2 * LEARN):
        check(monitor, number, scenes.scene(number))
    assert not path.exists()


def test_unusable_frames_are_not_learned(path: Path) -> None:
    monitor = monitor_of(path)
    for number in range(3 * LEARN):
        check(monitor, number, scenes.black(number))
    assert not path.exists()
    for number in range(3 * LEARN, 4 * LEARN):
        check(monitor, number, scenes.scene(number))
    saved = read_baseline(path)
    assert saved is not None
    assert saved.mean_low > 50


def test_other_frame_size_while_learning_starts_over(path: Path) -> None:
    monitor = monitor_of(path)
    for number in range(LEARN - 1):
        check(monitor, number, scenes.scene(number)[:200])
    for number in range(LEARN - 1, 2 * LEARN - 2):
        check(monitor, number, scenes.scene(number))
    assert not path.exists()
    check(monitor, 2 * LEARN, scenes.scene(0))
    assert path.exists()


def test_baseline_that_cannot_be_saved_is_a_condition_and_retried(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a file where the folder should be")
    monitor = monitor_of(path / "x.json")
    for number in range(LEARN):
        assert check(monitor, number, scenes.scene(number)) == ""
    assert monitor.conditions == Condition.UNSAVED
    path.unlink()
    assert check(monitor, LEARN, scenes.scene(1)) == ""
    assert monitor.conditions == Condition.UNSAVED  # the next attempt is 10 s later
    assert check(monitor, LEARN + 300, scenes.scene(2)) == ""
    assert monitor.conditions == 0
    assert (path / "x.json").exists()
