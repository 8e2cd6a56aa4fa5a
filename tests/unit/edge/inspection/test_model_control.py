"""A trial in the pipeline: who decides which frame, what is counted, how it ends."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from edge.inspection.model import LoadedModel
from edge.inspection.model_control import UNWATCHED, ModelControl
from edge.inspection.model_watch import TrialCandidate
from edge.inspection.pipeline import Pipeline
from edge.inspection.shadow import STOP_LIMIT_S
from models.boxes import FloatArray
from models.errors import ConfigError
from models.messages import ModelInForce, VerdictKind
from models.preprocess import Frame
from models.slot_files import TrialOrder
from models.trial_report import TrialPhase, TrialReport
from tests.simulators.cameras import SimCamera, SimDetector, sim_channel, sim_model
from tests.waiting import until

OLD, NEW = "0" * 64, "1" * 64


class SimRecorder:
    def __init__(self) -> None:
        self.decisions: list[Any] = []

    def record(self, decision: object) -> None:
        self.decisions.append(decision)


class SimWatcher:
    """Hands over what a test puts in."""

    def __init__(self) -> None:
        self.order: TrialOrder | None = None
        self.running = OLD
        self.candidate: TrialCandidate | None = None
        self.model: LoadedModel | None = None

    def take_candidate(self) -> TrialCandidate | None:
        candidate, self.candidate = self.candidate, None
        return candidate

    def take(self) -> LoadedModel | None:
        model, self.model = self.model, None
        return model


def new_model() -> LoadedModel:
    model = sim_model(2)
    model.in_force = ModelInForce(name="sim", build=2, sha256=NEW)
    return model


def order(phase: TrialPhase = TrialPhase.OBSERVE, limit_s: float = 60) -> TrialOrder:
    at = datetime.now(UTC)
    return TrialOrder(id="a", package_sha256=NEW, phase=phase, limit_s=limit_s, at=at)


class Line:
    """One camera, its pipeline and the control of its models."""

    def __init__(self) -> None:
        self.camera = SimCamera("top", is_triggered=True)
        self.recorder, self.watcher = SimRecorder(), SimWatcher()
        self.channel = sim_channel(self.camera)
        self.old, self.new = sim_model(1), new_model()
        self.pipeline = Pipeline(self.old, [self.channel], self.recorder)  # type: ignore[arg-type]
        self.swapped: list[LoadedModel] = []
        self.fault: ConfigError | None = None
        self.control = ModelControl(
            self.watcher,  # type: ignore[arg-type]
            self.pipeline,
            check=self._check,
            on_swap=self.swapped.append,
        )
        self.number = 0

    def _check(self, _: LoadedModel) -> None:
        if self.fault:
            raise self.fault

    def start_trial(self, phase: TrialPhase = TrialPhase.OBSERVE) -> None:
        self.watcher.order = order()
        self.watcher.candidate = TrialCandidate(order(), self.new, 1, 1 << 20)
        self.control.update()
        if phase is TrialPhase.DECIDE:
            self.watcher.order = order(phase)
            self.control.update()

    def end_trial(self, running: str) -> None:
        self.watcher.order, self.watcher.running = None, running
        self.control.update()

    def show(self, frames: int = 1, *, defect: bool = False) -> list[int]:
        """Inspect frames; return the build that decided each."""
        before = len(self.recorder.decisions)
        for _ in range(frames):
            self.camera.show(self.number, defect=defect)
            self.number += 1
            while self.pipeline.run_once():
                pass
        return [each.model.build for each in self.recorder.decisions[before:]]

    def report(self) -> TrialReport:
        report = self.control.report
        assert report is not None
        return report


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.control.close()


def test_old_model_decides_while_the_new_one_observes(line: Line) -> None:
    line.start_trial()
    assert line.show(20) == [1] * 20
    until(lambda: line.show() and line.report().compared >= 5)
    report = line.report()
    assert (report.phase, report.starts) == (TrialPhase.OBSERVE, 1)
    assert (report.old.frames, report.new.frames) == (line.number, 0)
    assert report.rss_bytes > 0
    assert report.rss_bytes_before == 1 << 20


def test_new_model_decides_from_the_order_on_and_every_frame_is_decided(
    line: Line,
) -> None:
    line.start_trial()
    builds = line.show(5)
    line.watcher.order = order(TrialPhase.DECIDE)
    line.control.update()
    builds += line.show(5)
    line.end_trial(NEW)
    builds += line.show(5)
    assert builds == [1] * 5 + [2] * 10
    frames = [each.frame.frame_id for each in line.recorder.decisions]
    assert frames == list(range(15))
    assert [each.in_force.build for each in line.swapped] == [2]
    assert line.control.report is None
    assert line.pipeline.model is line.new


def test_rolled_back_trial_returns_to_the_old_model(line: Line) -> None:
    line.start_trial(TrialPhase.DECIDE)
    assert line.show(2) == [2, 2]
    line.end_trial(OLD)
    assert line.show(2) == [1, 1]
    assert line.pipeline.model is line.old
    assert [each.in_force.build for each in line.swapped] == [2, 1]


def test_frames_that_both_saw_are_counted_by_model_and_episode(line: Line) -> None:
    line.start_trial()
    line.new.score_thresholds = np.full(2, 0.99, np.float32)  # it finds nothing
    for turn in range(1, 4):

        def seen(turn: int = turn) -> bool:
            line.show(2, defect=True)
            return line.report().old.episodes == turn

        def gone(turn: int = turn) -> bool:
            line.show(2)
            report = line.report()
            return report.compared > report.old.frames_with_detections + turn

        until(seen)
        until(gone)
    report = line.report()
    assert report.old.episodes == 3
    assert 3 <= report.old.frames_with_detections < report.compared
    assert (report.new.frames_with_detections, report.new.episodes) == (0, 0)


@pytest.mark.fault(45)
def test_frame_that_the_new_model_fails_on_is_decided_by_the_old_one(
    line: Line,
) -> None:
    line.start_trial(TrialPhase.DECIDE)
    line.new.detector.broken = True  # type: ignore[attr-defined]
    assert line.show(1, defect=True) == [1]
    (decision,) = line.recorder.decisions
    assert len(decision.detections) == 2
    assert line.show(3) == [1, 1, 1]
    verdicts = line.channel.counters.verdicts
    assert verdicts == {VerdictKind.DEFECT: 1, VerdictKind.OK: 3}
    line.control.update()
    report = line.report()
    assert report.not_finite == 1
    assert "it failed on a frame of the line: The model's output is" in report.fault
    assert line.pipeline.fault == ""
    assert [each.in_force.build for each in line.swapped] == [2, 1]
    line.watcher.order = order(TrialPhase.DECIDE)
    line.control.update()
    assert line.show() == [1]  # the order does not bring it back


def test_new_model_that_fails_while_it_observes_ends_the_trial(line: Line) -> None:
    line.start_trial()
    line.new.detector.broken = True  # type: ignore[attr-defined]
    until(lambda: line.show() == [1] and line.report().fault)
    assert line.report().not_finite == 1
    line.watcher.order = order(TrialPhase.DECIDE)
    line.control.update()
    assert line.show() == [1]


def test_fault_of_the_old_model_is_not_the_new_ones(line: Line) -> None:
    line.start_trial(TrialPhase.DECIDE)
    line.old.detector.broken = True  # type: ignore[attr-defined]
    assert line.show(20) == [2] * 20
    assert line.report().fault == ""


def test_trial_that_nothing_compares_returns_to_the_old_model(line: Line) -> None:
    line.start_trial(TrialPhase.DECIDE)
    line.watcher.order = order(TrialPhase.DECIDE, limit_s=1e-9)
    line.control.update()
    assert line.report().fault == UNWATCHED
    assert line.show() == [1]


def test_candidate_that_is_not_run_is_reported(line: Line) -> None:
    line.watcher.order = order()
    line.watcher.candidate = TrialCandidate(order(), None, 4, 0, "too many starts")
    line.control.update()
    assert (line.report().fault, line.report().starts) == ("too many starts", 4)
    assert line.show() == [1]
    line.end_trial(OLD)
    assert line.control.report is None


def test_candidate_that_does_not_fit_the_configuration_is_not_run(line: Line) -> None:
    line.fault = ConfigError("label 'dent' is unknown")
    line.start_trial(TrialPhase.DECIDE)
    assert "does not fit the configuration: label 'dent'" in line.report().fault
    assert line.show() == [1]


def test_new_trial_starts_from_the_model_in_force(line: Line) -> None:
    line.start_trial(TrialPhase.DECIDE)
    other = new_model()
    next_order = order().model_copy(update={"id": "b"})
    line.watcher.order = next_order
    line.watcher.candidate = TrialCandidate(next_order, other, 1, 0)
    line.control.update()
    assert line.pipeline.model is line.old
    assert line.report().id == "b"


def test_end_of_a_trial_waits_for_no_frame_of_the_shadow(line: Line) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(SimDetector):
        def infer(self, image: Frame) -> FloatArray:
            entered.set()
            leave.wait(10)
            return super().infer(image)

    line.new.detector = Slow()
    line.start_trial()
    line.show(4)
    assert entered.wait(10)
    started = time.monotonic()
    line.end_trial(OLD)
    assert time.monotonic() - started < STOP_LIMIT_S / 2
    assert line.show() == [1]
    leave.set()


def test_model_that_was_rolled_back_is_released_without_a_search_for_cycles(
    line: Line,
) -> None:
    line.start_trial()
    line.show(20)
    detector = weakref.ref(line.new.detector)
    del line.new
    gc.disable()
    try:
        line.end_trial(OLD)
        until(lambda: detector() is None)
    finally:
        gc.enable()


def test_model_that_is_switched_by_hand_ends_the_trial(line: Line) -> None:
    line.start_trial()
    third = sim_model(3)
    line.watcher.model, line.watcher.order = third, None
    line.control.update()
    assert line.pipeline.model is third
    assert line.control.report is None
    assert line.show() == [3]
