import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from edge.delivery.recorder import Decision
from edge.inspection.pipeline import Pipeline
from edge.rules.part_counter import Belt, PartCounter
from edge.rules.regions import Region, RegionKind
from edge.rules.triggers import CommandTriggers, HardwareTriggers, Trigger
from models.messages import CameraState, VerdictKind
from tests.simulators.cameras import SimCamera, sim_channel, sim_model


@dataclass
class SimRecorder:
    """Keeps what the pipeline hands over."""

    decisions: list[Decision] = field(default_factory=list)

    def record(self, decision: Decision) -> None:
        self.decisions.append(decision)


class Line:
    """A pipeline with simulated cameras."""

    def __init__(self, *cameras: SimCamera, **callbacks: Callable[[], Any]) -> None:
        self.recorder = SimRecorder()
        self.channels = [sim_channel(camera, k=2, n=3) for camera in cameras]
        self.pipeline = Pipeline(sim_model(), self.channels, self.recorder, **callbacks)  # type: ignore[arg-type]

    def run(self) -> None:
        while self.pipeline.run_once():
            pass


def test_every_part_gets_a_decision_and_a_defective_one_lists_all_defects() -> None:
    camera = SimCamera("top", is_triggered=True)
    camera.show(0)
    camera.show(1, defect=True)
    camera.show(2)
    line = Line(camera)
    line.run()
    decisions = line.recorder.decisions
    assert [d.frame.part_id for d in decisions] == ["part-0", "part-1", "part-2"]
    assert all(d.is_part for d in decisions)
    found = [len(d.detections) if d.detections else 0 for d in decisions]
    assert found == [0, 2, 0]
    assert [d.pixels is not None for d in decisions] == [False, True, False]
    verdicts = line.channels[0].counters.verdicts
    assert verdicts == {VerdictKind.OK: 2, VerdictKind.DEFECT: 1}


def test_part_that_cannot_be_read_is_not_inspected_with_the_reason() -> None:
    camera = SimCamera("top", is_triggered=True)
    camera.fail(0, "x.jpg: cut off")
    line = Line(camera)
    line.run()
    (decision,) = line.recorder.decisions
    assert decision.detections is None
    assert decision.reason == "x.jpg: cut off"
    counters = line.channels[0].counters
    assert counters.verdicts == {VerdictKind.NOT_INSPECTED: 1}
    assert (counters.unreadable, counters.inspected) == (1, 0)


def test_defect_in_free_run_is_decided_once_after_k_of_n_frames() -> None:
    camera = SimCamera("belt")
    for number in range(8):
        camera.show(number, defect=number >= 3)
    line = Line(camera)
    line.run()
    (decision,) = line.recorder.decisions
    assert decision.frame.frame_id == 4
    assert decision.frame.part_id is None
    assert not decision.is_part
    assert line.channels[0].counters.inspected == 8


@pytest.mark.parametrize("comes_back", ["restarted", "late"])
def test_defect_at_the_same_place_after_an_outage_is_reported_again(
    comes_back: str,
) -> None:
    camera = SimCamera("belt")
    for number in range(4):
        camera.show(number, defect=True)
    line = Line(camera)
    line.run()
    assert len(line.recorder.decisions) == 1
    if comes_back == "restarted":
        camera.restarts += 1
    else:
        camera.away_ms = 3_600_000
    for number in range(4, 8):
        camera.show(number, defect=True)
    line.run()
    assert [d.frame.frame_id for d in line.recorder.decisions] == [1, 5]


def test_picture_of_a_decision_outlives_the_buffer() -> None:
    camera = SimCamera("top", is_triggered=True)
    camera.show(0, defect=True)
    pixels = camera.frames[0].pixels
    assert pixels is not None
    line = Line(camera)
    line.run()
    pixels[:] = 7  # the camera uses the buffer again
    (decision,) = line.recorder.decisions
    assert decision.pixels is not None
    assert not (decision.pixels == 7).any()


def test_frame_that_was_overwritten_meanwhile_is_not_decided() -> None:
    camera = SimCamera("belt")
    camera.tears = True
    camera.show(0, defect=True)
    line = Line(camera)
    line.run()
    assert not line.recorder.decisions
    assert line.channels[0].counters.inspected == 0
    assert line.channels[0].frames_dropped == 1


def test_no_camera_gets_a_second_frame_before_every_other_had_its_first() -> None:
    fast = SimCamera("fast", is_triggered=True)
    slow = SimCamera("slow", is_triggered=True)
    for number in range(5):
        fast.show(number)
    slow.show(0)
    line = Line(fast, slow)
    assert line.pipeline.run_once() == 2
    assert line.pipeline.run_once() == 1
    line.run()
    names = [d.frame.camera for d in line.recorder.decisions]
    assert names == ["fast", "slow", "fast", "fast", "fast", "fast"]


def test_every_frame_is_released() -> None:
    camera = SimCamera("top", is_triggered=True)
    camera.show(0)
    camera.fail(1, "x")
    camera.show(2, defect=True)
    Line(camera).run()
    assert camera.released == 3


def test_latency_is_from_capture_to_decision() -> None:
    camera = SimCamera("belt")
    camera.show(0, age_ms=250)
    line = Line(camera)
    line.run()
    latency_ms = line.channels[0].counters.latency.percentile_ms(0.5)
    assert latency_ms * 1.01 >= 250
    assert latency_ms < 400


def test_counted_part_gets_its_verdict_and_one_in_view_at_the_end_too() -> None:
    camera = SimCamera("belt")
    line = Line(camera)
    belt = Belt(np.zeros((48, 64, 3), np.uint8), (0, 0.1, 1, 1), 30)
    line.channels[0].part_counter = PartCounter(
        belt, "run", enter_share=0.05, leave_share=0.02, frames_min=2
    )
    for number in range(14):
        camera.show(number, defect=number in {1, 2})
        pixels = camera.frames[-1].pixels
        assert pixels is not None
        pixels[20:40] = 200 * (number < 4 or number > 11)
    line.run()
    alert, first = line.recorder.decisions
    assert (alert.frame.part_id, alert.is_part) == ("run-1", False)
    assert (first.frame.part_id, first.frame.frame_id) == ("run-1", 3)
    line.pipeline.abandon_parts(line.channels[0], "the end")
    last = line.recorder.decisions[-1]
    verdicts = [(d.is_part, d.verdict) for d in (first, last)]
    assert verdicts == [(True, VerdictKind.DEFECT), (True, VerdictKind.NOT_INSPECTED)]
    assert last.frame.part_id == "run-2"
    assert line.channels[0].counters.verdicts == {
        VerdictKind.DEFECT: 1,
        VerdictKind.NOT_INSPECTED: 1,
    }


def test_region_that_lowers_a_threshold_changes_how_output_is_decoded() -> None:
    camera = SimCamera("top", is_triggered=True)
    line = Line(camera)
    line.pipeline.model.score_thresholds = np.full(2, 0.95, np.float32)
    whole = [(0.0, 0.0), (1, 0), (1, 1), (0, 1)]
    region = Region.from_polygon(
        "all", RegionKind.INSPECT, whole, thresholds={"dent": 0.5}
    )
    line.channels[0].regions = (region,)
    camera.show(0, defect=True)
    line.run()
    (decision,) = line.recorder.decisions
    assert decision.detections is not None
    assert decision.detections.labels.tolist() == [1]
    assert decision.regions == ("all",)


def test_new_model_decides_from_the_next_frame_on() -> None:
    camera = SimCamera("top", is_triggered=True)
    line = Line(camera)
    for build in (1, 2):
        line.pipeline.swap_model(sim_model(build))
        camera.show(build)
        line.run()
    assert [d.model.build for d in line.recorder.decisions] == [1, 2]


def test_boxes_are_in_pixels_of_the_frame() -> None:
    camera = SimCamera("top", is_triggered=True)
    camera.show(0, defect=True)
    line = Line(camera)
    line.run()
    found = line.recorder.decisions[0].detections
    assert found is not None
    np.testing.assert_allclose(found.boxes, [[12, 16, 20, 24], [36, 16, 44, 24]])
    frame = line.recorder.decisions[0].frame
    assert (frame.frame_width_px, frame.frame_height_px) == (64, 48)


def test_summary_has_what_the_demo_reads() -> None:
    camera = SimCamera("top", is_triggered=True)
    camera.show(0, defect=True)
    line = Line(camera)
    line.run()
    summary = line.channels[0].summary()
    assert summary["frames_inspected"] == 1
    assert summary["verdicts"] == {"ok": 0, "defect": 1, "not-inspected": 0}
    assert summary["latency_ms_p50"] == pytest.approx(
        line.channels[0].counters.latency.percentile_ms(0.5), abs=1e-3
    )


def test_model_with_infinite_output_gives_not_inspected_and_never_ok() -> None:
    camera = SimCamera("top", is_triggered=True)
    line = Line(camera)
    line.pipeline.model.detector.broken = True  # type: ignore[attr-defined]
    camera.show(0)
    line.run()
    assert line.channels[0].counters.verdicts == {VerdictKind.NOT_INSPECTED: 1}
    assert "not finite" in line.recorder.decisions[0].reason
    assert "not finite" in line.pipeline.fault
    line.pipeline.model.detector.broken = False  # type: ignore[attr-defined]
    camera.show(1)
    line.run()
    assert not line.pipeline.fault


def triggered() -> tuple[SimCamera, Line, CommandTriggers]:
    """Return a camera that commands trigger, and its pipeline."""
    camera = SimCamera("top")
    line = Line(camera)
    line.channels[0].command_triggers = triggers = CommandTriggers()
    return camera, line, triggers


def trigger(part_id: str, *, age_ms: float = 0, timeout_ms: int = 60_000) -> Trigger:
    arrived_ns = time.monotonic_ns() - int(age_ms * 1e6)
    return Trigger(part_id, arrived_ns, time.time_ns(), timeout_ms)


def test_frame_without_a_command_is_not_inspected() -> None:
    camera, line, triggers = triggered()
    camera.show(0, defect=True)
    line.run()
    triggers.add(trigger("a"))
    camera.show(1, defect=True)
    camera.show(2, defect=True)
    line.run()
    (decision,) = line.recorder.decisions
    assert (decision.frame.part_id, decision.frame.frame_id) == ("a", 1)
    assert (decision.is_part, len(decision.detections or ())) == (True, 2)
    counters = line.channels[0].counters
    assert (counters.inspected, counters.verdicts) == (1, {VerdictKind.DEFECT: 1})
    assert camera.released == 3


def test_command_is_polled_after_the_frame_is_taken_and_before_it_is_assigned() -> None:
    triggers, waiting = CommandTriggers(), [trigger("a")]
    camera = SimCamera("top")

    def poll_commands() -> None:
        while waiting:
            triggers.add(waiting.pop())

    line = Line(camera, poll_commands=poll_commands)
    line.channels[0].command_triggers = triggers
    camera.show(0)
    line.run()
    (decision,) = line.recorder.decisions
    assert (decision.frame.part_id, decision.frame.frame_id) == ("a", 0)


def test_every_second_frame_is_skipped_under_load_but_no_part() -> None:
    free, parts = SimCamera("free"), SimCamera("parts", is_triggered=True)
    line = Line(free, parts, sheds_frames=lambda: True)
    for number in range(4):
        free.show(number)
        parts.show(number)
    line.run()
    assert [each.counters.inspected for each in line.channels] == [2, 4]
    assert [each.counters.shed for each in line.channels] == [2, 0]


def test_part_whose_camera_is_lost_gets_its_verdict_in_time() -> None:
    camera, line, triggers = triggered()
    camera.state, camera.reason = CameraState.LOST, "its process hung"
    triggers.add(trigger("a", age_ms=50, timeout_ms=20))
    triggers.add(trigger("b"))
    line.run()
    (decision,) = line.recorder.decisions
    assert (decision.frame.part_id, decision.detections) == ("a", None)
    assert decision.reason == "camera top lost: its process hung"
    counters = line.channels[0].counters
    assert counters.verdicts == {VerdictKind.NOT_INSPECTED: 1}
    assert (counters.unreadable, len(triggers)) == (0, 1)


@pytest.mark.parametrize("by", ["command", "hardware", "folder"])
def test_part_whose_frame_is_torn_is_not_inspected(by: str) -> None:
    camera = SimCamera("top", is_triggered=by == "folder")
    line = Line(camera)
    if by == "command":
        line.channels[0].command_triggers = CommandTriggers()
        line.channels[0].command_triggers.add(trigger("a"))
    elif by == "hardware":
        line.channels[0].hardware_triggers = HardwareTriggers("top")
    camera.show(0)
    camera.tears = True
    line.run()
    (decision,) = line.recorder.decisions
    assert (decision.is_part, decision.detections) == (True, None)
    assert "overwritten" in decision.reason


def test_frames_that_a_hardware_triggered_camera_left_out_are_parts() -> None:
    camera = SimCamera("top")
    line = Line(camera)
    line.channels[0].hardware_triggers = HardwareTriggers("top")
    camera.show(4)
    camera.show(7, defect=True)
    line.run()
    kinds = [d.detections is None for d in line.recorder.decisions]
    assert kinds == [False, True, True, False]
    assert [d.frame.part_id for d in line.recorder.decisions] == [
        f"top-{number}" for number in range(1, 5)
    ]
