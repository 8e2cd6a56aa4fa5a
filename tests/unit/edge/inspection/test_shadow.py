"""The other model of a trial sees frames in spare time, and only then."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from edge.inspection.model import LoadedModel
from edge.inspection.shadow import (
    CALM_FRAMES,
    EVERY_MAX,
    EVERY_MIN,
    Shadow,
    ShadowJob,
    ShadowPace,
)
from edge.rules.regions import Region, RegionKind
from models.errors import PackageError
from models.preprocess import Frame
from tests.simulators.cameras import MARK, SimDetector, sim_model
from tests.waiting import until

LEFT_HALF = Region.from_polygon(
    "left", RegionKind.MASK, [(0.0, 0.0), (1, 0), (1, 1), (0, 1)]
)


def picture(*, defect: bool) -> Frame:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[0, 0] = MARK * defect
    return pixels


class Results:
    """A shadow and what it has returned."""

    def __init__(self) -> None:
        self.found: list[bool] = []
        self.faults: list[tuple[LoadedModel, Exception]] = []
        self.shadow = Shadow(
            lambda _, result: self.found.append(result.finds_defects),
            lambda model, error: self.faults.append((model, error)),
        )
        self.shadow.start()

    def inspect(
        self, model: LoadedModel, *, defect: bool, regions: tuple[Region, ...] = ()
    ) -> None:
        pixels = self.shadow.copy_of(picture(defect=defect))
        self.shadow.submit(ShadowJob("top", pixels, model, regions, has_defects=False))
        until(lambda: self.shadow.is_free(1 << 62))


@pytest.fixture
def results() -> Iterator[Results]:
    results = Results()
    yield results
    results.shadow.close()


def test_result_is_whether_the_model_finds_a_defect(results: Results) -> None:
    model = sim_model()
    results.inspect(model, defect=True)
    results.inspect(model, defect=False)
    assert results.found == [True, False]


def test_regions_of_the_camera_count(results: Results) -> None:
    results.inspect(sim_model(), defect=True, regions=(LEFT_HALF,))
    assert results.found == [False]


def test_failure_of_a_model_is_a_fault_and_the_next_frame_is_inspected(
    results: Results,
) -> None:
    broken, good = sim_model(), sim_model()
    broken.detector.broken = True  # type: ignore[attr-defined]
    results.inspect(broken, defect=True)
    results.inspect(good, defect=True)
    ((model, error),) = results.faults
    assert model is broken
    assert isinstance(error, PackageError)
    assert results.found == [True]


def test_error_of_any_kind_is_a_fault(
    results: Results, caplog: pytest.LogCaptureFixture
) -> None:
    class Other(SimDetector):
        def infer(self, _: Frame) -> np.ndarray:
            return np.zeros((9, 2), np.float32)

    model = sim_model()
    model.detector = Other()
    results.inspect(model, defect=True)
    assert isinstance(results.faults[0][1], ValueError)
    assert "shadow_failed" in caplog.text


def test_shadow_rests_as_long_as_it_worked(results: Results) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(SimDetector):
        def infer(self, image: Frame) -> np.ndarray:
            entered.set()
            leave.wait(10)
            return super().infer(image)

    model, shadow = sim_model(), results.shadow
    model.detector = Slow()
    assert shadow.is_free(0)
    pixels = shadow.copy_of(picture(defect=True))
    shadow.submit(ShadowJob("top", pixels, model, (), has_defects=False))
    assert entered.wait(10)
    assert not shadow.is_free(1 << 62)
    assert shadow.worked_since(1 << 62)
    leave.set()
    until(lambda: shadow.is_free(1 << 62))
    ended_ns, started_ns = shadow._ended_ns, shadow._started_ns  # noqa: SLF001
    assert ended_ns > started_ns
    assert not shadow.is_free(2 * ended_ns - started_ns - 1)
    assert shadow.is_free(2 * ended_ns - started_ns)
    assert shadow.worked_since(ended_ns - 1)
    assert not shadow.worked_since(ended_ns)


def test_copy_is_its_own_and_follows_the_size_of_the_frame(results: Results) -> None:
    frame = picture(defect=True)
    copy = results.shadow.copy_of(frame)
    frame[:] = 7
    assert copy[0, 0, 0] == MARK
    assert results.shadow.copy_of(frame) is copy
    assert results.shadow.copy_of(frame[:10]).shape == (10, 64, 3)


def test_every_second_frame_is_compared_at_most() -> None:
    pace = ShadowPace()
    due = []
    for _ in range(6):
        due.append(pace.is_due(0))
        if due[-1]:
            pace.take()
    assert due == [False, True] * 3


def test_dropped_frames_make_comparisons_rare_and_calm_ones_frequent_again() -> None:
    pace = ShadowPace()
    pace.is_due(5)  # dropped before the trial
    assert pace.every == EVERY_MIN
    for dropped in range(6, 20):
        pace.is_due(dropped)
    assert pace.every == EVERY_MAX
    for _ in range(3 * CALM_FRAMES):
        pace.take()
    assert pace.every == EVERY_MIN
