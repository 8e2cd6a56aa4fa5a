"""The pure rules that end a trial: each at its limit and beyond."""

from typing import Any

import pytest

from deploy.trial import (
    LIMITS,
    TrialSettings,
    TrialStep,
    TrialVerdict,
    judge,
    limit_table,
    summary,
    times_slower,
)
from models.trial_report import ModelCounts, TrialPhase, TrialReport

WINDOW = TrialSettings(frames=300, seconds=60)
ALIKE = {
    "frames": 200,
    "seconds": 40.0,
    "latency_frames": 100,
    "latency_ms_p50": 10.0,
    "shadow_latency_frames": 50,
    "shadow_latency_ms_p50": 10.0,
}
SLOWER = {"latency_ms_p50": 15.0, "shadow_latency_ms_p50": 15.0}  # as allowed
OBSERVED, DECIDED = TrialPhase.OBSERVE, TrialPhase.DECIDE


def counts(**fields: Any) -> ModelCounts:
    return ModelCounts.model_validate({**ALIKE, **fields})


def report(
    new: dict[str, Any] | None = None, old: dict[str, Any] | None = None, **fields: Any
) -> TrialReport:
    """Return a report at the end of a good trial, but for the given fields."""
    values: dict[str, Any] = {
        "id": "a",
        "package_sha256": "b",
        "phase": DECIDED,
        "starts": 1,
        "seconds": 61.0,
        "compared": 100,
        "new": counts(**(new or {})),
        "old": counts(**(old or {})),
        **fields,
    }
    return TrialReport.model_validate(values)


def verdict(each: TrialReport, settings: TrialSettings = WINDOW) -> TrialVerdict:
    return judge(each, settings, each.phase)


def test_good_trial_is_committed_with_what_was_measured() -> None:
    good = verdict(report())
    assert good == TrialVerdict(TrialStep.COMMIT, summary(report()))
    assert "decided 200 frames, 5.0/s (before 5.0/s)" in good.reason


@pytest.mark.parametrize(
    "fields",
    [
        {"seconds": 59.0},
        {"new": {"frames": 149}},
        {"new": {"latency_frames": 19, "latency_ms_p50": 90.0}},
        {"old": {"shadow_latency_frames": 19}, "new": {"latency_ms_p50": 90.0}},
    ],
)
def test_trial_lasts_until_its_whole_window_is_over(fields: dict[str, Any]) -> None:
    assert verdict(report(**fields)).step is TrialStep.WAIT


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({"seconds": 30.0, "compared": 30}, TrialStep.DECIDE),
        ({"seconds": 29.0, "compared": 30}, TrialStep.WAIT),
        ({"seconds": 90.0, "compared": 29}, TrialStep.WAIT),
        ({"seconds": 90.0, "old": {"frames": 149}}, TrialStep.WAIT),
        ({"seconds": 90.0, "old": {"latency_frames": 19}}, TrialStep.WAIT),
    ],
)
def test_new_model_decides_after_it_has_observed_half_of_the_window(
    fields: dict[str, Any], step: TrialStep
) -> None:
    assert verdict(report(phase=OBSERVED, **fields)).step is step


def test_phase_that_the_daemon_has_not_yet_reached_is_waited_for() -> None:
    assert judge(report(phase=OBSERVED), WINDOW, DECIDED).step is TrialStep.WAIT


@pytest.mark.parametrize(
    ("inside", "beyond", "reason"),
    [
        pytest.param(
            {"starts": 3}, {"starts": 4}, "did not survive 3 starts", id="starts"
        ),
        pytest.param(
            {"not_finite": 0}, {"not_finite": 1}, "not finite on 1 of", id="not-finite"
        ),
        pytest.param(
            {"old": {"frames_with_detections": 29, "episodes": 2}},
            {"old": {"frames_with_detections": 29, "episodes": 3}},
            "finds no defect in 100 frames; the model in force finds defects in 29",
            id="none",
        ),
        pytest.param(
            {"old": {"frames_with_detections": 29, "episodes": 2}},
            {"old": {"frames_with_detections": 30, "episodes": 1}},
            "finds no defect",
            id="none-in-a-row",
        ),
        pytest.param(
            {
                "old": {"frames_with_detections": 50, "episodes": 10},
                "new": {"frames_with_detections": 10},
            },
            {
                "old": {"frames_with_detections": 50, "episodes": 10},
                "new": {"frames_with_detections": 9},
            },
            "far fewer defects: in 9% of 100 frames, the model in force in 50%",
            id="fewer",
        ),
        pytest.param(
            {
                "old": {"frames_with_detections": 10, "episodes": 1},
                "new": {"frames_with_detections": 30},
            },
            {
                "old": {"frames_with_detections": 10, "episodes": 1},
                "new": {"frames_with_detections": 31},
            },
            "far more defects: in 31% of 100 frames, the model in force in 10%",
            id="more",
        ),
        pytest.param(
            {"new": {"latency_ms_p50": 20.0, "shadow_latency_ms_p50": 20.0}},
            {"new": {"latency_ms_p50": 30.0, "shadow_latency_ms_p50": 30.0}},
            "3.0 times slower: 30.0 ms for a frame, the model in force 10.0 ms",
            id="slower",
        ),
        pytest.param(
            {
                "old": {"latency_ms_p50": 0.5, "shadow_latency_ms_p50": 0.5},
                "new": {"latency_ms_p50": 5.4, "shadow_latency_ms_p50": 5.6},
            },
            {
                "old": {"latency_ms_p50": 0.5, "shadow_latency_ms_p50": 0.5},
                "new": {"latency_ms_p50": 5.6, "shadow_latency_ms_p50": 5.6},
            },
            "11.2 times slower",
            id="slower-but-fast",
        ),
        pytest.param(
            {"new": {**SLOWER, "frames": 150, "frames_dropped": 37}},
            {"new": {**SLOWER, "frames": 150, "frames_dropped": 38}},
            "keeps 3.8 frames/s, the model in force 5.0, and 20% of the frames",
            id="drops",
        ),
        pytest.param(
            {"rss_bytes": 1024 << 20, "rss_bytes_before": 512 << 20},
            {"rss_bytes": 1025 << 20, "rss_bytes_before": 512 << 20},
            "needs 1025 MiB with it, 512 MiB before",
            id="memory",
        ),
    ],
)
def test_limit_holds_up_to_its_value_and_rolls_back_beyond(
    inside: dict[str, Any], beyond: dict[str, Any], reason: str
) -> None:
    assert verdict(report(**inside)).step is TrialStep.COMMIT
    bad = verdict(report(**beyond))
    assert (bad.step, bad.is_refused) == (TrialStep.ROLL_BACK, True)
    assert reason in bad.reason


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(
            {"compared": 29, "new": {"frames_with_detections": 29}}, id="compared"
        ),
        pytest.param(
            {"new": {"latency_ms_p50": 90.0, "latency_frames": 19}}, id="latency"
        ),
        pytest.param(
            {"new": {**SLOWER, "frames": 59, "frames_dropped": 500}}, id="drops"
        ),
        pytest.param({"rss_bytes": 9 << 30, "rss_bytes_before": 0}, id="memory"),
    ],
)
def test_limit_needs_its_evidence(fields: dict[str, Any]) -> None:
    assert verdict(report(**fields)).step is not TrialStep.ROLL_BACK


def test_short_window_is_long_enough_to_measure_the_speed() -> None:
    short = TrialSettings(frames=1, seconds=0)
    few = report(new={"frames": 59}, seconds=1)
    assert verdict(few, short).step is TrialStep.WAIT
    assert verdict(report(new={"frames": 60}), short).step is TrialStep.COMMIT


def test_slower_line_is_not_the_fault_of_the_model() -> None:
    slow_line = report(new={"frames": 150, "seconds": 400.0})
    assert verdict(slow_line).step is TrialStep.COMMIT


def test_model_may_be_as_much_slower_as_the_settings_allow() -> None:
    slower = report(new={"latency_ms_p50": 35.0, "shadow_latency_ms_p50": 35.0})
    assert verdict(slower).step is TrialStep.ROLL_BACK
    wanted = TrialSettings(slower_max=4)
    assert verdict(slower, wanted).step is TrialStep.COMMIT


def test_program_that_takes_the_processor_in_one_phase_is_not_the_models_fault() -> (
    None
):
    busy = report(
        new={
            "latency_ms_p50": 40.0,
            "shadow_latency_ms_p50": 12.0,
            "frames_dropped": 300,
        },
        old={"latency_ms_p50": 10.0, "shadow_latency_ms_p50": 45.0},
    )
    assert times_slower(busy) == pytest.approx(1.03, abs=0.01)
    assert verdict(busy).step is TrialStep.COMMIT


def test_fault_of_the_daemon_is_the_reason() -> None:
    bad = verdict(report(fault="it cannot be loaded"))
    assert bad == TrialVerdict(TrialStep.ROLL_BACK, "it cannot be loaded", True)


def test_table_has_a_row_for_every_limit() -> None:
    rows = limit_table().splitlines()
    assert len(rows) == len(LIMITS) + 2
    assert all(row.count("|") == 4 for row in rows)


@pytest.mark.parametrize(
    ("settings", "longest_s"),
    [
        (TrialSettings(), 600.0),
        (TrialSettings(seconds=120), 1200.0),
        (TrialSettings(limit_s=5), 5.0),
    ],
)
def test_trial_without_a_result_ends(settings: TrialSettings, longest_s: float) -> None:
    assert settings.longest_s == longest_s
    assert not settings.is_off


def test_trial_of_no_frames_and_no_time_is_off() -> None:
    assert TrialSettings(frames=0, seconds=0).is_off
    assert not TrialSettings(frames=0, seconds=1).is_off
