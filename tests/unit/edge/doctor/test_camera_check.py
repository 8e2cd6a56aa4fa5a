"""The failures of the camera check, mostly without a camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.sources.picture_list import pictures_below
from edge.cameras.supervisor import CameraProcess
from edge.config.camera import CameraSettings
from edge.doctor import camera_check
from edge.doctor.camera_check import check_camera
from edge.doctor.check_result import CheckResult, Grade
from models.errors import CameraError
from models.messages import CameraState
from tests.simulators.plans import plan_of

USB = "v4l2:/dev/v4l/by-id/usb-cam"


def failure_of(
    source: str, state: CameraState, *, daemon_runs: bool = False
) -> CheckResult:
    camera = CameraProcess(plan_of(source))
    camera.state = state
    try:
        return camera_check._failure(  # noqa: SLF001 - its inputs need no camera
            "camera cam", camera, daemon_runs=daemon_runs
        )
    finally:
        camera.stop()


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (CameraState.ENDED, "it has no readable frame"),
        (CameraState.DEGRADED, "no frame in time"),
        (CameraState.LOST, "rtsp://camera/1"),
    ],
)
def test_camera_without_a_frame_is_a_failed_check(
    state: CameraState, what: str
) -> None:
    result = failure_of("rtsp://camera/1", state)
    assert (result.grade, result.exit_code) == (Grade.FAIL, CameraError.exit_code)
    assert what in result.what
    assert result.fix


def test_password_of_the_source_is_not_in_the_result() -> None:
    result = failure_of("rtsp://admin:secret@camera/1", CameraState.ENDED)
    assert "secret" not in result.what + result.why + result.fix


def test_usb_camera_that_a_running_daemon_holds_is_a_warning() -> None:
    result = failure_of(USB, CameraState.LOST, daemon_runs=True)
    assert (result.grade, result.exit_code) == (Grade.WARN, 0)
    assert "one program at a time" in result.why


def test_network_camera_fails_also_beside_a_running_daemon() -> None:
    result = failure_of("rtsp://camera/1", CameraState.LOST, daemon_runs=True)
    assert result.grade is Grade.FAIL


def test_frame_rate_of_a_camera_that_was_lost_is_zero() -> None:
    camera = CameraProcess(plan_of("rtsp://camera/1"))
    camera.state = CameraState.LOST
    try:
        rate = camera_check._frames_per_second(camera)  # noqa: SLF001
    finally:
        camera.stop()
    assert rate == 0


def test_folder_whose_pictures_cannot_be_read_is_a_failure_with_the_reason(
    tmp_path: Path,
) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64), 900, np.uint16))
    settings = CameraSettings(name="top", source=f"folder:{tmp_path}")
    result = check_camera(settings, daemon_runs=False)
    assert result.grade is Grade.FAIL
    assert "a.png: it has more than 8 bits a channel" in result.why
    read = check_camera(settings, daemon_runs=False, bit_depth=12)
    assert read.grade is Grade.OK


def test_folder_without_pictures_is_a_warning_and_one_with_subfolders_a_failure(
    tmp_path: Path,
) -> None:
    settings = CameraSettings(name="top", source=f"folder:{tmp_path}")
    result = check_camera(settings, daemon_runs=False)
    assert (result.grade, result.exit_code) == (Grade.WARN, 0)
    assert "no picture yet" in result.what
    (tmp_path / "day").mkdir()
    assert cv2.imwrite(str(tmp_path / "day" / "a.png"), np.zeros((9, 9), np.uint8))
    assert pictures_below(tmp_path).startswith("1 picture in the subfolder day")
    assert check_camera(settings, daemon_runs=False).grade is Grade.FAIL
