"""The comparison of rules and model follows both, and is logged once."""

import logging
from dataclasses import replace
from unittest.mock import Mock

import pytest

from edge.config.camera import CameraSettings
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.camera_set import rebuild_channel
from edge.inspection.model import LoadedModel
from edge.rules.coverage import KnownDefects
from models.messages import ModelInForce
from tests.simulators.cameras import SimCamera, sim_channel, sim_model

WHOLE = [(0, 0), (1, 0), (1, 1), (0, 1)]
LARGE = {"region": [{"name": "body", "polygon": WHOLE, "min_size_px": 60}]}


def model_with_boxes(largest_px: float, build: int = 1) -> LoadedModel:
    """Return a model whose labelled boxes are so large in photos of 320 px."""
    share = largest_px / 320
    scratch = KnownDefects(
        "scratch", 0.5, count=9, largest_share=share, largest_px=largest_px
    )
    in_force = ModelInForce(name="sim", build=build, sha256=f"{build:064}")
    return replace(sim_model(), known=(scratch,), in_force=in_force)


@pytest.fixture
def channel() -> CameraChannel:
    return sim_channel(SimCamera("top"), **LARGE)


def test_silent_rule_is_a_fault_of_the_camera(channel: CameraChannel) -> None:
    assert channel.faults(model_with_boxes(40)) == [
        (
            "camera top: region body has min_size_px = 60, which hides every known "
            "scratch (at most 40 px)"
        )
    ]


def test_new_model_is_compared(channel: CameraChannel) -> None:
    assert channel.faults(model_with_boxes(40))
    assert channel.faults(model_with_boxes(80, build=2)) == []
    assert channel.faults(model_with_boxes(40, build=3))


def test_first_frame_completes_the_comparison(channel: CameraChannel) -> None:
    model = model_with_boxes(40)
    assert channel.faults(model)
    channel.frame_size_px = (640, 480)
    assert channel.faults(model) == []


def test_change_is_logged_once(
    channel: CameraChannel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(3):
        channel.faults(model_with_boxes(40))
    assert caplog.text.count("rule_is_silent") == 1
    for _ in range(3):
        channel.faults(model_with_boxes(80, build=2))
    assert caplog.text.count("rule_is_not_silent") == 1


def test_reload_is_compared_and_logs_only_the_change(
    channel: CameraChannel, caplog: pytest.LogCaptureFixture
) -> None:
    def settings(size_px: float) -> CameraSettings:
        body = {"name": "body", "polygon": WHOLE, "min_size_px": size_px}
        values = {"name": "top", "source": "rtsp://camera/1", "region": [body]}
        return CameraSettings.model_validate(values)

    model = model_with_boxes(40)
    channel.faults(model)
    after = rebuild_channel(channel, settings(60), settings(20))
    assert after.faults(model) == []
    assert caplog.text.count("rule_is_silent") == 1


def test_k_that_no_part_reaches_is_a_fault_while_frames_are_inspected() -> None:
    channel = sim_channel(SimCamera("top"), k=50, n=60)
    channel.frame_size_px = (640, 480)
    channel.tracker.frames_to_cross = lambda *_: 20.0  # type: ignore[method-assign]
    (fault,) = channel.faults(sim_model())
    assert "k = 50 cannot be reached" in fault
    channel.tracker.frames_to_cross = lambda *_: None  # type: ignore[method-assign]
    assert channel.faults(sim_model()) == [fault]


def test_figures_that_vary_between_frames_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel = sim_channel(SimCamera("top"), k=50, n=60)
    channel.frame_size_px = (640, 480)
    reported = set()
    for frames in (9.4, 9.3, 9.2, 10.6):
        crossing = Mock(return_value=frames)
        channel.tracker.frames_to_cross = crossing  # type: ignore[method-assign]
        reported |= set(channel.faults(sim_model()))
    assert len(reported) == 1
    assert caplog.text.count("rule_is_silent") == 1
