import json
import logging
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edge.cameras.health.baseline import Baseline
from edge.cameras.settings import CameraHealthSettings, ControlSettings
from edge.config.camera import CameraSettings, load_baseline
from edge.inspection.camera_set import capture_plan
from models.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a baseline."""
    background = np.zeros((4, 6), np.uint8)
    baseline = Baseline(
        size_px=(12, 8),
        looks=20,
        mean_low=90,
        mean_high=110,
        std_low=5,
        contrast_low=0.1,
        sharpness_low=0.5,
        saturated_high=0,
        row_floor=(1, 2),
        seams=(),
        background=background,
        still=background == 0,
    )
    path = tmp_path / "cam.json"
    path.write_text(json.dumps(baseline.as_document()))
    return path


def camera(**settings: object) -> CameraSettings:
    values = {"name": "cam", "source": "rtsp://cam/1"} | settings
    return CameraSettings.model_validate(values)


def test_settings_of_the_camera_s_process_are_those_of_the_configuration() -> None:
    usb = {"source": "v4l2:/dev/video0", "settings": {"gain": 3}}
    settings = camera(**usb, health={"black_below": 3})
    assert settings.settings == ControlSettings(gain=3)
    assert settings.health == CameraHealthSettings(black_below=3)
    plan = capture_plan(settings)
    assert plan.controls is settings.settings
    assert plan.health is settings.health


def test_frames_are_not_checked_where_health_is_disabled(path: Path) -> None:
    settings = camera(health={"enabled": False, "baseline": path})
    assert capture_plan(settings).health is None
    assert load_baseline(settings.health, "cam") is None


def test_plan_has_the_baseline_and_another_baseline_needs_no_new_process(
    path: Path,
) -> None:
    settings = camera(health={"baseline": path})
    plan = capture_plan(settings)
    assert plan.baseline is not None
    assert plan == capture_plan(settings)
    path.unlink()
    assert plan == capture_plan(settings)
    assert plan != capture_plan(camera(health={"baseline": path, "black_below": 3}))


def test_baseline_and_its_absence_are_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    load_baseline(CameraHealthSettings(baseline=path), "cam")
    path.unlink()
    assert load_baseline(CameraHealthSettings(baseline=path), "cam") is None
    read, learned = caplog.messages
    assert read.startswith("baseline_read camera=cam looks=20 sees_movement=False")
    assert learned == f"baseline_is_learned camera=cam path={path}"


def test_file_that_is_no_baseline_is_refused(path: Path) -> None:
    path.write_text("{}")
    with pytest.raises(ConfigError, match="not a camera's baseline"):
        load_baseline(CameraHealthSettings(baseline=path), "cam")


def test_relative_baseline_is_resolved_against_the_configuration() -> None:
    settings = camera(health={"baseline": "cam.json"}).resolved_from(Path("/etc"))
    assert settings.health.baseline == Path("/etc/cam.json")


def test_rules_of_a_camera_are_those_of_its_settings() -> None:
    values = {"name": "top", "source": "v4l2:/dev/video0", "fps": 10, "k": 2}
    settings = {"width_px": 640, "height_px": 480, "fps": 5}
    made = CameraSettings.model_validate({**values, "settings": settings}).rules
    assert (made.camera, made.k, made.fps, made.is_free_run) == ("top", 2, 5, True)
    assert made.frame_size_px == (640, 480)
    triggered = CameraSettings.model_validate({**values, "trigger": "command"}).rules
    assert not triggered.is_free_run
    assert triggered.frame_size_px is None


def test_rules_of_a_file_have_no_rate_and_a_folder_is_no_free_run() -> None:
    video = CameraSettings.model_validate({"name": "a", "source": "a.avi", "fps": 0.1})
    assert (video.rules.fps, video.rules.is_free_run) == (0, True)
    folder = CameraSettings.model_validate({"name": "a", "source": "folder:parts"})
    assert not folder.rules.is_free_run


@pytest.mark.parametrize(("difference", "can"), [(254, True), (255, False)])
def test_parts_that_differ_by_less_than_white_can_be_counted(
    difference: float, can: bool
) -> None:
    parts = {"empty": "empty.png", "difference": difference}
    values = {"name": "a", "source": "rtsp://cam/1", "parts": parts}
    assert CameraSettings.model_validate(values).rules.can_count is can


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"loops": True}, "loops applies to a video file only: leave it out"),
        ({"source": "folder:p", "loops": True}, "loops applies to a video file only"),
        ({"source": "a.mp4", "rtsp_transport": "udp"}, "an RTSP camera only"),
        ({"source": "http://cam/1", "rtsp_transport": "udp"}, "an RTSP camera only"),
        ({"settings": {"gain": 3}}, "settings applies to a USB, GigE or USB3 Vision"),
        ({"trigger_timeout_ms": 50}, 'trigger_timeout_ms applies to trigger = "comman'),
        ({"source": "folder:p", "k": 1}, "k applies to free run only"),
        ({"source": "folder:p", "cool_down_s": 5}, "cool_down_s applies to free run"),
        (
            {"source": "folder:p", "health": {"frozen_after_s": 0}},
            "health.frozen_after_s applies to a camera that films only",
        ),
    ],
)
def test_setting_that_nothing_reads_is_refused(
    settings: dict[str, object], refusal: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        camera(**settings)
    assert refusal in str(caught.value)


def test_defaults_and_settings_that_are_read_are_accepted() -> None:
    camera(rtsp_transport="udp", trigger="command", trigger_timeout_ms=50, k=1)
    camera(source="a.mp4", loops=True)
    camera(source="folder:parts", loops=False, k=3, n=5, rtsp_transport="tcp")
