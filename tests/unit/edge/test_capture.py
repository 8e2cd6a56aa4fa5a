"""Which frames become photos to train on."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from edge import capture
from edge.capture import (
    CaptureOptions,
    CaptureResult,
    FrameSelection,
    _free_name,
    capture_photos,
)
from edge.cli_capture import CAMERA
from edge.config.camera import CameraSettings
from edge.control.signals import StopSignal
from edge.frame import Pixels
from edge.inspection.camera_set import capture_plan
from models.errors import DatasetError
from tests.simulators.videos import write_video

NOISE = np.random.default_rng(0)


def part(x: int) -> Pixels:
    """Return a bright part on a dark belt, with the noise of a camera."""
    frame = np.full((240, 320, 3), 60, np.int16)
    frame[80:160, x : x + 80] = 180
    noisy = frame + NOISE.normal(0, 6, frame.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def moving(number: int) -> Pixels:
    return part(10 * number)


def test_frame_of_a_belt_that_stands_still_is_no_photo() -> None:
    selection = FrameSelection(every_s=1)
    assert selection.takes(part(40), 0)
    assert not selection.takes(part(40), 5)
    assert selection.unchanged == 1
    assert selection.takes(part(60), 6)


def test_frame_that_comes_too_soon_is_no_photo_and_not_compared() -> None:
    selection = FrameSelection(every_s=1)
    assert selection.takes(part(0), 10)
    assert not selection.takes(part(60), 10.9)
    assert selection.unchanged == 0
    assert selection.takes(part(60), 11)


def test_slow_change_is_a_photo_as_soon_as_it_adds_up() -> None:
    selection = FrameSelection(every_s=0)
    grey = [np.full((240, 320, 3), 60 + level, np.uint8) for level in range(20)]
    taken = [level for level in range(20) if selection.takes(grey[level], level)]
    assert taken == [0, 8, 16]


def test_photo_of_the_same_millisecond_overwrites_none(tmp_path: Path) -> None:
    stem = tmp_path / "top-20261130T120000.000Z"
    for name in ("top-20261130T120000.000Z.png", "top-20261130T120000.000Z-2.png"):
        path = _free_name(stem, ".png")
        assert path.name == name
        path.touch()


def captured(video: Path, options: CaptureOptions) -> CaptureResult:
    plan = capture_plan(
        CameraSettings.model_validate({"name": CAMERA, "source": str(video)})
    )
    return capture_photos(plan, options, StopSignal(), lambda _: None, lambda _: None)


def test_photos_before_a_full_disk_are_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "line.avi", 12, 10, moving)
    write = capture.write_atomically

    def full_after_two(path: Path, content: bytes, *, durable: bool) -> None:
        if len(list(path.parent.iterdir())) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content, durable=durable)

    monkeypatch.setattr(capture, "write_atomically", full_after_two)
    options = CaptureOptions(tmp_path / "good", count=5, every_s=0.01)
    with pytest.raises(DatasetError, match="cannot be written") as caught:
        captured(tmp_path / "line.avi", options)
    assert "No space left on device. The 2 before it are there." in caught.value.why
    assert len(list((tmp_path / "good").iterdir())) == 2
