from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.frame_buffer import HeaderField
from edge.config.camera import CameraSettings
from edge.inspection.camera_set import CameraSet
from edge.rules.triggers import Trigger
from models.errors import ConfigError
from models.messages import CameraState


def camera(name: str = "top", **fields: object) -> CameraSettings:
    values = {"name": name, "source": "rtsp://cam/1", **fields}
    return CameraSettings.model_validate(values)


def test_camera_that_did_not_change_keeps_its_channel() -> None:
    cameras = CameraSet([camera(), camera("side")])
    before = cameras.channels
    assert cameras.swap([camera(), camera("side"), camera("third")]) == []
    assert cameras.channels[0] is before[0]
    assert cameras.channels[1] is before[1]
    assert [each.name for each in cameras.cameras] == ["top", "side", "third"]


def test_other_rules_keep_process_counters_and_waiting_commands() -> None:
    cameras = CameraSet([camera(trigger="command", k=2)])
    (before,) = cameras.channels
    waiting = before.command_triggers
    assert waiting is not None
    waiting.add(Trigger("a", 0, 0, 100))
    changed = camera(trigger="command", k=1, n=1, trigger_timeout_ms=77)
    (removed,) = cameras.swap([changed])
    assert removed.command_triggers is None, "they wait for the new rules"
    (after,) = cameras.channels
    assert after is not before
    assert after.camera is before.camera
    assert after.counters is before.counters
    assert after.command_triggers is waiting
    assert cameras.trigger_timeout_ms("top") == 77


def test_other_source_is_another_process_and_its_channel_is_returned() -> None:
    cameras = CameraSet([camera(trigger="command")])
    (before,) = cameras.channels
    assert before.command_triggers is not None
    before.command_triggers.add(Trigger("a", 0, 0, 100))
    orphans = cameras.swap([camera(trigger="command", source="rtsp://cam/2")])
    assert orphans == [before]
    (after,) = cameras.channels
    assert after.camera is not before.camera
    assert before.camera.state is CameraState.ENDED
    assert after.counters is before.counters  # one name, one set of counters
    assert after.command_triggers is not None
    assert len(after.command_triggers) == 0


def test_commands_of_a_camera_that_becomes_free_are_returned_to_be_abandoned() -> None:
    cameras = CameraSet([camera(trigger="command")])
    (before,) = cameras.channels
    assert cameras.swap([camera()]) == [before]
    assert not cameras.channels[0].inspects_parts


def test_hardware_trigger_needs_a_process_that_keeps_every_frame() -> None:
    cameras = CameraSet([camera()])
    (before,) = cameras.channels
    cameras.swap([camera(trigger="hardware")])
    (after,) = cameras.channels
    assert after.camera is not before.camera
    assert after.camera.plan.keeps_every_frame
    assert after.inspects_parts


def counting(folder: Path, **fields: object) -> CameraSettings:
    """Return a camera that counts parts on an empty belt."""
    path = folder / "empty.png"
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    return camera(parts={"empty": str(path)}, **fields)


def test_part_in_view_stays_in_view_when_other_rules_change(tmp_path: Path) -> None:
    cameras = CameraSet([counting(tmp_path)])
    (before,) = cameras.channels
    counter = before.part_counter
    assert cameras.swap([counting(tmp_path, cool_down_s=9)]) == [before]
    assert cameras.channels[0].part_counter is counter
    assert before.part_counter is None, "its part is not finished twice"


def test_camera_without_a_readable_picture_of_the_belt_is_refused(
    tmp_path: Path,
) -> None:
    settings = counting(tmp_path)
    (tmp_path / "empty.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"empty\.png: cannot be used"):
        CameraSet([settings])


def test_bit_depth_of_the_model_reaches_every_process_also_after_a_reload() -> None:
    cameras = CameraSet([camera(source="folder:none")])
    cameras.set_bit_depth(12)
    cameras.swap([camera(source="folder:none"), camera("side", source="folder:other")])
    try:
        cameras.supervise(0)
        depths = [
            each._frame_buffer.header[HeaderField.BIT_DEPTH]  # noqa: SLF001
            for each in cameras.cameras
            if each._frame_buffer  # noqa: SLF001 - what its process reads
        ]
        assert depths == [12, 12]
    finally:
        cameras.stop()


def test_picture_of_the_empty_belt_needs_8_bits(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((64, 64), np.uint16))
    parts = {"empty": tmp_path / "empty.png", "window": (0.2, 0.2, 0.8, 0.8)}
    with pytest.raises(ConfigError) as caught:
        CameraSet([camera(parts=parts)])
    assert "more than 8 bits a channel" in caught.value.why
