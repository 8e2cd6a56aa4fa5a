"""Compares a new model with the old one, from the counts of a trial.

Pure: no file, no clock. ``judge`` returns the next step of a trial. A limit that is
exceeded ends the trial at once; a commit needs the whole window, and the evidence for
the limits of speed. The table in ``docs/explanation/trial.md`` is made from ``LIMITS``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from models.counted import counted
from models.trial_report import STARTS_MAX, TrialPhase, TrialReport

FRAMES, SECONDS = 300, 60.0  # the window: 60 s are 1800 frames of a camera of 30 fps
OBSERVE_SHARE = 1 / 2  # of the window, in which the old model decides
LIMIT_FACTOR, LIMIT_MIN_S = 10, 600.0  # a line that stands gives no frames
SILENCE_S = 30.0  # the daemon writes health.json every few seconds, and may restart
PICK_UP_S = 60.0  # a large model is verified, loaded and compiled in that time
COMPARED_MIN = 30  # frames that both models saw, before shares are compared
MORE_MAX = 0.2  # how much larger the share of frames with detections may be
# One defect, or one false alarm, is in many frames in a row: an episode.
EPISODES_MIN, NONE_FRAMES_MIN = 3, 30
FEWER_MIN, FEWER_EPISODES_MIN = 0.2, 10
SLOWER_MAX = 2.0  # times the old model's latency
LATENCY_FRAMES_MIN = 20
LATENCY_MIN_MS = 5.0  # 1 ms in the place of 0.3 ms is no reason
FPS_MIN, DROPPED_MORE_MAX = 0.8, 0.2
FPS_FRAMES_MIN = 60
# Frames are also dropped while another program takes the processor: then the model in
# force is as slow in the same seconds.
SLOWER_TO_DROP = 1.25
MEMORY_MAX_BYTES = 512 << 20  # more than before, and more than twice as much


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """How a package is tried on the line.

    Attributes:
        frames: Frames of the line in the trial, of which the new model decides half;
            with 0 frames and 0 seconds there is no trial.
        seconds: Shortest time of the trial.
        limit_s: Longest time; then there is no result, and the old model stays. None =
            ten times ``seconds``, at least ten minutes.
        silence_s: A daemon that reports nothing for so long has ended.
        slower_max: Times that the latency of the new model may be that of the old one.
        tries_again: Try a package that was rolled back before.
    """

    frames: int = FRAMES
    seconds: float = SECONDS
    limit_s: float | None = None
    silence_s: float = SILENCE_S
    slower_max: float = SLOWER_MAX
    tries_again: bool = False

    @property
    def is_off(self) -> bool:
        """Whether there is no trial."""
        return self.frames <= 0 and self.seconds <= 0

    @property
    def longest_s(self) -> float:
        """Longest time of the trial."""
        if self.limit_s is not None:
            return self.limit_s
        return max(LIMIT_MIN_S, LIMIT_FACTOR * self.seconds)


class TrialStep(StrEnum):
    """What follows from the counts."""

    WAIT = "wait"
    DECIDE = "decide"  # let the new model decide
    COMMIT = "commit"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True, slots=True)
class TrialVerdict:
    """The next step of a trial.

    Attributes:
        reason: Why the package is rolled back, or what was measured at a commit.
        is_refused: The model is bad here, and is not tried again without being asked.
            False = there was no result.
    """

    step: TrialStep
    reason: str = ""
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class TrialLimit:
    """One limit of a trial.

    Attributes:
        measure: What is compared.
        allowed: The limit, as the documentation shows it.
        evidence: What there must be before it is applied.
        excess: Returns why the limit is exceeded; empty = it is not.
    """

    measure: str
    allowed: str
    evidence: str
    excess: Callable[[TrialReport, TrialSettings], str]


def judge(
    report: TrialReport, settings: TrialSettings, ordered: TrialPhase
) -> TrialVerdict:
    """Return the next step of a trial.

    Args:
        report: From the daemon.
        ordered: Phase that the daemon was ordered to be in.
    """
    if report.fault:
        return TrialVerdict(TrialStep.ROLL_BACK, report.fault, is_refused=True)
    for limit in LIMITS:
        if reason := limit.excess(report, settings):
            return TrialVerdict(TrialStep.ROLL_BACK, reason, is_refused=True)
    if report.phase is not ordered:
        return TrialVerdict(TrialStep.WAIT)
    if report.phase is TrialPhase.OBSERVE:
        has_observed = (
            report.seconds >= settings.seconds * OBSERVE_SHARE
            and report.old.frames >= settings.frames * OBSERVE_SHARE
            and report.old.latency_frames >= LATENCY_FRAMES_MIN
            and report.compared >= COMPARED_MIN
        )
        return TrialVerdict(TrialStep.DECIDE if has_observed else TrialStep.WAIT)
    least_frames = settings.frames * (1 - OBSERVE_SHARE)
    has_decided = (
        report.seconds >= settings.seconds
        and report.new.frames >= max(least_frames, FPS_FRAMES_MIN)
        and _has_latencies(report)
    )
    if has_decided:
        return TrialVerdict(TrialStep.COMMIT, summary(report))
    return TrialVerdict(TrialStep.WAIT)


def summary(report: TrialReport) -> str:
    """Return what was measured, on one line."""
    new, old = report.new, report.old
    return (
        f"decided {counted(new.frames, 'frame')}, {new.fps:.1f}/s (before "
        f"{old.fps:.1f}/s), "
        f"p50 {new.latency_ms_p50:.1f} ms (before {old.latency_ms_p50:.1f} ms); "
        f"defects in {new.frames_with_detections} of {report.compared} compared frames "
        f"(before {old.frames_with_detections})"
        + (f"; {report.swap_gap_ms:.0f} ms at the change" if report.swap_gap_ms else "")
    )


def limit_table() -> str:
    """Return the limits as a table in Markdown."""
    rows = ["| compared | allowed | from |", "|---|---|---|"]
    rows += [
        f"| {each.measure} | {each.allowed} | {each.evidence} |" for each in LIMITS
    ]
    return "\n".join(rows)


def _not_finite(report: TrialReport, _: TrialSettings) -> str:
    if not report.not_finite:
        return ""
    return f"its output was not finite on {report.not_finite} of the line's frames"


def _none(report: TrialReport, _: TrialSettings) -> str:
    new, old = report.new, report.old
    has_evidence = (
        old.episodes >= EPISODES_MIN or old.frames_with_detections >= NONE_FRAMES_MIN
    )
    if new.frames_with_detections or not has_evidence:
        return ""
    return (
        f"it finds no defect in {report.compared} frames; the model in force finds "
        f"defects in {old.frames_with_detections} of them"
    )


def _fewer(report: TrialReport, _: TrialSettings) -> str:
    new, old = report.new, report.old
    least = FEWER_MIN * old.frames_with_detections
    if old.episodes < FEWER_EPISODES_MIN or new.frames_with_detections >= least:
        return ""
    return _shares(report, "it finds far fewer defects: in")


def _more(report: TrialReport, _: TrialSettings) -> str:
    more = report.new.frames_with_detections - report.old.frames_with_detections
    if report.compared < COMPARED_MIN or more <= MORE_MAX * report.compared:
        return ""
    return _shares(report, "it finds far more defects: in")


def _shares(report: TrialReport, start: str) -> str:
    new, old = report.new, report.old
    count = max(1, report.compared)
    return (
        f"{start} {new.frames_with_detections / count:.0%} of {report.compared} "
        "frames, the model in force in "
        f"{old.frames_with_detections / count:.0%} of them"
    )


def _has_latencies(report: TrialReport) -> bool:
    new, old = report.new, report.old
    frames = (
        *(new.latency_frames, new.shadow_latency_frames),
        *(old.latency_frames, old.shadow_latency_frames),
    )
    return min(frames) >= LATENCY_FRAMES_MIN


def times_slower(report: TrialReport) -> float:
    """Return how many times as long the new model takes for a frame.

    In each phase the two models are compared in the same seconds, so another program
    slows both; that one of them is the shadow there is cancelled by the other phase.
    """
    new, old = report.new, report.old
    observed = new.shadow_latency_ms_p50 / max(old.latency_ms_p50, 1e-3)
    decided = new.latency_ms_p50 / max(old.shadow_latency_ms_p50, 1e-3)
    return math.sqrt(observed * decided)


def _slower(report: TrialReport, settings: TrialSettings) -> str:
    new, old = report.new, report.old
    more_ms = new.latency_ms_p50 - old.latency_ms_p50
    if not _has_latencies(report) or more_ms <= LATENCY_MIN_MS:
        return ""
    times = times_slower(report)
    if times <= settings.slower_max:
        return ""
    return (
        f"it is {times:.1f} times slower: {new.latency_ms_p50:.1f} ms for a frame, the "
        f"model in force {old.latency_ms_p50:.1f} ms"
    )


def _drops(report: TrialReport, _: TrialSettings) -> str:
    new, old = report.new, report.old
    if min(new.frames, old.frames) < FPS_FRAMES_MIN or new.seconds < 1:
        return ""
    if not _has_latencies(report) or times_slower(report) <= SLOWER_TO_DROP:
        return ""
    if new.fps >= FPS_MIN * old.fps:
        return ""
    if new.dropped_share <= old.dropped_share + DROPPED_MORE_MAX:
        return ""
    return (
        f"it keeps {new.fps:.1f} frames/s, the model in force {old.fps:.1f}, and "
        f"{new.dropped_share:.0%} of the frames are dropped"
    )


def _memory(report: TrialReport, _: TrialSettings) -> str:
    before = report.rss_bytes_before
    more = report.rss_bytes - before
    if not before or more <= max(MEMORY_MAX_BYTES, before):
        return ""
    return (
        f"the daemon needs {report.rss_bytes >> 20} MiB with it, {before >> 20} MiB "
        "before"
    )


def _starts(report: TrialReport, _: TrialSettings) -> str:
    if report.starts <= STARTS_MAX:
        return ""
    return f"the daemon did not survive {STARTS_MAX} starts with it"


LIMITS = (
    TrialLimit(
        "starts of the daemon",
        f"at most {STARTS_MAX}, across crashes and reboots",
        "the first",
        _starts,
    ),
    TrialLimit("outputs with NaN or infinity", "none", "the first frame", _not_finite),
    TrialLimit(
        "no defect in any frame",
        "only where the old model finds none either",
        f"{EPISODES_MIN} defects, or {NONE_FRAMES_MIN} frames with one, by the old "
        "model",
        _none,
    ),
    TrialLimit(
        "frames with defects, fewer",
        f"at least {FEWER_MIN:.0%} of the old model's",
        f"{FEWER_EPISODES_MIN} defects by the old model",
        _fewer,
    ),
    TrialLimit(
        "frames with defects, more",
        f"at most {MORE_MAX * 100:.0f} percentage points more than by the old model",
        f"{COMPARED_MIN} frames that both saw",
        _more,
    ),
    TrialLimit(
        "latency p50 of a frame in the model",
        f"at most {SLOWER_MAX:g} times the old model's (`--trial-slower`), or "
        f"{LATENCY_MIN_MS:g} ms more",
        f"{LATENCY_FRAMES_MIN} frames of each model in each phase",
        _slower,
    ),
    TrialLimit(
        "frames per second",
        f"at least {FPS_MIN:.0%} of the old model's, where more than "
        f"{DROPPED_MORE_MAX * 100:.0f} percentage points more of the frames are "
        f"dropped and the latency is more than {SLOWER_TO_DROP:g} times as high",
        f"{FPS_FRAMES_MIN} frames of each",
        _drops,
    ),
    TrialLimit(
        "resident memory of the daemon",
        f"at most {MEMORY_MAX_BYTES >> 20} MiB more, or twice as much",
        "the first report",
        _memory,
    ),
)
