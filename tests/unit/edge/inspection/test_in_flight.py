"""Frames that overlap in the model: order, fairness, and who owns which buffer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.delivery.recorder import Decision
from edge.inspection.pipeline import TORN, Pipeline
from models.boxes import FloatArray
from models.errors import PackageError
from tests.simulators.cameras import (
    INPUT_PX,
    SimCamera,
    SimDetector,
    sim_channel,
    sim_model,
)

if TYPE_CHECKING:
    from models.preprocess import Frame


class HeldRequest:
    """A request whose answer comes when the test gives it."""

    def __init__(self) -> None:
        self.image: Frame = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
        self.is_idle, self.is_done, self.fails = True, False, False
        self._seen: Frame = self.image
        self._when_done: Callable[[], None] = lambda: None

    def start(self, when_done: Callable[[], None]) -> None:
        assert self.is_idle
        self.is_idle, self._seen, self._when_done = False, self.image.copy(), when_done

    def answer(self) -> None:
        self.is_done = True
        self._when_done()

    def result(self) -> FloatArray:
        assert self.is_done
        self.is_idle, self.is_done = True, False
        if self.fails:
            raise PackageError("the runtime failed")
        return SimDetector().infer(self._seen)


@dataclass
class SimRecorder:
    decisions: list[Decision] = field(default_factory=list)

    def record(self, decision: Decision) -> None:
        self.decisions.append(decision)

    @property
    def parts(self) -> list[str | None]:
        return [decision.frame.part_id for decision in self.decisions]


class Line:
    """A pipeline on a model with held requests."""

    def __init__(self, requests: int, *cameras: SimCamera, k: int = 1) -> None:
        self.requests = [HeldRequest() for _ in range(requests)]
        model = sim_model()
        model.requests = tuple(self.requests)
        self.recorder = SimRecorder()
        self.channels = [sim_channel(camera, k=k, n=3) for camera in cameras]
        self.pipeline = Pipeline(model, self.channels, self.recorder)  # type: ignore[arg-type]


def parts(name: str, count: int, *, defect: bool = False) -> SimCamera:
    camera = SimCamera(name, is_triggered=True)
    for number in range(count):
        camera.show(number, defect=defect)
    return camera


def test_frames_of_one_camera_are_decided_in_their_order() -> None:
    line = Line(2, parts("top", 2))
    line.pipeline.run_once()
    line.pipeline.run_once()
    line.requests[1].answer()  # the second part is ready first
    assert line.pipeline.run_once() == 0
    assert line.recorder.decisions == []
    line.requests[0].answer()
    line.pipeline.run_once()
    assert line.recorder.parts == ["part-0", "part-1"]


def test_part_that_cannot_be_read_waits_for_the_one_before() -> None:
    camera = parts("top", 1)
    camera.fail(1, "cut off")
    line = Line(2, camera)
    line.pipeline.run_once()
    line.pipeline.run_once()
    assert line.recorder.decisions == []
    line.requests[0].answer()
    line.pipeline.run_once()
    assert line.recorder.parts == ["part-0", "part-1"]


def test_frame_stays_with_the_camera_while_no_request_is_free() -> None:
    camera = SimCamera("belt")
    camera.show(0)
    line = Line(1, camera)
    line.pipeline.run_once()
    camera.show(1)
    assert line.pipeline.run_once() == 0
    assert len(camera.frames) == 1
    line.requests[0].answer()
    line.pipeline.run_once()
    assert len(camera.frames) == 0


def test_one_camera_of_several_in_free_run_has_one_frame_in_flight() -> None:
    fast, slow = SimCamera("fast"), SimCamera("slow")
    for number in range(3):
        fast.show(number)
    line = Line(2, fast, slow)
    line.pipeline.run_once()
    line.pipeline.run_once()
    assert len(fast.frames) == 2
    slow.show(0)
    line.pipeline.run_once()
    assert len(slow.frames) == 0


def test_camera_that_found_no_free_request_is_served_first() -> None:
    greedy, other = parts("greedy", 4), parts("other", 1)
    line = Line(1, greedy, other)
    line.pipeline.run_once()
    line.requests[0].answer()
    line.pipeline.run_once()
    line.requests[0].answer()
    line.pipeline.run_once()
    assert [d.frame.camera for d in line.recorder.decisions] == ["greedy", "other"]


def test_buffer_is_released_before_the_output_and_the_evidence_is_intact() -> None:
    camera = parts("top", 1, defect=True)
    pixels = camera.frames[0].pixels
    assert pixels is not None
    line = Line(1, camera)
    line.pipeline.run_once()
    assert camera.released == 1
    before = pixels.copy()
    pixels[:] = 7  # the camera uses the buffer again
    line.requests[0].answer()
    line.pipeline.run_once()
    (decision,) = line.recorder.decisions
    assert decision.pixels is not None
    np.testing.assert_array_equal(decision.pixels, before)


def test_evidence_is_not_overwritten_by_the_next_frame() -> None:
    camera = parts("top", 3, defect=True)
    line = Line(1, camera)
    for _ in range(4):
        line.pipeline.run_once()
        if not line.requests[0].is_idle:
            line.requests[0].answer()
    kept = [d.pixels for d in line.recorder.decisions]
    assert len(kept) == 3
    for one, other in pairwise(kept):
        assert one is not None
        assert other is not None
        assert not np.shares_memory(one, other)


def test_buffer_of_a_good_frame_is_reused_by_one_frame_only() -> None:
    camera = parts("top", 1)
    line = Line(2, camera)
    line.pipeline.run_once()
    line.requests[0].answer()
    line.pipeline.run_once()
    for number in (1, 2):
        camera.show(number, defect=True)
        line.pipeline.run_once()
    for request in line.requests:
        request.answer()
    line.pipeline.run_once()
    _, one, other = (d.pixels for d in line.recorder.decisions)
    assert one is not None
    assert other is not None
    assert not np.shares_memory(one, other)


def test_failure_of_the_runtime_is_not_inspected_and_the_next_part_is() -> None:
    line = Line(1, parts("top", 2))
    line.requests[0].fails = True
    line.pipeline.run_once()
    line.requests[0].answer()
    line.pipeline.run_once()
    line.requests[0].fails = False
    line.requests[0].answer()
    line.pipeline.run_once()
    assert [d.reason for d in line.recorder.decisions] == ["the runtime failed", ""]


def test_frame_in_flight_is_decided_by_the_model_it_started_with() -> None:
    line = Line(1, parts("top", 2))
    line.pipeline.run_once()
    line.pipeline.swap_model(sim_model(build=2))
    line.pipeline.run_once()
    line.requests[0].answer()
    line.pipeline.run_once()
    assert [d.model.build for d in line.recorder.decisions] == [1, 2]


def test_frames_in_flight_are_decided_at_the_end() -> None:
    line = Line(1, parts("top", 2))
    line.pipeline.run_once()
    assert not line.pipeline.is_idle
    assert not line.pipeline.drain(0.05)
    line.requests[0].answer()
    assert line.pipeline.drain(5)
    assert line.recorder.parts == ["part-0"]


def test_wait_ends_when_an_answer_comes() -> None:
    line = Line(1, parts("top", 1))
    line.pipeline.run_once()
    line.requests[0].answer()
    line.pipeline.wait(60)  # the test's own limit would end it
    line.pipeline.run_once()
    assert line.recorder.parts == ["part-0"]


class LateTearCamera(SimCamera):
    """A camera that overwrites a frame after its inference has started."""

    checks = 0

    def is_whole(self) -> bool:
        self.checks += 1
        return self.checks < 2


@pytest.mark.parametrize("is_triggered", [False, True], ids=["free", "part"])
def test_frame_overwritten_while_its_inference_runs_is_not_decided(
    is_triggered: bool,
) -> None:
    camera = LateTearCamera("top", is_triggered=is_triggered)
    camera.show(0, defect=True)
    line = Line(1, camera)
    line.pipeline.run_once()
    assert not line.requests[0].is_idle
    line.requests[0].answer()
    line.pipeline.run_once()
    assert line.requests[0].is_idle
    assert line.pipeline.is_idle
    counters = line.channels[0].counters
    assert (counters.torn, counters.inspected, counters.unreadable) == (1, 0, 0)
    assert [d.reason for d in line.recorder.decisions] == [TORN] * is_triggered


def test_inference_runs_while_the_frame_is_copied() -> None:
    camera = SimCamera("top")
    camera.show(0)
    line = Line(1, camera)
    released = []
    start = line.requests[0].start

    def note_start(when_done: Callable[[], None]) -> None:
        released.append(camera.released)
        start(when_done)

    line.requests[0].start = note_start  # type: ignore[method-assign]
    line.pipeline.run_once()
    assert (released, camera.released) == ([0], 1)
