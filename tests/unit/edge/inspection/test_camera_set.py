from edge.config.camera import CameraSettings
from edge.inspection.camera_set import CameraSet
from edge.rules.triggers import Trigger
from models.messages import CameraState


def camera(name: str = "top", **fields: object) -> CameraSettings:
    values = {"name": name, "source": "rtsp://cam/1", **fields}
    return CameraSettings.model_validate(values)


def test_camera_that_did_not_change_keeps_its_memory() -> None:
    lanes = CameraSet([camera(), camera("side")])
    before = lanes.in_force
    assert lanes.swap([camera(), camera("side"), camera("third")]) == []
    assert lanes.in_force[0] is before[0]
    assert lanes.in_force[1] is before[1]
    assert [each.name for each in lanes.cameras] == ["top", "side", "third"]


def test_other_rules_keep_process_figures_and_waiting_commands() -> None:
    lanes = CameraSet([camera(trigger="command", k=2)])
    (before,) = lanes.in_force
    waiting = before.triggers
    assert waiting is not None
    waiting.add(Trigger("a", 0, 0, 100))
    fresh = camera(trigger="command", k=1, n=1, trigger_timeout_ms=77)
    (gone,) = lanes.swap([fresh])
    assert gone.triggers is None, "they wait on, for the new rules"
    (after,) = lanes.in_force
    assert after is not before
    assert after.camera is before.camera
    assert after.counters is before.counters
    assert after.triggers is waiting
    assert lanes.trigger_timeout_ms("top") == 77


def test_other_source_is_another_process_and_gives_up_what_waits() -> None:
    lanes = CameraSet([camera(trigger="command")])
    (before,) = lanes.in_force
    assert before.triggers is not None
    before.triggers.add(Trigger("a", 0, 0, 100))
    orphans = lanes.swap([camera(trigger="command", source="rtsp://cam/2")])
    assert orphans == [before]
    (after,) = lanes.in_force
    assert after.camera is not before.camera
    assert before.camera.state is CameraState.ENDED
    assert after.counters is before.counters  # one name, one set of figures
    assert after.triggers is not None
    assert len(after.triggers) == 0


def test_commands_of_a_camera_that_becomes_free_are_given_up() -> None:
    lanes = CameraSet([camera(trigger="command")])
    (before,) = lanes.in_force
    assert lanes.swap([camera()]) == [before]
    assert not lanes.in_force[0].makes_parts


def test_hardware_trigger_needs_a_process_that_keeps_every_frame() -> None:
    lanes = CameraSet([camera()])
    (before,) = lanes.in_force
    lanes.swap([camera(trigger="hardware")])
    (after,) = lanes.in_force
    assert after.camera is not before.camera
    assert after.camera.plan.keeps_every_frame
    assert after.makes_parts
