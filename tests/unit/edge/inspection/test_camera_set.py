from edge.config.camera import CameraSettings
from edge.inspection.camera_set import CameraSet
from edge.rules.triggers import Trigger
from models.messages import CameraState


def camera(name: str = "top", **fields: object) -> CameraSettings:
    values = {"name": name, "source": "rtsp://cam/1", **fields}
    return CameraSettings.model_validate(values)


def test_camera_that_did_not_change_keeps_its_memory() -> None:
    channels = CameraSet([camera(), camera("side")])
    before = channels.channels
    assert channels.swap([camera(), camera("side"), camera("third")]) == []
    assert channels.channels[0] is before[0]
    assert channels.channels[1] is before[1]
    assert [each.name for each in channels.cameras] == ["top", "side", "third"]


def test_other_rules_keep_process_counters_and_waiting_commands() -> None:
    channels = CameraSet([camera(trigger="command", k=2)])
    (before,) = channels.channels
    waiting = before.command_triggers
    assert waiting is not None
    waiting.add(Trigger("a", 0, 0, 100))
    fresh = camera(trigger="command", k=1, n=1, trigger_timeout_ms=77)
    (gone,) = channels.swap([fresh])
    assert gone.command_triggers is None, "they wait on, for the new rules"
    (after,) = channels.channels
    assert after is not before
    assert after.camera is before.camera
    assert after.counters is before.counters
    assert after.command_triggers is waiting
    assert channels.trigger_timeout_ms("top") == 77


def test_other_source_is_another_process_and_gives_up_what_waits() -> None:
    channels = CameraSet([camera(trigger="command")])
    (before,) = channels.channels
    assert before.command_triggers is not None
    before.command_triggers.add(Trigger("a", 0, 0, 100))
    orphans = channels.swap([camera(trigger="command", source="rtsp://cam/2")])
    assert orphans == [before]
    (after,) = channels.channels
    assert after.camera is not before.camera
    assert before.camera.state is CameraState.ENDED
    assert after.counters is before.counters  # one name, one set of counters
    assert after.command_triggers is not None
    assert len(after.command_triggers) == 0


def test_commands_of_a_camera_that_becomes_free_are_given_up() -> None:
    channels = CameraSet([camera(trigger="command")])
    (before,) = channels.channels
    assert channels.swap([camera()]) == [before]
    assert not channels.channels[0].inspects_parts


def test_hardware_trigger_needs_a_process_that_keeps_every_frame() -> None:
    channels = CameraSet([camera()])
    (before,) = channels.channels
    channels.swap([camera(trigger="hardware")])
    (after,) = channels.channels
    assert after.camera is not before.camera
    assert after.camera.plan.keeps_every_frame
    assert after.inspects_parts
