import os

from deploy.selftest.run_modes import measure_run_modes
from deploy.selftest.streams import measure_streams
from models.package import Package


def test_number_of_streams_is_measured_for_the_chosen_run_mode(
    builds: list[Package],
) -> None:
    report = measure_run_modes(builds[0])
    assert report.chosen is not None
    assert report.chosen.throughput_fps > 0
    assert 1 <= report.chosen.streams <= len(os.sched_getaffinity(0))
    others = [mode for mode in report.modes if mode != report.chosen]
    assert all(mode.throughput_fps == 0 for mode in others)


def test_no_more_streams_than_cores_are_tried(builds: list[Package]) -> None:
    report = measure_run_modes(builds[0])
    assert report.chosen is not None
    mode = report.chosen.model_copy(update={"streams": 1, "throughput_fps": 0.0})
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        measured = measure_streams(builds[0], mode)
    finally:
        os.sched_setaffinity(0, before)
    assert measured.streams == 1
    assert measured.throughput_fps > 0
